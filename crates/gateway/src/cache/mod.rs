//! Answers that are kept for whoever asks the same next (contract 8.6). What an API says of it is a guard of its chain
//! ([`Rules`]), which answers what is kept, and notes on the exchange what is not ([`Keep`]); the answer is collected while
//! its client gets it ([`Collected`]), and of several who ask for the same at once one asks the backend ([`flights`]).

mod collect;
mod entry;
mod flights;
mod key;
mod rules;
mod store;
mod vary;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use http::Response;
use state::{State, Unavailable};
use std::hash::BuildHasher as _;

pub(crate) use collect::{Collected, Keep, keep, pass, refuse};
pub(crate) use rules::Rules;

use self::entry::Entry;
use self::flights::{Flights, Outcome, Turn};
use self::store::Store;
use crate::body::Body;
use crate::exchange::Exchange;

/// Answers that are fetched at once while others may wait for them; beyond it nobody waits.
const FLIGHTS: usize = 10_000;
/// How long anybody waits for an answer that another one fetches.
const PATIENCE: Duration = Duration::from_secs(10);
/// Keys of which is remembered that their answers are not kept, and for how long.
const PASSED: usize = 10_000;
const PASSED_FOR: Duration = Duration::from_secs(5);

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSettings {
    /// Memory for kept answers, in bytes, where no other store has them.
    pub memory: u64,
    /// Bytes of the longest body that is kept.
    pub longest: usize,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self { memory: 64 << 20, longest: 1 << 20 }
    }
}

/// The kept answers of all APIs.
#[derive(Debug)]
pub(crate) struct Cache {
    store: Store,
    flights: Flights,
    passed: quick_cache::sync::Cache<u64, Instant>,
    hasher: RandomState,
    /// Counts how often something was dropped, so that what was asked for before is not kept after.
    drops: Arc<AtomicU64>,
    /// Bytes of answers that are being collected.
    collecting: AtomicUsize,
    longest: usize,
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
}

impl Cache {
    pub(crate) fn new(settings: CacheSettings, state: &State) -> Self {
        Self {
            store: Store::new(settings, state),
            flights: Flights::new(FLIGHTS),
            passed: quick_cache::sync::Cache::new(PASSED),
            hasher: RandomState::default(),
            drops: Arc::default(),
            collecting: AtomicUsize::new(0),
            longest: settings.longest,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Bytes in memory, and how many there may be; `None` where another store has the answers.
    pub(crate) fn memory(&self) -> Option<(u64, u64)> {
        self.store.memory()
    }

    /// Answers that were not kept because too many were on their way to the store.
    pub(crate) fn unwritten(&self) -> u64 {
        self.store.unwritten()
    }

    /// Forgets the answers of APIs that this node has at hand, and lets nobody wait for one that is older.
    pub(crate) fn forget(&self, apis: &[&str]) {
        self.drops.fetch_add(1, Ordering::Relaxed);
        let prefixes: Vec<String> = apis.iter().map(|api| key::prefix(api)).collect();
        let of_apis = |key: &str| prefixes.iter().any(|prefix| key.starts_with(&**prefix));
        self.flights.forget(of_apis);
        self.store.forget(of_apis);
    }

    /// Forgets them wherever they are.
    pub(crate) async fn drop_all(&self, apis: &[&str]) -> Result<(), Unavailable> {
        self.forget(apis);
        self.store.drop_all(apis).await
    }

    /// The answer that is kept under this key for such a request; else whoever asks is to fetch it, and to tell the flight,
    /// if it is given one.
    async fn find(&self, key: &Arc<str>, exchange: &Exchange) -> Result<Arc<Entry>, Option<flights::Flight>> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let headers = &exchange.head.headers;
        let fits = |entry: &Arc<Entry>| entry.fits(headers);
        loop {
            let kept = self.store.get(key, &exchange.head.method).await;
            if let Some(entry) = kept.filter(fits) {
                return Ok(entry);
            }
            let hash = self.hasher.hash_one(key);
            if self.passed.get(&hash).is_some_and(|until| Instant::now() < until) {
                return Err(None);
            }
            let mut answer = match self.flights.join(key) {
                Turn::Full => return Err(None),
                // It may have been kept between the look and the turn.
                Turn::First(flight) => {
                    return match self.store.at_hand(key).filter(fits) {
                        Some(entry) => Ok(entry),
                        None => Err(Some(flight)),
                    };
                }
                Turn::Wait(answer) => answer,
            };
            let waited = tokio::time::timeout_at(deadline, answer.wait_for(Outcome::is_known)).await;
            let outcome = match waited {
                Ok(Ok(outcome)) => outcome.clone(),
                // Whoever fetches it has gone.
                Ok(Err(_)) => Outcome::Lost,
                Err(_) => return Err(None),
            };
            match outcome {
                Outcome::Kept(entry) if fits(&entry) => return Ok(entry),
                Outcome::Lost => {}
                _ => return Err(None),
            }
        }
    }

    /// Remembers that such answers are not kept, so that nobody waits for one.
    fn pass(&self, key: &Arc<str>) {
        self.passed.insert(self.hasher.hash_one(key), Instant::now() + PASSED_FOR);
    }

    fn hit(&self, entry: &Entry, exchange: &mut Exchange) -> Response<Body> {
        self.hits.fetch_add(1, Ordering::Relaxed);
        exchange.mocked = true;
        entry.response(&exchange.head.method, &exchange.head.headers)
    }
}
