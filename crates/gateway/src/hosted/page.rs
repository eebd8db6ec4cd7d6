//! The paths that tell how the streams are (streams contract 5.11).

use std::fmt::Write;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Map, Value as Json, json};
use streams::{Probe, Watcher};

use crate::backend::Backend;
use crate::body::{Body, RequestBody};
use crate::gate::Gate;
use crate::respond;

/// Own paths and what they are for.
const PATHS: [(&str, &str); 6] = [
    ("/ping", "Answers `pong` as soon as the process runs."),
    ("/ready", "Answers 200 when every input and output reaches its other side, else 503 and which do not."),
    ("/version", "The version of the program."),
    ("/metrics", "The counters of the streams, in the form that `metrics` names."),
    ("/stats", "The same as `/metrics`."),
    ("/endpoints", "This list."),
];

/// The page that is asked for; `None` when it is a stream's matter.
pub(super) async fn answer(gate: &Gate, request: &Request<RequestBody>) -> Option<Response<Body>> {
    let path = request.uri().path();
    if !PATHS.iter().any(|(known, _)| *known == path) {
        return None;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Some(respond::text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"));
    }
    Some(match path {
        "/ping" => respond::text(StatusCode::OK, "pong"),
        "/ready" => ready(gate),
        "/version" => {
            let version = json!({"version": env!("CARGO_PKG_VERSION"), "built": "unknown"});
            respond::json(StatusCode::OK, &version)
        }
        "/endpoints" => respond::json(StatusCode::OK, &Json::Object(endpoints(gate))),
        _ => metrics(gate).await,
    })
}

/// Every stream with its id: those of APIs have the id of the API before their name.
fn watchers(gate: &Gate) -> Vec<(String, Watcher)> {
    let snapshot = gate.snapshot();
    let mut watchers = Vec::new();
    for api in snapshot.apis.values() {
        let Backend::Stream(stream) = &api.backend else { continue };
        let (named, _) = stream.named_watchers();
        watchers.extend(named.into_iter().map(|(name, watcher)| {
            let id = if api.hosted { name.to_string() } else { format!("{}_{name}", api.identity.id) };
            (id, watcher)
        }));
    }
    watchers.sort_by(|(one, _), (other, _)| one.cmp(other));
    watchers
}

/// Whether every stream reaches its other sides.
pub(crate) fn ready(gate: &Gate) -> Response<Body> {
    let watchers = watchers(gate);
    let all_ended = !watchers.is_empty() && watchers.iter().all(|(_, watcher)| watcher.status().ended);
    if gate.is_closing() || all_ended {
        return respond::text(StatusCode::NOT_FOUND, "the stream has ended\n");
    }
    let mut away = String::new();
    for (id, watcher) in &watchers {
        let status = watcher.status();
        for probe in status.unconnected() {
            let _ = writeln!(away, "{id}: {}", unconnected(probe)); // a String takes all
        }
    }
    match away.is_empty() {
        true => respond::text(StatusCode::OK, "OK"),
        false => respond::text(StatusCode::SERVICE_UNAVAILABLE, away),
    }
}

fn unconnected(probe: &Probe) -> String {
    let reason = probe.last_error();
    let reason = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{} ({}) is not connected{reason}", probe.path, probe.type_name)
}

/// The page of the stream's exporter. Streams beside each other have one page in one form.
async fn metrics(gate: &Gate) -> Response<Body> {
    let watchers = watchers(gate);
    let page = match watchers.as_slice() {
        [(_, one)] if !gate.settings.hosts_many() => one.page().await,
        _ => return respond::text(StatusCode::OK, crate::metrics::of_streams(&gate.snapshot())),
    };
    let Some(page) = page else {
        return respond::text(StatusCode::NOT_FOUND, "the metrics of this stream go elsewhere\n");
    };
    let mut response = Response::new(Body::full(page.body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(page.content_type));
    response
}

fn endpoints(gate: &Gate) -> Map<String, Json> {
    let mut all: Map<String, Json> =
        PATHS.iter().map(|(path, what)| ((*path).to_owned(), Json::from(*what))).collect();
    for api in gate.snapshot().apis.values() {
        if let Backend::Stream(stream) = &api.backend {
            let below = api.model.listen_path.trim_end_matches('/');
            for endpoint in stream.endpoints() {
                let place = match &endpoint.listener {
                    None => format!("{below}{}", endpoint.path),
                    Some(own) => {
                        let scheme = if own.tls.is_some() { "https" } else { "http" };
                        format!("{scheme}://{}{}", own.address, endpoint.path)
                    }
                };
                all.insert(place, endpoint.role.describe().into());
            }
        }
    }
    all
}
