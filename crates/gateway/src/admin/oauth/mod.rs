//! Clients and tokens of the OAuth 2.0 servers over the admin API (contract 7.3).

mod clients;
mod tokens;

use std::sync::Arc;

use ::state::Unavailable;

pub(super) use self::clients::{apis, create, get, list, remove, replace, rotate};
pub(super) use self::tokens::{authorize, forget_refresh, of_client, purge, revoke, revoke_all};
use crate::gate::Gate;
use crate::oauth::client;
use crate::snapshot::RunningApi;

const NO_CLIENT: &str = "OAuth Client ID not found";

/// The APIs that give tokens, in the order of their ids; of one organisation, if one is named.
fn servers(gate: &Gate, org: Option<&str>) -> Vec<Arc<RunningApi>> {
    let snapshot = gate.snapshot();
    let apis = snapshot.apis.values().filter(|api| api.oauth.is_some());
    let of_org = |api: &&Arc<RunningApi>| org.is_none_or(|org| *api.model.org_id == *org);
    let mut found: Vec<_> = apis.filter(of_org).cloned().collect();
    found.sort_by(|one, other| one.model.id.cmp(&other.model.id));
    found
}

/// The API of this id, if it gives tokens.
fn server(gate: &Gate, id: &str) -> Option<Arc<RunningApi>> {
    gate.snapshot().apis.get(id).filter(|api| api.oauth.is_some()).cloned()
}

/// Those that have this client.
async fn with_client(
    gate: &Gate,
    org: Option<&str>,
    id: &str,
) -> Result<Vec<(Arc<RunningApi>, client::Client)>, Unavailable> {
    let mut found = Vec::new();
    for api in servers(gate, org) {
        if let Some(client) = client::find(gate, &api.model.id, id).await? {
            found.push((api, client));
        }
    }
    Ok(found)
}
