//! What is kept of orders: the account, which certificate a name has, what failed and who is at it. All of it lies in the
//! state, for every node and for the next start; the certificates themselves lie in the store of certificates.

use std::sync::Arc;
use std::time::Duration;

use pem::Pem;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use state::{State, Unavailable};

use super::pace;
use crate::certificates::{fingerprint, open_key, seal_key};
use crate::clock::unix_now;
use crate::gate::Gate;

/// How long one attempt may take, and what it leaves behind is kept.
pub(super) const ATTEMPT: Duration = Duration::from_secs(300);
/// How much longer the place of who is at it is held, so that no two are.
const SLACK: Duration = Duration::from_secs(30);
/// How long it is remembered that something failed.
const FAILED: Duration = Duration::from_secs(86_400);

/// An account with a directory.
#[derive(Serialize, Deserialize)]
pub(super) struct Account {
    /// Its address.
    pub(super) id: String,
    /// Its private key as PEM, encrypted as those of certificates are.
    key: String,
}

/// Which certificate of the store a name has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Obtained {
    pub(super) id: String,
    pub(super) directory: String,
    /// Unix seconds, as are all times here.
    pub(super) at: i64,
    pub(super) not_after: i64,
}

/// What went wrong, and when to try again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) directory: String,
    /// How often in a row.
    pub(super) times: u32,
    pub(super) until: i64,
    pub(super) error: String,
}

pub(super) fn http_key(token: &str) -> String {
    format!("acme-http-{token}")
}

pub(super) fn tls_key(domain: &str) -> String {
    format!("acme-tls-{domain}")
}

fn account_key(directory: &str) -> String {
    format!("acme-account-{}", fingerprint(directory.as_bytes()))
}

fn obtained_key(domain: &str) -> String {
    format!("acme-certificate-{domain}")
}

fn failure_key(domain: &str) -> String {
    format!("acme-failure-{domain}")
}

fn place_key(domain: &str) -> String {
    format!("acme-lock-{domain}")
}

/// A record of ours; one that cannot be read counts as none.
async fn read<T: DeserializeOwned>(state: &State, key: &str) -> Result<Option<T>, Unavailable> {
    let Some(text) = state.record(key).await? else { return Ok(None) };
    match serde_json::from_slice(&text) {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            tracing::error!(key, %error, "what was kept of acme cannot be read and is made anew");
            Ok(None)
        }
    }
}

async fn write<T: Serialize>(
    state: &State,
    key: &str,
    value: &T,
    life: Option<Duration>,
) -> Result<(), Unavailable> {
    let text = serde_json::to_vec(value).unwrap_or_default();
    state.put_record(key, &text, life).await
}

/// The account's address and its private key (PKCS#8), if there is one with this directory.
pub(super) async fn account(gate: &Gate, directory: &str) -> Result<Option<(String, Vec<u8>)>, Unavailable> {
    let Some(kept) = read::<Account>(&gate.state, &account_key(directory)).await? else { return Ok(None) };
    let key = open_key(&kept.key, gate.settings.certificates.passphrase.expose());
    if key.is_none() {
        tracing::error!(
            directory,
            "the key of the acme account cannot be decrypted: was private_certificate_encoding_secret changed? A new account is made"
        );
    }
    Ok(key.map(|key| (kept.id, key)))
}

pub(super) async fn put_account(
    gate: &Gate,
    directory: &str,
    id: &str,
    key: &[u8],
) -> Result<(), Unavailable> {
    let Some(key) = seal_key(key, gate.settings.certificates.passphrase.expose()) else {
        tracing::error!(directory, "the key of the acme account cannot be encrypted and is not kept");
        return Ok(());
    };
    let account = Account { id: id.to_owned(), key };
    write(&gate.state, &account_key(directory), &account, None).await
}

/// Forgets an account that its directory does not know any more.
pub(super) async fn forget_account(gate: &Gate, directory: &str) -> Result<(), Unavailable> {
    gate.state.delete_record(&account_key(directory)).await.map(|_| ())
}

pub(super) async fn obtained(gate: &Gate, domain: &str) -> Result<Option<Obtained>, Unavailable> {
    read(&gate.state, &obtained_key(domain)).await
}

pub(super) async fn put_obtained(gate: &Gate, domain: &str, obtained: &Obtained) -> Result<(), Unavailable> {
    write(&gate.state, &obtained_key(domain), obtained, None).await?;
    gate.state.delete_record(&failure_key(domain)).await?;
    Ok(())
}

/// What failed last with this directory.
pub(super) async fn failure(
    gate: &Gate,
    domain: &str,
    directory: &str,
) -> Result<Option<Failure>, Unavailable> {
    let failure = read::<Failure>(&gate.state, &failure_key(domain)).await?;
    Ok(failure.filter(|failure| failure.directory == directory))
}

/// Notes one more failure.
pub(super) async fn put_failure(
    gate: &Gate,
    domain: &str,
    directory: &str,
    error: &str,
) -> Result<Failure, Unavailable> {
    let times = failure(gate, domain, directory).await?.map_or(0, |before| before.times).saturating_add(1);
    let failure = Failure {
        directory: directory.to_owned(),
        times,
        until: unix_now() + pace::wait(times),
        error: error.to_owned(),
    };
    write(&gate.state, &failure_key(domain), &failure, Some(FAILED)).await?;
    Ok(failure)
}

/// Takes the place of who obtains a certificate for a name; `None` where another node has it.
pub(super) async fn place(gate: &Arc<Gate>, domain: &str) -> Result<Option<Place>, Unavailable> {
    let key = place_key(domain);
    let taken = gate.state.put_new_record(&key, b"taken", Some(ATTEMPT + SLACK)).await?;
    Ok(taken.then(|| Place { gate: Arc::clone(gate), key }))
}

/// Held while one node obtains a certificate.
pub(super) struct Place {
    gate: Arc<Gate>,
    key: String,
}

impl Place {
    /// Lets others have it.
    pub(super) async fn leave(self) {
        if let Err(away) = self.gate.state.delete_record(&self.key).await {
            tracing::warn!(%away, "the place of who obtains a certificate is given back when its time is over");
        }
    }
}

/// A private key as a PEM text.
pub(super) fn pem_of(key: Vec<u8>) -> String {
    pem::encode(&Pem::new("PRIVATE KEY", key))
}
