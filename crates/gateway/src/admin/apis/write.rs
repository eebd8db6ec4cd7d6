//! Definitions are added, replaced and removed.

use std::sync::Arc;

use ::state::{Signal, Written};
use apidef::{Definition, Source, StatedKinds};
use document::{Document, Fault, Format};
use http::{Response, StatusCode};
use serde_json::Value;
use uuid::Uuid;

use super::super::Call;
use super::super::catalog::not_taken;
use super::super::reply::{error, failed, faults, modified, modified_with, refused};
use super::{find, is_oas, not_found, servers, versions};
use crate::body::Body;
use crate::gate::Gate;
use crate::reload;
use crate::validation::check_stated;

/// The number of the configuration that holds a change, told with the reply to it.
const GENERATION: &str = "x-sluicegate-generation";

/// How often a change is made of what runs here, while others change the same.
const TRIES: usize = 4;

/// What the original says of a body that is no definition at all.
fn malformed_text(source: Source) -> &'static str {
    match source {
        Source::Classic => "Request malformed",
        Source::Oas => "request malformed",
    }
}

pub(crate) async fn add(gate: &Arc<Gate>, call: &Call, source: Source) -> Response<Body> {
    add_text(gate, call, &call.body, source).await
}

/// Adds a definition, as a version of another one if the call says so.
pub(super) async fn add_text(gate: &Arc<Gate>, call: &Call, text: &[u8], source: Source) -> Response<Body> {
    let _alone = gate.defining.lock().await;
    let mut made = 0;
    loop {
        let response = match try_add(gate, call, text, source).await {
            Ok(id) => return live(gate, (Written::ApiAdded, &id), modified(&id, "added")).await,
            Err(refused) => refused,
        };
        if !again(gate, response.status(), &mut made).await {
            return response;
        }
    }
}

/// Whether a change is made again of what runs here now: another node was faster, and what it wrote has been loaded.
pub(super) async fn again(gate: &Gate, status: StatusCode, made: &mut usize) -> bool {
    *made += 1;
    status == StatusCode::CONFLICT && *made < TRIES && gate.reload().await.is_some()
}

async fn try_add(
    gate: &Arc<Gate>,
    call: &Call,
    text: &[u8],
    source: Source,
) -> Result<String, Response<Body>> {
    let wanted = versions::wanted(gate, call).map_err(|refused| *refused)?;
    let definition = checked(gate, text, source).await?;
    let before = find(gate, &definition.api.id);
    let definition = servers::renewed(gate, definition, before.as_ref().map(|api| &*api.definition)).await;
    let Some(wanted) = wanted else { return store(gate, &definition, None).await };
    let base = versions::linked(gate, &wanted, &definition.api.id).await?;
    let base = servers::renewed(gate, base, Some(&wanted.base.definition)).await;
    let id = store(gate, &definition, None).await?;
    if let Err(refused) = store(gate, &base, Some(&wanted.base.definition)).await {
        // Half of it is none of it, unless the API was there before.
        if find(gate, &id).is_none()
            && let Err(failure) = gate.catalog.delete_api(&id).await
        {
            tracing::error!(api_id = id, %failure, "a version that its base does not know cannot be removed again");
        }
        return Err(refused);
    }
    Ok(id)
}

pub(crate) async fn replace(gate: &Arc<Gate>, call: &Call, source: Source, id: &str) -> Response<Body> {
    match (find(gate, id), source) {
        (None, _) => return not_found(),
        (Some(api), Source::Classic) if is_oas(&api) => {
            return error(
                StatusCode::BAD_REQUEST,
                "this API endpoint only supports Tyk Classic APIs; please use the appropriate Tyk OAS API endpoint",
            );
        }
        (Some(api), Source::Oas) if !is_oas(&api) => return needs_oas(),
        _ => {}
    }
    put(gate, &call.body, source, id, None).await
}

/// Said where the stored API is a classic one.
pub(super) fn needs_oas() -> Response<Body> {
    error(
        StatusCode::BAD_REQUEST,
        "the supplied API definition is in OAS format, please use the Tyk classic format for this API",
    )
}

/// Replaces a definition by one with the same id; one that was made of another, `over`, only where that is still there.
pub(super) async fn put(
    gate: &Arc<Gate>,
    text: &[u8],
    source: Source,
    id: &str,
    over: Option<&Definition>,
) -> Response<Body> {
    let _alone = gate.defining.lock().await;
    let definition = match checked(gate, text, source).await {
        Ok(definition) => definition,
        Err(refused) => return refused,
    };
    if *definition.api.id != *id {
        return error(
            StatusCode::BAD_REQUEST,
            "Request APIID does not match that in Definition! For Update operations these must match.",
        );
    }
    let before = find(gate, id);
    let definition = servers::renewed(gate, definition, before.as_ref().map(|api| &*api.definition)).await;
    match store(gate, &definition, over).await {
        Ok(id) => {
            let mut response = live(gate, (Written::ApiUpdated, &id), modified(&id, "modified")).await;
            let warnings = dependants(gate, &id).await;
            if !warnings.is_empty() {
                *response.body_mut() = modified_with(&id, "modified", &warnings).into_body();
            }
            response
        }
        Err(refused) => refused,
    }
}

/// What no longer fits an API that has changed, for whoever has changed it.
async fn dependants(gate: &Arc<Gate>, id: &str) -> Vec<String> {
    let (worker, source) = (Arc::clone(gate), id.to_owned());
    let found = tokio::task::spawn_blocking(move || reload::dependants(&worker.snapshot(), &source)).await;
    let told = |(api, faults): (Arc<str>, Vec<Fault>)| {
        let first = faults.first().map_or("", |fault| &*fault.message);
        format!("the API `{api}` goes on as it was: {first}")
    };
    found.unwrap_or_default().into_iter().map(told).collect()
}

pub(crate) async fn delete(gate: &Arc<Gate>, id: &str) -> Response<Body> {
    let _alone = gate.defining.lock().await;
    let paired = gate.snapshot().made_of(id);
    if !paired.is_empty() {
        let text = format!("API is referenced by paired MCP proxies: {}", paired.join(", "));
        return error(StatusCode::CONFLICT, &text);
    }
    let mut made = 0;
    loop {
        let response = try_delete(gate, id).await;
        if !again(gate, response.status(), &mut made).await {
            return response;
        }
    }
}

async fn try_delete(gate: &Arc<Gate>, id: &str) -> Response<Body> {
    if find(gate, id).is_none() {
        return not_found();
    }
    // First nobody leads to it any more, then it goes.
    match versions::unlinked(gate, id) {
        Ok(bases) => {
            for (before, base) in bases {
                let base = servers::renewed(gate, Arc::new(base), Some(&before)).await;
                if let Err(refused) = store(gate, &base, Some(&before)).await {
                    return refused;
                }
            }
        }
        Err(found) => {
            return refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Delete failed: its base cannot be read",
                &found,
            );
        }
    }
    match gate.catalog.delete_api(id).await {
        Ok(true) => live(gate, (Written::ApiRemoved, id), modified(id, "deleted")).await,
        Ok(false) => error(StatusCode::INTERNAL_SERVER_ERROR, "Delete failed"),
        Err(failure) => not_taken(&failure, |failure| failed("Delete failed", failure)),
    }
}

/// Waits until what was written runs, and tells its generation; the other nodes are told meanwhile (contract 13.1).
pub(crate) async fn live(
    gate: &Arc<Gate>,
    (written, id): (Written, &str),
    mut response: Response<Body>,
) -> Response<Body> {
    let signal = Signal::Written(written, id.to_owned());
    let (report, told) = tokio::join!(gate.reload(), gate.state.publish(signal));
    if let Err(away) = told {
        tracing::warn!(id, %away, "the other nodes are not told of what was written; they see it when they look at their catalog");
    }
    if let Some(report) = report {
        response.headers_mut().insert(GENERATION, report.generation.into());
    }
    response
}

/// Reads a definition and builds it dry: parsing cannot find what is wrong with streams, mappings and patterns. Nothing
/// is written before all of it fits.
pub(super) async fn checked(
    gate: &Arc<Gate>,
    text: &[u8],
    source: Source,
) -> Result<Arc<Definition>, Response<Body>> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Err(error(StatusCode::BAD_REQUEST, malformed_text(source)));
    };
    let definition = match read(gate, text, source).await {
        Ok(definition) => Arc::new(definition),
        Err(Unread::NoJson(found)) => return Err(faults(malformed_text(source), &found)),
        Err(Unread::NoExtension) => {
            return Err(error(StatusCode::BAD_REQUEST, "the payload should contain x-tyk-api-gateway"));
        }
        Err(Unread::BadId(found)) => return Err(faults("Invalid API ID", &found)),
        Err(Unread::Faulty(found)) => return Err(malformed(source, &found)),
    };
    reload::fetch(gate, &definition).await;
    let (worker, candidate) = (Arc::clone(gate), Arc::clone(&definition));
    let compiled = tokio::task::spawn_blocking(move || {
        if source == Source::Oas && worker.settings.checked_values != StatedKinds::default() {
            let document = serde_json::from_str(&candidate.text).unwrap_or_default();
            let found = check_stated(&document, worker.settings.checked_values);
            if !found.is_empty() {
                return Err(found);
            }
        }
        reload::compile(&worker, &candidate, None, &worker.streams)?;
        let found = reload::check_tools(&worker.snapshot(), &candidate);
        if found.is_empty() { Ok(()) } else { Err(found) }
    })
    .await;
    match compiled {
        Ok(Ok(())) => Ok(definition),
        Ok(Err(found)) => Err(malformed(source, &reload::located(text, found))),
        Err(_) => Err(error(StatusCode::INTERNAL_SERVER_ERROR, "The definition could not be checked")),
    }
}

/// Writes a definition to the catalog; gives its id.
async fn store(
    gate: &Gate,
    definition: &Definition,
    over: Option<&Definition>,
) -> Result<String, Response<Body>> {
    match gate.catalog.put_api(definition, over).await {
        Ok(_) => Ok(definition.api.id.to_string()),
        Err(failure @ ::state::CatalogError::Id(_)) => {
            Err(faults("Invalid API ID", &[Fault::error("", failure.to_string())]))
        }
        Err(failure) => {
            Err(not_taken(&failure, |failure| error(StatusCode::INTERNAL_SERVER_ERROR, &failure.to_string())))
        }
    }
}

/// Why a body gave no definition.
enum Unread {
    NoJson(Vec<Fault>),
    NoExtension,
    BadId(Vec<Fault>),
    Faulty(Vec<Fault>),
}

/// Parses a definition; one without an id gets one.
async fn read(gate: &Gate, text: &str, source: Source) -> Result<Definition, Unread> {
    let document = match Document::parse(text, Format::Json) {
        Ok(document) if document.value().is_object() => document,
        Ok(_) => return Err(Unread::NoJson(Vec::new())),
        Err(fault) => return Err(Unread::NoJson(vec![fault])),
    };
    let value = document.value();
    let (id, pointer) = match source {
        Source::Classic => (value.get("api_id"), "/api_id"),
        Source::Oas if value.get("x-tyk-api-gateway").is_none() => return Err(Unread::NoExtension),
        Source::Oas => (value.pointer("/x-tyk-api-gateway/info/id"), "/x-tyk-api-gateway/info/id"),
    };
    let parsed = if id.and_then(Value::as_str).is_some_and(|id| !id.is_empty()) {
        reload::read(gate, text, Some(source)).await
    } else {
        match apidef::with_id(text, &Uuid::new_v4().simple().to_string()) {
            Ok(text) => reload::read(gate, &text, Some(source)).await,
            Err(found) => Err(found),
        }
    };
    parsed.map_err(|found| match found.first() {
        Some(first) if first.pointer == pointer && first.is_error() => Unread::BadId(found),
        _ => Unread::Faulty(found),
    })
}

fn malformed(source: Source, found: &[Fault]) -> Response<Body> {
    let first = found.first().map_or("request malformed", |fault| fault.message.as_str());
    let more = match found.len() {
        0 | 1 => String::new(),
        count => format!(" (and {} more, see errors)", count - 1),
    };
    let message = match source {
        // The reason ends with a full stop (contract 2.8).
        Source::Classic => format!("Validation of API Definition failed. Reason: {first}.{more}"),
        Source::Oas => format!("{first}{more}"),
    };
    faults(&message, found)
}
