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
use crate::settings::Settings;

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

    /// Those of the list of an API, and those that count for all APIs.
    pub(crate) fn of_api(own: &[Box<str>], settings: &Settings) -> Self {
        Self::new(own.iter().chain(&settings.certificates.of_all_apis).cloned())
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
        self.admit_shown(store, shown).await
    }

    /// The same of a certificate that a client has shown.
    pub(crate) async fn admit_shown(
        &self,
        store: &CertificateStore,
        shown: &ClientCertificate,
    ) -> Result<(), Refusal> {
        // The list is looked through for the certificate itself before any signature is checked. What has been taken out
        // of the store admits nobody, whatever the list says.
        let (mut authorities, mut away) = (Vec::new(), None);
        for reference in &self.allowed {
            match store.get(reference).await {
                Ok(Some(known)) if known.fingerprint == shown.fingerprint => return in_force(shown),
                Ok(Some(known)) if known.is_authority => authorities.push(known),
                Ok(_) => {}
                Err(unavailable) => away = Some(unavailable),
            }
        }
        let now = unix_now();
        authorities.retain(|authority| !authority.has_expired(now));
        if authorities.iter().any(|authority| vouches(authority, shown)) {
            return in_force(shown);
        }
        match away {
            // One that could not be looked at may be the one that admits.
            Some(unavailable) => Err(Refusal::store_away(unavailable)),
            None => Err(refused(format!("Certificate with SHA256 {} not allowed", shown.fingerprint))),
        }
    }
}

fn in_force(shown: &ClientCertificate) -> Result<(), Refusal> {
    if shown.not_after < unix_now() { Err(refused("Certificate has expired")) } else { Ok(()) }
}

fn refused(message: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::client(StatusCode::FORBIDDEN, "CRQ", message)
}

/// Whether an authority of the list has signed what the client has shown: checked once for each connection, for a while.
fn vouches(authority: &Certificate, shown: &ClientCertificate) -> bool {
    shown.verdicts.of(&authority.fingerprint, || has_signed(authority, shown))
}

fn has_signed(authority: &Certificate, shown: &ClientCertificate) -> bool {
    let Some(root) = authority.chain.first() else { return false };
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
