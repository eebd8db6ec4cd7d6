//! What issuers have said, in the store that nodes share (contract 5.1): one of them asks, and all know.
//!
//! It is a convenience: where the store is away, slow, or holds what cannot be read, a node asks the issuer itself. Tokens of
//! the gate's own lie there sealed, and under names that tell nothing of them.

use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::clock::unix_millis;
use crate::gate::Gate;
use crate::hex::hex;

/// So long may the store take until it says what it knows.
const PATIENCE: Duration = Duration::from_millis(500);

/// A token that was given to the gate.
#[derive(PartialEq, Serialize, Deserialize)]
pub(crate) struct Given {
    /// What is sent: scheme and token.
    pub(crate) value: String,
    /// What else of the answer counts.
    #[serde(default)]
    pub(crate) noted: Vec<(String, String)>,
    /// Unix milliseconds until which it is used.
    until: i64,
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Given").field("until", &self.until).finish_non_exhaustive()
    }
}

impl Given {
    pub(crate) fn new(value: String, noted: Vec<(String, String)>, keep: Duration) -> Self {
        let keep = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        Self { value, noted, until: unix_millis().saturating_add(keep) }
    }

    /// How long it is used still; `None`: no more.
    pub(crate) fn left(&self) -> Option<Duration> {
        let left = u64::try_from(self.until.saturating_sub(unix_millis())).ok()?;
        (left > 0).then(|| Duration::from_millis(left))
    }
}

/// What lies under a key, if nodes share a store and it answers.
pub(crate) async fn find(gate: &Gate, key: &str) -> Option<Vec<u8>> {
    if !gate.state.is_shared() {
        return None;
    }
    match tokio::time::timeout(PATIENCE, gate.state.record(key)).await {
        Ok(Ok(found)) => found.map(|found| found.to_vec()),
        Ok(Err(away)) => {
            tracing::debug!(%away, "what issuers have said is not looked for");
            None
        }
        Err(_) => None,
    }
}

/// Lets the others know it, too. Whoever waits for an answer does not wait for that.
pub(crate) fn tell(gate: &Gate, key: &str, value: &[u8], keep: Duration) {
    if gate.state.is_shared() && !keep.is_zero() {
        gate.telling.tell(key, value, keep);
    }
}

/// A token that any node was given, by the digest of what it is for.
pub(crate) async fn find_given(gate: &Gate, prefix: &str, digest: &[u8; 32]) -> Option<(Given, Duration)> {
    let secret = gate.settings.certificates.passphrase.expose();
    let key = name(secret, prefix, digest);
    let given = open(secret, &key, &find(gate, &key).await?)?;
    let left = given.left()?;
    Some((given, left))
}

/// Gives a token to all nodes.
pub(crate) fn tell_given(gate: &Gate, prefix: &str, digest: &[u8; 32], given: &Given) {
    let secret = gate.settings.certificates.passphrase.expose();
    let key = name(secret, prefix, digest);
    if let (Some(left), Some(sealed)) = (given.left(), seal(secret, &key, given)) {
        tell(gate, &key, sealed.as_bytes(), left);
    }
}

/// What only who knows the secret of the gates can make of a text.
pub(crate) fn keyed(secret: &str, purpose: &str, text: &[u8]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    // With its length before it, no part can be taken for another.
    context.update(&purpose.len().to_be_bytes());
    context.update(purpose.as_bytes());
    context.update(text);
    let mut made = [0; 32];
    made.copy_from_slice(context.sign().as_ref());
    made
}

/// Passwords go into the digest, and who can read the store must not be able to try some.
fn name(secret: &str, prefix: &str, digest: &[u8; 32]) -> String {
    format!("{prefix}{}", hex(&keyed(secret, "name of a token", digest)))
}

fn cipher(secret: &str) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, &keyed(secret, "seal of a token", b"")).ok().map(LessSafeKey::new)
}

/// AES-256-GCM bound to its name, so that one cannot be put into the place of another: Base64 of nonce, text and tag.
fn seal(secret: &str, name: &str, given: &Given) -> Option<String> {
    let nonce: [u8; NONCE_LEN] = rand::random();
    let mut text = serde_json::to_vec(given).ok()?;
    let bound = Aad::from(name.as_bytes());
    cipher(secret)?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound, &mut text).ok()?;
    Some(BASE64_STANDARD.encode([&nonce[..], &text].concat()))
}

/// `None` where it was sealed with another secret, under another name, or is damaged.
fn open(secret: &str, name: &str, sealed: &[u8]) -> Option<Given> {
    let mut text = BASE64_STANDARD.decode(sealed).ok()?;
    let nonce: [u8; NONCE_LEN] = text.get(..NONCE_LEN)?.try_into().ok()?;
    let rest = text.get_mut(NONCE_LEN..)?;
    let bound = Aad::from(name.as_bytes());
    let opened = cipher(secret)?.open_in_place(Nonce::assume_unique_for_key(nonce), bound, rest).ok()?;
    serde_json::from_slice(opened).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_secret_and_under_its_name_alone() {
        let given = Given::new("Bearer t".into(), vec![("a".into(), "b".into())], Duration::from_secs(60));
        let sealed = seal("s", "n", &given).unwrap();
        assert!(!sealed.contains("Bearer") && seal("s", "n", &given).unwrap() != sealed);
        assert_eq!(open("s", "n", sealed.as_bytes()), Some(given));
        let mut damaged = BASE64_STANDARD.decode(&sealed).unwrap();
        damaged[20] ^= 1;
        let damaged = BASE64_STANDARD.encode(damaged);
        for (secret, name, sealed) in [
            ("x", "n", &*sealed),
            ("s", "m", &sealed),
            ("s", "n", &damaged),
            ("s", "n", ""),
            ("s", "n", "AAAA"),
        ] {
            assert_eq!(open(secret, name, sealed.as_bytes()), None, "{secret} {name} {sealed}");
        }
    }

    #[test]
    fn names_tell_nothing_and_are_told_apart() {
        let names = [
            name("s", "p-", &[1; 32]),
            name("s", "p-", &[2; 32]),
            name("t", "p-", &[1; 32]),
            name("s", "q-", &[1; 32]),
        ];
        let apart: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(apart.len(), names.len());
        assert!(!names[0].contains(&hex(&[1; 32])));
        assert_eq!(Given::new(String::new(), Vec::new(), Duration::ZERO).left(), None);
    }
}
