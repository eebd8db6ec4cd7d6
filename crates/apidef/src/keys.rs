//! Key strings and their hashes (contract 5.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

mod murmur;

pub(crate) use murmur::murmur3_x64_128;
use murmur::murmur3_x86_32;

/// How a key is hashed before it names a stored session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// MurmurHash3 x86 32: 8 hex digits. Used where none is named.
    Murmur32,
    /// First half of MurmurHash3 x64 128: 16 hex digits.
    Murmur64,
    /// MurmurHash3 x64 128: 32 hex digits.
    Murmur128,
    /// SHA-256: 64 hex digits.
    Sha256,
}

impl Algorithm {
    /// The name used in configurations and keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Murmur32 => "murmur32",
            Algorithm::Murmur64 => "murmur64",
            Algorithm::Murmur128 => "murmur128",
            Algorithm::Sha256 => "sha256",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no hash algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownAlgorithm(String);

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" is not a hash algorithm; use murmur32, murmur64, murmur128 or sha256",
            self.0.escape_debug()
        )
    }
}

impl std::error::Error for UnknownAlgorithm {}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Algorithm, UnknownAlgorithm> {
        match text {
            "murmur32" => Ok(Algorithm::Murmur32),
            "murmur64" => Ok(Algorithm::Murmur64),
            "murmur128" => Ok(Algorithm::Murmur128),
            "sha256" => Ok(Algorithm::Sha256),
            other => Err(UnknownAlgorithm(other.to_owned())),
        }
    }
}

/// A key for `org`: with an algorithm the base64 form that names it, without one `org` + id.
///
/// `id` is the caller's own, or a new random one of 32 hex digits. An `id` that starts with `org` loses that part
/// first, so that a whole key of the plain form can be given back.
pub fn generate(org: &str, id: Option<&str>, algorithm: Option<Algorithm>) -> String {
    let id = match id {
        Some(id) => id.strip_prefix(org).filter(|rest| !rest.is_empty()).unwrap_or(id).to_owned(),
        None => uuid::Uuid::new_v4().simple().to_string(),
    };
    match algorithm {
        None => format!("{org}{id}"),
        Some(algorithm) => {
            let json = format!(
                r#"{{"org":{},"id":{},"h":"{algorithm}"}}"#,
                serde_json::Value::from(org),
                serde_json::Value::from(id)
            );
            BASE64.encode(json)
        }
    }
}

/// The hash that names the session of `key`: by `algorithm`, else by the one the key names, else murmur32.
pub fn hash(key: &str, algorithm: Option<Algorithm>) -> String {
    let algorithm = algorithm.or_else(|| algorithm_of(key)).unwrap_or(Algorithm::Murmur32);
    match algorithm {
        Algorithm::Murmur32 => format!("{:08x}", murmur3_x86_32(key.as_bytes())),
        Algorithm::Murmur64 => format!("{:016x}", murmur3_x64_128(key.as_bytes()).0),
        Algorithm::Murmur128 => {
            let (high, low) = murmur3_x64_128(key.as_bytes());
            format!("{high:016x}{low:016x}")
        }
        Algorithm::Sha256 => Sha256::digest(key).iter().fold(String::with_capacity(64), |mut text, byte| {
            use fmt::Write as _;
            let _ = write!(text, "{byte:02x}");
            text
        }),
    }
}

#[derive(serde::Deserialize)]
struct Parts {
    #[serde(default)]
    org: String,
    #[serde(default)]
    h: String,
}

fn parts(key: &str) -> Option<Parts> {
    // The base64 form always starts with `{"`, which encodes as `ey`.
    if !key.starts_with("ey") {
        return None;
    }
    serde_json::from_slice(&BASE64.decode(key).ok()?).ok()
}

/// The organisation a key belongs to, empty when it does not tell.
pub fn org_of(key: &str) -> String {
    if let Some(parts) = parts(key) {
        return parts.org;
    }
    match key.get(..24) {
        Some(org) if key.len() > 24 && org.bytes().all(|b| b.is_ascii_hexdigit()) => org.to_owned(),
        _ => String::new(),
    }
}

/// The algorithm a key names.
pub fn algorithm_of(key: &str) -> Option<Algorithm> {
    parts(key)?.h.parse().ok()
}

/// The key as it may stand in a log: its last four characters, or nothing of a key that short.
pub fn obfuscate(key: &str) -> String {
    match key.char_indices().rev().nth(3) {
        Some((at, _)) if at > 0 => format!("****{}", &key[at..]),
        _ => "--".to_owned(),
    }
}
