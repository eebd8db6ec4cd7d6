//! Tokens, the keys that check them, and credentials: reading never panics, whatever is read keeps its bounds, and nothing
//! is signed by a key that was made up on the way.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Only the reading: the rest of the gateway would make this target's build a hundred times longer.
#[allow(dead_code, reason = "the rest of the gateway uses what this target does not")]
#[path = "../../crates/gateway/src/auth/jwt"]
mod jwt {
    pub(crate) mod algorithm;
    pub(crate) mod json;
    pub(crate) mod jwk;
    pub(crate) mod key;
    pub(crate) mod token;
}
#[allow(dead_code, reason = "the rest of the gateway uses what this target does not")]
#[path = "../../crates/gateway/src/auth/credentials.rs"]
mod credentials;

use jwt::jwk::JwkSet;
use jwt::key::Key;
use jwt::token::{LONGEST, Token};

fuzz_target!(|input: (u8, &[u8])| {
    let (kind, bytes) = input;
    match kind % 4 {
        0 => {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            let Ok(token) = Token::read(text) else { return };
            assert!(text.len() <= LONGEST && !token.signature.is_empty());
            assert_eq!(text.matches('.').count(), 2);
            assert!(text.starts_with(token.signed));
            let key = Key::shared(b"a secret that no input knows").expect("a secret");
            assert!(!key.verifies(token.algorithm, token.signed.as_bytes(), &token.signature));
            assert!(token.key_id().is_none_or(|id| !id.is_empty() && id.len() <= 1024));
        }
        1 => {
            if let Ok(set) = JwkSet::read(bytes) {
                assert!(set.len() <= 200);
            }
        }
        2 => drop(Key::written(bytes)),
        _ => {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            if let Ok(read) = credentials::read(text) {
                assert!(!read.user.contains(':') && !read.password.contains(&b':'));
            }
        }
    }
});
