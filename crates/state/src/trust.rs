//! Whose signals are believed: those of who shares the nodes' secret, and of who holds a known key (contract 13.1).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::{Secret, SettingsError};

/// The signature that nodes use among themselves: hex of SHA-256 over command, payload and the shared secret. Whatever
/// else a message names is a signature of a dashboard: RSA with SHA-256 (PKCS #1 v1.5) over the payload, in Base64.
pub(crate) const OF_NODES: i64 = 5;

/// Who is believed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    /// The secret that all nodes share.
    pub(crate) secret: Secret,
    /// The key of a dashboard; `None`: no dashboard is believed.
    pub(crate) key: Option<SignalKey>,
    /// Whether everybody is.
    pub(crate) unsigned_allowed: bool,
}

/// A message, and what shows that it may be believed.
#[derive(Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) command: &'a str,
    pub(crate) payload: &'a str,
    pub(crate) signature: &'a str,
    pub(crate) algorithm: i64,
}

impl Trust {
    /// This node's signature.
    pub(crate) fn sign(&self, command: &str, payload: &str) -> String {
        let mut hasher = Sha256::new();
        hasher.update(command);
        hasher.update(payload);
        hasher.update(self.secret.expose());
        let mut hex = String::with_capacity(64);
        for byte in hasher.finalize() {
            hex.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
            hex.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        }
        hex
    }

    /// Why a message is not believed.
    pub(crate) fn judge(&self, message: &Signed<'_>) -> Result<(), &'static str> {
        if self.unsigned_allowed {
            return Ok(());
        }
        if message.algorithm == OF_NODES {
            let expected = self.sign(message.command, message.payload);
            return match same(expected.as_bytes(), message.signature.as_bytes()) {
                true => Ok(()),
                false => Err("signature does not match; do all nodes share one node_secret?"),
            };
        }
        let Some(SignalKey(key)) = &self.key else {
            return Err("message is signed as dashboards do, and no public_key_path is set");
        };
        let signature = STANDARD.decode(message.signature).map_err(|_| "signature is not Base64")?;
        key.verify_sig(message.payload.as_bytes(), &signature)
            .map_err(|_| "signature is not of the key of public_key_path")
    }
}

/// Compares without telling by its duration where the first difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// The public key of who may sign signals beside the nodes (`public_key_path`).
#[derive(Clone)]
pub struct SignalKey(Arc<ParsedPublicKey>);

impl SignalKey {
    /// From PEM (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    /// It is no RSA public key of 2048 to 8192 bits.
    pub fn new(pem: &str) -> Result<Self, SettingsError> {
        let refused = |why: &dyn fmt::Display| SettingsError::SignalKey(why.to_string());
        let block = pem::parse(pem).map_err(|why| refused(&why))?;
        if block.tag() != "PUBLIC KEY" {
            return Err(refused(&format_args!("it is a {}", block.tag())));
        }
        let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, block.into_contents());
        key.map(|key| Self(Arc::new(key))).map_err(|why| refused(&why))
    }
}

impl fmt::Debug for SignalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignalKey")
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};

    use super::*;

    fn pem_of(pair: &KeyPair) -> String {
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        pem::encode(&pem::Pem::new("PUBLIC KEY", der.as_ref()))
    }

    fn signature(pair: &KeyPair, payload: &str) -> String {
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), payload.as_bytes(), &mut signature).unwrap();
        STANDARD.encode(signature)
    }

    #[test]
    fn c13_1_row_1_a_dashboard_signs_the_payload_with_its_key() {
        let (pair, other) =
            (KeyPair::generate(KeySize::Rsa2048).unwrap(), KeyPair::generate(KeySize::Rsa2048).unwrap());
        let knows = Trust {
            secret: "s".into(),
            key: Some(SignalKey::new(&pem_of(&pair)).unwrap()),
            unsigned_allowed: false,
        };
        let knows_none = Trust { key: None, ..knows.clone() };
        let believes_all = Trust { unsigned_allowed: true, ..knows_none.clone() };
        let (good, foreign) = (signature(&pair, "p"), signature(&other, "p"));
        let of_node = knows.sign("c", "p");
        // who judges, payload, signature, algorithm, believed
        for (trust, payload, signature, algorithm, believed) in [
            (&knows, "p", good.as_str(), 0, true),
            (&knows, "p", &good, 1, true),
            (&knows, "changed", &good, 0, false),
            (&knows, "p", &foreign, 0, false),
            (&knows, "p", "", 0, false),
            (&knows, "p", "no Base64!", 0, false),
            // A signature of the one sort is none of the other.
            (&knows, "p", &good, 5, false),
            (&knows, "p", &of_node, 0, false),
            (&knows, "p", &of_node, 5, true),
            (&knows_none, "p", &good, 0, false),
            (&knows_none, "p", &of_node, 5, true),
            (&believes_all, "p", "", 0, true),
        ] {
            let message = Signed { command: "c", payload, signature, algorithm };
            assert_eq!(trust.judge(&message).is_ok(), believed, "{message:?}");
        }
    }

    #[test]
    fn only_an_rsa_public_key_is_one() {
        let curve = pem::encode(&pem::Pem::new("PUBLIC KEY", vec![0x30, 0x00]));
        let private = pem::encode(&pem::Pem::new("PRIVATE KEY", vec![0x30, 0x00]));
        for (text, why) in
            [("", "PEM"), ("x", "PEM"), (&curve, "BEGIN PUBLIC KEY"), (&private, "it is a PRIVATE KEY")]
        {
            let error = SignalKey::new(text).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
