//! Definitions over the admin API (contract 7.3). What is written here goes to the catalog; the reply comes when the
//! change is live and names its generation.

mod export;
mod import;
pub(super) mod mcp;
mod servers;
mod versions;
mod write;

use std::sync::Arc;

use apidef::Source;
use http::header::HeaderValue;
use http::{Response, StatusCode};
use serde_json::Value;

pub(super) use self::export::{export, export_all};
pub(super) use self::import::{import, patch, schema};
pub(super) use self::versions::list as list_versions;
pub(super) use self::write::{add, delete, live, replace};
use super::Call;
use super::reply::{error, json, marshalled};
use crate::body::Body;
use crate::gate::Gate;
use crate::snapshot::{RunningApi, Snapshot};

/// Names the API that an API is a version of.
const BASE: &str = "x-tyk-base-api-id";

/// Those that speak MCP are told where the call asks for them.
pub(super) fn list(gate: &Arc<Gate>, call: &Call) -> Response<Body> {
    let snapshot = gate.snapshot();
    let types = call.parameter("include_types").unwrap_or_default();
    let with_mcp = types.split(',').any(|kind| kind.trim() == "mcp");
    let told = stored(&snapshot).filter(|api| with_mcp || !api.model.mcp);
    let all: Vec<Value> = told.map(|api| api.definition.whole_classic()).collect();
    json(StatusCode::OK, &all)
}

pub(super) fn list_oas(gate: &Arc<Gate>) -> Response<Body> {
    marshalled(&all_oas(gate))
}

pub(super) fn get(gate: &Arc<Gate>, id: &str) -> Response<Body> {
    match find(gate, id) {
        None => not_found(),
        Some(api) => of_version(gate, id, json(StatusCode::OK, &api.definition.whole_classic())),
    }
}

pub(super) fn get_oas(gate: &Arc<Gate>, id: &str) -> Response<Body> {
    match oas_of(gate, id) {
        Ok(document) => of_version(gate, id, marshalled(&document)),
        Err(refused) => *refused,
    }
}

/// Those of the catalog; streams that came by hand are told of by the API of streams.
fn stored(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<RunningApi>> {
    snapshot.apis.values().filter(|api| !api.hosted)
}

/// Names the API that this one is a version of.
fn of_version(gate: &Gate, id: &str, mut response: Response<Body>) -> Response<Body> {
    let base = versions::base_of(gate, id).and_then(|base| HeaderValue::try_from(&*base.identity.id).ok());
    if let Some(base) = base {
        response.headers_mut().insert(BASE, base);
    }
    response
}

fn find(gate: &Gate, id: &str) -> Option<Arc<RunningApi>> {
    gate.snapshot().apis.get(id).filter(|api| !api.hosted).cloned()
}

fn is_oas(api: &RunningApi) -> bool {
    api.definition.source == Source::Oas
}

/// The document of an API, unless there is none.
fn oas_of(gate: &Gate, id: &str) -> Result<Value, Box<Response<Body>>> {
    match find(gate, id) {
        None => Err(Box::new(not_found())),
        Some(api) if !is_oas(&api) => Err(Box::new(error(
            StatusCode::BAD_REQUEST,
            "the requested API definition is in Tyk classic format, please use old api endpoint",
        ))),
        Some(api) => Ok(document(&api)),
    }
}

/// All but those that speak MCP, which have a place of their own.
fn all_oas(gate: &Gate) -> Vec<Value> {
    stored(&gate.snapshot()).filter(|api| is_oas(api) && !api.model.mcp).map(|api| document(api)).collect()
}

/// The OpenAPI document as it was given.
fn document(api: &RunningApi) -> Value {
    serde_json::from_str(&api.definition.text).unwrap_or(Value::Null)
}

fn not_found() -> Response<Body> {
    error(StatusCode::NOT_FOUND, "API not found")
}
