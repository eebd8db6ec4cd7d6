//! Keys over the admin API (contract 7.3): create, read, update, delete, list.

use std::sync::Arc;
use std::time::SystemTime;

use apidef::{BasicAuthData, Session, keys, policies};
use http::{Method, Response, StatusCode};
use serde_json::json;

use super::reply::{error, malformed, modified_key, record};
use super::{Call, method_not_supported};
use crate::auth::{Grant, lifetime, store_name};
use crate::body::Body;
use crate::clock::{rfc3339, unix_now};
use crate::gate::Gate;
use crate::respond;

pub(super) async fn answer(gate: &Arc<Gate>, call: &Call, path: &[&str]) -> Response<Body> {
    let outcome = match (&call.method, path) {
        (&Method::GET, []) => list(gate, call).await,
        (&Method::POST, []) => create(gate, call, None, false).await,
        (&Method::POST, ["create"]) => create(gate, call, None, true).await,
        (&Method::POST, ["preview"]) => preview(gate, call),
        (&Method::GET, [key]) => read(gate, call, key).await,
        (&Method::POST, [custom]) => create(gate, call, Some(custom), false).await,
        (&Method::PUT, [key]) => update(gate, call, key).await,
        (&Method::DELETE, [key]) => delete(gate, call, key).await,
        (_, [] | [_]) => Ok(method_not_supported()),
        _ => Ok(respond::text(StatusCode::NOT_FOUND, "404 page not found")),
    };
    outcome.unwrap_or_else(|away| {
        error(StatusCode::SERVICE_UNAVAILABLE, &format!("The store of keys cannot be reached: {away}"))
    })
}

type Outcome = Result<Response<Body>, ::state::Unavailable>;

/// The stored session of a key that was given as key, custom id or hash, and its name in the store.
async fn find(
    gate: &Gate,
    call: &Call,
    key: &str,
) -> Result<Option<(String, Arc<Session>)>, ::state::Unavailable> {
    let settings = &gate.settings.keys;
    let mut names = Vec::new();
    if call.flag("hashed") {
        names.push(key.to_owned());
    } else {
        names.push(store_name(settings, key));
        let org = call.parameter("org_id").unwrap_or_default();
        names.push(store_name(settings, &keys::generate(org, Some(key), settings.algorithm)));
        if settings.hashed {
            names.extend(settings.fallbacks.iter().map(|algorithm| keys::hash(key, Some(*algorithm))));
        }
    }
    let asked: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = gate.state.first_session(&asked).await?;
    Ok(found.map(|(index, session)| (names.swap_remove(index), session)))
}

async fn list(gate: &Gate, call: &Call) -> Outcome {
    let settings = &gate.settings.keys;
    if settings.hashed && !settings.list_hashed {
        return Ok(error(
            StatusCode::NOT_FOUND,
            "Hashed key listing is disabled in config (enable_hashed_keys_listing)",
        ));
    }
    let filter = if settings.hashed { "" } else { call.parameter("filter").unwrap_or_default() };
    let names = gate.state.session_names(filter).await?;
    Ok(respond::json(StatusCode::OK, &json!({ "keys": names })))
}

async fn read(gate: &Gate, call: &Call, key: &str) -> Outcome {
    if call.flag("hashed") && !gate.settings.keys.hashed {
        return Ok(error(StatusCode::BAD_REQUEST, "Key requested by hash but key hashing is not enabled"));
    }
    let Some((name, session)) = find(gate, call, key).await? else {
        return Ok(error(StatusCode::NOT_FOUND, "Key not found"));
    };
    let mut session = merged(gate, &session).unwrap_or_else(|_| (*session).clone());
    session.basic_auth_data.password.0.clear();
    if session.quota_max > 0 {
        // A key of one API may be counted under a scope of its own.
        let counter = match session.access_rights.keys().next() {
            Some(api) if session.access_rights.len() == 1 => Grant::counter(&session, &name, api),
            _ => name.clone(),
        };
        let used = gate.state.peek_quota(&counter).await?;
        session.quota_remaining = used.map_or(session.quota_max, |count| count.remaining(session.quota_max));
        if let Some(count) = used {
            session.quota_renews = count.renews_at;
        }
    }
    Ok(record(&session))
}

async fn create(gate: &Gate, call: &Call, custom: Option<&str>, must_have_rights: bool) -> Outcome {
    let settings = &gate.settings.keys;
    let mut session: Session = match serde_json::from_slice(&call.body) {
        Ok(session) => session,
        Err(reason) => return Ok(malformed(&reason)),
    };
    if let Some(custom) = custom
        && custom.len() < settings.min_length
    {
        let text = format!(
            "custom key ID length {} is less than min_token_length ({}); choose a longer one",
            custom.len(),
            settings.min_length
        );
        return Ok(error(StatusCode::BAD_REQUEST, &text));
    }
    let effective = match merged(gate, &session) {
        Ok(effective) => effective,
        Err(reason) => {
            return Ok(error(StatusCode::INTERNAL_SERVER_ERROR, &format!("Failed to create key - {reason}")));
        }
    };
    if effective.access_rights.is_empty() && (must_have_rights || !settings.allow_master) {
        return Ok(if must_have_rights {
            error(
                StatusCode::BAD_REQUEST,
                "Failed to create key, keys must have at least one Access Rights record set.",
            )
        } else {
            error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Failed to create key, ensure security settings are correct.",
            )
        });
    }
    let now = unix_now();
    session.date_created = rfc3339(SystemTime::now());
    session.last_updated = now.to_string();
    if session.expires <= 0
        && let Some(life) = key_life(gate, &session)
    {
        session.expires = now + life;
    }
    if !session.basic_auth_data.password.0.is_empty() {
        match hashed_password(gate, &session).await {
            Ok(hashed) => session.basic_auth_data = hashed,
            Err(refusal) => return Ok(refusal),
        }
    }
    let key = keys::generate(&session.org_id, custom, settings.algorithm);
    store(gate, call, &key, &effective, session, "added").await
}

async fn update(gate: &Gate, call: &Call, key: &str) -> Outcome {
    let mut session: Session = match serde_json::from_slice(&call.body) {
        Ok(session) => session,
        Err(reason) => return Ok(malformed(&reason)),
    };
    let Some((name, before)) = find(gate, call, key).await? else {
        return Ok(error(StatusCode::NOT_FOUND, "Key is not found"));
    };
    let effective = match merged(gate, &session) {
        Ok(effective) => effective,
        Err(reason) => {
            return Ok(error(StatusCode::BAD_REQUEST, &format!("Failed to update key - {reason}")));
        }
    };
    if effective.access_rights.is_empty() && !gate.settings.keys.allow_master {
        return Ok(error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Failed to create key, ensure security settings are correct.",
        ));
    }
    let given = &session.basic_auth_data.password;
    if given.0.is_empty() || *given == before.basic_auth_data.password {
        // Whoever reads a user gets no password, and gives none back.
        session.basic_auth_data.clone_from(&before.basic_auth_data);
    } else {
        match hashed_password(gate, &session).await {
            Ok(hashed) => session.basic_auth_data = hashed,
            Err(refusal) => return Ok(refusal),
        }
    }
    session.date_created.clone_from(&before.date_created);
    session.last_updated = unix_now().to_string();
    store_as(gate, call, &name, key, &effective, session, "modified").await
}

/// The new password of a user, as it is stored; or why it cannot be.
async fn hashed_password(gate: &Gate, session: &Session) -> Result<BasicAuthData, Response<Body>> {
    let how = gate.settings.keys.passwords;
    let hashed = gate.passwords.hash(how, &session.basic_auth_data.password.0).await;
    hashed.map_err(|reason| error(StatusCode::BAD_REQUEST, &format!("Failed to create key - {reason}")))
}

async fn delete(gate: &Gate, call: &Call, key: &str) -> Outcome {
    let Some((name, session)) = find(gate, call, key).await? else {
        return Ok(error(StatusCode::NOT_FOUND, "There is no such key found"));
    };
    gate.state.delete_session(&name).await?;
    let effective = merged(gate, &session).unwrap_or_else(|_| (*session).clone());
    reset_quotas(gate, &effective, &name).await?;
    changed(gate, &name, key).await;
    Ok(modified_key(key, "deleted", None))
}

fn preview(gate: &Gate, call: &Call) -> Outcome {
    let session: Session = match serde_json::from_slice(&call.body) {
        Ok(session) => session,
        Err(_) => return Ok(error(StatusCode::INTERNAL_SERVER_ERROR, "Unmarshalling failed")),
    };
    Ok(match merged(gate, &session) {
        Ok(session) => record(&session),
        Err(reason) => error(StatusCode::BAD_REQUEST, &reason),
    })
}

async fn store(
    gate: &Gate,
    call: &Call,
    key: &str,
    effective: &Session,
    session: Session,
    action: &str,
) -> Outcome {
    let name = store_name(&gate.settings.keys, key);
    store_as(gate, call, &name, key, effective, session, action).await
}

async fn store_as(
    gate: &Gate,
    call: &Call,
    name: &str,
    key: &str,
    effective: &Session,
    mut session: Session,
    action: &str,
) -> Outcome {
    if session.quota_max > 0 {
        session.quota_remaining = session.quota_max;
        if session.quota_renewal_rate > 0 {
            session.quota_renews = unix_now() + session.quota_renewal_rate;
        }
    }
    gate.state.put_session(name, &session, lifetime(gate, effective, &session)).await?;
    if !call.flag("suppress_reset") && !keeps_quota(gate, effective) {
        reset_quotas(gate, effective, name).await?;
    }
    changed(gate, name, key).await;
    let hash = gate.settings.keys.hashed.then_some(name);
    // A user is known by name; whoever holds its key need not (contract 7.3).
    let is_user = action == "added" && !session.basic_auth_data.password.0.is_empty();
    Ok(modified_key(if is_user { "" } else { key }, action, hash))
}

/// Begins all windows of a key anew, those of its scopes included.
async fn reset_quotas(gate: &Gate, session: &Session, name: &str) -> Result<(), ::state::Unavailable> {
    for api in session.access_rights.keys() {
        gate.state.reset_quota(&Grant::counter(session, name, api)).await?;
    }
    gate.state.reset_quota(name).await
}

/// Every node forgets its copy; this one at once.
async fn changed(gate: &Gate, name: &str, key: &str) {
    let names = vec![name.to_owned(), key.to_owned()];
    gate.callers.forget(&names);
    if let Err(away) = gate.state.publish(::state::Signal::KeysChanged(vec![name.to_owned()])).await {
        tracing::warn!(%away, "other gateways cannot be told of a changed key; they find out when their copy ages");
    }
}

/// The session with its policies applied.
fn merged(gate: &Gate, session: &Session) -> Result<Session, String> {
    let snapshot = gate.snapshot();
    policies::apply(session, &|id| snapshot.policies.get(id).cloned()).map_err(|reason| reason.to_string())
}

/// Seconds of life that policies give to a new key (contract 6.4, `key_expires_in`).
fn key_life(gate: &Gate, session: &Session) -> Option<i64> {
    let snapshot = gate.snapshot();
    let ids = session.apply_policies.iter().chain(std::iter::once(&session.apply_policy_id));
    ids.filter_map(|id| snapshot.policies.get(id))
        .map(|policy| policy.key_expires_in)
        .filter(|life| *life > 0)
        .max()
}

/// Whether an API of the key asks for quotas to be left alone.
fn keeps_quota(gate: &Gate, session: &Session) -> bool {
    let snapshot = gate.snapshot();
    session
        .access_rights
        .keys()
        .filter_map(|id| snapshot.apis.get(id.as_str()))
        .any(|api| api.model.dont_set_quota_on_create)
}
