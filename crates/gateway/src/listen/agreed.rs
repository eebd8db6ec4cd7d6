//! What TLS agreed on with a client, in the words that messages carry it in (streams contract 2.4, "Metadata").

use rustls::ProtocolVersion;

use super::ClientStream;

/// Version and cipher suite.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Agreed {
    version: &'static str,
    suite: Option<&'static str>,
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
        Some(Self { version, suite })
    }

    /// `TLSv1.2` or `TLSv1.3`.
    pub(crate) fn version(self) -> &'static str {
        self.version
    }

    /// The suite by its name in the registry of IANA, such as `TLS_AES_128_GCM_SHA256`.
    pub(crate) fn suite(self) -> Option<String> {
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
