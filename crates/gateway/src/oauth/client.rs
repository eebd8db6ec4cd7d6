//! Clients of the OAuth 2.0 server: who may ask for tokens (contract 5.1, 5.6).

use std::collections::HashSet;
use std::time::Instant;

use apidef::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::try_join_all;
use quick_cache::Equivalent;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use state::{CatalogError, Kind, Signal, Sort, Unavailable};

use super::names::{CLIENT, Names};
use super::records::{read, write};
use super::{Shared, revoke};
use crate::gate::Gate;
use crate::same::same;

/// Longest id, secret, code or token that is looked at.
pub(crate) const LONGEST: usize = 512;
/// Clients read at once while they are listed.
const AT_ONCE: usize = 32;
/// What other nodes are told when a client has changed.
const SIGNAL: &str = "OAuthClientChanged";

/// A client as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) secret: Secret,
    /// One address, or several with a separator between them.
    pub(crate) redirecturi: String,
    /// Goes into the sessions of its tokens.
    pub(crate) meta_data: Value,
    pub(crate) policyid: String,
    pub(crate) description: String,
    /// Ours: it can keep no secret, as what runs in a browser or on a phone. It has none, and proves instead that it is the one
    /// that began (RFC 7636). Never true but where somebody has said so: that there is no secret does not make it so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) public: bool,
    /// Members that nothing here acts on, kept as they came.
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

impl Client {
    /// Whether this is the client's secret; how long that takes tells nothing of it.
    pub(crate) fn opens(&self, secret: &str) -> bool {
        let (stored, given) = (Sha256::digest(&self.secret.0), Sha256::digest(secret));
        let equal = same(&stored, &given);
        // A client without a secret is opened by nothing.
        equal && !self.secret.0.is_empty() && !self.public
    }
}

/// Something that nobody guesses: 256 random bits. `None`: there is no randomness.
pub(crate) fn unguessable() -> Option<Secret> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(Secret(URL_SAFE_NO_PAD.encode(bytes)))
}

/// A client's id, as short as others expect them.
pub(crate) fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// The client of an API.
pub(crate) async fn find(gate: &Gate, api: &str, id: &str) -> Result<Option<Client>, Unavailable> {
    if id.is_empty() || id.len() > LONGEST {
        return Ok(None);
    }
    let found = match gate.catalog.paper(Kind::Client, &catalogued(api, id)) {
        Some(text) => read::<Client>(text.as_bytes()),
        None => gate.state.record(&Names(api).client(id)).await?.and_then(|bytes| read::<Client>(&bytes)),
    };
    Ok(found.filter(|client| client.id == id))
}

/// What a client is called in a catalog that keeps clients.
fn catalogued(api: &str, id: &str) -> String {
    format!("{api}/{id}")
}

/// Whoever asks for a change learns that it was not made, and may try again.
fn not_taken(failure: &CatalogError) -> Unavailable {
    Unavailable(failure.to_string())
}

#[derive(Debug, PartialEq, Eq, Hash, Clone)]
pub(super) struct Key {
    api: Box<str>,
    client: Box<str>,
}

#[derive(Hash)]
struct Asked<'a> {
    api: &'a str,
    client: &'a str,
}

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.api == &*key.api && self.client == &*key.client
    }
}

impl Shared {
    /// Whether a client was there when it was last looked for, not long ago.
    pub(crate) fn knows(&self, api: &str, client: &str) -> bool {
        let seen = self.clients.get(&Asked { api, client });
        seen.is_some_and(|seen| seen.elapsed() < self.believed)
    }

    /// Forgets which clients there are.
    pub(crate) fn forget(&self) {
        self.clients.clear();
    }

    /// Acts on what another node said, if it is about clients; tells whether it was.
    pub(crate) fn hear(&self, command: &str) -> bool {
        let changed = command == SIGNAL;
        if changed {
            self.forget();
        }
        changed
    }
}

/// Whether a client is there; believed for a while.
pub(crate) async fn exists(gate: &Gate, api: &str, client: &str) -> Result<bool, Unavailable> {
    let found = find(gate, api, client).await?.is_some();
    if found {
        gate.oauth.clients.insert(Key { api: api.into(), client: client.into() }, Instant::now());
    }
    Ok(found)
}

/// Stores a client of an API of this organisation, new or changed.
pub(crate) async fn put(gate: &Gate, api: &str, org: &str, client: &Client) -> Result<(), Unavailable> {
    let names = Names(api);
    let (key, record) = (names.client(&client.id), write(client));
    if gate.catalog.keeps_papers() {
        let text = String::from_utf8_lossy(&record);
        let put = gate.catalog.put_paper(Kind::Client, &catalogued(api, &client.id), &text).await;
        put.map_err(|failure| not_taken(&failure))?;
        changed(gate).await;
        return Ok(());
    }
    unlist(gate, names, &key).await?;
    gate.state.put_record(&key, &record, None).await?;
    let listed = format!("{CLIENT}{}", client.id);
    gate.state.add_member(&names.index(org), Sort::List, &listed, 0.0).await?;
    if let Ok(record) = std::str::from_utf8(&record) {
        gate.state.add_member(&names.set(), Sort::Set, record, 0.0).await?;
    }
    changed(gate).await;
    Ok(())
}

/// Deletes a client, and takes back all that it has. Tells whether there was one.
pub(crate) async fn remove(gate: &Gate, api: &str, org: &str, id: &str) -> Result<bool, Unavailable> {
    let names = Names(api);
    let key = names.client(id);
    unlist(gate, names, &key).await?;
    // First the client, so that no token comes after those that are taken back.
    let kept = match gate.catalog.keeps_papers() {
        true => gate.catalog.delete_paper(Kind::Client, &catalogued(api, id)).await,
        false => Ok(false),
    };
    let kept = kept.map_err(|failure| not_taken(&failure))?;
    let found = gate.state.delete_record(&key).await? || kept;
    gate.state.remove_member(&names.index(org), Sort::List, &format!("{CLIENT}{id}")).await?;
    changed(gate).await;
    revoke::all_of(gate, api, id, revoke::Trace::Left).await?;
    Ok(found)
}

/// Takes the stored form out of the set that holds clients whole.
async fn unlist(gate: &Gate, names: Names<'_>, key: &str) -> Result<(), Unavailable> {
    if let Some(before) = gate.state.record(key).await?
        && let Ok(before) = std::str::from_utf8(&before)
    {
        gate.state.remove_member(&names.set(), Sort::Set, before).await?;
    }
    Ok(())
}

/// Every node forgets which clients it has seen; this one at once.
async fn changed(gate: &Gate) {
    gate.oauth.forget();
    gate.watched.doubt_papers();
    let signal = Signal::Other { command: SIGNAL.to_owned(), payload: String::new() };
    if let Err(away) = gate.state.publish(signal).await {
        tracing::warn!(%away, "other gateways cannot be told of a changed OAuth client; they find out when what they know ages");
    }
}

/// The clients of an API, in the order in which they were made.
pub(crate) async fn list(gate: &Gate, api: &str, org: &str) -> Result<Vec<Client>, Unavailable> {
    let names = Names(api);
    let mut ids: Vec<String> = Vec::new();
    for (name, _) in gate.state.members(&names.index(org), Sort::List).await? {
        if let Some(at) = name.find(CLIENT) {
            ids.push(name[at + CLIENT.len()..].to_owned());
        }
    }
    for (record, _) in gate.state.members(&names.set(), Sort::Set).await? {
        ids.extend(read::<Client>(record.as_bytes()).map(|client| client.id));
    }
    if ids.is_empty() {
        // Nobody has kept a list.
        let prefix = names.client("");
        let keys = gate.state.record_keys(&prefix).await?;
        ids.extend(keys.iter().filter_map(|key| key.strip_prefix(&prefix)).map(str::to_owned));
    }
    let of_api = catalogued(api, "");
    let kept = gate.catalog.papers(Kind::Client);
    ids.extend(kept.iter().filter_map(|id| id.strip_prefix(&of_api)).map(str::to_owned));
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    let mut clients = Vec::with_capacity(ids.len());
    for ids in ids.chunks(AT_ONCE) {
        let found: Vec<_> = ids.iter().map(|id| find(gate, api, id)).collect();
        clients.extend(try_join_all(found).await?.into_iter().flatten());
    }
    Ok(clients)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_its_client_alone() {
        let client = |secret: &str| Client { secret: Secret(secret.into()), ..Client::default() };
        for (stored, given, opens) in [
            ("hush", "hush", true),
            ("hush", "Hush", false),
            ("hush", "hus", false),
            ("hush", "", false),
            ("", "", false),
        ] {
            assert_eq!(client(stored).opens(given), opens, "{stored} {given}");
        }
        assert!(!Client { public: true, ..client("hush") }.opens("hush"), "who is public has none");
        let (one, other) = (unguessable().unwrap(), unguessable().unwrap());
        assert!(one != other && one.0.len() == 43);
        assert!(!format!("{:?}", client("hush")).contains("hush"));
    }

    #[test]
    fn a_client_is_public_where_its_record_says_so_and_nowhere_else() {
        let read = |text: &str| read::<Client>(text.as_bytes()).map(|client| client.public);
        assert_eq!(read(r#"{"id": "a", "secret": ""}"#), Some(false));
        assert_eq!(read(r#"{"id": "a", "secret": "", "public": false}"#), Some(false));
        assert_eq!(read(r#"{"id": "a", "secret": "", "public": true}"#), Some(true));
        assert_eq!(read(r#"{"id": "a", "secret": "", "public": "true"}"#), None);
        let written = |public| String::from_utf8(write(&Client { public, ..Client::default() })).unwrap();
        assert!(written(true).contains(r#""public":true"#) && !written(false).contains("public"));
    }
}
