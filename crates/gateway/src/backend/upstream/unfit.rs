//! Certificates of upstreams that do not fit, with more of why than TLS has words for.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why one does not fit.
pub(super) struct Unfit {
    /// What refusals because of it are called.
    pub(super) flag: &'static str,
    pub(super) text: Box<str>,
}

impl Unfit {
    pub(super) fn error(flag: &'static str, text: impl Into<Box<str>>) -> Error {
        let unfit = Self { flag, text: text.into() };
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(unfit))))
    }
}

/// Errors of TLS are shown in this form.
impl fmt::Debug for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Unfit {}

/// The same error, but where nobody could be found who vouches for a certificate that came alone: then it may be the server
/// that left out those in between.
pub(super) fn explained(error: Error, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Error {
    if error != Error::InvalidCertificate(CertificateError::UnknownIssuer) {
        return error;
    }
    match missing(leaf, others) {
        None => error,
        Some(issuer) => Unfit::error(
            "TLC",
            format!("UnknownIssuer, and the certificate of `{issuer}` did not come along"),
        ),
    }
}

/// Who signed a certificate, where that is somebody else whose certificate did not come along.
fn missing(leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Option<String> {
    let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
    let is_issuer = |other: &CertificateDer<'_>| {
        X509Certificate::from_der(other).is_ok_and(|(_, other)| other.subject() == leaf.issuer())
    };
    let is_missing = leaf.subject() != leaf.issuer() && !others.iter().any(is_issuer);
    is_missing.then(|| leaf.issuer().to_string())
}

/// Checks certificates by the usual rules.
#[derive(Debug)]
pub(super) struct Usual(pub(super) Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Usual {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.0.verify_server_cert(leaf, others, name, ocsp_response, now);
        verified.map_err(|error| explained(error, leaf, others))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
