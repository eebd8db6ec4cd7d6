//! Which callers are known, by what they present.
//!
//! Tokens are not kept, only their digests: what is kept opens nothing, no comparison tells how much of a token is right,
//! and a caller is found without following a pointer. Where a million keys are in use, that is what finding one costs.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};

use super::callers::Caller;

/// How much is kept: so many callers, where their sessions say much the same.
const KEPT: u64 = 1 << 20;
/// What a caller weighs whose session nobody shares.
const ALONE: u64 = 16;

/// Callers by organisation and token.
#[derive(Debug)]
pub(super) struct Known {
    callers: Cache<Key, Arc<Caller>, Weight>,
    hasher: RandomState,
}

/// What somebody presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    /// Of the token.
    digest: [u8; 16],
    /// Of the organisation. It is no secret, so a plain hash will do.
    org: u64,
}

impl Hash for Asked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As good as random; a part of it will do.
        state.write_u64(first_half(&self.digest) ^ self.org);
    }
}

#[derive(Debug, Clone)]
struct Key {
    asked: Asked,
    /// Hash of the caller's name in the store, so that nobody has to be looked at who is not to be forgotten.
    name: u64,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.asked == other.asked
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.asked.hash(state);
    }
}

impl Equivalent<Key> for Asked {
    fn equivalent(&self, key: &Key) -> bool {
        *self == key.asked
    }
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Key, Arc<Caller>> for Weight {
    fn weight(&self, _: &Key, caller: &Arc<Caller>) -> u64 {
        if caller.shares_its_profile() { 1 } else { ALONE }
    }
}

impl Default for Known {
    fn default() -> Self {
        let expected = usize::try_from(KEPT).unwrap_or(usize::MAX);
        Self { callers: Cache::with_weighter(expected, KEPT, Weight), hasher: RandomState::new() }
    }
}

impl Known {
    fn asked(&self, org: &str, token: &str) -> Asked {
        Asked { digest: of_token(token), org: self.hasher.hash_one(org) }
    }

    pub(super) fn get(&self, org: &str, token: &str) -> Option<Arc<Caller>> {
        self.callers.get(&self.asked(org, token))
    }

    pub(super) fn insert(&self, org: &str, token: &str, caller: Arc<Caller>) {
        let key = Key { asked: self.asked(org, token), name: self.hasher.hash_one(&*caller.name) };
        self.callers.insert(key, caller);
    }

    pub(super) fn remove(&self, org: &str, token: &str) {
        self.callers.remove(&self.asked(org, token));
    }

    /// Forgets those whose tokens, or names in the store, are these. Two names that have one hash go together: who was
    /// forgotten for nothing is looked up again.
    pub(super) fn forget(&self, names: &[String]) {
        let hashes: HashSet<u64> = names.iter().map(|name| self.hasher.hash_one(name.as_str())).collect();
        let tokens: HashSet<[u8; 16]> = names.iter().map(|name| of_token(name)).collect();
        self.callers.retain(|key, _| !hashes.contains(&key.name) && !tokens.contains(&key.asked.digest));
    }

    pub(super) fn retain(&self, stays: impl Fn(&Caller) -> bool) {
        self.callers.retain(|_, caller| stays(caller));
    }

    pub(super) fn clear(&self) {
        self.callers.clear();
    }
}

/// Half of the SHA-256 of a token: two tokens with the same one cannot be found.
fn of_token(token: &str) -> [u8; 16] {
    let mut half = [0; 16];
    half.iter_mut().zip(digest(&SHA256, token.as_bytes()).as_ref()).for_each(|(to, from)| *to = *from);
    half
}

fn first_half(digest: &[u8; 16]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *digest;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_asked_for_in_its_organisation_alone() {
        let known = Known::default();
        let asked = known.asked("org", "token");
        assert_eq!(asked, known.asked("org", "token"));
        for (org, token) in
            [("org", "Token"), ("org", "token "), ("Org", "token"), ("", "orgtoken"), ("token", "org")]
        {
            assert_ne!(asked, known.asked(org, token), "{org} {token}");
        }
    }
}
