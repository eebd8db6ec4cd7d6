//! One certificate, or a bare public key. Depends on nothing of the gate, so that reading it can be fuzzed alone.

use std::fmt;
use std::sync::OnceLock;

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

use crate::hex::hex;

/// What is stored under one id.
pub(crate) struct Certificate {
    /// Organisation and fingerprint.
    pub(crate) id: Box<str>,
    /// Hex SHA-256 of the certificate, or of the public key where there is no certificate.
    pub(crate) fingerprint: Box<str>,
    /// The certificate and those that vouch for it; empty for a bare public key.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Its private key, if it came with one.
    pub(crate) key: Option<PrivateKeyDer<'static>>,
    /// The public key (a PKIX `SubjectPublicKeyInfo`).
    pub(crate) public_key: Vec<u8>,
    /// Unix seconds; 0 for a bare public key, which does not end.
    pub(crate) not_after: i64,
    /// Whether it may vouch for others.
    pub(crate) is_authority: bool,
    /// The public key as [`Certificate::rsa`] has read it when it was first asked.
    pub(super) rsa: OnceLock<Option<ParsedPublicKey>>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Its public key, if that is one of RSA that checks signatures.
    pub(crate) fn rsa(&self) -> Option<&ParsedPublicKey> {
        self.rsa.get_or_init(|| rsa(&self.public_key)).as_ref()
    }

    /// Whether its time is over.
    pub(crate) fn has_expired(&self, now: i64) -> bool {
        self.not_after != 0 && self.not_after < now
    }
}

/// An RSA key of at least 2048 bits that checks signatures by PKCS #1 and SHA-256, from a `SubjectPublicKeyInfo`.
pub(crate) fn rsa(public_key: &[u8]) -> Option<ParsedPublicKey> {
    ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key).ok()
}

/// Hex SHA-256.
pub(crate) fn fingerprint(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
