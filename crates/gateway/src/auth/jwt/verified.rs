//! Tokens whose signature has been checked already. Checking a signature costs more than all else that a request needs, and
//! clients send the same token many times.
//!
//! A token is kept by its SHA-256, so that what is kept opens nothing. It is forgotten when it ends, when the key that signed
//! it is no longer published, and when the definition that it was checked against has changed. Bounded: what is used least
//! goes first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::claims::Claims;
use super::source::Proof;
use crate::auth::callers::Caller;

/// Bytes that are kept in all, about.
const WEIGHT: u64 = 64 << 20;
/// How many tokens are expected.
const EXPECTED: usize = 16_384;

/// A token that holds.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) claims: Arc<Claims>,
    /// Unix seconds at which it ends.
    pub(crate) until: i64,
    /// Which key said so.
    pub(crate) proof: Proof,
    /// Who it is.
    pub(crate) identity: Box<str>,
    /// Policies that are known without its claims.
    pub(crate) base: Option<Box<str>>,
    /// The key of its session.
    pub(crate) session: Box<str>,
    /// Its session as it was found last.
    pub(crate) caller: ArcSwap<Caller>,
    /// Bytes of the token.
    pub(crate) length: usize,
}

/// A token that holds and has no session of its own in the store.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) claims: Arc<Claims>,
    /// Unix seconds until which that is believed.
    pub(crate) until: i64,
    /// Unix seconds at which the token ends.
    pub(crate) ends: i64,
    /// Unix seconds until which it was to be believed, before it is asked about anew.
    pub(crate) kept: i64,
    /// When it is asked about anew; `None`: not while it is believed.
    pub(crate) renew_at: Option<Instant>,
    /// Which key said so.
    pub(crate) proof: Proof,
    /// Who it is.
    pub(crate) identity: Box<str>,
    /// Bytes of the token.
    pub(crate) length: usize,
}

/// The tokens that hold.
#[derive(Debug)]
pub(crate) struct Tokens<T>(Cache<Name, Arc<T>, Weight>);

/// Something with the length of a token.
pub(crate) trait OfToken {
    fn length(&self) -> usize;
}

impl OfToken for Verified {
    fn length(&self) -> usize {
        self.length
    }
}

impl OfToken for Checked {
    fn length(&self) -> usize {
        self.length
    }
}

/// What a token is kept under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// Of the scheme that checked it; another one, or a later version of this one, finds nothing.
    scheme: u64,
    digest: [u8; 32],
}

impl std::hash::Hash for Name {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        // The digest is as good as random; a part of it will do.
        let [a, b, c, d, e, f, g, h, ..] = self.digest;
        state.write_u64(self.scheme ^ u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// SHA-256 of a token.
pub(crate) fn of_token(token: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    bytes
}

impl Name {
    pub(crate) fn of(scheme: u64, token: &str) -> Self {
        Self { scheme, digest: of_token(token) }
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// A number for a scheme that no other has.
    pub(crate) fn scheme() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }
}

#[derive(Debug, Clone)]
struct Weight;

impl<T: OfToken> Weighter<Name, Arc<T>> for Weight {
    fn weight(&self, _: &Name, token: &Arc<T>) -> u64 {
        // Claims as values take some times the bytes of their text.
        1024 + 4 * token.length() as u64
    }
}

impl<T: OfToken> Default for Tokens<T> {
    fn default() -> Self {
        Self(Cache::with_weighter(EXPECTED, WEIGHT, Weight))
    }
}

impl<T: OfToken> Tokens<T> {
    pub(crate) fn get(&self, name: &Name) -> Option<Arc<T>> {
        self.0.get(name)
    }

    pub(crate) fn keep(&self, name: Name, token: Arc<T>) {
        self.0.insert(name, token);
    }

    pub(crate) fn forget(&self, name: &Name) {
        self.0.remove(name);
    }
}
