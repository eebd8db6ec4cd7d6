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
    /// HMAC with SHA-256 under a secret of the gate: 64 hex digits. Whoever has the store alone cannot try out keys.
    HmacSha256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 5] = [
        Algorithm::Murmur32,
        Algorithm::Murmur64,
        Algorithm::Murmur128,
        Algorithm::Sha256,
        Algorithm::HmacSha256,
    ];

    /// The name used in configurations and keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Murmur32 => "murmur32",
            Algorithm::Murmur64 => "murmur64",
            Algorithm::Murmur128 => "murmur128",
            Algorithm::Sha256 => "sha256",
            Algorithm::HmacSha256 => "hmac-sha256",
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
            "\"{}\" is not a hash algorithm; use murmur32, murmur64, murmur128, sha256 or hmac-sha256",
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
            "hmac-sha256" => Ok(Algorithm::HmacSha256),
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

/// The hash that names the session of `key`: by `algorithm`, else by the one the key names, else murmur32. That of
/// [`Algorithm::HmacSha256`] needs a secret, which is not here: it comes out as that of SHA-256, and names no session.
pub fn hash(key: &str, algorithm: Option<Algorithm>) -> String {
    let algorithm = algorithm.or_else(|| algorithm_of(key)).unwrap_or(Algorithm::Murmur32);
    match algorithm {
        Algorithm::Murmur32 => format!("{:08x}", murmur3_x86_32(key.as_bytes())),
        Algorithm::Murmur64 => format!("{:016x}", murmur3_x64_128(key.as_bytes()).0),
        Algorithm::Murmur128 => murmur128(key.as_bytes()),
        Algorithm::Sha256 | Algorithm::HmacSha256 => {
            Sha256::digest(key).iter().fold(String::with_capacity(64), |mut text, byte| {
                use fmt::Write as _;
                let _ = write!(text, "{byte:02x}");
                text
            })
        }
    }
}

/// Murmur's hash of 128 bits, in hexadecimal digits.
pub fn murmur128(data: &[u8]) -> String {
    let (high, low) = murmur3_x64_128(data);
    format!("{high:016x}{low:016x}")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c5_1_rows_1_to_5_keys_of_both_forms() {
        let org = "53ac07777cbb8c2d53000002";
        let plain = generate(org, Some("mine"), None);
        assert_eq!(plain, "53ac07777cbb8c2d53000002mine");
        // Base64 of {"org":"53ac07777cbb8c2d53000002","id":"mine","h":"murmur64"}.
        let named = "eyJvcmciOiI1M2FjMDc3NzdjYmI4YzJkNTMwMDAwMDIiLCJpZCI6Im1pbmUiLCJoIjoibXVybXVyNjQifQ==";
        assert_eq!(generate(org, Some("mine"), Some(Algorithm::Murmur64)), named);
        assert_eq!(generate(org, Some(&plain), None), plain, "a whole key is not prefixed again");

        let cases = [
            (named, org, Some(Algorithm::Murmur64)),
            (plain.as_str(), org, None),
            ("short", "", None),
            ("53ac07777cbb8c2d53000002", "", None),
            ("eyJub3QiOg==", "", None),
            ("ey", "", None),
            ("zzzz07777cbb8c2d53000002mine", "", None),
            ("ключключключключ", "", None),
        ];
        for (key, org, algorithm) in cases {
            assert_eq!((org_of(key).as_str(), algorithm_of(key)), (org, algorithm), "{key}");
        }
        let fresh = generate("", None, None);
        assert!(
            fresh.len() == 32
                && fresh.bytes().all(|b| b.is_ascii_hexdigit())
                && fresh != generate("", None, None)
        );
        let quoted = generate("o\"rg", Some("i"), Some(Algorithm::Sha256));
        assert_eq!(org_of(&quoted), "o\"rg");
    }

    #[test]
    fn c5_1_rows_5_and_6_hashes() {
        let fox = "The quick brown fox jumps over the lazy dog";
        for (algorithm, expected) in [
            (Algorithm::Murmur32, "2e4ff723"),
            (Algorithm::Murmur64, "e34bbc7bbc071b6c"),
            (Algorithm::Murmur128, "e34bbc7bbc071b6c7a433ca9c49a9347"),
            (Algorithm::Sha256, "d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592"),
        ] {
            assert_eq!(hash(fox, Some(algorithm)), expected, "{algorithm}");
            assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
        }
        assert_eq!(hash(fox, None), "2e4ff723", "murmur32 where nothing is named");
        let named = generate("o", Some("i"), Some(Algorithm::Sha256));
        assert_eq!(hash(&named, None).len(), 64, "the key names its algorithm");
        assert!("MD5".parse::<Algorithm>().is_err());
    }

    #[test]
    fn c5_1_row_14_keys_in_logs() {
        for (key, shown) in [("", "--"), ("abcd", "--"), ("abcde", "****bcde"), ("ключ-ключ", "****ключ")]
        {
            assert_eq!(obfuscate(key), shown);
        }
    }
}
