//! How the gate says to a token endpoint who it is, where it has no secret with it: a token of its own, signed with the
//! private key of a certificate (RFC 7523 sections 2.2 and 3, `private_key_jwt`).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::signature::sign::Signs;
use crate::certificates::{Certificate, CertificateStore};
use crate::clock::unix_now;

/// What the form says that it holds such a token.
pub(super) const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How long one may be used, in seconds: for the request that carries it.
const LIFE: i64 = 60;

/// Why there is no token.
#[derive(Debug)]
pub(super) enum Unsigned {
    /// The certificate cannot be had now.
    Away(String),
    /// It cannot sign, or is not there.
    Misconfigured(String),
}

/// A key that signs, and what its signatures are called.
enum Key {
    Rsa(Signs),
    Elliptic(EcdsaKeyPair, &'static str),
}

/// A token of the client for an endpoint, signed with the key of a certificate in the store, or of a file.
pub(super) async fn assertion(
    store: &CertificateStore,
    certificate: &str,
    client: &str,
    endpoint: &str,
) -> Result<String, Unsigned> {
    let found = store.get(certificate).await.map_err(|away| Unsigned::Away(away.0))?;
    let found = found.ok_or_else(|| misconfigured(certificate, "is not in the store"))?;
    signed(&found, client, endpoint, unix_now())
        .ok_or_else(|| misconfigured(certificate, "has no private key that signs (RSA, P-256, P-384)"))
}

fn misconfigured(certificate: &str, what: &str) -> Unsigned {
    Unsigned::Misconfigured(format!("the certificate `{certificate}` {what}"))
}

fn signed(certificate: &Certificate, client: &str, endpoint: &str, now: i64) -> Option<String> {
    let key = Key::of(certificate)?;
    let mut header = json!({"alg": key.algorithm(), "typ": "JWT"});
    if let Some(leaf) = certificate.chain.first() {
        header["x5t#S256"] = BASE64.encode(Sha256::digest(leaf)).into();
    }
    let claims = json!({
        "iss": client, "sub": client, "aud": endpoint, "jti": Uuid::new_v4().to_string(),
        "iat": now, "exp": now + LIFE,
    });
    let part = |value: &Value| BASE64.encode(value.to_string());
    let text = format!("{}.{}", part(&header), part(&claims));
    let signature = key.sign(text.as_bytes())?;
    Some(format!("{text}.{}", BASE64.encode(signature)))
}

impl Key {
    fn of(certificate: &Certificate) -> Option<Self> {
        let der = certificate.key.as_ref()?.secret_der();
        let curves: [(&'static EcdsaSigningAlgorithm, &str); 2] =
            [(&ECDSA_P256_SHA256_FIXED_SIGNING, "ES256"), (&ECDSA_P384_SHA384_FIXED_SIGNING, "ES384")];
        let elliptic = curves.into_iter().find_map(|(curve, name)| {
            let pair = EcdsaKeyPair::from_private_key_der(curve, der);
            pair.ok().map(|pair| Self::Elliptic(pair, name))
        });
        elliptic.or_else(|| Signs::new(der).map(Self::Rsa))
    }

    /// As RFC 7518 section 3.1 calls it.
    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Elliptic(_, name) => name,
        }
    }

    fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Rsa(key) => key.sign(text),
            Self::Elliptic(key, _) => {
                key.sign(&SystemRandom::new(), text).ok().map(|signature| signature.as_ref().to_vec())
            }
        }
    }
}
