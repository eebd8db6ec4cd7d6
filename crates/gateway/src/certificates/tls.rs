//! Certificates for TLS.

use rustls::sign::CertifiedKey;

use super::Certificate;
use super::read::ReadError;
use crate::listen::tls::provider;

impl Certificate {
    /// For a TLS listener or client; `None` where it has no private key.
    pub(crate) fn certified_key(&self) -> Option<CertifiedKey> {
        let key = self.key.as_ref()?.clone_key();
        CertifiedKey::from_der(self.chain.clone(), key, &provider()).ok()
    }

    /// Refuses a private key that is another's.
    pub(super) fn with_its_key(self) -> Result<Self, ReadError> {
        let is_another_s = self.key.is_some() && self.certified_key().is_none();
        if is_another_s { Err(ReadError::OtherKey) } else { Ok(self) }
    }
}
