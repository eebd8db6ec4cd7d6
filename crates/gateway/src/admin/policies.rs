//! Policies over the admin API (contract 7.3).

use std::sync::Arc;

use apidef::Policy;
use http::{Method, Response, StatusCode};

use super::apis::live;
use super::reply::{error, malformed, modified, record};
use super::{Call, method_not_supported};
use crate::body::Body;
use crate::gate::Gate;
use crate::respond;

pub(super) async fn answer(gate: &Arc<Gate>, call: &Call, path: &[&str]) -> Response<Body> {
    match (&call.method, path) {
        (&Method::GET, []) => {
            let snapshot = gate.snapshot();
            let mut all: Vec<&Policy> = snapshot.policies.values().map(AsRef::as_ref).collect();
            all.sort_by(|one, other| one.id.cmp(&other.id));
            record(&all)
        }
        (&Method::GET, [id]) => match gate.snapshot().policies.get(*id) {
            Some(policy) => record(policy.as_ref()),
            None => not_found(),
        },
        (&Method::POST, [] | [_]) => write(gate, call, None).await,
        (&Method::PUT, [id]) => write(gate, call, Some(id)).await,
        (&Method::DELETE, [id]) => delete(gate, id).await,
        (_, [] | [_]) => method_not_supported(),
        _ => respond::text(StatusCode::NOT_FOUND, "404 page not found"),
    }
}

fn not_found() -> Response<Body> {
    error(StatusCode::NOT_FOUND, "Policy not found")
}

async fn write(gate: &Arc<Gate>, call: &Call, id: Option<&str>) -> Response<Body> {
    let mut policy: Policy = match serde_json::from_slice(&call.body) {
        Ok(policy) => policy,
        Err(reason) => return malformed(&reason),
    };
    if policy.id.is_empty() {
        policy.id = policy._id.clone();
    }
    match id {
        Some(id) if policy.id != id => {
            return error(
                StatusCode::BAD_REQUEST,
                "Request ID does not match that in policy! For Update operations these must match.",
            );
        }
        _ if policy.id.is_empty() => {
            return error(StatusCode::BAD_REQUEST, "Unable to create policy without id.");
        }
        _ => {}
    }
    match gate.catalog.put_policy(&policy).await {
        Ok(_) => live(gate, modified(&policy.id, if id.is_some() { "modified" } else { "added" })).await,
        Err(failure @ ::state::CatalogError::Id(_)) => error(StatusCode::BAD_REQUEST, &failure.to_string()),
        Err(failure) => {
            error(StatusCode::INTERNAL_SERVER_ERROR, &format!("Failed to create file! {failure}"))
        }
    }
}

async fn delete(gate: &Arc<Gate>, id: &str) -> Response<Body> {
    match gate.catalog.delete_policy(id).await {
        Ok(true) => live(gate, modified(id, "deleted")).await,
        Ok(false) => error(StatusCode::INTERNAL_SERVER_ERROR, "Delete failed"),
        Err(failure) => error(StatusCode::INTERNAL_SERVER_ERROR, &format!("Delete failed: {failure}")),
    }
}
