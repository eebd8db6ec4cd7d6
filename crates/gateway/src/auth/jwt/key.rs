//! Keys that check signatures. A key knows which algorithms it is for: what a token says about that never widens it.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{ED25519, ParsedPublicKey, RsaPublicKeyComponents};
use rustls_pki_types::CertificateDer;

use super::algorithm::{Algorithm, CURVES, RSA, SHARED};

/// A longer PEM text is none.
const LONGEST_PEM: usize = 64 << 10;

/// A key and what it is for.
#[derive(Debug)]
pub(crate) struct Key(Box<[(Algorithm, Verifier)]>);

#[derive(Debug)]
enum Verifier {
    Shared(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl Key {
    /// A secret that both sides have.
    pub(crate) fn shared(secret: &[u8]) -> Option<Self> {
        if secret.is_empty() {
            return None;
        }
        let verifier = |kind| Verifier::Shared(Box::new(hmac::Key::new(kind, secret)));
        Some(Self(SHARED.iter().map(|(algorithm, kind)| (*algorithm, verifier(*kind))).collect()))
    }

    /// What an operator wrote down: PEM is a public key, anything else a shared secret. Which of both it is can be seen,
    /// so a public key is never taken for a secret.
    pub(crate) fn written(text: &[u8]) -> Result<Self, &'static str> {
        if !text.trim_ascii_start().starts_with(b"-----BEGIN ") {
            return Self::shared(text).ok_or("the shared secret is empty");
        }
        if text.len() > LONGEST_PEM {
            return Err("it is longer than 64 KiB");
        }
        let blocks = pem::parse_many(text).map_err(|_| "it is no complete PEM block")?;
        blocks
            .iter()
            .find_map(|block| match block.tag() {
                "PUBLIC KEY" | "RSA PUBLIC KEY" => Some(Self::public(block.contents())),
                "CERTIFICATE" => Some(Self::certificate(block.contents())),
                _ => None,
            })
            .ok_or("it holds no PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE")?
            .ok_or("its key is no RSA key of at least 2048 bits and no key on P-256, P-384, P-521 or Ed25519")
    }

    /// The key of a certificate. Who issued it and when it ends do not matter: it stands for its key only.
    pub(crate) fn certificate(der: &[u8]) -> Option<Self> {
        let certificate = CertificateDer::from(der);
        let certificate = webpki::EndEntityCert::try_from(&certificate).ok()?;
        Self::public(&certificate.subject_public_key_info())
    }

    /// `SubjectPublicKeyInfo` (RFC 5280), or `RSAPublicKey` (RFC 8017).
    pub(crate) fn public(der: &[u8]) -> Option<Self> {
        if let Ok(key) = ParsedPublicKey::new(RSA[0].1, der) {
            let size = PublicEncryptingKey::from_der(key.as_der().ok()?.as_ref()).ok()?.key_size_bits();
            return Self::rsa(size, |parameters| ParsedPublicKey::new(parameters, der).ok());
        }
        for curve in &CURVES {
            if let Ok(key) = ParsedPublicKey::new(curve.verifier, der) {
                return Some(Self(Box::new([(curve.algorithm, Verifier::Public(key))])));
            }
        }
        let key = ParsedPublicKey::new(&ED25519, der).ok()?;
        Some(Self(Box::new([(Algorithm::EdDsa, Verifier::Public(key))])))
    }

    /// Modulus and exponent, without leading zeros.
    pub(crate) fn modulus(n: &[u8], e: &[u8]) -> Option<Self> {
        let trim = |bytes: &[u8]| {
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            bytes[zeros..].to_vec()
        };
        let (n, e) = (trim(n), trim(e));
        // An exponent of more than 33 bits makes checking slow, and one of 1 makes signatures worthless.
        if e.len() > 5 || e.as_slice() <= [1].as_slice() {
            return None;
        }
        let size = (n.len() * 8).saturating_sub(n.first().map_or(0, |byte| byte.leading_zeros() as usize));
        let components = RsaPublicKeyComponents { n, e };
        Self::rsa(size, |parameters| components.to_parsed_public_key(parameters).ok())
    }

    /// A point on a curve, by the curve's name in a JWK.
    pub(crate) fn point(curve: &str, x: &[u8], y: &[u8]) -> Option<Self> {
        let curve = CURVES.iter().find(|known| known.name == curve)?;
        if x.len() != curve.coordinate || y.len() != curve.coordinate {
            return None;
        }
        let point = [&[4], x, y].concat();
        let key = ParsedPublicKey::new(curve.verifier, point).ok()?;
        Some(Self(Box::new([(curve.algorithm, Verifier::Public(key))])))
    }

    /// An Ed25519 key.
    pub(crate) fn edwards(x: &[u8]) -> Option<Self> {
        let x: [u8; 32] = x.try_into().ok()?;
        let key = ParsedPublicKey::new(&ED25519, x).ok()?;
        Some(Self(Box::new([(Algorithm::EdDsa, Verifier::Public(key))])))
    }

    fn rsa(
        size: usize,
        parse: impl Fn(&'static aws_lc_rs::signature::RsaParameters) -> Option<ParsedPublicKey>,
    ) -> Option<Self> {
        if !(2048..=8192).contains(&size) {
            return None;
        }
        let verifiers = RSA
            .iter()
            .map(|(algorithm, parameters)| Some((*algorithm, Verifier::Public(parse(parameters)?))));
        Some(Self(verifiers.collect::<Option<_>>()?))
    }

    /// The same key for this algorithm alone; `None` if it is not for it.
    pub(crate) fn only(self, algorithm: Algorithm) -> Option<Self> {
        let verifiers: Box<[_]> = self.0.into_iter().filter(|(known, _)| *known == algorithm).collect();
        (!verifiers.is_empty()).then_some(Self(verifiers))
    }

    /// Whether it can check signatures of this kind.
    pub(crate) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.0.iter().any(|(known, _)| *known == algorithm)
    }

    /// Whether this key made the signature, by this algorithm.
    pub(crate) fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        self.0.iter().filter(|(known, _)| *known == algorithm).any(|(_, verifier)| match verifier {
            Verifier::Shared(key) => hmac::verify(key, signed, signature).is_ok(),
            Verifier::Public(key) => key.verify_sig(signed, signature).is_ok(),
        })
    }
}
