//! Clients are made, shown, changed and removed.

use std::sync::Arc;

use apidef::Secret;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::reply::{self, error, json, modified};
use super::super::{Call, Outcome};
use super::{NO_CLIENT, server, with_client};
use crate::body::Body;
use crate::gate::Gate;
use crate::oauth::client::{self, Client, LONGEST};
use crate::oauth::redirect;
use crate::oauth::revoke::{self, Trace};
use crate::snapshot::RunningApi;

const NOT_STORED: &str = "Failure in storing client data.";
const NO_SECRET: &str = "A public client has no secret";
const NO_REDIRECT: &str = "A public client needs a redirect_uri: nothing else says where its codes go";

/// A client as it is shown, and as it is asked for.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Shown {
    #[serde(deserialize_with = "text")]
    client_id: String,
    #[serde(deserialize_with = "text")]
    redirect_uri: String,
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    api_id: String,
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    policy_id: String,
    secret: Secret,
    meta_data: Value,
    #[serde(deserialize_with = "text")]
    description: String,
    /// Ours: it can keep no secret. Shown of those only that cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    public: Option<bool>,
}

/// A text; `null` is an empty one.
fn text<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Shown {
    fn of(client: Client) -> Self {
        Self {
            client_id: client.id,
            redirect_uri: client.redirecturi,
            api_id: String::new(),
            policy_id: client.policyid,
            secret: client.secret,
            meta_data: client.meta_data,
            description: client.description,
            public: client.public.then_some(true),
        }
    }

    fn is_public(&self) -> bool {
        self.public == Some(true)
    }

    /// Why it cannot be a client.
    fn fault(&self, separator: &str) -> Option<String> {
        for (what, value) in [("client_id", &self.client_id), ("secret", &self.secret.0)] {
            if value.len() > LONGEST || value.chars().any(char::is_control) {
                return Some(format!("{what} is at most {LONGEST} bytes without control characters"));
            }
        }
        // Clients write it before a colon (RFC 7617 section 2).
        if self.client_id.contains(':') {
            return Some("client_id cannot hold a colon".to_owned());
        }
        if self.is_public() && !self.secret.0.is_empty() {
            return Some(format!("{NO_SECRET}: leave out secret, or public"));
        }
        let fault = |address| redirect::usable(address).err();
        redirect::registered(&self.redirect_uri, separator).find_map(fault).map(str::to_owned)
    }
}

fn read(gate: &Gate, call: &Call) -> Result<Shown, (StatusCode, String)> {
    let unreadable = |_| (StatusCode::INTERNAL_SERVER_ERROR, "Unmarshalling failed".to_owned());
    // An object it must be: a list of nothing would be taken for one without members.
    let members = serde_json::from_slice(&call.body).map(Value::Object);
    let asked: Shown = members.and_then(serde_json::from_value).map_err(unreadable)?;
    match asked.fault(&gate.settings.oauth.separator) {
        Some(fault) => Err((StatusCode::BAD_REQUEST, fault)),
        None => Ok(asked),
    }
}

/// `POST /oauth/clients/create`.
pub(in crate::admin) async fn create(gate: &Arc<Gate>, call: &Call) -> Outcome {
    let mut asked = match read(gate, call) {
        Ok(asked) => asked,
        Err((status, text)) => return Ok(error(status, &text)),
    };
    let apis = match homes(gate, &asked) {
        Ok(apis) => apis,
        Err(text) => return Ok(error(StatusCode::BAD_REQUEST, text)),
    };
    if asked.client_id.is_empty() {
        asked.client_id = client::new_id();
    }
    asked.public = asked.is_public().then_some(true);
    if asked.is_public() {
        if asked.redirect_uri.trim().is_empty() {
            return Ok(error(StatusCode::BAD_REQUEST, NO_REDIRECT));
        }
    } else if asked.secret.0.is_empty() {
        let Some(secret) = client::unguessable() else {
            return Ok(reply::failed(NOT_STORED, &"there is no randomness"));
        };
        asked.secret = secret;
    }
    // Half stored is not stored: whoever asked may ask again.
    if let Err(away) = store(gate, &asked, &apis).await {
        return Ok(reply::failed(NOT_STORED, &away));
    }
    Ok(json(StatusCode::OK, &asked))
}

/// Stores a client for each of its APIs.
async fn store(gate: &Gate, asked: &Shown, apis: &[Arc<RunningApi>]) -> Result<(), ::state::Unavailable> {
    for api in apis {
        let before = client::find(gate, &api.model.id, &asked.client_id).await?;
        let other_policy = before.as_ref().is_some_and(|before| before.policyid != asked.policy_id);
        let made = Client {
            id: asked.client_id.clone(),
            secret: asked.secret.clone(),
            redirecturi: asked.redirect_uri.clone(),
            meta_data: asked.meta_data.clone(),
            policyid: asked.policy_id.clone(),
            description: asked.description.clone(),
            public: asked.is_public(),
            ..before.unwrap_or_default()
        };
        client::put(gate, &api.model.id, &api.model.org_id, &made).await?;
        if other_policy {
            // It was there already: what was given under the old one opens what the new one may not.
            revoke::all_of(gate, &api.model.id, &made.id, Trace::None).await?;
        }
    }
    Ok(())
}

/// Where a new client is to be known: the API it names, or those of its policy.
fn homes(gate: &Gate, asked: &Shown) -> Result<Vec<Arc<RunningApi>>, &'static str> {
    let snapshot = gate.snapshot();
    let policy = snapshot.policies.get(&asked.policy_id);
    if policy.is_none() && (asked.api_id.is_empty() || !asked.policy_id.is_empty()) {
        return Err("Policy doesn't exist");
    }
    let ids: Vec<&str> = match policy {
        Some(policy) if asked.api_id.is_empty() => policy.access_rights.keys().map(String::as_str).collect(),
        _ => vec![&asked.api_id],
    };
    // Others of the policy may run on other nodes, or take other credentials.
    let there: Vec<_> = ids.iter().filter_map(|id| snapshot.apis.get(*id)).collect();
    let servers: Vec<_> = there.iter().filter(|api| api.oauth.is_some()).map(|api| Arc::clone(api)).collect();
    match (there.is_empty(), servers.is_empty()) {
        (true, _) => Err("API doesn't exist"),
        (_, true) => Err("API is not OAuth2"),
        _ => Ok(servers),
    }
}

/// `GET /oauth/clients/{api}`.
pub(in crate::admin) async fn list(gate: &Arc<Gate>, id: &str) -> Outcome {
    let Some(api) = server(gate, id) else { return Ok(json(StatusCode::NOT_FOUND, &Value::Null)) };
    let clients = client::list(gate, id, &api.model.org_id).await?;
    Ok(json(StatusCode::OK, &clients.into_iter().map(Shown::of).collect::<Vec<_>>()))
}

/// The client that a call names, of an API that gives tokens.
async fn find(gate: &Gate, call: &Call) -> Result<Option<(Arc<RunningApi>, Client)>, ::state::Unavailable> {
    let Some(api) = server(gate, &call.name) else { return Ok(None) };
    let client = client::find(gate, &call.name, &call.beside).await?;
    Ok(client.map(|client| (api, client)))
}

fn not_found() -> Response<Body> {
    error(StatusCode::NOT_FOUND, NO_CLIENT)
}

/// `GET /oauth/clients/{api}/{client}`.
pub(in crate::admin) async fn get(gate: &Arc<Gate>, call: &Call) -> Outcome {
    let found = find(gate, call).await?;
    Ok(found.map_or_else(not_found, |(_, client)| json(StatusCode::OK, &Shown::of(client))))
}

/// `DELETE /oauth/clients/{api}/{client}`.
pub(in crate::admin) async fn remove(gate: &Arc<Gate>, call: &Call) -> Outcome {
    let Some((api, client)) = find(gate, call).await? else { return Ok(not_found()) };
    client::remove(gate, &api.model.id, &api.model.org_id, &client.id).await?;
    Ok(modified(&client.id, "deleted"))
}

/// `PUT /oauth/clients/{api}/{client}`. Id and secret stay as they are.
pub(in crate::admin) async fn replace(gate: &Arc<Gate>, call: &Call) -> Outcome {
    let Some((api, before)) = find(gate, call).await? else { return Ok(not_found()) };
    let asked = match read(gate, call) {
        Ok(asked) => asked,
        Err((status, text)) => return Ok(error(status, &text)),
    };
    if asked.public.is_some_and(|public| public != before.public) {
        let text = "A client stays public, or stays to have a secret: make another one";
        return Ok(error(StatusCode::BAD_REQUEST, text));
    }
    if before.public && asked.redirect_uri.trim().is_empty() {
        return Ok(error(StatusCode::BAD_REQUEST, NO_REDIRECT));
    }
    if !asked.policy_id.is_empty() {
        let snapshot = gate.snapshot();
        let fits = match snapshot.policies.get(&asked.policy_id) {
            None => Err("Policy doesn't exist"),
            Some(policy) if policy.access_rights.contains_key(&call.name) => Ok(()),
            Some(_) => Err("Policy access rights doesn't contain API this OAuth client belongs to"),
        };
        if let Err(text) = fits {
            return Ok(error(StatusCode::BAD_REQUEST, text));
        }
    }
    let other_policy = before.policyid != asked.policy_id;
    let client = Client {
        redirecturi: asked.redirect_uri,
        meta_data: asked.meta_data,
        policyid: asked.policy_id,
        description: asked.description,
        ..before
    };
    client::put(gate, &api.model.id, &api.model.org_id, &client).await?;
    if other_policy {
        // What was given under the old one opens what the new one may not.
        revoke::all_of(gate, &api.model.id, &client.id, Trace::None).await?;
    }
    Ok(json(StatusCode::OK, &Shown::of(client)))
}

/// `PUT /oauth/clients/{api}/{client}/rotate`.
pub(in crate::admin) async fn rotate(gate: &Arc<Gate>, call: &Call) -> Outcome {
    let Some((api, mut client)) = find(gate, call).await? else { return Ok(not_found()) };
    if client.public {
        return Ok(error(StatusCode::BAD_REQUEST, NO_SECRET));
    }
    let Some(secret) = client::unguessable() else {
        return Ok(reply::failed(NOT_STORED, &"there is no randomness"));
    };
    client.secret = secret;
    client::put(gate, &api.model.id, &api.model.org_id, &client).await?;
    Ok(json(StatusCode::OK, &Shown::of(client)))
}

/// `GET /oauth/clients/apis/{client}`.
pub(in crate::admin) async fn apis(gate: &Arc<Gate>, call: &Call) -> Outcome {
    let found = with_client(gate, call.parameter("orgID"), &call.name).await?;
    let ids: Vec<&str> = found.iter().map(|(api, _)| &*api.model.id).collect();
    Ok(reply::json(StatusCode::OK, &ids))
}
