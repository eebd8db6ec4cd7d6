//! Keys are made and changed (contract 6.2, 7.3).

use std::sync::Arc;
use std::time::SystemTime;

use apidef::{BasicAuthData, Event, Session, keys};
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::super::reply::{error, malformed, modified, modified_key};
use super::super::{Call, Outcome};
use super::{BY_HASH_ONLY, certificates, changed, find, merged, quota, refuse};
use crate::auth::jwt::keep_mark;
use crate::auth::{lifetime, store_name};
use crate::body::Body;
use crate::clock::{rfc3339, unix_now};
use crate::events;
use crate::gate::Gate;

const INSECURE: &str = "Failed to create key, ensure security settings are correct.";

/// `POST /keys`, `POST /keys/{custom}`.
pub(crate) async fn add(gate: &Arc<Gate>, call: &Call, custom: Option<&str>) -> Outcome {
    let settings = &gate.settings.keys;
    let session: Session = match serde_json::from_slice(&call.body) {
        Ok(session) => session,
        Err(reason) => return Ok(malformed(&reason)),
    };
    if let Some(text) = super::calls::fault(gate, &session.access_rights) {
        return Ok(error(StatusCode::BAD_REQUEST, &text));
    }
    let hash = custom.filter(|_| call.flag("hashed"));
    if hash.is_some() && !settings.hashed {
        return Ok(error(StatusCode::BAD_REQUEST, BY_HASH_ONLY));
    }
    if let Some(custom) = custom.filter(|custom| custom.len() < settings.min_length) {
        let text = format!(
            "custom key ID length {} is less than min_token_length ({}); choose a longer one",
            custom.len(),
            settings.min_length
        );
        return Ok(error(StatusCode::BAD_REQUEST, &text));
    }
    let effective = match merged(gate, &session) {
        Ok(effective) => effective,
        Err(reason) => return Ok(refuse(StatusCode::INTERNAL_SERVER_ERROR, INSECURE, &reason)),
    };
    if effective.access_rights.is_empty() && !settings.allow_master {
        return Ok(master_keys_are_off());
    }
    if let Some(text) = certificates::fault(gate, &session, None).await? {
        return Ok(error(StatusCode::BAD_REQUEST, text));
    }
    let key = match hash {
        Some(hash) => hash.to_owned(),
        None => keys::generate(&session.org_id, custom.or(of_certificate(&session)), settings.algorithm),
    };
    let name = if hash.is_some() { key.clone() } else { store_name(settings, &key) };
    make(gate, call, &key, &name, &effective, session).await
}

/// `POST /keys/create`.
pub(crate) async fn create(gate: &Arc<Gate>, call: &Call) -> Outcome {
    let settings = &gate.settings.keys;
    let Ok(session) = serde_json::from_slice::<Session>(&call.body) else {
        return Ok(error(StatusCode::INTERNAL_SERVER_ERROR, "Unmarshalling failed"));
    };
    let effective = match merged(gate, &session) {
        Ok(effective) => effective,
        Err(reason) => {
            return Ok(error(StatusCode::INTERNAL_SERVER_ERROR, &format!("Failed to create key - {reason}")));
        }
    };
    if effective.access_rights.is_empty() && !settings.allow_master {
        return Ok(error(
            StatusCode::BAD_REQUEST,
            "Failed to create key, keys must have at least one Access Rights record set.",
        ));
    }
    if let Some(text) = certificates::fault(gate, &session, None).await? {
        return Ok(error(StatusCode::BAD_REQUEST, text));
    }
    let key = keys::generate(&session.org_id, of_certificate(&session), settings.algorithm);
    let name = store_name(settings, &key);
    make(gate, call, &key, &name, &effective, session).await
}

/// What the key of a session is made of that is bound to a certificate: its client needs no other (contract 5.1,
/// "Cert-derived id").
fn of_certificate(session: &Session) -> Option<&str> {
    Some(session.certificate.as_str()).filter(|certificate| !certificate.is_empty())
}

/// Stores a new key. `key` is what its owner shows, `name` what it is stored under.
async fn make(
    gate: &Gate,
    call: &Call,
    key: &str,
    name: &str,
    effective: &Session,
    mut session: Session,
) -> Outcome {
    let now = unix_now();
    session.date_created = rfc3339(SystemTime::now());
    session.last_updated = now.to_string();
    if session.expires <= 0
        && let Some(life) = key_life(gate, &session)
    {
        session.expires = now.saturating_add(life);
    }
    if !session.basic_auth_data.password.0.is_empty() {
        match hashed_password(gate, &session).await {
            Ok(hashed) => session.basic_auth_data = hashed,
            Err(refusal) => return Ok(refusal),
        }
    }
    let anew = resets(gate, call, effective);
    if anew {
        quota::fill(&mut session);
    }
    gate.state.put_session(name, &session, lifetime(gate, effective, &session)).await?;
    if anew {
        quota::reset(gate, effective, name).await?;
    }
    changed(gate, name, key).await;
    events::key(gate, Event::TokenCreated, &session.org_id, name);
    // A user knows the name and the password; there is no key to tell.
    let shown = if session.basic_auth_data.password.0.is_empty() { key } else { "" };
    Ok(modified_key(shown, "added", gate.settings.keys.hashed.then_some(name)))
}

/// `PUT /keys/{key}`.
pub(crate) async fn replace(gate: &Arc<Gate>, call: &Call, key: &str) -> Outcome {
    if call.flag("hashed") && !gate.settings.keys.hashed {
        return Ok(error(StatusCode::BAD_REQUEST, BY_HASH_ONLY));
    }
    let mut session: Session = match serde_json::from_slice(&call.body) {
        Ok(session) => session,
        Err(reason) => return Ok(malformed(&reason)),
    };
    if let Some(text) = super::calls::fault(gate, &session.access_rights) {
        return Ok(error(StatusCode::BAD_REQUEST, &text));
    }
    let Some((name, before)) = find(gate, call, key).await? else {
        return Ok(error(StatusCode::NOT_FOUND, "Key is not found"));
    };
    let effective = match merged(gate, &session) {
        Ok(effective) => effective,
        Err(reason) => return Ok(refuse(StatusCode::INTERNAL_SERVER_ERROR, INSECURE, &reason)),
    };
    if effective.access_rights.is_empty() && !gate.settings.keys.allow_master {
        return Ok(master_keys_are_off());
    }
    if let Some(text) = certificates::fault(gate, &session, Some(&before)).await? {
        return Ok(error(StatusCode::BAD_REQUEST, text));
    }
    session.date_created.clone_from(&before.date_created);
    session.last_updated = unix_now().to_string();
    keep_mark(&mut session, &before);
    let given = &session.basic_auth_data.password;
    if given.0.is_empty() || *given == before.basic_auth_data.password {
        // A session that was read does not show its password; written back, the user keeps it.
        session.basic_auth_data.clone_from(&before.basic_auth_data);
    } else {
        match hashed_password(gate, &session).await {
            Ok(hashed) => session.basic_auth_data = hashed,
            Err(refusal) => return Ok(refusal),
        }
    }
    let anew = resets(gate, call, &effective);
    if anew {
        quota::fill(&mut session);
    } else {
        quota::carry_on(&mut session, &before);
    }
    // Not brought back if somebody deletes it just now.
    if !gate.state.update_session(&name, &session, lifetime(gate, &effective, &session)).await? {
        return Ok(error(StatusCode::NOT_FOUND, "Key is not found"));
    }
    if anew {
        quota::reset(gate, &effective, &name).await?;
    }
    changed(gate, &name, key).await;
    events::key(gate, Event::TokenUpdated, &session.org_id, &name);
    Ok(modified(key, "modified"))
}

/// The new password of a user, as it is stored; or why it cannot be.
async fn hashed_password(gate: &Gate, session: &Session) -> Result<BasicAuthData, Response<Body>> {
    let how = gate.settings.keys.passwords;
    let hashed = gate.passwords.hash(how, &session.basic_auth_data.password.0).await;
    hashed.map_err(|reason| error(StatusCode::BAD_REQUEST, &format!("Failed to create key - {reason}")))
}

#[derive(Deserialize)]
struct Instruction {
    #[serde(default)]
    policy: String,
    #[serde(default)]
    apply_policies: Option<Vec<String>>,
}

/// `POST /keys/policy/{hash}`.
pub(crate) async fn set_policies(gate: &Arc<Gate>, call: &Call, name: &str) -> Outcome {
    // An object it must be: a list of nothing would be taken for one without members.
    let members = serde_json::from_slice(&call.body).map(Value::Object);
    let Ok(instruction) = members.and_then(serde_json::from_value::<Instruction>) else {
        return Ok(error(StatusCode::BAD_REQUEST, "Couldn't decode instruction"));
    };
    let Some(before) = gate.state.session(name).await? else {
        return Ok(error(StatusCode::NOT_FOUND, "Key not found"));
    };
    let mut session = (*before).clone();
    session.apply_policies = instruction.apply_policies.unwrap_or_default();
    if session.apply_policies.is_empty() && !instruction.policy.is_empty() {
        session.apply_policies.push(instruction.policy);
    }
    session.apply_policy_id.clear();
    session.last_updated = unix_now().to_string();
    let effective = match merged(gate, &session) {
        Ok(effective) => effective,
        Err(reason) => {
            return Ok(refuse(StatusCode::INTERNAL_SERVER_ERROR, "Could not write key data", &reason));
        }
    };
    // Not brought back if somebody deletes it just now.
    if !gate.state.update_session(name, &session, lifetime(gate, &effective, &session)).await? {
        return Ok(error(StatusCode::NOT_FOUND, "Key not found"));
    }
    changed(gate, name, name).await;
    events::key(gate, Event::TokenUpdated, &session.org_id, name);
    Ok(modified(name, "updated"))
}

fn master_keys_are_off() -> Response<Body> {
    refuse(
        StatusCode::INTERNAL_SERVER_ERROR,
        INSECURE,
        "the key opens no API: give it access_rights or policies, or set allow_master_keys",
    )
}

/// Seconds of life that policies give to a new key (contract 6.4, `key_expires_in`).
fn key_life(gate: &Gate, session: &Session) -> Option<i64> {
    let snapshot = gate.snapshot();
    let ids = match session.apply_policies.as_slice() {
        [] => std::slice::from_ref(&session.apply_policy_id),
        ids => ids,
    };
    ids.iter()
        .filter_map(|id| snapshot.policies.get(id))
        .map(|policy| policy.key_expires_in)
        .filter(|life| *life > 0)
        .max()
}

/// Whether writing a key begins its quotas anew: unless the call or one of its APIs asks for the contrary.
fn resets(gate: &Gate, call: &Call, session: &Session) -> bool {
    let snapshot = gate.snapshot();
    !call.flag("suppress_reset")
        && !session
            .access_rights
            .keys()
            .filter_map(|id| snapshot.apis.get(id.as_str()))
            .any(|api| api.model.dont_set_quota_on_create)
}
