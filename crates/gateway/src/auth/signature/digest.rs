//! Digests of bodies (RFC 3230 `Digest`, RFC 9530 `Content-Digest`): where a signature covers one, the body has to fit it.

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::same::same;

/// The fields that hold digests.
pub(super) const FIELDS: [&str; 2] = ["digest", "content-digest"];

/// Whether a body fits what such a field says: every digest that is known, and one of those at least. SHA-1 and MD5 are
/// not known: for both, other bodies with the same digest can be made.
pub(super) fn fits(value: &str, body: &[u8]) -> bool {
    let mut known = 0;
    for entry in value.split(',') {
        let Some((name, text)) = entry.trim().split_once('=') else { return false };
        let algorithm = match name.trim().to_ascii_lowercase().as_str() {
            "sha-256" => &SHA256,
            "sha-512" => &SHA512,
            _ => continue,
        };
        // `Content-Digest` is a structured field: bytes stand between colons.
        let text = text.trim();
        let text = text.strip_prefix(':').and_then(|text| text.strip_suffix(':')).unwrap_or(text);
        let Ok(written) = BASE64_STANDARD.decode(text) else { return false };
        if !same(digest(algorithm, body).as_ref(), &written) {
            return false;
        }
        known += 1;
    }
    known > 0
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_body_fits_every_digest_that_is_known() {
        // printf '{"hello": "world"}' | openssl dgst -sha256 -binary | base64 (and -sha512).
        let body = br#"{"hello": "world"}"#;
        let sha256 = "X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=";
        let sha512 =
            "WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==";
        for (value, expected) in [
            (format!("SHA-256={sha256}"), true),
            (format!("sha-256={sha256}"), true),
            (format!("SHA-512={sha512}"), true),
            (format!("MD5=AAAA, SHA-256={sha256}"), true),
            (format!("SHA-256={sha256},SHA-512={sha512}"), true),
            (format!("sha-256=:{sha256}:, sha-512=:{sha512}:"), true),
            (format!("SHA-256={sha256},SHA-512={sha256}"), false),
            (format!("SHA-256={}", sha256.to_lowercase()), false),
            ("SHA-256=".to_owned(), false),
            ("MD5=AAAA".to_owned(), false),
            ("SHA=AAAA".to_owned(), false),
            (sha256.to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(fits(&value, body), expected, "{value}");
        }
    }
}
