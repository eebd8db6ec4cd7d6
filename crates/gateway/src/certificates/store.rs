//! Where certificates lie: the catalog, where it keeps some; the state store, under the keys that others read (contract
//! 5.1); and files. New ones go to the catalog, or else to the state.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use state::{Catalog, CatalogError, Kind, Secret, Signal, Sort, State, Unavailable};

use super::Certificate;
use super::files::{self, FINGERPRINT, is_id};
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
    catalog: Arc<Catalog>,
    passphrase: Secret,
    /// By reference; `None` for those that do not exist.
    known: Cache<Box<str>, Known>,
    /// Counts what was forgotten, so that what was read before is not kept after it.
    purges: AtomicU64,
}

#[derive(Debug, Clone)]
struct Known {
    read_at: Instant,
    certificate: Option<Arc<Certificate>>,
    /// It came from a file, not from the store.
    of_file: bool,
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
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// Why a certificate is not removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoveError {
    #[error(transparent)]
    Away(#[from] Unavailable),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl CertificateStore {
    pub(crate) fn new(state: State, catalog: Arc<Catalog>, passphrase: Secret) -> Self {
        Self { state, catalog, passphrase, known: Cache::new(KEPT), purges: AtomicU64::new(0) }
    }

    /// Reads a PEM text without storing it.
    pub(crate) fn read(&self, org: &str, text: &[u8]) -> Result<Certificate, ReadError> {
        read(text, org, self.passphrase.expose())?.with_its_key()
    }

    /// Stores a PEM text; every node can use it from then on.
    pub(crate) async fn add(&self, org: &str, text: &[u8]) -> Result<Arc<Certificate>, AddError> {
        let certificate = self.read(org, text)?;
        if certificate.has_expired(unix_now()) {
            return Err(AddError::Expired);
        }
        let key = record_key(&certificate.id);
        if self.catalog.paper(Kind::Certificate, &certificate.id).is_some()
            || self.state.record(&key).await?.is_some()
        {
            return Err(AddError::Exists(certificate.id));
        }
        let text = certificate.write(self.passphrase.expose()).ok_or(ReadError::OtherKey)?;
        if self.catalog.keeps_papers() {
            self.catalog.put_paper(Kind::Certificate, &certificate.id, &text).await?;
        } else {
            self.state.put_record(&key, text.as_bytes(), None).await?;
            self.state.add_member(&index_key(org), Sort::List, &certificate.id, 0.0).await?;
        }
        self.tell(&certificate.id).await;
        Ok(Arc::new(certificate))
    }

    /// Removes a certificate; tells whether it was there.
    pub(crate) async fn remove(&self, org: &str, id: &str) -> Result<bool, RemoveError> {
        let catalogued =
            self.catalog.keeps_papers() && self.catalog.delete_paper(Kind::Certificate, id).await?;
        let found = self.state.delete_record(&record_key(id)).await? || catalogued;
        self.state.remove_member(&index_key(org), Sort::List, id).await?;
        self.tell(id).await;
        Ok(found)
    }

    /// The ids of an organisation's certificates.
    pub(crate) async fn list(&self, org: &str) -> Result<Vec<String>, Unavailable> {
        let members = self.state.members(&index_key(org), Sort::List).await?;
        let mut ids: Vec<String> = members.into_iter().map(|(id, _)| id).collect();
        let catalogued = self.catalog.papers(Kind::Certificate);
        let catalogued = catalogued.iter().filter(|id| org_of(id) == org).map(ToString::to_string);
        let fresh: Vec<String> = catalogued.filter(|id| !ids.contains(id)).collect();
        ids.extend(fresh);
        Ok(ids)
    }

    /// The certificate of an id, or of a PEM file: for references that operators wrote.
    pub(crate) async fn get(&self, reference: &str) -> Result<Option<Arc<Certificate>>, Unavailable> {
        Ok(self.find(reference).await?.certificate)
    }

    /// The certificate of an id, if the store holds it. No file is looked at.
    pub(crate) async fn stored(&self, id: &str) -> Result<Option<Arc<Certificate>>, Unavailable> {
        if !is_id(id) {
            return Ok(None);
        }
        let found = self.find(id).await?;
        Ok(found.certificate.filter(|_| !found.of_file))
    }

    async fn find(&self, reference: &str) -> Result<Known, Unavailable> {
        if let Some(known) = self.known.get(reference).filter(|known| known.read_at.elapsed() < BELIEVED) {
            return Ok(known);
        }
        let purges = self.purges.load(Ordering::Acquire);
        let read_at = Instant::now();
        let stored = match self.catalog.paper(Kind::Certificate, reference) {
            Some(text) => Some(text.as_bytes().to_vec()),
            None => self.state.record(&record_key(reference)).await?.map(|text| text.to_vec()),
        };
        let of_file = stored.is_none();
        let text = match stored {
            Some(text) => Some(text),
            None => files::read(reference).await,
        };
        let certificate = text.and_then(|text| match self.read(org_of(reference), &text) {
            Ok(certificate) => Some(Arc::new(certificate)),
            Err(error) => {
                tracing::error!(certificate = reference, %error, "a certificate cannot be used");
                None
            }
        });
        let known = Known { read_at, certificate, of_file };
        self.keep(reference, &known, purges);
        Ok(known)
    }

    /// `purges`: as they were before it was read.
    fn keep(&self, reference: &str, known: &Known, purges: u64) {
        self.known.insert(reference.into(), known.clone());
        if self.purges.load(Ordering::Acquire) != purges {
            // Something changed while it was read: whoever asked may use it, the next one asks again.
            self.known.remove(reference);
        }
    }

    /// Forgets what was read of a certificate that another node changed.
    pub(crate) fn forget(&self, id: &str) {
        self.purges.fetch_add(1, Ordering::AcqRel);
        self.known.remove(id);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.purges.fetch_add(1, Ordering::AcqRel);
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

/// The organisation that an id begins with.
fn org_of(id: &str) -> &str {
    if is_id(id) { &id[..id.len() - FINGERPRINT] } else { "" }
}

fn record_key(id: &str) -> String {
    format!("cert-raw-{id}")
}

fn index_key(org: &str) -> String {
    format!("cert-{org}-index")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_read_while_it_changes_is_not_kept() {
        let state = State::embedded(None).unwrap();
        let store = CertificateStore::new(
            state,
            Arc::new(Catalog::files("", state::PolicySource::None)),
            Secret::default(),
        );
        let made = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap();
        let text = pem::encode(&pem::Pem::new("CERTIFICATE", made.cert.der().to_vec()));
        let id = store.add("org", text.as_bytes()).await.unwrap().id.clone();
        let changes: [&dyn Fn(); 2] = [&|| store.forget(&id), &|| store.clear()];
        for change in changes {
            let purges = store.purges.load(Ordering::Acquire);
            let read = store.find(&id).await.unwrap();
            assert!(read.certificate.is_some());
            change();
            store.keep(&id, &read, purges);
            assert!(store.known.get(&*id).is_none());
        }
        assert!(store.get(&id).await.unwrap().is_some());
        assert!(store.remove("org", &id).await.unwrap());
        assert!(store.get(&id).await.unwrap().is_none());
        assert!(store.stored(&id).await.unwrap().is_none());
    }
}
