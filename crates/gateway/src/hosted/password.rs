//! The one name and password that may guard a process that runs streams (streams contract 5.11, `http.basic_auth`).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;
use md5::Md5;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use streams::{Password, PasswordHash};
use tokio::sync::Semaphore;

use crate::same::same;

/// Passwords hashed at the same time: slow hashes keep a processor busy, and anybody can ask for one.
const AT_ONCE: usize = 2;

/// Who may pass.
pub(super) struct Guard {
    password: Password,
    /// What who may not pass is told to bring.
    pub(super) challenge: HeaderValue,
    /// The digest of the header that passed last, so that a slow hash is computed once.
    passed: Mutex<Option<[u8; 32]>>,
    hashing: Semaphore,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.password.fmt(f)
    }
}

impl Guard {
    pub(super) fn new(password: Password) -> Guard {
        let realm: String =
            password.realm.chars().filter(|c| !c.is_control() && !"\"\\".contains(*c)).collect();
        let challenge = HeaderValue::try_from(format!("Basic realm=\"{realm}\""));
        Guard {
            challenge: challenge.unwrap_or(HeaderValue::from_static("Basic")),
            password,
            passed: Mutex::new(None),
            hashing: Semaphore::new(AT_ONCE),
        }
    }

    /// Whether the header `Authorization` names who may pass.
    pub(super) async fn admits(&self, header: Option<&HeaderValue>) -> bool {
        let Some(header) = header else { return false };
        let digest: [u8; 32] = Sha256::digest(header.as_bytes()).into();
        if *self.passed.lock() == Some(digest) {
            return true;
        }
        let Some((username, given)) = credentials(header) else { return false };
        let Ok(_permit) = self.hashing.acquire().await else { return false };
        let password = self.password.clone();
        let admitted = tokio::task::spawn_blocking(move || {
            // Both are compared, so that the time tells nothing about the name.
            let right = fits(&password, &given);
            same(password.username.as_bytes(), username.as_bytes()) & right
        });
        let admitted = admitted.await.unwrap_or(false);
        if admitted {
            *self.passed.lock() = Some(digest);
        }
        admitted
    }
}

/// Name and password of a header of the scheme `Basic` (RFC 7617).
fn credentials(header: &HeaderValue) -> Option<(String, Vec<u8>)> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(token.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let name = String::from_utf8(decoded[..colon].to_vec()).ok()?;
    Some((name, decoded[colon + 1..].to_vec()))
}

fn fits(password: &Password, given: &[u8]) -> bool {
    let hash = &password.hash;
    match &password.algorithm {
        PasswordHash::Md5 => same(&Md5::digest(given), hash),
        PasswordHash::Sha256 => same(&Sha256::digest(given), hash),
        PasswordHash::Bcrypt => {
            std::str::from_utf8(hash).is_ok_and(|hash| bcrypt::verify(given, hash).unwrap_or(false))
        }
        PasswordHash::Scrypt { salt } => {
            let mut computed = [0; 32];
            let done = scrypt::Params::new(15, 8, 1)
                .map(|params| scrypt::scrypt(given, salt, &params, &mut computed));
            matches!(done, Ok(Ok(()))) && same(&computed, hash)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(algorithm: PasswordHash, hash: Vec<u8>) -> Guard {
        Guard::new(Password { realm: "a \"b\"".to_owned(), username: "ann".to_owned(), algorithm, hash })
    }

    fn header(text: &str) -> HeaderValue {
        HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(text))).unwrap()
    }

    #[tokio::test]
    async fn every_hash_admits_the_right_password_alone() {
        let mut stretched = [0; 32];
        scrypt::scrypt(b"s:t", b"salt", &scrypt::Params::new(15, 8, 1).unwrap(), &mut stretched).unwrap();
        let hashes = [
            guard(PasswordHash::Md5, Md5::digest(b"s:t").to_vec()),
            guard(PasswordHash::Sha256, Sha256::digest(b"s:t").to_vec()),
            guard(PasswordHash::Bcrypt, bcrypt::hash("s:t", 4).unwrap().into_bytes()),
            guard(PasswordHash::Scrypt { salt: b"salt".to_vec() }, stretched.to_vec()),
        ];
        for guard in hashes {
            assert_eq!(guard.challenge, "Basic realm=\"a b\"");
            let bearer = HeaderValue::from_static("Bearer x");
            for wrong in
                [None, Some(header("ann:s")), Some(header("bob:s:t")), Some(header("ann")), Some(bearer)]
            {
                assert!(!guard.admits(wrong.as_ref()).await, "{guard:?} {wrong:?}");
            }
            for _ in 0..2 {
                assert!(guard.admits(Some(&header("ann:s:t"))).await, "{guard:?}");
            }
            assert!(!guard.admits(Some(&header("ann:s"))).await, "{guard:?} after one that passed");
        }
    }
}
