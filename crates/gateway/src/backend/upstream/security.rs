//! What TLS to an upstream is like: what is offered, which certificate the gate shows, and which ones it takes. Upstreams
//! share connections only where all of it is the same.

use std::sync::Arc;

use apidef::{Target, UpstreamTls};
use parking_lot::Mutex;
use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

use super::tls::{self, Pin, Proof};
use super::{ClientTls, UpstreamSettings};
use crate::certificates::{Certificate, CertificateStore};
use crate::listen::tls::TlsError;

/// What TLS to an upstream is like.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Security {
    /// Whether the upstream's certificate is not checked.
    pub(super) insecure: bool,
    /// 0: no bound.
    pub(super) min_version: u16,
    pub(super) max_version: u16,
    /// Empty: all.
    pub(super) ciphers: Box<[Box<str>]>,
    /// The common name of the upstream's certificate has to be its host.
    pub(super) common_name: bool,
    /// The certificate that the gate shows.
    certificate: Option<Box<str>>,
    /// Public keys one of which the upstream has to have.
    pins: Option<Box<[Box<str>]>>,
}

impl Security {
    /// As the gate has it for all upstreams.
    pub(crate) fn usual(common: &UpstreamTls, insecure: bool) -> Self {
        Self {
            insecure,
            min_version: common.min_version,
            max_version: common.max_version,
            ciphers: common.ciphers.clone(),
            common_name: common.common_name,
            certificate: None,
            pins: None,
        }
    }

    /// As an API has it; what it does not say is as usual.
    pub(crate) fn of(model: &UpstreamTls, target: &Target, common: &UpstreamTls) -> Self {
        let or = |own: u16, usual: u16| if own == 0 { usual } else { own };
        let (host, port) = (&*target.host, target.port);
        Self {
            insecure: model.insecure_skip_verify || common.insecure_skip_verify,
            min_version: or(model.min_version, common.min_version),
            max_version: or(model.max_version, common.max_version),
            ciphers: if model.ciphers.is_empty() { common.ciphers.clone() } else { model.ciphers.clone() },
            common_name: model.common_name || common.common_name,
            certificate: model
                .certificates
                .get(host, port)
                .or_else(|| common.certificates.get(host, port))
                .cloned(),
            pins: model.pins.get(host, port).or_else(|| common.pins.get(host, port)).cloned(),
        }
    }

    /// The client for it.
    pub(crate) fn client(
        self,
        settings: &UpstreamSettings,
        store: &Arc<CertificateStore>,
    ) -> Result<Client, String> {
        if self == Self::usual(&settings.common, self.insecure) {
            let usual = if self.insecure { &settings.insecure_tls } else { &settings.tls };
            return Ok(Client::Usual(usual.clone()));
        }
        // What nobody can build is told when the definition is read, not when the first client comes.
        tls::config(&self, tls::usual_roots(), &Proof::default(), &[]).map_err(|error| error.to_string())?;
        Ok(Client::Special(Arc::new(Special {
            security: self,
            http2: settings.http2,
            store: Arc::clone(store),
            built: Mutex::default(),
        })))
    }
}

/// Who speaks TLS to an upstream.
#[derive(Debug, Clone)]
pub(crate) enum Client {
    /// As to most.
    Usual(ClientTls),
    /// With certificates or rules of its own.
    Special(Arc<Special>),
}

/// TLS that is built when it is first needed, and anew when a certificate has changed.
#[derive(Debug)]
pub(crate) struct Special {
    security: Security,
    http2: bool,
    store: Arc<CertificateStore>,
    built: Mutex<Option<Built>>,
}

#[derive(Debug)]
struct Built {
    /// Fingerprint of the certificate that is shown.
    shown: Option<Box<str>>,
    pins: Option<Box<[Pin]>>,
    client: ClientTls,
}

/// Why there is no TLS to an upstream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecurityError {
    #[error("there is no certificate `{0}` to show")]
    Missing(Box<str>),
    #[error("the certificate `{0}` has no private key, or one that cannot be used")]
    WithoutKey(Box<str>),
    #[error("the certificate `{0}` cannot be had: {1}")]
    Away(Box<str>, state::Unavailable),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Special {
    /// The client as the certificates are now.
    pub(super) async fn client(&self) -> Result<ClientTls, SecurityError> {
        let certificate = match &self.security.certificate {
            None => None,
            Some(reference) => match self.store.get(reference).await {
                Ok(Some(certificate)) => Some(certificate),
                Ok(None) => return Err(SecurityError::Missing(reference.clone())),
                // What was there before the store went away still is a certificate.
                Err(away) => {
                    let built = self.built.lock().as_ref().map(|built| built.client.clone());
                    return built.ok_or_else(|| SecurityError::Away(reference.clone(), away));
                }
            },
        };
        let pins = match &self.security.pins {
            None => None,
            Some(pins) => Some(self.pins(pins).await),
        };
        let shown = certificate.as_ref().map(|certificate| certificate.fingerprint.clone());
        let mut slot = self.built.lock();
        if let Some(built) = slot.as_ref().filter(|built| built.shown == shown && built.pins == pins) {
            return Ok(built.client.clone());
        }
        let certified = certificate.as_deref().map(certified).transpose()?;
        let proof = Proof { pins: pins.clone(), certified };
        let client = ClientTls::build(&self.security, tls::usual_roots(), &proof, self.http2)?;
        *slot = Some(Built { shown, pins, client: client.clone() });
        Ok(client)
    }

    /// Digests of public keys. A pin is one, or ends with one, or names what is stored.
    async fn pins(&self, written: &[Box<str>]) -> Box<[Pin]> {
        let mut pins = Vec::with_capacity(written.len());
        for pin in written {
            pins.extend(digest(pin));
            match self.store.get(pin).await {
                Ok(Some(known)) => pins.push(Sha256::digest(&known.public_key).into()),
                Ok(None) => {}
                // Without it the upstream is refused, unless another pin fits.
                Err(away) => tracing::warn!(pin = &**pin, %away, "a pinned key cannot be looked up"),
            }
        }
        pins.into()
    }
}

fn certified(certificate: &Certificate) -> Result<Arc<CertifiedKey>, SecurityError> {
    let key = certificate.certified_key().ok_or_else(|| SecurityError::WithoutKey(certificate.id.clone()))?;
    Ok(Arc::new(key))
}

/// The SHA-256 that a pin, or the id of a stored public key, ends with.
fn digest(pin: &str) -> Option<Pin> {
    let text = pin.get(pin.len().checked_sub(64)?..)?;
    let mut digest = Pin::default();
    for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = text
            .get(at..at + 2)
            .filter(|pair| !pair.starts_with('+'))
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())?;
    }
    Some(digest)
}

impl ClientTls {
    pub(super) fn build(
        security: &Security,
        roots: &Arc<RootCertStore>,
        proof: &Proof,
        http2: bool,
    ) -> Result<Self, TlsError> {
        let protocols: &[&[u8]] = if http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
        let client = |alpn| tls::config(security, roots, proof, alpn).map(Arc::new);
        Ok(Self { requests: client(protocols)?, upgrades: client(&[b"http/1.1"])? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_says_what_is_not_as_usual() {
        let target = Target::parse("https://a.b.test:8443/").unwrap();
        let by_host = |pattern: &str, value: &str| [(pattern.into(), value.into())].into_iter().collect();
        let common = UpstreamTls {
            min_version: 772,
            common_name: true,
            certificates: by_host("a.b.test", "of the gate"),
            ..UpstreamTls::default()
        };
        let plain = Security::of(&UpstreamTls::default(), &target, &common);
        assert_eq!(plain.certificate.as_deref(), Some("of the gate"));
        assert!(plain.min_version == 772 && plain.common_name && !plain.insecure);
        // The API's patterns come before all of the gate's.
        let own =
            UpstreamTls { min_version: 771, certificates: by_host("*", "own"), ..UpstreamTls::default() };
        let own = Security::of(&own, &target, &common);
        assert_eq!((own.certificate.as_deref(), own.min_version), (Some("own"), 771));
        let elsewhere = Target::parse("https://other/").unwrap();
        let usual = Security::of(&UpstreamTls::default(), &elsewhere, &common);
        assert_eq!(usual, Security::usual(&common, false));
        assert_ne!(usual, plain);
    }

    /// Entries that are called as their patterns are, and whose they are.
    fn named(whose: &str, patterns: &[&str]) -> apidef::ByHost<Box<str>> {
        let value = |pattern: &str| format!("{whose}{pattern}").into();
        patterns.iter().map(|pattern| ((*pattern).into(), value(pattern))).collect()
    }

    #[test]
    fn c12_row_6_the_nearest_host_counts_and_what_an_api_says_comes_before_what_the_gate_says() {
        let target = Target::parse("https://a.b.test:8443/").unwrap();
        // Patterns of the API, patterns of the gate, what counts.
        for (own, common, expected) in [
            (&["*"][..], &[][..], Some("api *")),
            (&["*", "*.b.test"], &[], Some("api *.b.test")),
            (&["*.b.test", "*.b.test:8443"], &[], Some("api *.b.test:8443")),
            (&["*.b.test:8443", "a.b.test"], &[], Some("api a.b.test")),
            (&["a.b.test", "a.b.test:8443"], &[], Some("api a.b.test:8443")),
            (&["*", "a.b.test:443", "*.test", "b.test"], &[], Some("api *")),
            (&["A.B.Test:8443"], &[], Some("api A.B.Test:8443")),
            (&[], &["*", "*.b.test"], Some("gate *.b.test")),
            (&[], &["a.b.test", "a.b.test:8443"], Some("gate a.b.test:8443")),
            // However near the gate's is.
            (&["*"], &["a.b.test:8443"], Some("api *")),
            (&["*.b.test"], &["a.b.test"], Some("api *.b.test")),
            // What the API says of others says nothing of this one.
            (&["other", "*.other"], &["*"], Some("gate *")),
            (&["other"], &["another"], None),
            (&[], &[], None),
        ] {
            let model = UpstreamTls { certificates: named("api ", own), ..UpstreamTls::default() };
            let usual = UpstreamTls { certificates: named("gate ", common), ..UpstreamTls::default() };
            let found = Security::of(&model, &target, &usual);
            assert_eq!(found.certificate.as_deref(), expected, "{own:?} {common:?}");
            let pins = |map: apidef::ByHost<Box<str>>| {
                map.iter().map(|(host, pin)| (host.into(), [pin.clone()].into())).collect()
            };
            let model = UpstreamTls { pins: pins(model.certificates), ..UpstreamTls::default() };
            let usual = UpstreamTls { pins: pins(usual.certificates), ..UpstreamTls::default() };
            let found = Security::of(&model, &target, &usual).pins;
            assert_eq!(found.as_deref().map(|pins| &*pins[0]), expected, "{own:?} {common:?}");
        }
    }

    #[test]
    fn c12_row_7_a_pin_ends_with_a_digest() {
        let digits = "00ff".repeat(16);
        let expected: Pin = std::array::from_fn(|at| if at % 2 == 0 { 0 } else { 255 });
        assert_eq!(digest(&digits), Some(expected));
        assert_eq!(digest(&digits.to_uppercase()), Some(expected));
        assert_eq!(digest(&format!("org{digits}")), Some(expected));
        for none in [
            "",
            "00ff",
            &digits[1..],
            &digits.replace('f', "g"),
            &digits.replace("ff", "+f"),
            &"é".repeat(40),
        ] {
            assert_eq!(digest(none), None, "{none}");
        }
    }
}
