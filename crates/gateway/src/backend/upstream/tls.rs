//! The TLS side of connections to upstreams.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    SupportedCipherSuite, version,
};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::security::Security;
use super::unfit::{Unfit, Usual, explained};
use crate::listen::tls::{TlsError, provider, read_certificates};

/// Where Debian, Fedora and Alpine keep the roots that the machine's owner trusts.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// SHA-256 of a public key (`SubjectPublicKeyInfo`).
pub(super) type Pin = [u8; 32];

/// What both sides prove beyond what is usual.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    /// The upstream has one of these keys, and nothing else about it counts.
    pub(super) pins: Option<Box<[Pin]>>,
    /// What the gate shows.
    pub(super) certified: Option<Arc<CertifiedKey>>,
}

/// A client configuration. `alpn` is offered in this order.
///
/// # Errors
/// Versions and ciphers that leave nothing.
pub(crate) fn config(
    security: &Security,
    roots: &Arc<RootCertStore>,
    proof: &Proof,
    alpn: &[&[u8]],
) -> Result<ClientConfig, TlsError> {
    let mut provider = provider().as_ref().clone();
    if !security.ciphers.is_empty() {
        let chooses_1_3 =
            provider.cipher_suites.iter().any(|suite| is_1_3(suite) && is_listed(suite, security));
        provider.cipher_suites.retain(|suite| is_listed(suite, security) || (is_1_3(suite) && !chooses_1_3));
    }
    let provider = Arc::new(provider);
    let max = if security.max_version == 0 { 772 } else { security.max_version };
    let versions: Vec<_> = [(771, &version::TLS12), (772, &version::TLS13)]
        .into_iter()
        .filter(|(number, _)| (security.min_version..=max).contains(number))
        .map(|(_, version)| version)
        .collect();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| TlsError::new(format!("cannot set up tls to upstreams: {error}")))?;
    let builder = if security.insecure || security.common_name || proof.pins.is_some() {
        let verifier = Verifier {
            insecure: security.insecure,
            common_name: security.common_name,
            pins: proof.pins.clone(),
            roots: Arc::clone(roots),
            provider,
        };
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
    } else {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider).build();
        let verifier =
            verifier.map_err(|error| TlsError::new(format!("cannot set up tls to upstreams: {error}")))?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Usual(verifier)))
    };
    let mut config = match &proof.certified {
        None => builder.with_no_client_auth(),
        Some(key) => {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key.as_ref().clone())))
        }
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

fn is_1_3(suite: &SupportedCipherSuite) -> bool {
    suite.tls13().is_some()
}

/// By its IANA name; rustls writes that of TLS 1.3 with the version in it.
fn is_listed(suite: &SupportedCipherSuite, security: &Security) -> bool {
    let name = suite.suite().as_str().unwrap_or_default().replacen("TLS13_", "TLS_", 1);
    security.ciphers.iter().any(|listed| **listed == *name)
}

/// Mozilla's roots and the machine's, read once. Blocking: reads files.
pub(crate) fn usual_roots() -> &'static Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let configured = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        let places = configured.into_iter().chain(SYSTEM_ROOTS.map(PathBuf::from));
        if let Some(certificates) = places.into_iter().find_map(|path| read_certificates(&path).ok()) {
            roots.add_parsable_certificates(certificates);
        }
        Arc::new(roots)
    })
}

/// Takes certificates by other rules than the usual ones; that the peer holds its key is checked in any case.
#[derive(Debug)]
struct Verifier {
    /// Any certificate is taken.
    insecure: bool,
    /// Its common name has to be the host.
    common_name: bool,
    pins: Option<Box<[Pin]>>,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn is_pinned(pins: &[Pin], certificate: &CertificateDer<'_>) -> bool {
        let digest = X509Certificate::from_der(certificate)
            .ok()
            .map(|(_, certificate)| Pin::from(Sha256::digest(certificate.public_key().raw)));
        digest.is_some_and(|digest| pins.contains(&digest))
    }

    /// Whether the upstream has a pinned key, or a certificate by an authority that has one. An authority counts only where
    /// it has signed: anybody can send its certificate along.
    fn has_pinned(
        &self,
        pins: &[Pin],
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> bool {
        let Ok(parsed) = ParsedCertificate::try_from(leaf) else { return false };
        let vouches = |authority: &CertificateDer<'_>| {
            let mut roots = RootCertStore::empty();
            roots.add(authority.clone().into_owned()).is_ok()
                && self.vouches(&roots, &parsed, others, now).is_ok()
        };
        Self::is_pinned(pins, leaf) || others.iter().filter(|other| Self::is_pinned(pins, other)).any(vouches)
    }

    fn vouches(
        &self,
        roots: &RootCertStore,
        leaf: &ParsedCertificate<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(leaf, roots, others, now, algorithms)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(pins) = &self.pins {
            if !self.has_pinned(pins, leaf, others, now) {
                let text = "certificate public key pinning error. Public keys do not match.";
                return Err(Unfit::error("TLI", text));
            }
        } else if !self.insecure {
            let parsed = ParsedCertificate::try_from(leaf)?;
            self.vouches(&self.roots, &parsed, others, now)
                .map_err(|error| explained(error, leaf, others))?;
            // Old certificates have a common name and no other, which is then checked below.
            if !self.common_name || has_alternative_names(leaf) {
                verify_server_name(&parsed, name)?;
            }
        }
        if self.common_name {
            check_common_name(leaf, &name.to_str())?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn has_alternative_names(certificate: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(certificate)
        .is_ok_and(|(_, certificate)| !matches!(certificate.subject_alternative_name(), Ok(None)))
}

/// Whether the common name is the host, or a wildcard for it (one label).
fn check_common_name(certificate: &CertificateDer<'_>, host: &str) -> Result<(), rustls::Error> {
    let malformed = || rustls::Error::InvalidCertificate(CertificateError::BadEncoding);
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| malformed())?;
    let subject = parsed.subject();
    let name = subject.iter_common_name().filter_map(|part| part.as_str().ok()).next().unwrap_or_default();
    let domain = host.split_once('.').map(|(_, domain)| domain);
    let fits = name.eq_ignore_ascii_case(host)
        || name
            .strip_prefix("*.")
            .zip(domain)
            .is_some_and(|(name, domain)| name.eq_ignore_ascii_case(domain));
    if fits {
        return Ok(());
    }
    Err(Unfit::error("TLM", format!("certificate had CN {name}, expected {host}")))
}
