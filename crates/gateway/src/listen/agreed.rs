//! What TLS agreed on with a client, in the words that messages carry it in (streams contract 2.4, "Metadata"), and the
//! certificate that it showed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
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
    /// Whom it names, such as `C=DE, O=Acme, CN=till`.
    pub(crate) subject: Box<str>,
    /// The client's own, then those that vouch for it.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Unix seconds.
    pub(crate) not_after: i64,
    /// Which authorities were found to have signed it.
    pub(crate) verdicts: Verdicts,
}

/// What was found out about a certificate, for as long as its connection lasts. Checking a signature costs more than all
/// else that a request needs, and many requests come over one connection.
#[derive(Debug, Default)]
pub(crate) struct Verdicts(Mutex<Vec<(Box<str>, bool, Instant)>>);

/// How many verdicts are kept.
const MOST_VERDICTS: usize = 64;
/// How long a verdict is believed: what stands between the certificate and its authority may end meanwhile.
const BELIEVED: Duration = Duration::from_secs(60);

impl Verdicts {
    /// Whether the authority of this fingerprint has signed it; `find` finds out where that is not known.
    pub(crate) fn of(&self, authority: &str, find: impl FnOnce() -> bool) -> bool {
        let known = {
            let known = self.0.lock();
            let known = known.iter().find(|(other, _, at)| **other == *authority && at.elapsed() < BELIEVED);
            known.map(|(_, verdict, _)| *verdict)
        };
        if let Some(verdict) = known {
            return verdict;
        }
        let verdict = find();
        let mut kept = self.0.lock();
        kept.retain(|(other, _, _)| **other != *authority);
        if kept.len() >= MOST_VERDICTS {
            kept.remove(0);
        }
        kept.push((authority.into(), verdict, Instant::now()));
        verdict
    }
}

impl ClientCertificate {
    fn read(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let leaf = chain.first()?;
        let (_, parsed) = x509_parser::parse_x509_certificate(leaf).ok()?;
        Some(Self {
            fingerprint: fingerprint(leaf).into(),
            subject: parsed.subject().to_string().into(),
            not_after: parsed.validity().not_after.timestamp(),
            chain: chain.iter().map(|certificate| certificate.clone().into_owned()).collect(),
            verdicts: Verdicts::default(),
        })
    }
}

impl Agreed {
    /// What was agreed on for this connection; nothing without TLS.
    pub(crate) fn on(stream: &ClientStream) -> Option<Self> {
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
    use super::{MOST_VERDICTS, Verdicts, registered};

    #[test]
    fn a_verdict_is_found_once_and_not_too_many_are_kept() {
        let verdicts = Verdicts::default();
        assert!(verdicts.of("a", || true));
        assert!(!verdicts.of("b", || false));
        assert!(verdicts.of("a", || panic!("it is known")));
        assert!(!verdicts.of("b", || panic!("it is known")));
        for number in 0..MOST_VERDICTS {
            verdicts.of(&number.to_string(), || true);
        }
        assert!(!verdicts.of("a", || false), "the oldest goes first");
        assert_eq!(verdicts.0.lock().len(), MOST_VERDICTS);
    }

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
