//! APIs that speak MCP (contract 7.3): OpenAPI documents with a place of their own. That they speak MCP is said by where they are
//! sent to, and kept in the document.

use std::sync::Arc;

use apidef::{Source, as_mcp};
use http::{Response, StatusCode};
use serde_json::Value;

use super::super::Call;
use super::super::reply::{error, json};
use super::write::checked;
use super::{document, of_version, stored, write};
use crate::backend::tools::Catalog;
use crate::body::Body;
use crate::gate::Gate;
use crate::reload;
use crate::snapshot::RunningApi;

pub(crate) fn list(gate: &Arc<Gate>) -> Response<Body> {
    let all: Vec<Value> =
        stored(&gate.snapshot()).filter(|api| is_mcp(api)).map(|api| document(api)).collect();
    json(StatusCode::OK, &all)
}

pub(crate) fn get(gate: &Arc<Gate>, call: &Call, id: &str) -> Response<Body> {
    let api = match find(gate, id) {
        Ok(api) => api,
        Err(refused) => return *refused,
    };
    let mut document = document(&api);
    if call.flag("expand")
        && let Some(catalog) = gate.snapshot().tools.get(id)
    {
        expand(&mut document, catalog);
    }
    of_version(gate, id, json(StatusCode::OK, &document))
}

/// Tells with each entry of a document what the tool is that it makes.
fn expand(document: &mut Value, catalog: &Catalog) {
    for tool in catalog.all() {
        let Some(entry) = tool.entry else { continue };
        let entry = document.pointer_mut(&format!("/x-tyk-mcp-server/primitives/{entry}"));
        if let (Some(Value::Object(entry)), Value::Object(told)) = (entry, tool.expanded()) {
            entry.extend(told);
        }
    }
}

/// Adds an API; where it is only tried, tells the document that would be stored.
pub(crate) async fn add(gate: &Arc<Gate>, call: &Call) -> Response<Body> {
    let text = marked(call);
    if !call.flag("dryRun") {
        return write::add_text(gate, call, &text, Source::Oas).await;
    }
    match checked(gate, &text, Source::Oas).await {
        Ok(definition) => {
            let mut document: Value = serde_json::from_str(&definition.text).unwrap_or_default();
            if call.flag("expand")
                && let Some(catalog) = reload::tools_of(&gate.snapshot(), &definition)
            {
                expand(&mut document, &catalog);
            }
            json(StatusCode::OK, &document)
        }
        Err(refused) => refused,
    }
}

pub(crate) async fn replace(gate: &Arc<Gate>, call: &Call, id: &str) -> Response<Body> {
    match find(gate, id) {
        Ok(_) => write::put(gate, &marked(call), Source::Oas, id, None).await,
        Err(refused) => *refused,
    }
}

pub(crate) async fn delete(gate: &Arc<Gate>, id: &str) -> Response<Body> {
    match find(gate, id) {
        Ok(_) => write::delete(gate, id).await,
        Err(refused) => *refused,
    }
}

/// The document of a call, with what its path says of it.
fn marked(call: &Call) -> Vec<u8> {
    match std::str::from_utf8(&call.body) {
        Ok(text) => as_mcp(text).into_bytes(),
        Err(_) => call.body.to_vec(),
    }
}

/// Whether an API is one of those here: a classic definition may speak MCP as well, and has no document.
pub(super) fn is_mcp(api: &RunningApi) -> bool {
    api.model.mcp && super::is_oas(api)
}

fn find(gate: &Gate, id: &str) -> Result<Arc<RunningApi>, Box<Response<Body>>> {
    match super::find(gate, id) {
        Some(api) if is_mcp(&api) => Ok(api),
        Some(_) => Err(Box::new(error(StatusCode::NOT_FOUND, "API is not an MCP Proxy"))),
        None => Err(Box::new(super::not_found())),
    }
}
