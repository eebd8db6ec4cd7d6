//! Which callers are known, by what they present.
//!
//! Tokens are not kept, only their digests: what is kept opens nothing, no comparison tells how much of a token is right,
//! and a caller is found without following a pointer. Where a million keys are in use, that is what finding one costs.

mod table;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::RwLock;

use super::callers::Caller;
use super::grant::Grant;
use table::{Entry, Table};

/// How much is kept: so many callers, where their sessions say much the same.
const KEPT: usize = 1 << 20;
/// What a caller weighs whose session nobody shares.
const ALONE: u8 = 16;
/// Parts that are locked apart.
const PARTS: usize = 64;

/// Callers by organisation and token.
#[derive(Debug)]
pub(super) struct Known {
    parts: Box<[RwLock<Table<Near>>]>,
    hasher: RandomState,
}

/// A caller, and where else guards are about to read.
#[derive(Debug)]
struct Near {
    caller: Arc<Caller>,
    /// What the caller may do with the API that it first called.
    grant: OnceLock<Arc<Grant>>,
}

// A line of the processor's caches.
const _: () = assert!(size_of::<Option<Entry<Near>>>() == 64);

/// What somebody presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    /// Of the token.
    digest: [u8; 16],
    /// Of the organisation: another one in each process.
    org: u64,
}

impl Asked {
    /// Whoever chooses tokens does not know what an organisation hashes to, and so cannot choose where they lie.
    fn hash(&self) -> u64 {
        let mixed = u128::from(beginning(&self.digest)) * u128::from(self.org | 1);
        (mixed >> 64) as u64 ^ mixed as u64
    }
}

impl Near {
    /// The caller. What guards are about to read is asked for together, so that it comes together from the memory; else
    /// they would come upon one thing after the other, and wait for each.
    fn bring(&self) -> Arc<Caller> {
        let grant = self.grant.get();
        black_box((grant.map(|grant| grant.bring_near()), self.caller.bring_near()));
        if grant.is_none()
            && let Some(grant) = self.caller.first_grant()
        {
            let _ = self.grant.set(grant);
        }
        Arc::clone(&self.caller)
    }
}

impl Default for Known {
    fn default() -> Self {
        let part = || RwLock::new(Table::new(KEPT / PARTS));
        Self { parts: std::iter::repeat_with(part).take(PARTS).collect(), hasher: RandomState::new() }
    }
}

impl Known {
    fn part(&self, asked: &Asked) -> &RwLock<Table<Near>> {
        // By bits that say nothing of the place in the part.
        &self.parts[(asked.hash() % PARTS as u64) as usize]
    }

    fn asked(&self, org: &str, token: &str) -> Asked {
        Asked { digest: of_token(token), org: self.hasher.hash_one(org) }
    }

    pub(super) fn get(&self, org: &str, token: &str) -> Option<Arc<Caller>> {
        let asked = self.asked(org, token);
        self.part(&asked).read().get(&asked).map(Near::bring)
    }

    pub(super) fn insert(&self, org: &str, token: &str, caller: Arc<Caller>) {
        let (asked, name) = (self.asked(org, token), self.hasher.hash_one(&*caller.name));
        let weight = if caller.shares_its_profile() { 1 } else { ALONE };
        let near = Near { caller, grant: OnceLock::new() };
        self.part(&asked).write().insert(Entry::new(asked, name, near, weight));
    }

    pub(super) fn remove(&self, org: &str, token: &str) {
        let asked = self.asked(org, token);
        self.part(&asked).write().remove(&asked);
    }

    /// Forgets those whose tokens, or names in the store, are these. Two names that have one hash go together: who was
    /// forgotten for nothing is looked up again.
    pub(super) fn forget(&self, names: &[String]) {
        let hashes: HashSet<u64> = names.iter().map(|name| self.hasher.hash_one(name.as_str())).collect();
        let tokens: HashSet<[u8; 16]> = names.iter().map(|name| of_token(name)).collect();
        self.remove_all(|entry| hashes.contains(&entry.name) || tokens.contains(&entry.asked.digest));
    }

    pub(super) fn retain(&self, stays: impl Fn(&Caller) -> bool) {
        self.remove_all(|entry| !stays(&entry.value.caller));
    }

    /// Requests go on while all are looked through. Who is in a place by then because he came anew is looked up once more.
    fn remove_all(&self, goes: impl Fn(&Entry<Near>) -> bool) {
        for part in &self.parts {
            let gone = part.read().find_all(&goes);
            if !gone.is_empty() {
                let mut part = part.write();
                gone.iter().for_each(|asked| part.remove(asked));
            }
        }
    }

    pub(super) fn clear(&self) {
        self.parts.iter().for_each(|part| part.write().clear());
    }
}

/// Half of the SHA-256 of a token: two tokens with the same one cannot be found.
fn of_token(token: &str) -> [u8; 16] {
    let mut half = [0; 16];
    half.iter_mut().zip(digest(&SHA256, token.as_bytes()).as_ref()).for_each(|(to, from)| *to = *from);
    half
}

fn beginning(digest: &[u8; 16]) -> u64 {
    u128::from_le_bytes(*digest) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_begin_alike_by_their_digests_lie_anywhere() {
        let known = Known::default();
        let org = known.asked("org", "").org;
        let hashes = (0..4096_u64).map(|low| {
            let digest = u128::from(0xABCD << 48 | low << 6).to_le_bytes();
            Asked { digest, org }.hash()
        });
        let (places, parts): (HashSet<u64>, HashSet<u64>) =
            hashes.map(|hash| (hash >> 56, hash % PARTS as u64)).unzip();
        assert!(places.len() > 100, "{} of 256", places.len());
        assert!(parts.len() > 30, "{} of {PARTS}", parts.len());
    }

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
