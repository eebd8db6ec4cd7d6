//! What signatures of tokens are checked with.

use crate::section::{Section, kind};
use crate::{Scheme, Target};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use document::{Fault, pointer_join};
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// What signatures are checked with.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum TokenKeys {
    /// The key of the gate that the token names holds the secret (`jwt_data`), and is the caller.
    #[default]
    OfSession,
    /// A shared secret, or a public key or certificate as PEM.
    Fixed(SecretBytes),
    /// Published sets of keys.
    Sets(Box<[KeySetAddress]>),
}

/// Where a set of keys is published.
#[derive(Debug, Clone, PartialEq)]
pub struct KeySetAddress {
    /// Its address; `http` or `https`.
    pub url: Target,
    /// How long it is believed; `None`: as the configuration says.
    pub keep: Option<Duration>,
}

/// A secret that need not be text. Never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretBytes(Box<[u8]>);

/// Families of signatures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SigningMethod {
    /// HS256, HS384, HS512.
    #[default]
    Hmac,
    /// RS256 to RS512, PS256 to PS512.
    Rsa,
    /// ES256, ES384, ES512.
    Ecdsa,
    /// EdDSA with Ed25519.
    Eddsa,
}

impl SecretBytes {
    /// What is secret.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for SecretBytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "\"***\"" })
    }
}

impl SigningMethod {
    const NAMES: [(&'static str, Self); 4] =
        [("hmac", Self::Hmac), ("rsa", Self::Rsa), ("ecdsa", Self::Ecdsa), ("eddsa", Self::Eddsa)];

    pub(in crate::auth) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, method)| *method == self).map_or("", |(name, _)| name)
    }

    /// Reads a name. What is none counts as `hmac`, as clients of the original expect.
    pub(in crate::auth) fn read(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Self {
        let name = holder.text(key, faults);
        if let Some((_, method)) = Self::NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return *method;
        }
        if !name.is_empty() {
            let known: Vec<_> = Self::NAMES.iter().map(|(name, _)| format!("`{name}`")).collect();
            faults.push(
                Fault::warning(
                    holder.at(key),
                    format!("the signing method `{name}` is unknown, so `hmac` counts and every other signature is refused"),
                )
                .hint(format!("use one of {}", known.join(", "))),
            );
        }
        Self::Hmac
    }
}

/// Where keys come from: several published sets, one, a fixed secret, or the session's own.
pub(in crate::auth) fn keys(
    holder: &Section<'_>,
    (source, sets, timeout): (&str, &str, &str),
    method: SigningMethod,
    faults: &mut Vec<Fault>,
) -> TokenKeys {
    let listed = published(holder, sets, timeout, faults);
    let written = holder.text(source, faults).trim();
    if !listed.is_empty() {
        return TokenKeys::Sets(listed.into());
    }
    if written.is_empty() {
        return TokenKeys::OfSession;
    }
    let decoded = BASE64.decode(written.split_ascii_whitespace().collect::<String>()).ok();
    let decoded_text = decoded.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
    for text in [Some(written), decoded_text].into_iter().flatten() {
        if is_address(text) {
            let address = address(text.trim(), holder.at(source), faults);
            return TokenKeys::Sets(
                address.map(|url| KeySetAddress { url, keep: None }).into_iter().collect(),
            );
        }
    }
    let secret = if written.starts_with("-----BEGIN ") { None } else { decoded };
    let secret = secret.unwrap_or_else(|| written.as_bytes().to_vec());
    let is_public = secret.trim_ascii_start().starts_with(b"-----BEGIN ");
    if is_public != (method != SigningMethod::Hmac) {
        // Taking a public key for a shared secret would let anybody sign.
        let message = if is_public {
            "the source is a public key, and the signing method is `hmac`, which needs a shared secret"
        } else {
            "the source is no public key, which this signing method needs"
        };
        faults.push(Fault::error(holder.at(source), message).hint(
            "set the signing method to the kind of key, and write a public key as PEM, or as base64 of that",
        ));
    } else if secret.is_empty() {
        faults.push(Fault::error(holder.at(source), "the shared secret is empty"));
    }
    TokenKeys::Fixed(SecretBytes(secret.into()))
}

fn published(holder: &Section<'_>, key: &str, timeout: &str, faults: &mut Vec<Fault>) -> Vec<KeySetAddress> {
    let entries = match holder.get(key) {
        None => return Vec::new(),
        Some(Value::Array(entries)) => entries,
        Some(other) => {
            faults
                .push(Fault::error(holder.at(key), format!("`{key}` must be an array, not {}", kind(other))));
            return Vec::new();
        }
    };
    let mut sets = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let pointer = pointer_join(&holder.at(key), &index.to_string());
        let entry = Section { object: entry.as_object(), pointer };
        let url = entry.text("url", faults).trim();
        let keep = entry.seconds(timeout, faults);
        if url.is_empty() {
            faults.push(Fault::error(entry.at("url"), "a key set needs its `url`"));
        } else if let Some(url) = address(url, entry.at("url"), faults) {
            sets.push(KeySetAddress { url, keep });
        }
    }
    sets
}

fn is_address(text: &str) -> bool {
    let text = text.trim_start();
    ["http://", "https://"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

/// An address that the gate fetches from.
pub(in crate::auth) fn address(text: &str, at: String, faults: &mut Vec<Fault>) -> Option<Target> {
    let fault = |why: &str| Fault::error(at, format!("the address {why}"));
    match Target::parse(text) {
        Ok(target) if target.scheme != Scheme::H2c && is_address(text) => Some(target),
        Ok(_) => {
            faults.push(fault("must start with http:// or https://"));
            None
        }
        Err(why) => {
            faults.push(fault(why));
            None
        }
    }
}
