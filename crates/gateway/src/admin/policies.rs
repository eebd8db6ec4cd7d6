//! Policies over the admin API (contract 7.3).

use std::sync::Arc;

use ::state::Written;
use apidef::Policy;
use http::{Response, StatusCode};

use super::Call;
use super::apis::live;
use super::catalog::not_taken;
use super::reply::{error, failed, malformed, modified, record};
use crate::body::Body;
use crate::gate::Gate;

pub(super) fn list(gate: &Arc<Gate>) -> Response<Body> {
    let snapshot = gate.snapshot();
    let mut all: Vec<&Policy> = snapshot.policies.values().map(AsRef::as_ref).collect();
    all.sort_by(|one, other| one.id.cmp(&other.id));
    record(&all)
}

pub(super) fn get(gate: &Arc<Gate>, id: &str) -> Response<Body> {
    match gate.snapshot().policies.get(id) {
        Some(policy) => record(policy.as_ref()),
        None => error(StatusCode::NOT_FOUND, "Policy not found"),
    }
}

/// Adds a policy, or with an id replaces that one.
pub(super) async fn write(gate: &Arc<Gate>, call: &Call, id: Option<&str>) -> Response<Body> {
    let mut policy: Policy = match serde_json::from_slice(&call.body) {
        Ok(policy) => policy,
        Err(reason) => return malformed(&reason),
    };
    // An id of the database will do, if it is one; none is made up.
    if policy.id.is_empty() && policy._id.len() == 24 && policy._id.bytes().all(|c| c.is_ascii_hexdigit()) {
        policy.id.clone_from(&policy._id);
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
    if let Some(text) = super::keys::calls::fault(gate, &policy.access_rights) {
        return error(StatusCode::BAD_REQUEST, &text);
    }
    match gate.catalog.put_policy(&policy).await {
        Ok(_) => {
            let reply = modified(&policy.id, if id.is_some() { "modified" } else { "added" });
            live(gate, (Written::PolicyChanged, &policy.id), reply).await
        }
        Err(failure @ ::state::CatalogError::Id(_)) => error(StatusCode::BAD_REQUEST, &failure.to_string()),
        Err(failure) => not_taken(&failure, |failure| failed("Failed to create file!", failure)),
    }
}

pub(super) async fn delete(gate: &Arc<Gate>, id: &str) -> Response<Body> {
    match gate.catalog.delete_policy(id).await {
        Ok(true) => live(gate, (Written::PolicyChanged, id), modified(id, "deleted")).await,
        Ok(false) => error(StatusCode::INTERNAL_SERVER_ERROR, "Delete failed"),
        Err(failure) => not_taken(&failure, |failure| failed("Delete failed", failure)),
    }
}
