//! Making and checking signatures. An algorithm is for one kind of key: a certificate is never taken for a secret.

use apidef::SignatureAlgorithm;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};

/// The HMAC of an algorithm; `None` for those of RSA.
fn mac(algorithm: SignatureAlgorithm) -> Option<hmac::Algorithm> {
    Some(match algorithm {
        SignatureAlgorithm::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        SignatureAlgorithm::HmacSha256 => hmac::HMAC_SHA256,
        SignatureAlgorithm::HmacSha384 => hmac::HMAC_SHA384,
        SignatureAlgorithm::HmacSha512 => hmac::HMAC_SHA512,
        SignatureAlgorithm::RsaSha256 => return None,
    })
}

/// Signs with a secret.
pub(crate) fn by_secret(algorithm: SignatureAlgorithm, secret: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let key = hmac::Key::new(mac(algorithm)?, secret);
    Some(hmac::sign(&key, text).as_ref().to_vec())
}

/// Whether a signature was made with this secret; takes as long whatever the signature is.
pub(crate) fn is_by_secret(
    algorithm: SignatureAlgorithm,
    secret: &[u8],
    text: &[u8],
    signature: &[u8],
) -> bool {
    let Some(algorithm) = mac(algorithm).filter(|_| !secret.is_empty()) else { return false };
    hmac::verify(&hmac::Key::new(algorithm, secret), text, signature).is_ok()
}

/// An RSA key that signs; at least 2048 bits long.
#[derive(Debug)]
pub(crate) struct Signs(RsaKeyPair);

impl Signs {
    /// From a private key as PEM holds it: PKCS #8 or PKCS #1.
    pub(crate) fn new(der: &[u8]) -> Option<Self> {
        RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)).ok().map(Self)
    }

    pub(crate) fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).ok()?;
        Some(signature)
    }
}
