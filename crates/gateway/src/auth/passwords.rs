//! Passwords of users: hashed when they are set, checked when they are shown (contract 5.3).
//!
//! A slow hash keeps a processor busy for some 50 ms, and anybody can ask for one. So it runs off the async threads, few
//! at a time, with a bounded queue before it, and a password that was right is believed for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use apidef::keys::{self, Algorithm};
use apidef::{BasicAuthData, Secret};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use crate::respond::Refusal;
use crate::same::same;
use crate::settings::PasswordHash;

/// How many verified passwords are known.
const KEPT: usize = 10_000;
/// How many may wait for a slow hash; one more is told to come again.
const MOST_WAITING: usize = 256;
/// Cost of new bcrypt hashes, as the original makes them.
const COST: u32 = 10;
/// What bcrypt looks at of a password.
const BCRYPT_LIMIT: usize = 72;

/// The passwords that this node has verified, and what verifies more.
pub(crate) struct Passwords {
    /// When a password was verified, by its mark: a keyed hash, under a key that lives as long as the process. No password
    /// is kept. For how long that counts is the matter of whoever asks, for APIs share it.
    verified: Cache<[u8; 32], Instant>,
    key: Option<hmac::Key>,
    hashing: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwords").field("verified", &self.verified.len()).finish_non_exhaustive()
    }
}

impl Default for Passwords {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            verified: Cache::new(KEPT),
            // Without randomness there is no TLS either; then nothing is believed.
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok(),
            hashing: Arc::new(Semaphore::new((cores / 2).max(1))),
            waiting: AtomicUsize::new(0),
        }
    }
}

/// One that waits for a slow hash, counted for as long as it does.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Passwords {
    /// Whether `given` is the password of the user whose session is stored under `name`. Once it was, it is believed for
    /// `believed`, as long as the stored hash stays the same.
    pub(crate) async fn fits(
        &self,
        name: &str,
        user: &BasicAuthData,
        given: &[u8],
        believed: Option<Duration>,
    ) -> Result<bool, Refusal> {
        let stored = user.password.0.as_bytes();
        if stored.is_empty() {
            // A session without a password is no user; an empty one must not open it.
            return Ok(false);
        }
        match user.hash_type.as_str() {
            "" => Ok(same(stored, given)),
            "bcrypt" => self.fits_slowly(name, &user.password, given, believed).await,
            other => {
                let Ok(algorithm) = other.parse::<Algorithm>() else {
                    return Ok(false);
                };
                let Ok(given) = std::str::from_utf8(given) else { return Ok(false) };
                let hash = keys::hash(given, Some(algorithm));
                Ok(same(stored, hash.as_bytes()))
            }
        }
    }

    async fn fits_slowly(
        &self,
        name: &str,
        stored: &Secret,
        given: &[u8],
        believed: Option<Duration>,
    ) -> Result<bool, Refusal> {
        let mark = believed.and_then(|believed| Some((self.mark(name, &stored.0, given)?, believed)));
        let is_known = || {
            let (mark, believed) = mark?;
            self.verified.get(&mark).filter(|verified| verified.elapsed() < believed)
        };
        if is_known().is_some() {
            return Ok(true);
        }
        let stored = stored.clone();
        let given = given.to_vec();
        // While this one waited, another may have found the same password right.
        let fits = self
            .run(|| is_known().is_some(), move || bcrypt::verify(&given, &stored.0).unwrap_or(false))
            .await?;
        if let Some((mark, _)) = mark.filter(|_| fits) {
            self.verified.insert(mark, Instant::now());
        }
        Ok(fits)
    }

    /// The password as it is stored.
    pub(crate) async fn hash(&self, how: PasswordHash, password: &str) -> Result<BasicAuthData, Unhashable> {
        let (hash, hash_type) = match how {
            PasswordHash::Keys(algorithm) => (keys::hash(password, Some(algorithm)), algorithm.as_str()),
            PasswordHash::Bcrypt if password.len() > BCRYPT_LIMIT => return Err(Unhashable::TooLong),
            PasswordHash::Bcrypt => {
                let password = Arc::<str>::from(password);
                let hashed = tokio::task::spawn_blocking(move || bcrypt::hash(&*password, COST)).await;
                (hashed.map_err(|_| Unhashable::Failed)?.map_err(|_| Unhashable::Failed)?, "bcrypt")
            }
        };
        Ok(BasicAuthData {
            password: Secret(hash),
            hash_type: hash_type.to_owned(),
            ..BasicAuthData::default()
        })
    }

    /// Runs a slow check when its turn comes, unless `done` by then.
    async fn run(
        &self,
        done: impl Fn() -> bool,
        check: impl FnOnce() -> bool + Send + 'static,
    ) -> Result<bool, Refusal> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::busy("too many passwords are being checked"));
        }
        let waiting = Waiting(&self.waiting);
        let permit = Arc::clone(&self.hashing).acquire_owned().await.map_err(Refusal::busy)?;
        drop(waiting);
        if done() {
            return Ok(true);
        }
        let checked = tokio::task::spawn_blocking(move || {
            // Held by the work itself: a client that goes away does not make room for one more.
            let _permit = permit;
            check()
        });
        checked.await.map_err(Refusal::busy)
    }

    fn mark(&self, name: &str, stored: &str, given: &[u8]) -> Option<[u8; 32]> {
        let mut context = hmac::Context::with_key(self.key.as_ref()?);
        for part in [name.as_bytes(), stored.as_bytes(), given] {
            // With its length, so that no two texts run together to the same bytes.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().ok()
    }
}

/// Why a password cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unhashable {
    /// Only its beginning would count.
    #[error("passwords of more than 72 bytes cannot be hashed with bcrypt; choose a shorter one")]
    TooLong,
    /// The hash function failed.
    #[error("the password cannot be hashed")]
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(hash_type: &str, password: &str) -> BasicAuthData {
        BasicAuthData {
            password: Secret(password.into()),
            hash_type: hash_type.into(),
            ..BasicAuthData::default()
        }
    }

    #[tokio::test]
    async fn c5_3_row_5_every_hash_admits_the_right_password_alone() {
        let passwords = Passwords::default();
        let slow = bcrypt::hash("s€cret", 4).unwrap();
        let sha = keys::hash("s€cret", Some(Algorithm::Sha256));
        let cases = [
            (user("", "s€cret"), true),
            (user("bcrypt", &slow), true),
            (user("sha256", &sha), true),
            (user("murmur32", &keys::hash("s€cret", Some(Algorithm::Murmur32))), true),
            (user("murmur64", &keys::hash("s€cret", Some(Algorithm::Murmur64))), true),
            (user("murmur128", &keys::hash("s€cret", Some(Algorithm::Murmur128))), true),
            (user("md5", "s€cret"), false),
            (user("bcrypt", "s€cret"), false),
            (user("sha256", "s€cret"), false),
            (user("", ""), false),
            (user("bcrypt", ""), false),
        ];
        let ever = Some(Duration::from_secs(60));
        for (user, right) in cases {
            for believed in [None, ever, ever] {
                let fits = passwords.fits("n", &user, "s€cret".as_bytes(), believed).await.unwrap();
                assert_eq!(fits, right, "{user:?}");
                for wrong in ["", "s€cre", "s€cret ", "S€CRET", &user.password.0] {
                    if user.password.0 == "s€cret" && wrong == "s€cret" {
                        continue;
                    }
                    let fits = passwords.fits("n", &user, wrong.as_bytes(), believed).await.unwrap();
                    assert!(!fits, "{wrong:?} {}", user.hash_type);
                }
                assert!(!passwords.fits("n", &user, b"\xff\xfe", believed).await.unwrap());
            }
        }
    }

    #[tokio::test]
    async fn c5_3_row_6_a_password_is_believed_for_its_time_and_its_hash_only() {
        let passwords = Passwords::default();
        let (first, second) = (bcrypt::hash("first", 4).unwrap(), bcrypt::hash("second", 4).unwrap());
        let fits = async |stored: &str, believed| {
            passwords.fits("n", &user("bcrypt", stored), b"first", believed).await.unwrap()
        };
        assert!(fits(&first, None).await);
        assert_eq!(passwords.verified.len(), 0, "nothing is kept where nothing is to be believed");
        assert!(fits(&first, Some(Duration::from_secs(60))).await);
        assert_eq!(passwords.verified.len(), 1);
        assert!(!fits(&second, Some(Duration::from_secs(60))).await, "the password was changed");
        let shown = format!("{passwords:?}");
        assert!(!shown.contains("first"), "{shown}");
    }

    #[tokio::test]
    async fn new_passwords_are_hashed_as_configured() {
        let passwords = Passwords::default();
        for how in [
            PasswordHash::Bcrypt,
            PasswordHash::Keys(Algorithm::Sha256),
            PasswordHash::Keys(Algorithm::Murmur64),
        ] {
            let user = passwords.hash(how, "secret").await.unwrap();
            assert_ne!(user.password.0, "secret");
            assert!(passwords.fits("n", &user, b"secret", None).await.unwrap(), "{user:?}");
        }
        let long = "x".repeat(73);
        assert_eq!(passwords.hash(PasswordHash::Bcrypt, &long).await, Err(Unhashable::TooLong));
    }

    #[tokio::test]
    async fn who_finds_no_place_in_the_queue_is_told_to_come_again() {
        let passwords = Passwords::default();
        passwords.waiting.store(MOST_WAITING, Ordering::Relaxed);
        let stored = bcrypt::hash("x", 4).unwrap();
        let refusal = passwords.fits("n", &user("bcrypt", &stored), b"x", None).await.unwrap_err();
        assert_eq!((refusal.status.as_u16(), refusal.retry_after), (503, Some(1)));
        assert_eq!(passwords.waiting.load(Ordering::Relaxed), MOST_WAITING);
    }
}
