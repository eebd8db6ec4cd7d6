//! Reading a token: three parts in base64url, of which two are JSON objects (RFC 7515 section 7.1). Strict: there is one
//! way to write a token, and whatever could be read in two ways is refused. Nothing here is believed before its signature
//! has been checked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::json;

/// A longer token is not looked at.
pub(crate) const LONGEST: usize = 64 << 10;

/// A token whose signature has not been checked.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    pub(crate) algorithm: Algorithm,
    /// What is signed.
    pub(crate) signed: &'a str,
    pub(crate) signature: Vec<u8>,
}

/// Why it is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// In its form.
    Form(&'static str),
    /// Nobody signs like that.
    Algorithm,
}

impl<'a> Token<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, Malformed> {
        if text.len() > LONGEST {
            return Err(Malformed::Form("it is longer than 64 KiB"));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Malformed::Form("it has no three parts"))?;
        let (header, claims) = signed.split_once('.').ok_or(Malformed::Form("it has no three parts"))?;
        if claims.contains('.') {
            return Err(Malformed::Form("it has more than three parts"));
        }
        // Canonical: no padding, no spaces, and no bits set behind the last byte.
        let decode = |part: &str| {
            URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|_| Malformed::Form("a part is not base64url without padding"))
        };
        let header = json::object(&decode(header)?)
            .ok_or(Malformed::Form("its header is no JSON object with each name once"))?;
        if header.contains_key("crit") || header.get("b64") == Some(&Value::Bool(false)) {
            // No extension is understood, and these say that it must be (RFC 7515 section 4.1.11, RFC 7797).
            return Err(Malformed::Form("its header asks for an extension"));
        }
        let Some(Value::String(algorithm)) = header.get("alg") else {
            return Err(Malformed::Form("its header names no algorithm"));
        };
        let algorithm = Algorithm::named(algorithm).ok_or(Malformed::Algorithm)?;
        let claims = json::object(&decode(claims)?)
            .ok_or(Malformed::Form("its claims are no JSON object with each name once"))?;
        let signature = decode(signature)?;
        if signature.is_empty() {
            return Err(Malformed::Form("it has no signature"));
        }
        Ok(Self { header, claims, algorithm, signed, signature })
    }

    /// The id of the key that signed it. It names a key among those that are known and is nothing else: never a path and
    /// never an address. What is no text, or none of a reasonable kind, names nothing.
    pub(crate) fn key_id(&self) -> Option<&str> {
        let id = self.header.get("kid")?.as_str()?;
        (!id.is_empty() && id.len() <= 1024 && !id.contains(char::is_control)).then_some(id)
    }
}
