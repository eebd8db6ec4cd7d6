//! Definitions over the admin API (contract 7.3). What is written here goes to the catalog; the reply comes when the
//! change is live and names its generation.

use std::sync::Arc;

use apidef::{Definition, Source};
use document::{Document, Fault, Format};
use http::{Method, Response, StatusCode};
use serde_json::Value;
use uuid::Uuid;

use super::reply::{error, faults, modified};
use super::{Call, method_not_supported};
use crate::body::Body;
use crate::gate::Gate;
use crate::reload;
use crate::respond;
use crate::snapshot::RunningApi;

/// The number of the configuration that holds a change, told with the reply to it.
const GENERATION: &str = "x-sluicegate-generation";

pub(super) async fn answer(gate: &Arc<Gate>, call: &Call, path: &[&str]) -> Response<Body> {
    match (&call.method, path) {
        (&Method::GET, []) => list(gate, |api| api.definition.classic()),
        (&Method::GET, ["oas"]) => {
            list(gate, |api| if is_oas(api) { oas_document(api) } else { Value::Null })
        }
        (&Method::GET, ["oas", id]) => match find(gate, id) {
            None => not_found(),
            Some(api) if !is_oas(&api) => error(
                StatusCode::BAD_REQUEST,
                "the requested API definition is in Tyk classic format, please use old api endpoint",
            ),
            Some(api) => respond::json(StatusCode::OK, &oas_document(&api)),
        },
        (&Method::GET, [id]) => match find(gate, id) {
            None => not_found(),
            Some(api) => respond::json(StatusCode::OK, &api.definition.classic()),
        },
        (&Method::POST, ["oas"]) => write(gate, call, Source::Oas, None).await,
        (&Method::PUT, ["oas", id]) => write(gate, call, Source::Oas, Some(id)).await,
        (&Method::DELETE, ["oas", id]) => delete(gate, id).await,
        (&Method::POST, [] | [_]) => write(gate, call, Source::Classic, None).await,
        (&Method::PUT, [id]) => write(gate, call, Source::Classic, Some(id)).await,
        (&Method::DELETE, [id]) => delete(gate, id).await,
        (_, [] | ["oas"] | ["oas", _] | [_]) => method_not_supported(),
        _ => respond::text(StatusCode::NOT_FOUND, "404 page not found"),
    }
}

fn find(gate: &Gate, id: &str) -> Option<Arc<RunningApi>> {
    gate.snapshot().apis.get(id).cloned()
}

fn is_oas(api: &RunningApi) -> bool {
    api.definition.source == Source::Oas
}

fn oas_document(api: &RunningApi) -> Value {
    serde_json::from_str(&api.definition.text).unwrap_or(Value::Null)
}

fn list(gate: &Gate, show: impl Fn(&RunningApi) -> Value) -> Response<Body> {
    let snapshot = gate.snapshot();
    let all: Vec<Value> =
        snapshot.apis.values().map(|api| show(api)).filter(|shown| !shown.is_null()).collect();
    respond::json(StatusCode::OK, &all)
}

fn not_found() -> Response<Body> {
    error(StatusCode::NOT_FOUND, "API not found")
}

/// What the original says of a body that is no definition at all.
fn malformed_text(source: Source) -> &'static str {
    match source {
        Source::Classic => "Request malformed",
        Source::Oas => "request malformed",
    }
}

/// Creates (`id` is `None`) or replaces a definition.
async fn write(gate: &Arc<Gate>, call: &Call, source: Source, id: Option<&str>) -> Response<Body> {
    let Ok(text) = std::str::from_utf8(&call.body) else {
        return error(StatusCode::BAD_REQUEST, malformed_text(source));
    };
    if let Some(id) = id {
        match (find(gate, id), source) {
            (None, _) => return not_found(),
            (Some(api), Source::Classic) if is_oas(&api) => {
                return error(
                    StatusCode::BAD_REQUEST,
                    "this API endpoint only supports Tyk Classic APIs; please use the appropriate Tyk OAS API endpoint",
                );
            }
            (Some(api), Source::Oas) if !is_oas(&api) => {
                return error(
                    StatusCode::BAD_REQUEST,
                    "the supplied API definition is in OAS format, please use the Tyk classic format for this API",
                );
            }
            _ => {}
        }
    }
    let definition = match read(text, source) {
        Ok(definition) => definition,
        Err(Unread::NoJson(found)) => return faults(malformed_text(source), &found),
        Err(Unread::NoExtension) => {
            return error(StatusCode::BAD_REQUEST, "the payload should contain x-tyk-api-gateway");
        }
        Err(Unread::Faulty(found)) => return malformed(source, &found),
    };
    if let Some(id) = id
        && *definition.api.id != *id
    {
        return error(
            StatusCode::BAD_REQUEST,
            "Request APIID does not match that in Definition! For Update operations these must match.",
        );
    }
    // A dry build finds what parsing cannot: streams, mappings, patterns. Nothing is written before all of it fits.
    let definition = Arc::new(definition);
    let (worker, candidate) = (Arc::clone(gate), Arc::clone(&definition));
    let compiled = tokio::task::spawn_blocking(move || {
        reload::compile(&worker, &candidate, None, &worker.streams).map(|_| ())
    })
    .await;
    match compiled {
        Ok(Ok(())) => {}
        Ok(Err(found)) => return malformed(source, &reload::located(text, found)),
        Err(_) => return error(StatusCode::INTERNAL_SERVER_ERROR, "The definition could not be checked"),
    }
    if let Err(failure) = gate.catalog.put_api(&definition).await {
        return error(StatusCode::INTERNAL_SERVER_ERROR, &failure.to_string());
    }
    let action = if id.is_some() { "modified" } else { "added" };
    live(gate, modified(&definition.api.id, action)).await
}

/// Why a body gave no definition.
enum Unread {
    NoJson(Vec<Fault>),
    NoExtension,
    Faulty(Vec<Fault>),
}

/// Parses a definition; one without an id gets one.
fn read(text: &str, source: Source) -> Result<Definition, Unread> {
    let document = match Document::parse(text, Format::Json) {
        Ok(document) if document.value().is_object() => document,
        Ok(_) => return Err(Unread::NoJson(Vec::new())),
        Err(fault) => return Err(Unread::NoJson(vec![fault])),
    };
    let value = document.value();
    let id = match source {
        Source::Classic => value.get("api_id"),
        Source::Oas if value.get("x-tyk-api-gateway").is_none() => return Err(Unread::NoExtension),
        Source::Oas => value.pointer("/x-tyk-api-gateway/info/id"),
    };
    if id.and_then(Value::as_str).is_some_and(|id| !id.is_empty()) {
        return parse(text, source).map_err(Unread::Faulty);
    }
    let text = apidef::with_id(text, &Uuid::new_v4().simple().to_string()).map_err(Unread::Faulty)?;
    parse(&text, source).map_err(Unread::Faulty)
}

fn parse(text: &str, source: Source) -> Result<Definition, Vec<Fault>> {
    match source {
        Source::Classic => Definition::parse_classic(text),
        Source::Oas => Definition::parse_oas(text),
    }
}

fn malformed(source: Source, found: &[Fault]) -> Response<Body> {
    let lead = match source {
        Source::Classic => "Validation of API Definition failed. Reason: ",
        Source::Oas => "",
    };
    let first = found.first().map_or("request malformed", |fault| fault.message.as_str());
    let more = match found.len() {
        0 | 1 => String::new(),
        count => format!(" (and {} more, see errors)", count - 1),
    };
    faults(&format!("{lead}{first}{more}"), found)
}

async fn delete(gate: &Arc<Gate>, id: &str) -> Response<Body> {
    if find(gate, id).is_none() {
        return not_found();
    }
    match gate.catalog.delete_api(id).await {
        Ok(true) => live(gate, modified(id, "deleted")).await,
        Ok(false) => error(StatusCode::INTERNAL_SERVER_ERROR, "Delete failed"),
        Err(failure) => error(StatusCode::INTERNAL_SERVER_ERROR, &format!("Delete failed: {failure}")),
    }
}

/// Waits until what was written runs, and tells its generation.
pub(super) async fn live(gate: &Arc<Gate>, mut response: Response<Body>) -> Response<Body> {
    if let Some(report) = gate.reload().await {
        response.headers_mut().insert(GENERATION, report.generation.into());
    }
    response
}
