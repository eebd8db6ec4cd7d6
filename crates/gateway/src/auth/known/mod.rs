//! Which callers are known, by what they present.
//!
//! Tokens are not kept, only their digests: what is kept opens nothing, no comparison tells how much of a token is right,
//! and a caller is found without following a pointer. Where a million keys are in use, that is what finding one costs.

mod table;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
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
/// A part of more places than this is not in the processor's caches whenever it is needed.
const MANY: usize = 512;

/// Callers by organisation and token.
#[derive(Debug)]
pub(super) struct Known {
    parts: Box<[RwLock<Table<Near>>]>,
    hasher: RandomState,
    /// Whether there are, or have been, so many that it pays to ask the memory for one before it is needed.
    many: AtomicBool,
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
    place: Place,
}

/// Where somebody is kept: a hash of organisation and token, another one in each process, so that whoever chooses tokens
/// cannot choose where they lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(u64);

impl Near {
    /// Asks the memory for what guards are about to read, all of it together: else they would come upon one thing after the
    /// other, and wait for each.
    fn ask_for(&self) {
        self.caller.ask_for();
        if let Some(grant) = self.grant.get() {
            grant.ask_for();
        }
    }

    /// The caller; asks the memory for what his parts lead to, for by now they are there.
    fn get(&self) -> Arc<Caller> {
        self.caller.ask_for_more();
        match self.grant.get() {
            Some(grant) => grant.ask_for_more(),
            None => {
                let _ = self.caller.first_grant().map(|grant| self.grant.set(grant));
            }
        }
        Arc::clone(&self.caller)
    }
}

impl Default for Known {
    fn default() -> Self {
        let part = || RwLock::new(Table::new(KEPT / PARTS));
        Self {
            parts: std::iter::repeat_with(part).take(PARTS).collect(),
            hasher: RandomState::new(),
            many: AtomicBool::default(),
        }
    }
}

impl Known {
    fn part(&self, place: Place) -> &RwLock<Table<Near>> {
        // By bits that say nothing of the place in the part.
        &self.parts[(place.0 % PARTS as u64) as usize]
    }

    fn place(&self, org: &str, token: &str) -> Place {
        Place(self.hasher.hash_one((org, token)))
    }

    fn asked(&self, org: &str, token: &str) -> Asked {
        Asked { digest: of_token(token), place: self.place(org, token) }
    }

    /// Whether it pays to foresee who is asked for.
    pub(super) fn are_many(&self) -> bool {
        self.many.load(Ordering::Relaxed)
    }

    /// Asks the memory for the entry of somebody who is about to be asked for. His place, for [`Known::foresee_more`].
    pub(super) fn foresee(&self, org: &str, token: &str) -> Place {
        let place = self.place(org, token);
        self.part(place).read().ask_for(place);
        place
    }

    /// Asks the memory for what the entry leads to.
    pub(super) fn foresee_more(&self, place: Place) {
        if let Some(near) = self.part(place).read().at(place) {
            near.ask_for();
        }
    }

    pub(super) fn get(&self, org: &str, token: &str) -> Option<Arc<Caller>> {
        let asked = self.asked(org, token);
        self.part(asked.place).read().get(&asked).map(Near::get)
    }

    pub(super) fn insert(&self, org: &str, token: &str, caller: Arc<Caller>) {
        let (asked, name) = (self.asked(org, token), self.hasher.hash_one(&*caller.name));
        let weight = if caller.shares_its_profile() { 1 } else { ALONE };
        let near = Near { caller, grant: OnceLock::new() };
        let mut part = self.part(asked.place).write();
        part.insert(Entry::new(asked, name, near, weight));
        if part.places() > MANY {
            self.many.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn remove(&self, org: &str, token: &str) {
        let asked = self.asked(org, token);
        self.part(asked.place).write().remove(&asked);
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
