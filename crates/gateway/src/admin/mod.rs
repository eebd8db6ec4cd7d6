//! The admin API under `/tyk/`, and the endpoints that tell how the gate is (contract 7).
//!
//! Wire shapes of the original live here and nowhere else.

mod apis;
mod certs;
mod health;
mod jwks;
mod keys;
mod policies;
mod records;
mod reply;
mod streams;

use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};

use self::reply::{error, ok};
use crate::auth::ClientCertificates;
use crate::body::{Body, RequestBody};
use crate::exchange::Peer;
use crate::gate::Gate;
use crate::query;
use crate::respond;
use crate::serve::host;

/// Largest request body of the admin API.
const BODY_LIMIT: usize = 16 << 20;

/// Whether a request is for the gate itself and not for an API.
pub(crate) fn is_addressed<B>(gate: &Gate, peer: &Peer, request: &Request<B>) -> bool {
    if peer.control {
        return true;
    }
    if gate.settings.control_apart {
        return false;
    }
    let path = request.uri().path();
    let Some(rest) = path.strip_prefix('/') else { return false };
    let ours = rest.starts_with("tyk/")
        || rest == "metrics"
        || *rest == *gate.settings.health_name
        || *rest == *gate.settings.ready_name;
    ours && gate
        .settings
        .control_hostname
        .as_deref()
        .is_none_or(|name| name.eq_ignore_ascii_case(host(request)))
}

/// One request to the admin API, read whole.
struct Call {
    method: Method,
    /// Segments below `/tyk/`, decoded, without a trailing slash.
    path: Vec<String>,
    query: Vec<(String, String)>,
    body: Bytes,
}

impl Call {
    fn flag(&self, name: &str) -> bool {
        self.parameter(name).is_some_and(|value| matches!(value, "1" | "true"))
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Answers a request to the gate itself.
pub(crate) async fn answer(gate: &Arc<Gate>, peer: &Peer, request: Request<RequestBody>) -> Response<Body> {
    let path = request.uri().path().trim_end_matches('/');
    let name = path.strip_prefix('/').unwrap_or(path);
    if *name == *gate.settings.health_name {
        return only_get(request.method(), || health::hello(gate));
    }
    if *name == *gate.settings.ready_name {
        return only_get(request.method(), || health::ready(gate));
    }
    if name == "metrics" {
        return only_get(request.method(), || respond::text(StatusCode::OK, crate::metrics::render(gate)));
    }
    let Some(below) = name.strip_prefix("tyk/") else {
        return respond::text(StatusCode::NOT_FOUND, "404 page not found");
    };
    if gate.settings.certificates.control_needs_one {
        let allowed = ClientCertificates::new(gate.settings.certificates.of_control.iter().cloned());
        if let Err(refusal) = allowed.admit(&gate.certificates, peer).await {
            return error(refusal.status, &refusal.message);
        }
    }
    if !authorised(gate, request.headers()) {
        return error(StatusCode::FORBIDDEN, "Attempted administrative access with invalid or missing key!");
    }
    let path = below.split('/').map(|segment| query::decode_path(segment).into_owned()).collect();
    let query = query::pairs(request.uri().query().unwrap_or_default());
    let query = query.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let (head, incoming) = request.into_parts();
    let body = match Limited::new(incoming, BODY_LIMIT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            return error(
                StatusCode::PAYLOAD_TOO_LARGE,
                "Request body cannot be read or is larger than 16 MiB",
            );
        }
    };
    let call = Call { method: head.method, path, query, body };
    dispatch(gate, &call).await
}

async fn dispatch(gate: &Arc<Gate>, call: &Call) -> Response<Body> {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    match (&call.method, path.as_slice()) {
        (&Method::GET, ["reload"]) => reload(gate, call.flag("block")).await,
        (&Method::GET, ["reload", "group"]) => reload_group(gate).await,
        (_, ["reload"] | ["reload", "group"]) => method_not_supported(),

        (_, ["apis", rest @ ..]) => apis::answer(gate, call, rest).await,
        (_, ["keys", rest @ ..]) => keys::answer(gate, call, rest).await,
        (_, ["certs", rest @ ..]) => certs::answer(gate, call, rest).await,
        (_, ["policies", rest @ ..]) => policies::answer(gate, call, rest).await,
        (&Method::DELETE, ["cache", "jwks"]) => jwks::forget(gate, None).await,
        (&Method::DELETE, ["cache", "jwks", api]) => jwks::forget(gate, Some(api)).await,
        (&Method::GET, ["streams"]) => streams::answer(gate),
        (&Method::GET, ["streams", "schema.json"]) => streams::schema(gate),
        (&Method::GET, ["records"]) => records::answer(gate, call.parameter("limit")).await,
        _ => respond::text(StatusCode::NOT_FOUND, "404 page not found"),
    }
}

/// Compares the admin secret without telling by its duration where the first difference is.
pub(crate) fn authorised(gate: &Gate, headers: &HeaderMap) -> bool {
    let (Some(secret), Some(given)) = (&gate.settings.secret, headers.get("x-tyk-authorization")) else {
        return false;
    };
    let (secret, given) = (secret.expose().as_bytes(), given.as_bytes());
    !secret.is_empty()
        && secret.len() == given.len()
        && secret.iter().zip(given).fold(0, |difference, (one, other)| difference | (one ^ other)) == 0
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

fn method_not_supported() -> Response<Body> {
    error(StatusCode::METHOD_NOT_ALLOWED, "Method not supported")
}

fn only_get(method: &Method, answer: impl FnOnce() -> Response<Body>) -> Response<Body> {
    if *method == Method::GET {
        answer()
    } else {
        error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
    }
}
