//! `POST /tyk/debug`: a definition runs against one request without being exposed (contract 7.3).

mod log;

use std::sync::Arc;
use std::time::Duration;

use apidef::Source;
use bytes::Bytes;
use document::Fault;
use http::header::{HOST, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tracing::instrument::WithSubscriber;
use uuid::Uuid;

use self::log::Log;
use super::Call;
use super::reply::{error, json};
use crate::backend::Backend;
use crate::body::{Body, RequestBody};
use crate::exchange::Peer;
use crate::gate::Gate;
use crate::reload;
use crate::serve;
use crate::snapshot::RunningApi;

/// How long the run may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much of an answer is shown, in bytes.
const SHOWN: usize = 1 << 20;

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow, default)]
    spec: Option<&'a RawValue>,
    #[serde(borrow, default)]
    oas: Option<&'a RawValue>,
    #[serde(default)]
    request: Option<Sent>,
}

#[derive(Deserialize)]
struct Sent {
    #[serde(default)]
    method: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    headers: Option<std::collections::BTreeMap<String, Vec<String>>>,
}

#[derive(Serialize)]
struct Report<'a> {
    message: &'a str,
    response: String,
    logs: String,
}

fn report(status: StatusCode, message: &str, response: String, logs: String) -> Response<Body> {
    json(status, &Report { message, response, logs })
}

/// The run did not come to an answer; why is in the log.
fn failed(log: &Log, reason: &str) -> Response<Body> {
    log.line("error", reason);
    report(StatusCode::BAD_REQUEST, "error", String::new(), log.take())
}

/// The text of a member, unless that is null.
fn present(member: &RawValue) -> Option<&str> {
    Some(member.get()).filter(|text| *text != "null")
}

pub(super) async fn run(gate: &Arc<Gate>, call: &Call) -> Response<Body> {
    let Ok(asked) = serde_json::from_slice::<Asked<'_>>(&call.body) else {
        return error(StatusCode::BAD_REQUEST, "Request malformed");
    };
    let (text, source) = match (asked.spec.and_then(present), asked.oas.and_then(present)) {
        (_, Some(text)) => (text, Source::Oas),
        (Some(text), None) => (text, Source::Classic),
        (None, None) => return error(StatusCode::BAD_REQUEST, "Spec field is missing"),
    };
    let Some(sent) = asked.request else {
        return error(StatusCode::BAD_REQUEST, "Request field is missing");
    };
    let log = Log::default();
    let request = match request(&sent) {
        Ok(request) => request,
        Err(reason) => return failed(&log, &reason),
    };
    let api = match api(gate, text, source).await {
        Ok(api) => api,
        Err(found) => {
            for fault in &found {
                log.line("error", &format!("{}: {}", fault.pointer, fault.message));
            }
            return failed(&log, "the definition does not hold");
        }
    };
    if matches!(api.backend, Backend::Stream(_)) {
        return failed(&log, "streams are not started for a debug run; add the API and look at /tyk/streams");
    }
    let shown = shown_request(&request, &sent.body);
    let run = answer(gate, api, request).with_subscriber(log.subscriber());
    let outcome = tokio::time::timeout(PATIENCE, run).await;
    // What was enabled for this run's sake alone is not asked for any more.
    tracing::callsite::rebuild_interest_cache();
    match outcome {
        Ok(response) => {
            let text = format!("====== Request ======\n{shown}\n====== Response ======\n{response}");
            report(StatusCode::OK, "ok", text, log.take())
        }
        Err(_) => failed(&log, &format!("the API did not answer within {PATIENCE:?}")),
    }
}

/// The definition, compiled; nobody but this call can reach it.
async fn api(gate: &Arc<Gate>, text: &str, source: Source) -> Result<Arc<RunningApi>, Vec<Fault>> {
    let text = apidef::with_id(text, &Uuid::new_v4().simple().to_string())?;
    let definition = reload::read(gate, &text, Some(source)).await?;
    reload::fetch(gate, &definition).await;
    let worker = Arc::clone(gate);
    let compiled = tokio::task::spawn_blocking(move || {
        reload::compile(&worker, &Arc::new(definition), None, &worker.streams)
    })
    .await;
    compiled.unwrap_or_else(|_| Err(vec![Fault::error("", "the definition could not be checked")]))
}

fn request(sent: &Sent) -> Result<Request<RequestBody>, String> {
    let method = match sent.method.as_str() {
        "" => Method::GET,
        method => Method::from_bytes(method.as_bytes())
            .map_err(|_| format!("`{}` is no method", method.escape_debug()))?,
    };
    let path = if sent.path.starts_with('/') { sent.path.clone() } else { format!("/{}", sent.path) };
    let uri: Uri = path.parse().map_err(|_| format!("`{}` is no path", path.escape_debug()))?;
    let mut request = Request::new(RequestBody::full(Bytes::from(sent.body.clone())));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    for (name, values) in sent.headers.iter().flatten() {
        let field = HeaderName::try_from(name.as_str())
            .map_err(|_| format!("`{}` is no name of a header", name.escape_debug()))?;
        for value in values {
            let value = HeaderValue::try_from(value.as_str())
                .map_err(|_| format!("the header {name} has a value that cannot be sent"))?;
            headers.append(&field, value);
        }
    }
    if !headers.contains_key(HOST) {
        headers.insert(HOST, HeaderValue::from_static("localhost"));
    }
    Ok(request)
}

async fn answer(gate: &Arc<Gate>, api: Arc<RunningApi>, request: Request<RequestBody>) -> String {
    let address = std::net::IpAddr::from([127, 0, 0, 1]);
    let peer = Peer {
        address,
        text: HeaderValue::from_static("127.0.0.1"),
        control: false,
        tls: None,
        takeover: None,
        cut: None,
        own: None,
        port: None,
    };
    // A path below the listen path, or one inside of the API.
    let (listen, path) = (&*api.model.listen_path, request.uri().path());
    let matched =
        api.listens.covered(path).unwrap_or_else(|| match path.strip_prefix(listen.trim_end_matches('/')) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => listen.len().min(path.len()),
            _ => 0,
        });
    let response = serve::carry(gate, &Arc::new(peer), api, request, matched).await;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, SHOWN).collect().await.map(http_body_util::Collected::to_bytes);
    let mut text = format!(
        "HTTP/1.1 {} {}\r\n",
        head.status.as_u16(),
        head.status.canonical_reason().unwrap_or_default()
    );
    fields(&mut text, &head.headers);
    text.push_str("\r\n");
    match body {
        Ok(body) => text.push_str(&String::from_utf8_lossy(&body)),
        Err(reason) => text.push_str(&format!("(the body is not shown: {reason})")),
    }
    text
}

fn shown_request(request: &Request<RequestBody>, body: &str) -> String {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let mut text = format!("{} {target} HTTP/1.1\r\n", request.method());
    fields(&mut text, request.headers());
    text.push_str("\r\n");
    text.push_str(body);
    text
}

fn fields(text: &mut String, headers: &http::HeaderMap) {
    for (name, value) in headers {
        text.push_str(name.as_str());
        text.push_str(": ");
        text.push_str(&String::from_utf8_lossy(value.as_bytes()));
        text.push_str("\r\n");
    }
}
