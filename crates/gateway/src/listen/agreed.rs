//! What TLS agreed on with a client, in the words that messages carry it in (streams contract 2.4, "Metadata"), and the
//! certificate that it showed.

use std::sync::Arc;

use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;

use super::ClientStream;
use crate::certificates::fingerprint;

/// Version, cipher suite, and who the client is.
#[derive(Debug, Clone)]
pub(crate) struct Agreed {
    version: &'static str,
    suite: Option<&'static str>,
    certificate: Option<Arc<ClientCertificate>>,
}

/// The certificate that a client showed and whose key it holds.
#[derive(Debug)]
pub(crate) struct ClientCertificate {
    /// Hex SHA-256.
    pub(crate) fingerprint: Box<str>,
    /// The client's own, then those that vouch for it.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Unix seconds.
    pub(crate) not_after: i64,
}

impl ClientCertificate {
    fn read(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let leaf = chain.first()?;
        let (_, parsed) = x509_parser::parse_x509_certificate(leaf).ok()?;
        Some(Self {
            fingerprint: fingerprint(leaf).into(),
            not_after: parsed.validity().not_after.timestamp(),
            chain: chain.iter().map(|certificate| certificate.clone().into_owned()).collect(),
        })
    }
}

impl Agreed {
    /// What was agreed on for this connection; nothing without TLS.
    pub(super) fn on(stream: &ClientStream) -> Option<Self> {
        let ClientStream::Tls(tls) = stream else { return None };
        let connection = tls.get_ref().1;
        let version = match connection.protocol_version()? {
            ProtocolVersion::TLSv1_2 => "TLSv1.2",
            ProtocolVersion::TLSv1_3 => "TLSv1.3",
            _ => "unknown",
        };
        let suite = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        let certificate = connection.peer_certificates().and_then(ClientCertificate::read).map(Arc::new);
        Some(Self { version, suite, certificate })
    }

    /// The certificate that the client showed.
    pub(crate) fn certificate(&self) -> Option<&Arc<ClientCertificate>> {
        self.certificate.as_ref()
    }

    /// `TLSv1.2` or `TLSv1.3`.
    pub(crate) fn version(&self) -> &'static str {
        self.version
    }

    /// The suite by its name in the registry of IANA, such as `TLS_AES_128_GCM_SHA256`.
    pub(crate) fn suite(&self) -> Option<String> {
        self.suite.map(registered)
    }
}

/// Suites of TLS 1.3 have a name of their own in rustls.
fn registered(suite: &str) -> String {
    suite.replacen("TLS13_", "TLS_", 1)
}

#[cfg(test)]
mod tests {
    use super::registered;

    #[test]
    fn suites_have_their_registered_names() {
        for (known, name) in [
            ("TLS13_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
            ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        ] {
            assert_eq!(registered(known), name);
        }
    }
}
