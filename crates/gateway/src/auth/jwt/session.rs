//! Whose session a token is, and which policies it has (contract 5.5, "Centralised mode" to "IdP client id").

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use apidef::{Api, Session, TokenPolicies, keys};
use http::StatusCode;
use md5::{Digest as _, Md5};
use serde_json::Value;

use super::claims::{Claims, refused};
use crate::auth::callers::Caller;
use crate::auth::lifetime::lifetime;
use crate::clock::{rfc3339, unix_now};
use crate::gate::Gate;
use crate::hex::hex;
use crate::oauth::client;
use crate::respond::Refusal;

/// The end of the year 9999: what ends later does not end.
const LATEST: i64 = 253_402_300_799;
/// Claims that may name the client that a token was issued to.
const CLIENT_CLAIMS: [&str; 3] = ["clientId", "cid", "client_id"];

/// What a client of this gate says in its metadata of the sessions of its tokens.
const OF_CLIENT: [&str; 2] = ["tyk_developer_id", "rate_limit_pattern"];

/// What marks the session of a token, and holds its key.
const MARK: &str = "TykJWTSessionID";

/// Whether a session was made for a token. Its key is a hash of a name and no secret: without a token it opens nothing.
pub(crate) fn is_of_a_token(session: &Session) -> bool {
    session.meta_data.contains_key(MARK)
}

/// Keeps the mark in a session that replaces one: what was made for a token stays that, whoever writes it.
pub(crate) fn keep_mark(session: &mut Session, before: &Session) {
    if let Some(mark) = before.meta_data.get(MARK) {
        session.meta_data.insert(MARK.to_owned(), mark.clone());
    }
}

/// The sessions of tokens of one API.
#[derive(Debug)]
pub(crate) struct Sessions {
    api: Box<str>,
    org: Box<str>,
    policies: TokenPolicies,
    /// How refusals begin that tell of policies.
    told: &'static str,
}

/// Whose token it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) identity: &'a str,
    /// The key of its session.
    pub(crate) key: &'a str,
    /// The policy that it has whatever its claims say.
    pub(crate) base: Option<&'a str>,
}

/// What a token asks of its session.
struct Wanted {
    policies: Vec<String>,
    /// Unix seconds; `None` does not end.
    expires: Option<i64>,
    client: String,
}

impl Sessions {
    pub(crate) fn new(api: &Api, policies: &TokenPolicies, told: &'static str) -> Self {
        Self { api: api.id.clone(), org: api.org_id.clone(), policies: policies.clone(), told }
    }

    /// The key of the session of an identity, with a client or with all.
    pub(crate) fn key(&self, gate: &Gate, identity: &str, client: &str) -> String {
        let id = format!("{client}{}", hex(&Md5::digest(identity)));
        keys::generate(&self.org, Some(&id), gate.settings.keys.algorithm)
    }

    /// The session of a token, made or changed as the token says. `until`: when the token ends, in Unix seconds.
    pub(crate) async fn caller(
        &self,
        gate: &Arc<Gate>,
        claims: &Claims,
        owner: Owner<'_>,
        until: i64,
    ) -> Result<Arc<Caller>, Refusal> {
        let Owner { identity, key, base } = owner;
        let wanted = Wanted {
            policies: self.wanted(gate, claims, base).await?,
            expires: Some(until).filter(|until| *until < LATEST),
            client: self.client(claims),
        };
        let now = unix_now();
        if let Some(caller) = gate.callers.known(&self.org, key)
            && !changed(gate, &caller.session, key, &wanted, now)
        {
            return Ok(caller);
        }
        let mark = gate.callers.mark();
        let (name, stored) = gate.callers.stored(gate, key).await?;
        let fresh = stored.is_none();
        let (session, store) = match stored {
            None => {
                let mut session = self.new_session(gate, key, identity, wanted, now);
                self.take_from_client(gate, &mut session).await?;
                (session, true)
            }
            Some(stored) if !changed(gate, &stored, key, &wanted, now) => (Session::clone(&stored), false),
            Some(stored) => {
                let expires = expiry(gate, &wanted, Some(&stored), now);
                let mut session = Session::clone(&stored);
                session.expires = expires;
                session.apply_policy_id.clear();
                session.apply_policies = wanted.policies;
                if session.oauth_client_id != wanted.client {
                    OF_CLIENT.iter().for_each(|name| drop(session.meta_data.remove(*name)));
                }
                session.oauth_client_id = wanted.client;
                session.last_updated = now.to_string();
                // Whoever wrote the session meanwhile need not have kept it.
                session.meta_data.insert(MARK.to_owned(), key.into());
                self.take_from_client(gate, &mut session).await?;
                (session, true)
            }
        };
        // Merged before it is stored, so that what cannot be used is not kept.
        let caller = gate.callers.adopt(gate, (&self.org, key, &name), &session, mark).map_err(|why| {
            if fresh {
                Refusal::gate(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "TKI",
                    format!("failed to create key: {why}"),
                )
            } else if session.apply_policies.len() > 1 {
                self.unmatched("could not apply several policies").detail(why)
            } else {
                self.unmatched("could not apply new policy").detail(why)
            }
        })?;
        if store {
            let life = lifetime(gate, &caller.session, &session);
            let put = gate.state.put_session(&name, &session, life).await;
            if let Err(away) = put {
                gate.callers.forget(std::slice::from_ref(&name));
                return Err(Refusal::store_away(away));
            }
        }
        Ok(caller)
    }

    fn new_session(&self, gate: &Gate, key: &str, identity: &str, wanted: Wanted, now: i64) -> Session {
        let snapshot = gate.snapshot();
        let rate = wanted.policies.first().and_then(|id| snapshot.policies.get(id)).map(|policy| policy.rate);
        let mut session = Session {
            // Older readers look for it here (contract 6.1).
            allowance: rate.unwrap_or_default(),
            org_id: self.org.to_string(),
            alias: identity.to_owned(),
            date_created: rfc3339(SystemTime::now()),
            last_updated: now.to_string(),
            expires: expiry(gate, &wanted, None, now),
            apply_policies: wanted.policies,
            oauth_client_id: wanted.client,
            ..Session::default()
        };
        session.meta_data.insert(MARK.to_owned(), key.into());
        session
    }

    /// What the client that the token was issued to brings along, if it is one of this gate as well: whose it is, how it is
    /// limited, what its records are marked with.
    async fn take_from_client(&self, gate: &Gate, session: &mut Session) -> Result<(), Refusal> {
        if session.oauth_client_id.is_empty() {
            return Ok(());
        }
        let client = client::find(gate, &self.api, &session.oauth_client_id).await;
        let Some(client) = client.map_err(Refusal::store_away)? else { return Ok(()) };
        for name in OF_CLIENT {
            if let Some(value) = client.meta_data.get(name).filter(|value| !value.is_null()) {
                session.meta_data.insert(name.to_owned(), value.clone());
            }
        }
        let tags = client.meta_data.get("tags").and_then(Value::as_array);
        for tag in tags.into_iter().flatten().filter_map(Value::as_str) {
            if !session.tags.iter().any(|known| known == tag) {
                session.tags.push(tag.to_owned());
            }
        }
        Ok(())
    }

    /// The client that the token was issued to, if it says so.
    fn client(&self, claims: &Claims) -> String {
        if self.policies.no_client_mapping {
            return String::new();
        }
        CLIENT_CLAIMS.iter().find_map(|claim| claims.text(claim)).unwrap_or_default().to_owned()
    }

    /// The policies that the token asks for; never none, since a session without any would be free to do everything.
    async fn wanted(
        &self,
        gate: &Arc<Gate>,
        claims: &Claims,
        base: Option<&str>,
    ) -> Result<Vec<String>, Refusal> {
        let rules = &self.policies;
        let mut wanted: Vec<String> = Vec::new();
        let named = match base {
            Some(base) => Some(vec![base.to_owned()]),
            None => rules.claims.iter().find_map(|claim| named(claims, claim)),
        };
        if let Some(named) = named {
            wanted = self.known(gate, named);
            if wanted.is_empty() {
                return Err(self
                    .unmatched("no matching policy")
                    .detail("no policy has the id that is named"));
            }
        } else if let Some(client) = rules.client.as_deref().and_then(|claim| claims.text(claim)) {
            wanted = self.of_client(gate, client).await?;
        }
        let by_default = wanted.is_empty();
        if by_default {
            wanted = rules.defaults.iter().map(|id| id.to_string()).collect();
        }
        if !rules.scopes.policies.is_empty() {
            let scopes = scopes(claims, &rules.scopes.claims);
            let of_scopes: Vec<&str> = scopes
                .iter()
                .flatten()
                .filter_map(|scope| {
                    let mapped = rules.scopes.policies.iter().find(|(known, _)| **known == **scope);
                    mapped.map(|(_, policy)| &**policy)
                })
                .collect();
            if !of_scopes.is_empty() {
                if by_default {
                    wanted.clear();
                }
                wanted.extend(of_scopes.into_iter().map(str::to_owned));
            } else if wanted.is_empty() {
                return Err(self.unmatched(match scopes {
                    Some(_) => "no matching policy found in scope claim",
                    None => "no scope or policy in token",
                }));
            }
        }
        let mut seen = HashSet::new();
        wanted.retain(|id| seen.insert(id.clone()));
        let wanted = self.known(gate, wanted);
        if wanted.is_empty() {
            return Err(self.unmatched("no matching policy"));
        }
        Ok(wanted)
    }

    /// Those of the ids that are policies of this organisation.
    fn known(&self, gate: &Gate, ids: Vec<String>) -> Vec<String> {
        let snapshot = gate.snapshot();
        let ours = |id: &String| snapshot.policies.get(id).is_some_and(|policy| *policy.org_id == *self.org);
        ids.into_iter().filter(ours).collect()
    }

    /// No policy can be found or used.
    fn unmatched(&self, why: &str) -> Refusal {
        Refusal { message: format!("{}: {why}", self.told).into(), ..refused() }
    }

    /// The policy of the key that a client has with this gate.
    async fn of_client(&self, gate: &Arc<Gate>, client: &str) -> Result<Vec<String>, Refusal> {
        let caller = match gate.callers.known(&self.org, client) {
            Some(caller) => Some(caller),
            None => gate.callers.look_up(gate, &self.org, client).await?,
        };
        Ok(caller
            .and_then(|caller| {
                let session = &caller.session;
                let first = session.apply_policies.first().unwrap_or(&session.apply_policy_id);
                (!first.is_empty()).then(|| vec![first.clone()])
            })
            .unwrap_or_default())
    }
}

/// The ids that a claim names: a text, or a list of texts.
fn named(claims: &Claims, path: &str) -> Option<Vec<String>> {
    let ids: Vec<String> = match claims.get(path)? {
        serde_json::Value::String(id) if !id.is_empty() => vec![id.clone()],
        serde_json::Value::Array(ids) => ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    (!ids.is_empty()).then_some(ids)
}

/// The scopes of the first claim that holds any.
fn scopes<'c>(claims: &'c Claims, paths: &[Box<str>]) -> Option<Vec<&'c str>> {
    if paths.is_empty() {
        return claims.words("scope");
    }
    paths.iter().find_map(|path| claims.words(path))
}

/// Whether a session is not yet what its token asks for.
fn changed(gate: &Gate, session: &Session, key: &str, wanted: &Wanted, now: i64) -> bool {
    session.meta_data.get(MARK).is_none_or(|mark| mark != key)
        || session.apply_policies != wanted.policies
        || !session.apply_policy_id.is_empty()
        || session.oauth_client_id != wanted.client
        || session.expires != expiry(gate, wanted, Some(session), now)
}

/// When a session ends: not before its token, and not before its policies say.
fn expiry(gate: &Gate, wanted: &Wanted, session: Option<&Session>, now: i64) -> i64 {
    let snapshot = gate.snapshot();
    let policies = wanted.policies.iter().filter_map(|id| snapshot.policies.get(id));
    let life = policies.map(|policy| policy.key_expires_in).filter(|life| *life > 0).max();
    match (session, wanted.expires, life) {
        // The life that policies give begins when a session is made (contract 6.4).
        (None, expires, Some(life)) => expires.unwrap_or(0).max(now.saturating_add(life)),
        (None, expires, None) => expires.unwrap_or(0),
        (Some(session), _, _) if session.expires <= 0 => session.expires,
        (Some(session), Some(expires), _) => session.expires.max(expires),
        (Some(session), None, Some(_)) => session.expires,
        (Some(_), None, None) => 0,
    }
}
