//! Proof that a code is used by whom it was given to (RFC 7636), by `S256` alone: `plain` proves nothing to who has seen
//! the request.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::same::same;

/// What an authorisation is bound to, if to anything.
pub(super) fn challenge<'a>(
    challenge: Option<&'a str>,
    method: Option<&str>,
) -> Result<Option<&'a str>, &'static str> {
    match (challenge, method) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err("code_challenge is missing"),
        // Without a method it would be `plain` (section 4.3).
        (Some(_), None) => Err("code_challenge_method is missing; only S256 is supported"),
        (Some(challenge), Some("S256")) => {
            let digest = URL_SAFE_NO_PAD.decode(challenge).is_ok_and(|digest| digest.len() == 32);
            if digest { Ok(Some(challenge)) } else { Err("code_challenge is no SHA-256 in base64url") }
        }
        (Some(_), Some(_)) => Err("code_challenge_method is not supported; use S256"),
    }
}

/// Whether the verifier of a token request fits. Where there was no challenge there is no verifier either, so that
/// nobody gets rid of the proof by leaving the challenge out.
pub(super) fn proves(challenge: &str, method: &str, verifier: Option<&str>) -> bool {
    match verifier {
        None => challenge.is_empty(),
        Some(verifier) => {
            let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
            let equal = same(digest.as_bytes(), challenge.as_bytes());
            equal && method == "S256" && well_formed(verifier)
        }
    }
}

/// Section 4.1.
fn well_formed(verifier: &str) -> bool {
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn only_digests_are_challenges() {
        for (given, method, expected) in [
            (Some(CHALLENGE), Some("S256"), Some(Some(CHALLENGE))),
            (None, None, Some(None)),
            (Some(CHALLENGE), None, None),
            (Some(CHALLENGE), Some("plain"), None),
            (Some(VERIFIER), Some("s256"), None),
            (Some("short"), Some("S256"), None),
            (Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM="), Some("S256"), None),
            (None, Some("S256"), None),
        ] {
            assert_eq!(challenge(given, method).ok(), expected, "{given:?} {method:?}");
        }
    }

    #[test]
    fn only_the_verifier_proves() {
        for (challenge, method, verifier, expected) in [
            (CHALLENGE, "S256", Some(VERIFIER), true),
            ("", "", None, true),
            (CHALLENGE, "S256", None, false),
            (CHALLENGE, "S256", Some(CHALLENGE), false),
            (CHALLENGE, "S256", Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK"), false),
            (CHALLENGE, "S256", Some(""), false),
            (CHALLENGE, "plain", Some(CHALLENGE), false),
            (CHALLENGE, "", Some(VERIFIER), false),
            ("", "", Some(VERIFIER), false),
            ("", "S256", Some(VERIFIER), false),
        ] {
            assert_eq!(proves(challenge, method, verifier), expected, "{challenge} {method} {verifier:?}");
        }
        let short = "short";
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(short));
        assert!(!proves(&digest, "S256", Some(short)), "a verifier that can be guessed is none");
    }
}
