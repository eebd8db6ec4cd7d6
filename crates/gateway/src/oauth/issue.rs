//! A token is made: its session, and what is kept to refresh it and to take it back.

use std::time::{Duration, SystemTime};

use apidef::{Secret, Session, keys, policies};
use serde_json::Value;
use state::Sort;

use super::client::{Client, unguessable};
use super::failure::{Code, Failure, Halt, halt};
use super::names::Names;
use super::records::{Access, Family, user_data, write};
use super::revoke;
use crate::auth::{lifetime, store_name};
use crate::clock::{rfc3339, unix_millis, unix_now};
use crate::gate::Gate;

/// What a token is to be.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The session that it is to have; `None`: that of its client's policy.
    pub(super) rules: Option<Session>,
    /// Name of the user's session that `rules` are of.
    pub(super) user: String,
    pub(super) scope: String,
    pub(super) redirect: String,
    /// Whether it can be refreshed.
    pub(super) refresh: bool,
    /// What it belongs together with; empty: nothing.
    pub(super) family: String,
}

/// A token as its client gets it.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) access: Secret,
    pub(super) refresh: Option<Secret>,
    /// Seconds.
    pub(super) expires_in: i64,
    pub(super) scope: String,
}

/// The session of a new token, before it has an end. Either there are rules for it, or the client has a policy
/// (contract 5.6).
pub(super) fn session(
    gate: &Gate,
    org: &str,
    client: &Client,
    rules: Option<&Session>,
) -> Result<Session, Failure> {
    let unauthorised = |why: String| Failure::new(Code::UnauthorizedClient, why);
    let snapshot = gate.snapshot();
    let mut session = match rules {
        Some(rules) => rules.clone(),
        None => {
            let id = &client.policyid;
            if id.is_empty() {
                return Err(unauthorised("the client has no policy, and no key_rules were given".to_owned()));
            }
            let Some(policy) = snapshot.policies.get(id) else {
                return Err(unauthorised(format!("the client's policy `{id}` does not exist")));
            };
            Session { org_id: policy.org_id.clone(), apply_policies: vec![id.clone()], ..Session::default() }
        }
    };
    if session.org_id.is_empty() {
        session.org_id = org.to_owned();
    }
    strip(&mut session);
    let merged = policies::apply(&session, &|id| snapshot.policies.get(id).cloned());
    let merged = merged.map_err(|reason| unauthorised(reason.to_string()))?;
    if merged.access_rights.is_empty() && !gate.settings.keys.allow_master {
        return Err(unauthorised("the token would open no API in particular".to_owned()));
    }
    Ok(session)
}

/// A token is not a user, nor a key of another sort: nothing that opens those goes with it.
fn strip(session: &mut Session) {
    session.basic_auth_data = Default::default();
    session.jwt_data = Default::default();
    session.hmac_enabled = false;
    session.hmac_string = Secret::default();
    session.enable_http_signature_validation = false;
    session.rsa_certificate_id.clear();
    session.oauth_keys.clear();
}

/// The rules of a token as its record keeps them, to be given again. Those of a user are looked up anew then, and what
/// opens something else is kept in no record.
pub(super) fn recorded(rules: Option<&Session>, user: &str) -> Value {
    rules.filter(|_| user.is_empty()).map_or(Value::Null, |rules| {
        let mut rules = rules.clone();
        strip(&mut rules);
        user_data(&rules)
    })
}

/// Makes a token and stores all that belongs to it.
pub(super) async fn issue(
    gate: &Gate,
    (api, org): (&str, &str),
    client: &Client,
    order: Order,
) -> Result<Issued, Halt> {
    let mut session = session(gate, org, client, order.rules.as_ref())?;
    let settings = &gate.settings.oauth;
    let now = unix_now();
    let life = i64::try_from(settings.access.as_secs()).unwrap_or(i64::MAX);
    let mut expires = now.saturating_add(life);
    if session.expires > 0 {
        expires = expires.min(session.expires);
    }
    if expires <= now {
        return Err(halt(Code::InvalidGrant, "what the token is to be given for has ended"));
    }
    session.expires = expires;
    session.oauth_client_id.clone_from(&client.id);
    if let Value::Object(meta) = &client.meta_data {
        session.meta_data.extend(meta.clone());
    }
    let created = SystemTime::now();
    session.date_created = rfc3339(created);
    session.last_updated = now.to_string();

    let access = Secret(keys::generate(&session.org_id, None, gate.settings.keys.algorithm));
    let name = store_name(&gate.settings.keys, &access.0);
    let refresh = match order.refresh {
        true => Some(unguessable().ok_or_else(|| halt(Code::ServerError, "there is no randomness"))?),
        false => None,
    };
    let issued = unix_millis();
    let record = Access {
        client: Some(client.clone()),
        access_token: access.clone(),
        refresh_token: refresh.clone().unwrap_or_default(),
        expires_in: expires - now,
        scope: order.scope.clone(),
        redirect_uri: order.redirect,
        created_at: session.date_created.clone(),
        user_data: recorded(order.rules.as_ref(), &order.user),
        issued,
        family: order.family.clone(),
        user: order.user,
        ..Access::default()
    };
    let left = Duration::from_secs((expires - now).unsigned_abs());
    let effective = {
        let snapshot = gate.snapshot();
        policies::apply(&session, &|id| snapshot.policies.get(id).cloned())
            .map_err(|reason| halt(Code::UnauthorizedClient, reason.to_string()))?
    };
    // A session without an end of its own in the store would outlive its token for nothing.
    let kept = lifetime(gate, &effective, &session).unwrap_or(left);

    let names = Names(api);
    let state = &gate.state;
    // First what the token is taken back by.
    let listed = names.tokens(&client.id);
    state.add_member(&listed, Sort::Scored, &name, expires as f64).await?;
    if let Some(retain) = settings.retain {
        let before = now.saturating_sub(i64::try_from(retain.as_secs()).unwrap_or(i64::MAX));
        state.remove_scored(&listed, before as f64).await?;
    }
    let record = write(&record);
    let (access_key, family_key) = (names.access(&name), names.family(&order.family));
    let put_access = state.put_record(&access_key, &record, Some(left));
    let put_refresh = async {
        match &refresh {
            Some(refresh) => {
                state.put_record(&names.refresh(&refresh.0), &record, Some(settings.refresh)).await
            }
            None => Ok(()),
        }
    };
    let put_family = async {
        if order.family.is_empty() {
            return Ok(());
        }
        let family = Family {
            access: name.clone(),
            refresh: refresh.clone().unwrap_or_default(),
            client: client.id.clone(),
        };
        state.put_record(&family_key, &write(&family), Some(settings.refresh.max(left))).await
    };
    tokio::try_join!(put_access, put_refresh, put_family)?;
    state.put_session(&name, &session, Some(kept)).await?;
    // Whoever took back all that the client has meanwhile has not seen this session.
    if revoke::is_over(gate, api, &client.id, issued).await? {
        revoke::access(gate, api, &client.id, &access.0).await?;
        return Err(halt(Code::InvalidGrant, "all that the client had has just been revoked"));
    }
    Ok(Issued { access, refresh, expires_in: expires - now, scope: order.scope })
}
