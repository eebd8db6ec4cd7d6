//! Keys over the admin API (contract 7.3): list, read, delete, preview. What writes them is in [`write`].

pub(super) mod calls;
mod certificates;
mod quota;
mod write;

use std::sync::Arc;
use std::time::Duration;

use apidef::{Event, Session, keys, policies};
use document::Fault;
use http::{Response, StatusCode};
use serde_json::{Value, json};

pub(super) use self::write::{add, create, replace, set_policies};
use super::reply::{error, modified, record, refused};
use super::{Call, Outcome, reply};
use crate::auth::{hash, store_name};
use crate::body::Body;
use crate::events;
use crate::gate::Gate;
use crate::settings::KeySettings;

/// Sessions read at once while keys are listed by API.
const LISTED_AT_ONCE: usize = 1000;
/// How long such a listing may take.
const LISTING: Duration = Duration::from_secs(30);

const BY_HASH_ONLY: &str = "Key requested by hash but key hashing is not enabled";

/// Names under which the session of a key may be stored, most likely first. A key is given whole, by its hash, by the
/// id that it was made with, or by the name of its user.
fn names(settings: &KeySettings, org: &str, call: &Call, key: &str) -> Vec<String> {
    if call.flag("hashed") {
        return vec![key.to_owned()];
    }
    let raw = store_name(settings, key);
    let generated = store_name(settings, &keys::generate(org, Some(key), settings.algorithm));
    let mut names = if settings.whole_only {
        vec![raw]
    } else if call.flag("username") && settings.algorithm.is_none() {
        vec![generated]
    } else if call.flag("username") || (!org.is_empty() && keys::org_of(key) != org) {
        vec![generated, raw]
    } else {
        vec![raw, generated]
    };
    if settings.hashed {
        names.extend(settings.fallbacks.iter().map(|algorithm| hash(settings, key, Some(*algorithm))));
    }
    names.dedup();
    names
}

/// The organisation that a call speaks of: named, or that of the API it names.
fn organisation(gate: &Gate, call: &Call) -> String {
    if let Some(org) = call.parameter("org_id") {
        return org.to_owned();
    }
    let snapshot = gate.snapshot();
    let api = call.parameter("api_id").and_then(|id| snapshot.apis.get(id));
    api.map(|api| api.model.org_id.to_string()).unwrap_or_default()
}

/// The stored session of a key, and its name in the store.
async fn find(
    gate: &Gate,
    call: &Call,
    key: &str,
) -> Result<Option<(String, Arc<Session>)>, ::state::Unavailable> {
    let mut names = names(&gate.settings.keys, &organisation(gate, call), call, key);
    let asked: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = gate.state.first_session(&asked).await?;
    Ok(found.map(|(index, session)| (names.swap_remove(index), session)))
}

pub(super) async fn list(gate: &Arc<Gate>, call: &Call) -> Outcome {
    let settings = &gate.settings.keys;
    if settings.hashed && !settings.list_hashed {
        return Ok(error(
            StatusCode::NOT_FOUND,
            "Hashed key listing is disabled in config (enable_hashed_keys_listing)",
        ));
    }
    let filter = call.parameter("filter").unwrap_or_default();
    let api = call.parameter("api_id");
    // A key of the plain form does not tell where its organisation ends.
    if api.is_some() && filter.is_empty() && settings.algorithm.is_none() {
        return Ok(error(
            StatusCode::BAD_REQUEST,
            "The 'filter' parameter (Org ID) is required when filtering by 'api_id' in legacy mode",
        ));
    }
    let listed = async {
        match api {
            None => names_of(gate, filter).await,
            Some(api) => names_for(gate, filter, api).await,
        }
    };
    in_time(listed).await
}

/// Answers with names, unless finding them takes too long.
async fn in_time(names: impl Future<Output = Result<Vec<String>, ::state::Unavailable>>) -> Outcome {
    Ok(match tokio::time::timeout(LISTING, names).await {
        Ok(names) => reply::json(StatusCode::OK, &json!({ "keys": names? })),
        Err(_) => error(StatusCode::GATEWAY_TIMEOUT, "Request timeout while processing keys"),
    })
}

/// Names that begin with an organisation. Hashes do not tell one, and are listed all.
async fn names_of(gate: &Gate, org: &str) -> Result<Vec<String>, ::state::Unavailable> {
    let settings = &gate.settings.keys;
    if settings.hashed {
        return gate.state.session_names("").await;
    }
    let mut names = gate.state.session_names(if settings.algorithm.is_some() { "" } else { org }).await?;
    if settings.algorithm.is_some() {
        names.retain(|name| name.starts_with(org) || keys::org_of(name) == org);
    }
    Ok(names)
}

/// Names of keys that open an API, of one organisation or of all.
async fn names_for(gate: &Gate, org: &str, api: &str) -> Result<Vec<String>, ::state::Unavailable> {
    let names = names_of(gate, org).await?;
    let mut found = Vec::new();
    for names in names.chunks(LISTED_AT_ONCE) {
        let asked: Vec<&str> = names.iter().map(String::as_str).collect();
        let sessions = gate.state.sessions(&asked).await?;
        for (name, session) in names.iter().zip(sessions) {
            let Some(session) = session.filter(|session| org.is_empty() || session.org_id == org) else {
                continue;
            };
            // A key that opens nothing in particular opens everything.
            let opens =
                |rights: &Session| rights.access_rights.is_empty() || rights.access_rights.contains_key(api);
            if merged(gate, &session).is_ok_and(|session| opens(&session)) {
                found.push(name.clone());
            }
        }
    }
    Ok(found)
}

pub(super) async fn get(gate: &Arc<Gate>, call: &Call, key: &str) -> Outcome {
    if call.flag("hashed") && !gate.settings.keys.hashed {
        return Ok(error(StatusCode::BAD_REQUEST, BY_HASH_ONLY));
    }
    let Some((name, session)) = find(gate, call, key).await? else {
        return Ok(error(StatusCode::NOT_FOUND, "Key not found"));
    };
    let mut session = merged(gate, &session).unwrap_or_else(|_| (*session).clone());
    session.basic_auth_data.password.0.clear();
    quota::show(gate, &mut session, &name).await?;
    Ok(record(&session))
}

pub(super) async fn delete(gate: &Arc<Gate>, call: &Call, key: &str) -> Outcome {
    if call.flag("hashed") && !gate.settings.keys.hashed {
        return Ok(error(StatusCode::BAD_REQUEST, BY_HASH_ONLY));
    }
    let Some((name, session)) = find(gate, call, key).await? else {
        // Sessions that plugins gave are stored nowhere; nodes that keep one forget it.
        changed(gate, &store_name(&gate.settings.keys, key), key).await;
        return Ok(error(StatusCode::NOT_FOUND, "There is no such key found"));
    };
    if !gate.state.delete_session(&name).await? {
        // Somebody else was faster.
        return Ok(error(StatusCode::BAD_REQUEST, "Failed to remove the key"));
    }
    let effective = merged(gate, &session).unwrap_or_else(|_| (*session).clone());
    quota::reset(gate, &effective, &name).await?;
    changed(gate, &name, key).await;
    events::key(gate, Event::TokenDeleted, &session.org_id, &name);
    Ok(if call.parameter("api_id") == Some("-1") {
        reply::json(StatusCode::OK, &Value::Null)
    } else {
        modified(key, "deleted")
    })
}

pub(super) fn preview(gate: &Arc<Gate>, call: &Call) -> Response<Body> {
    let Ok(session) = serde_json::from_slice::<Session>(&call.body) else {
        return error(StatusCode::INTERNAL_SERVER_ERROR, "Unmarshalling failed");
    };
    match merged(gate, &session) {
        Ok(session) => record(&session),
        Err(reason) => error(StatusCode::BAD_REQUEST, &reason),
    }
}

/// A message of the contract, and beyond it why.
fn refuse(status: StatusCode, message: &str, reason: &str) -> Response<Body> {
    refused(status, message, &[Fault::error("", reason)])
}

/// Every node forgets its copy; this one at once.
pub(crate) async fn changed(gate: &Gate, name: &str, key: &str) {
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

#[cfg(test)]
mod tests {
    use apidef::keys::Algorithm;
    use bytes::Bytes;
    use http_body_util::BodyExt as _;

    use super::super::endpoints::{self, Action};
    use super::*;
    use crate::settings::Settings;

    fn call(query: &[(&str, &str)]) -> Call {
        let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let endpoint = endpoints::all().find(|endpoint| endpoint.action == Action::GetKey).unwrap();
        Call { endpoint, name: String::new(), beside: String::new(), query, body: Bytes::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn c7_3_row_17_a_listing_of_keys_that_takes_too_long_is_given_up() {
        let begun = tokio::time::Instant::now();
        let answer = in_time(std::future::pending()).await.unwrap();
        assert_eq!((answer.status().as_u16(), begun.elapsed()), (504, LISTING));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let told: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(told, json!({"status": "error", "message": "Request timeout while processing keys"}));
        assert_eq!(in_time(async { Ok(vec![]) }).await.unwrap().status().as_u16(), 200);
        let away = in_time(async { Err(::state::Unavailable("away".to_owned())) }).await;
        assert!(away.is_err(), "a store that is away is no matter of time");
    }

    #[test]
    fn c7_3_row_52_a_key_is_looked_for_under_the_names_it_may_have() {
        let plain = |key: &str| key.to_owned();
        let generated = |key: &str| keys::generate("org", Some(key), Some(Algorithm::Murmur64));
        type Case<'a> = (Option<Algorithm>, &'a str, &'a [(&'a str, &'a str)], Vec<String>);
        let cases: &[Case<'_>] = &[
            (None, "", &[], vec![plain("k")]),
            (None, "org", &[], vec![plain("orgk"), plain("k")]),
            (None, "org", &[("username", "true")], vec![plain("orgk")]),
            (None, "org", &[("hashed", "1")], vec![plain("k")]),
            (Some(Algorithm::Murmur64), "org", &[("username", "true")], vec![generated("k"), plain("k")]),
            (Some(Algorithm::Murmur64), "org", &[], vec![generated("k"), plain("k")]),
        ];
        for (algorithm, org, query, expected) in cases {
            let settings = KeySettings { hashed: false, algorithm: *algorithm, ..Settings::default().keys };
            assert_eq!(names(&settings, org, &call(query), "k"), *expected, "{algorithm:?} {org} {query:?}");
        }
        let whole = KeySettings { hashed: false, whole_only: true, ..Settings::default().keys };
        for query in [&[][..], &[("username", "true")]] {
            assert_eq!(names(&whole, "org", &call(query), "k"), [plain("k")]);
        }
        let settings =
            KeySettings { hashed: true, fallbacks: vec![Algorithm::Sha256], ..Settings::default().keys };
        let found = names(&settings, "", &call(&[]), "k");
        assert_eq!(found, [keys::hash("k", None), keys::hash("k", Some(Algorithm::Sha256))]);
        assert_eq!(names(&settings, "", &call(&[("hashed", "true")]), "abc"), ["abc"]);
    }
}
