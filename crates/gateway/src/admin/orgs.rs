//! Sessions of organisations over the admin API (contract 7.3).

use std::sync::Arc;

use apidef::Session;
use http::{Response, StatusCode};
use serde_json::json;

use super::reply::{error, malformed, modified, record};
use super::{Call, Outcome, reply};
use crate::auth::store_name;
use crate::body::Body;
use crate::clock::unix_now;
use crate::gate::Gate;

/// Whether sessions are kept for an organisation: with `suppress_default_org_store` only for those that an API here belongs to.
fn has_a_home(gate: &Gate, fits: impl Fn(&str) -> bool) -> bool {
    !gate.settings.orgs_of_apis_only || gate.snapshot().apis.values().any(|api| fits(&api.model.org_id))
}

pub(super) async fn list(gate: &Arc<Gate>, call: &Call) -> Outcome {
    let filter = call.parameter("filter").unwrap_or_default();
    if !has_a_home(gate, |org| org.starts_with(filter)) {
        return Ok(error(StatusCode::NOT_FOUND, "ORG not found"));
    }
    let names = gate.state.org_names(filter).await?;
    Ok(reply::json(StatusCode::OK, &json!({ "keys": names })))
}

pub(super) async fn get(gate: &Arc<Gate>, org: &str) -> Outcome {
    if !has_a_home(gate, |known| known == org) {
        return Ok(not_found());
    }
    Ok(match gate.state.org_session(org).await? {
        Some(session) => record(&session),
        None => not_found(),
    })
}

pub(super) async fn write(gate: &Arc<Gate>, call: &Call, org: &str, action: &str) -> Outcome {
    let mut session: Session = match serde_json::from_slice(&call.body) {
        Ok(session) => session,
        Err(reason) => return Ok(malformed(&reason)),
    };
    if !has_a_home(gate, |known| known == org) {
        return Ok(error(StatusCode::NOT_FOUND, "No such organisation found in Active API list"));
    }
    let anew = call.flag("reset_quota");
    if anew {
        session.quota_renews = unix_now().saturating_add(session.quota_renewal_rate.max(0));
    }
    gate.state.put_org_session(org, &session).await?;
    if anew {
        gate.state.reset_quota(&store_name(&gate.settings.keys, org)).await?;
    }
    changed(gate, org).await;
    Ok(modified(org, action))
}

pub(super) async fn delete(gate: &Arc<Gate>, org: &str) -> Outcome {
    if !has_a_home(gate, |known| known == org) || !gate.state.delete_org_session(org).await? {
        return Ok(not_found());
    }
    changed(gate, org).await;
    Ok(modified(org, "deleted"))
}

/// Every node forgets what it knows of organisations; this one at once.
async fn changed(gate: &Gate, org: &str) {
    gate.organisations.clear();
    if let Err(away) = gate.state.publish(::state::Signal::KeysChanged(vec![org.to_owned()])).await {
        tracing::warn!(%away, "other gateways cannot be told of a changed organisation; they find out when their copy ages");
    }
}

fn not_found() -> Response<Body> {
    error(StatusCode::NOT_FOUND, "Org not found")
}
