//! Where certificates lie: the state store, under the keys that others read (contract 5.1), and files.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use state::{Secret, Signal, Sort, State, Unavailable};

use super::Certificate;
use super::read::{ReadError, read};
use crate::clock::unix_now;

/// How many are kept at hand.
const KEPT: usize = 10_000;
/// How long one is believed to be as it was read. Changes are told to all nodes; this is for what they miss.
const BELIEVED: Duration = Duration::from_secs(60);

/// The certificates that definitions and keys name.
#[derive(Debug)]
pub(crate) struct CertificateStore {
    state: State,
    passphrase: Secret,
    /// By reference; `None` for those that do not exist.
    known: Cache<Box<str>, (Instant, Option<Arc<Certificate>>)>,
}

/// Why a certificate is not added.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("Certificate with {0} id already exists")]
    Exists(Box<str>),
    #[error("certificate is expired")]
    Expired,
    #[error(transparent)]
    Away(#[from] Unavailable),
}

impl CertificateStore {
    pub(crate) fn new(state: State, passphrase: Secret) -> Self {
        Self { state, passphrase, known: Cache::new(KEPT) }
    }

    /// Reads a PEM text without storing it.
    pub(crate) fn read(&self, org: &str, text: &[u8]) -> Result<Certificate, ReadError> {
        read(text, org, self.passphrase.expose())
    }

    /// Stores a PEM text; every node can use it from then on.
    pub(crate) async fn add(&self, org: &str, text: &[u8]) -> Result<Arc<Certificate>, AddError> {
        let certificate = self.read(org, text)?;
        if certificate.has_expired(unix_now()) {
            return Err(AddError::Expired);
        }
        let key = record_key(&certificate.id);
        if self.state.record(&key).await?.is_some() {
            return Err(AddError::Exists(certificate.id));
        }
        let text = certificate.write(self.passphrase.expose()).ok_or(ReadError::OtherKey)?;
        self.state.put_record(&key, text.as_bytes(), None).await?;
        self.state.add_member(&index_key(org), Sort::List, &certificate.id, 0.0).await?;
        self.tell(&certificate.id).await;
        Ok(Arc::new(certificate))
    }

    /// Removes a certificate; tells whether it was there.
    pub(crate) async fn remove(&self, org: &str, id: &str) -> Result<bool, Unavailable> {
        let found = self.state.delete_record(&record_key(id)).await?;
        self.state.remove_member(&index_key(org), Sort::List, id).await?;
        self.tell(id).await;
        Ok(found)
    }

    /// The ids of an organisation's certificates.
    pub(crate) async fn list(&self, org: &str) -> Result<Vec<String>, Unavailable> {
        let members = self.state.members(&index_key(org), Sort::List).await?;
        Ok(members.into_iter().map(|(id, _)| id).collect())
    }

    /// The certificate of an id, or of a PEM file.
    pub(crate) async fn get(&self, reference: &str) -> Result<Option<Arc<Certificate>>, Unavailable> {
        if let Some((read_at, certificate)) = self.known.get(reference)
            && read_at.elapsed() < BELIEVED
        {
            return Ok(certificate);
        }
        let read_at = Instant::now();
        let text = match self.state.record(&record_key(reference)).await? {
            Some(text) => Some(text.to_vec()),
            None => file(reference).await,
        };
        let certificate = text.and_then(|text| match self.read(org_of(reference), &text) {
            Ok(certificate) => Some(Arc::new(certificate)),
            Err(error) => {
                tracing::error!(certificate = reference, %error, "a certificate cannot be used");
                None
            }
        });
        self.known.insert(reference.into(), (read_at, certificate.clone()));
        Ok(certificate)
    }

    /// Forgets what was read of a certificate that another node changed.
    pub(crate) fn forget(&self, id: &str) {
        self.known.remove(id);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.known.clear();
    }

    async fn tell(&self, id: &str) {
        self.forget(id);
        // The other nodes find out by themselves a little later.
        if let Err(away) = self.state.publish(Signal::CertificateChanged(id.to_owned())).await {
            tracing::warn!(certificate = id, %away, "other nodes were not told of a changed certificate");
        }
    }
}

async fn file(reference: &str) -> Option<Vec<u8>> {
    if !Path::new(reference).is_absolute() && !reference.contains(['/', '.']) {
        return None;
    }
    tokio::fs::read(reference).await.ok()
}

/// The organisation that an id begins with.
fn org_of(id: &str) -> &str {
    let end = id.len().saturating_sub(64);
    if id.is_char_boundary(end) && id[end..].bytes().all(|byte| byte.is_ascii_hexdigit()) {
        &id[..end]
    } else {
        ""
    }
}

fn record_key(id: &str) -> String {
    format!("cert-raw-{id}")
}

fn index_key(org: &str) -> String {
    format!("cert-{org}-index")
}
