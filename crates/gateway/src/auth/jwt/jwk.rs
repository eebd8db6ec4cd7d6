//! Sets of published keys (RFC 7517 section 5). What of a set cannot be used is left out; the rest counts.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::json;
use super::key::Key;

/// More keys than any issuer publishes; the rest is left out.
const MOST: usize = 200;

/// Keys by their ids.
#[derive(Debug, Default)]
pub(crate) struct JwkSet {
    keys: Vec<(Box<str>, Key)>,
    /// How many could not be used.
    pub(crate) unusable: usize,
}

impl JwkSet {
    /// Reads a set; what is none is refused as a whole.
    pub(crate) fn read(text: &[u8]) -> Result<Self, &'static str> {
        let set = json::object(text).ok_or("it is no JSON object with each name once")?;
        let Some(Value::Array(entries)) = set.get("keys") else { return Err("it has no array `keys`") };
        let mut keys = Vec::new();
        for entry in entries.iter().take(MOST) {
            let key = entry.as_object().and_then(|jwk| Some((text_of(jwk, "kid")?.into(), key(jwk)?)));
            keys.extend(key);
        }
        let unusable = entries.len() - keys.len();
        Ok(Self { keys, unusable })
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys of an id. There may be several of different kinds.
    pub(crate) fn named<'s>(&'s self, id: &str) -> impl Iterator<Item = &'s Key> {
        self.keys.iter().filter(move |(known, _)| **known == *id).map(|(_, key)| key)
    }
}

fn key(jwk: &Map<String, Value>) -> Option<Key> {
    let for_signatures = jwk.get("use").is_none_or(|usage| usage == "sig")
        && jwk
            .get("key_ops")
            .and_then(Value::as_array)
            .is_none_or(|all| all.iter().any(|one| one == "verify"));
    if !for_signatures {
        return None;
    }
    let key = direct(jwk).or_else(|| certified(jwk))?;
    match jwk.get("alg") {
        None | Some(Value::Null) => Some(key),
        Some(algorithm) => key.only(Algorithm::named(algorithm.as_str()?)?),
    }
}

/// A key by its own parameters (RFC 7518 section 6, RFC 8037 section 2).
fn direct(jwk: &Map<String, Value>) -> Option<Key> {
    let bytes = |name: &str| {
        let text = text_of(jwk, name)?;
        // Some issuers pad, which is harmless here.
        URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
    };
    match text_of(jwk, "kty")? {
        "RSA" => Key::modulus(&bytes("n")?, &bytes("e")?),
        "EC" => Key::point(text_of(jwk, "crv")?, &bytes("x")?, &bytes("y")?),
        "OKP" if text_of(jwk, "crv")? == "Ed25519" => Key::edwards(&bytes("x")?),
        "oct" => Key::shared(&bytes("k")?),
        _ => None,
    }
}

/// A key by its certificate, which comes first in `x5c` (RFC 7517 section 4.7).
fn certified(jwk: &Map<String, Value>) -> Option<Key> {
    let certificate = jwk.get("x5c")?.as_array()?.first()?.as_str()?;
    let compact: String = certificate.split_ascii_whitespace().collect();
    Key::certificate(&STANDARD.decode(compact).ok()?)
}

fn text_of<'v>(jwk: &'v Map<String, Value>, name: &str) -> Option<&'v str> {
    jwk.get(name)?.as_str().filter(|text| !text.is_empty())
}
