//! The admin API under `/tyk/`, and the endpoints that tell how the gate is (contract 7).
//!
//! Wire shapes of the original live here and nowhere else.

mod apis;
mod cache;
mod call;
mod catalog;
mod certs;
mod debug;
mod endpoints;
mod health;
mod inspect;
mod jwks;
mod keys;
pub(crate) use keys::changed as key_changed;
mod oauth;
mod openapi;
mod orgs;
mod policies;
mod records;
mod reply;
mod streams;
#[cfg(test)]
mod tests;
mod together;
mod trial;

use std::borrow::Cow;
use std::sync::Arc;

use apidef::Source;
use http::header::HeaderMap;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};

use self::call::Call;
use self::endpoints::{Action, Found};
use self::reply::{error, ok};
use crate::auth::ClientCertificates;
use crate::body::{Body, RequestBody};
use crate::exchange::Peer;
use crate::gate::Gate;
use crate::query;
use crate::respond;
use crate::same::same;
use crate::serve::host;

const NOT_AUTHORISED: &str = "Attempted administrative access with invalid or missing key!";
/// Largest request body of the admin API.
const BODY_LIMIT: usize = 16 << 20;

/// Whether a request is for the gate itself and not for an API.
pub(crate) fn is_addressed<B>(gate: &Gate, peer: &Peer, request: &Request<B>) -> bool {
    if peer.control {
        return true;
    }
    if gate.settings.control_apart || peer.port.is_some() {
        return false;
    }
    let path = request.uri().path();
    let Some(rest) = path.strip_prefix('/') else { return false };
    let ours = rest.starts_with("tyk/")
        || rest == "metrics"
        || inspects(gate, rest)
        || *rest == *gate.settings.health_name
        || *rest == *gate.settings.ready_name;
    ours && gate
        .settings
        .control_hostname
        .as_deref()
        .is_none_or(|name| name.eq_ignore_ascii_case(host(request)))
}

/// Whether a path asks for the settings, where they may be seen.
fn inspects(gate: &Gate, path: &str) -> bool {
    matches!(path, "config" | "env") && !gate.settings.inspected.is_empty()
}

/// Answers a request to the gate itself.
pub(crate) async fn answer(gate: &Arc<Gate>, peer: &Peer, request: Request<RequestBody>) -> Response<Body> {
    let path = request.uri().path().trim_end_matches('/');
    let name = path.strip_prefix('/').unwrap_or(path);
    if *name == *gate.settings.health_name {
        return match request.method() {
            &Method::GET => health::hello(gate).await,
            _ => reply::other_method("Method Not Allowed", &["GET"]),
        };
    }
    if *name == *gate.settings.ready_name {
        return only_get(request.method(), || health::ready(gate));
    }
    if name == "metrics" {
        let gate = Arc::clone(gate);
        // There may be thousands of APIs.
        let text =
            tokio::task::spawn_blocking(move || crate::metrics::render(&gate)).await.unwrap_or_default();
        return only_get(request.method(), || respond::text(StatusCode::OK, text));
    }
    let inspects = inspects(gate, name);
    let below = match name {
        "tyk" => "",
        _ if inspects => "",
        _ => match name.strip_prefix("tyk/") {
            Some(below) => below,
            None => return nowhere(),
        },
    };
    if gate.settings.certificates.control_needs_one {
        let allowed = ClientCertificates::new(gate.settings.certificates.of_control.iter().cloned());
        if let Err(refusal) = allowed.admit(&gate.certificates, peer).await {
            return error(refusal.status, &refusal.message);
        }
    }
    if !authorised(gate, request.headers()) {
        return error(StatusCode::FORBIDDEN, NOT_AUTHORISED);
    }
    if inspects {
        let settings = &gate.settings.inspected;
        return only_get(request.method(), || match name {
            "env" => inspect::variables(settings, &request),
            _ => inspect::config(settings, &request),
        });
    }
    // Split before it is decoded: an escaped slash belongs to a name.
    let path: Vec<Cow<'_, str>> = below.split('/').map(query::decode_path).collect();
    let path: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
    let (endpoint, names) = match endpoints::find(request.method(), &path) {
        Found::Endpoint(endpoint, names) => (endpoint, names),
        Found::OtherMethod(methods) => return reply::other_method("Method not supported", &methods),
        Found::Nowhere => return nowhere(),
    };
    let mut names = names.into_iter().map(str::to_owned);
    let (name, beside) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
    let query = query::pairs(request.uri().query().unwrap_or_default());
    let query = query.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let body = match Limited::new(request.into_body(), BODY_LIMIT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            return error(
                StatusCode::PAYLOAD_TOO_LARGE,
                "Request body cannot be read or is larger than 16 MiB",
            );
        }
    };
    let call = Call { endpoint, name, beside, query, body };
    if let Err(text) = call.check() {
        return error(StatusCode::BAD_REQUEST, &text);
    }
    let Ok(permit) = Arc::clone(&gate.admin_calls).acquire_owned().await else {
        return error(StatusCode::SERVICE_UNAVAILABLE, "Gateway is shutting down");
    };
    // Off the threads that carry exchanges: all definitions, or the names of a million keys, take their time. What has
    // begun is done to its end, whether or not its caller waits for it.
    let (gate, runtime) = (Arc::clone(gate), tokio::runtime::Handle::current());
    let done = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        runtime.block_on(perform(&gate, call.endpoint.action, &call))
    });
    match done.await {
        Ok(Ok(response)) => response,
        Ok(Err(away)) => {
            error(StatusCode::SERVICE_UNAVAILABLE, &format!("The store of keys cannot be reached: {away}"))
        }
        Err(failure) => {
            tracing::error!(%failure, path = endpoint.path, "a call of the admin API broke off");
            error(StatusCode::INTERNAL_SERVER_ERROR, "The call broke off inside; the log says where")
        }
    }
}

/// What an endpoint answers, unless the state store is away.
type Outcome = Result<Response<Body>, ::state::Unavailable>;

async fn perform(gate: &Arc<Gate>, action: Action, call: &Call) -> Outcome {
    use Action::*;
    let name = call.name.as_str();
    Ok(match action {
        Reload => reload(gate, call.flag("block")).await,
        ReloadGroup => reload_group(gate).await,

        ListApis => apis::list(gate, call),
        GetApi => apis::get(gate, name),
        AddApi => apis::add(gate, call, Source::Classic).await,
        ReplaceApi => apis::replace(gate, call, Source::Classic, name).await,
        DeleteApi | DeleteOas => apis::delete(gate, name).await,
        ListOas => apis::list_oas(gate),
        ExportAllOas => apis::export_all(gate, call),
        AddOas => apis::add(gate, call, Source::Oas).await,
        GetOas => apis::get_oas(gate, name),
        ReplaceOas => apis::replace(gate, call, Source::Oas, name).await,
        ExportOas => apis::export(gate, call, name),
        ListMcps => apis::mcp::list(gate),
        AddMcp => apis::mcp::add(gate, call).await,
        GetMcp => apis::mcp::get(gate, call, name),
        ReplaceMcp => apis::mcp::replace(gate, call, name).await,
        DeleteMcp => apis::mcp::delete(gate, name).await,

        ListKeys => keys::list(gate, call).await?,
        AddKey => keys::add(gate, call, None).await?,
        AddCustomKey => keys::add(gate, call, Some(name)).await?,
        CreateKey => keys::create(gate, call).await?,
        PreviewKey => keys::preview(gate, call),
        SetKeyPolicies => keys::set_policies(gate, call, name).await?,
        GetKey => keys::get(gate, call, name).await?,
        ReplaceKey => keys::replace(gate, call, name).await?,
        DeleteKey => keys::delete(gate, call, name).await?,

        ListCertificates => certs::list(gate, call).await?,
        AddCertificate => certs::add(gate, call).await?,
        GetCertificates => certs::show(gate, name).await?,
        DeleteCertificate => certs::remove(gate, call, name).await?,

        ListPolicies => policies::list(gate),
        AddPolicy => policies::write(gate, call, None).await,
        GetPolicy => policies::get(gate, name),
        ReplacePolicy => policies::write(gate, call, Some(name)).await,
        DeletePolicy => policies::delete(gate, name).await,

        ListOrgKeys => orgs::list(gate, call).await?,
        GetOrgKey => orgs::get(gate, name).await?,
        AddOrgKey => orgs::write(gate, call, name, "added").await?,
        ReplaceOrgKey => orgs::write(gate, call, name, "modified").await?,
        DeleteOrgKey => orgs::delete(gate, name).await?,

        AuthorizeOAuthClient => oauth::authorize(gate, call).await?,
        CreateOAuthClient => oauth::create(gate, call).await?,
        ListOAuthClients => oauth::list(gate, name).await?,
        ListApisOfOAuthClient => oauth::apis(gate, call).await?,
        GetOAuthClient => oauth::get(gate, call).await?,
        ReplaceOAuthClient => oauth::replace(gate, call).await?,
        DeleteOAuthClient => oauth::remove(gate, call).await?,
        RotateOAuthClient => oauth::rotate(gate, call).await?,
        ListOAuthTokens => oauth::of_client(gate, call).await?,
        DeleteOAuthRefresh => oauth::forget_refresh(gate, call).await?,
        RevokeOAuthToken => oauth::revoke(gate, call).await?,
        RevokeOAuthTokens => oauth::revoke_all(gate, call).await?,
        PurgeOAuthTokens => oauth::purge(gate, call).await?,

        DropCache => cache::drop_answers(gate, name).await,
        ForgetKeySets => jwks::forget(gate, None).await,
        ForgetKeySetsOfApi => jwks::forget(gate, Some(name)).await,
        ApiHealth => health::of_api(gate, call).await,
        ListVersions => apis::list_versions(gate, call, name),
        ImportOas => apis::import(gate, call).await,
        PatchOas => apis::patch(gate, call, name).await,
        Schema => apis::schema(call),
        Debug => debug::run(gate, call).await,
        TestPlugin => trial::run(gate, call).await,
        ListStreams | SetStreams | GetStream | AddStream | ReplaceStream | PatchStream | DeleteStream
        | StreamStats | SetStreamResource => streams::perform(gate, action, call).await,
        StreamComponents => streams::components(gate),
        StreamsReady => crate::hosted::ready(gate),
        StreamsSchema => streams::schema(gate),
        OpenApi => reply::json(StatusCode::OK, &*openapi::DOCUMENT),
        ListRecords => records::answer(gate, call.parameter("limit")).await,
    })
}

/// Compares the admin secret without telling by its duration where the first difference is.
pub(crate) fn authorised(gate: &Gate, headers: &HeaderMap) -> bool {
    let (Some(secret), Some(given)) = (&gate.settings.secret, headers.get("x-tyk-authorization")) else {
        return false;
    };
    let secret = secret.expose().as_bytes();
    !secret.is_empty() && same(secret, given.as_bytes())
}

async fn reload(gate: &Arc<Gate>, block: bool) -> Response<Body> {
    // Cheap enough to wait for always: the reply then tells which generation holds the change.
    if !block {
        tracing::debug!("reload asked for without block; it is waited for all the same");
    }
    match gate.reload().await {
        Some(report) => reply::reloaded(&report),
        None => error(StatusCode::SERVICE_UNAVAILABLE, "Gateway is shutting down"),
    }
}

async fn reload_group(gate: &Arc<Gate>) -> Response<Body> {
    if let Err(away) = gate.state.publish(::state::Signal::Reload).await {
        return error(StatusCode::SERVICE_UNAVAILABLE, &format!("Other gateways cannot be told: {away}"));
    }
    gate.reload_soon();
    ok("")
}

fn nowhere() -> Response<Body> {
    respond::text(StatusCode::NOT_FOUND, "404 page not found\n")
}

fn only_get(method: &Method, answer: impl FnOnce() -> Response<Body>) -> Response<Body> {
    if *method == Method::GET { answer() } else { reply::other_method("Method Not Allowed", &["GET"]) }
}
