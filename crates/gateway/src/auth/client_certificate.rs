//! Static mutual TLS: only clients with a certificate of a list may call (contract 4.4 row 9, 5.9).

use std::sync::Arc;

use http::StatusCode;
use rustls::RootCertStore;
use rustls::pki_types::UnixTime;
use rustls::server::WebPkiClientVerifier;

use crate::certificates::{Certificate, CertificateStore};
use crate::clock::unix_now;
use crate::exchange::{Exchange, Peer};
use crate::listen::ClientCertificate;
use crate::listen::tls::provider;
use crate::respond::Refusal;

/// Admits clients by the certificate that they have shown.
#[derive(Debug)]
pub(crate) struct ClientCertificates {
    /// Ids, or PEM files.
    allowed: Box<[Box<str>]>,
}

impl ClientCertificates {
    pub(crate) fn new(allowed: impl IntoIterator<Item = Box<str>>) -> Self {
        Self { allowed: allowed.into_iter().collect() }
    }

    pub(crate) async fn pass(&self, exchange: &Exchange) -> Result<(), Refusal> {
        self.admit(&exchange.gate.certificates, &exchange.peer).await
    }

    /// Whether this client is on the list; why not, if not.
    pub(crate) async fn admit(&self, store: &CertificateStore, peer: &Peer) -> Result<(), Refusal> {
        let Some(tls) = &peer.tls else { return Err(refused("TLS not enabled")) };
        let Some(shown) = tls.certificate() else {
            return Err(refused("Client TLS certificate is required"));
        };
        for reference in &self.allowed {
            // The id of a certificate ends with its fingerprint; what is stored under it need not be read.
            let admits = reference.ends_with(&*shown.fingerprint)
                || match store.get(reference).await.map_err(Refusal::store_away)? {
                    Some(known) => known.fingerprint == shown.fingerprint || vouches(&known, shown),
                    None => false,
                };
            if admits {
                return in_force(shown);
            }
        }
        Err(refused(format!("Certificate with SHA256 {} not allowed", shown.fingerprint)))
    }
}

fn in_force(shown: &ClientCertificate) -> Result<(), Refusal> {
    if shown.not_after < unix_now() { Err(refused("Certificate has expired")) } else { Ok(()) }
}

fn refused(message: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::client(StatusCode::FORBIDDEN, "CRQ", message)
}

/// Whether an authority of the list has signed what the client has shown.
fn vouches(authority: &Certificate, shown: &ClientCertificate) -> bool {
    let Some(root) = authority.chain.first().filter(|_| authority.is_authority) else { return false };
    let Some((leaf, between)) = shown.chain.split_first() else { return false };
    let mut roots = RootCertStore::empty();
    if roots.add(root.clone()).is_err() {
        return false;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    // A certificate that has ended is told as such by the caller: here it is judged as of its last moment.
    let then = u64::try_from(shown.not_after.min(unix_now())).unwrap_or(0);
    let then = UnixTime::since_unix_epoch(std::time::Duration::from_secs(then));
    verifier.is_ok_and(|verifier| verifier.verify_client_cert(leaf, between, then).is_ok())
}
