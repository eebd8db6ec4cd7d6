//! The field that a signature comes in (draft-cavage-http-signatures section 2.1): `Signature keyId="…",algorithm="…",
//! headers="…",signature="…"`. Depends on nothing of the gate, so that it can be fuzzed alone.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// Longer fields are none.
const LONGEST: usize = 8 << 10;
/// Most parameters, and most names of what is signed.
const MOST: usize = 64;
/// Of an RSA key of 8192 bits.
const LONGEST_SIGNATURE: usize = 1024;

/// What is signed besides header fields: method and path.
pub(crate) const TARGET: &str = "(request-target)";

/// What a signature says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Params {
    /// Whose it is.
    pub(crate) key: String,
    /// How it was made.
    pub(crate) algorithm: String,
    /// What is signed, in this order; lower case, each once.
    pub(crate) signed: Vec<String>,
    /// The signature.
    pub(crate) signature: Vec<u8>,
}

/// Reads a field; why it is none, for the log.
pub(crate) fn read(field: &str) -> Result<Params, &'static str> {
    if field.len() > LONGEST {
        return Err("the signature field is too long");
    }
    let (mut key, mut algorithm, mut signed, mut signature) = (None, None, None, None);
    for (count, pair) in Pairs(without_scheme(field)).enumerate() {
        let (name, value) = pair?;
        if count >= MOST {
            return Err("too many parameters");
        }
        let place = match name {
            "keyId" => &mut key,
            "algorithm" => &mut algorithm,
            "headers" => &mut signed,
            "signature" => &mut signature,
            _ => continue,
        };
        if place.replace(value).is_some() {
            return Err("a parameter comes twice");
        }
    }
    let key = key.filter(|key| !key.is_empty()).ok_or("it has no keyId")?;
    let signature = signature.and_then(decode).ok_or("it has no signature, or one that is not base64")?;
    Ok(Params {
        key: key.to_owned(),
        algorithm: algorithm.unwrap_or_default().to_owned(),
        signed: names(signed.unwrap_or_default())?,
        signature,
    })
}

/// The scheme stands before the parameters in `Authorization`, and need not in a field of its own.
fn without_scheme(field: &str) -> &str {
    let field = field.trim();
    match (field.get(..10), field.get(10..)) {
        (Some(scheme), Some(rest)) if scheme.eq_ignore_ascii_case("signature ") => rest.trim_start(),
        _ => field,
    }
}

/// What is signed; the date where nothing is said.
fn names(list: &str) -> Result<Vec<String>, &'static str> {
    let mut names: Vec<String> = Vec::new();
    for name in list.split(' ').filter(|name| !name.is_empty()) {
        let name = name.to_ascii_lowercase();
        let token =
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        if !token && name != TARGET {
            return Err("something is signed that is no header field");
        }
        if names.contains(&name) {
            return Err("something is signed twice");
        }
        if names.len() >= MOST {
            return Err("too much is signed");
        }
        names.push(name);
    }
    if names.is_empty() {
        names.push("date".to_owned());
    }
    Ok(names)
}

/// Base64, whose `+`, `/` and `=` may be percent-encoded, in letters of either case.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'%' {
            let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
            plain.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
            rest = after.get(2..)?;
        } else {
            plain.push(first);
        }
    }
    let signature = BASE64_STANDARD.decode(plain).ok()?;
    (!signature.is_empty() && signature.len() <= LONGEST_SIGNATURE).then_some(signature)
}

/// Parameters, one after the other: `name="value"`, or `name=token` as newer drafts write numbers.
struct Pairs<'t>(&'t str);

impl<'t> Iterator for Pairs<'t> {
    type Item = Result<(&'t str, &'t str), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = pair(self.0);
        self.0 = read.map_or("", |(_, _, rest)| rest);
        Some(read.map(|(name, value, _)| (name, value)).ok_or("it is no list of parameters"))
    }
}

/// A parameter, and what comes behind its comma.
fn pair(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once('=')?;
    let name = name.trim();
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let (value, rest) = match rest.trim_start().strip_prefix('"') {
        Some(quoted) => {
            let (value, rest) = quoted.split_once('"')?;
            // Nothing that has to be escaped has a place in any of the parameters.
            if value.contains('\\') {
                return None;
            }
            (value, rest.trim_start())
        }
        None => {
            let end = rest.find(',').unwrap_or(rest.len());
            let value = rest[..end].trim();
            if value.is_empty() || value.contains(['"', ' ']) {
                return None;
            }
            (value, &rest[end..])
        }
    };
    match rest.strip_prefix(',') {
        // A comma at the end promises a parameter that does not come.
        Some(rest) if !rest.trim().is_empty() => Some((name, value, rest)),
        None if rest.is_empty() => Some((name, value, "")),
        _ => None,
    }
}
