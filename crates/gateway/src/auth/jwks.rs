//! Published keys, fetched and kept: by the address they are published at, so that APIs with the same issuer share them.
//!
//! One fetch at a time for each address, whoever asks; bounded in size and time. Keys are used while they are older than they
//! should be, for an hour at most, so that an issuer that is slow or away for a while costs nobody anything. A token that
//! names an unknown key asks for them anew, once in a while: not each time, since anybody can name keys that do not exist.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use apidef::{KeySetAddress, OpenIdProvider, Scheme, Target};
use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;

use super::failures::Failures;
use super::jwt::json;
use super::jwt::jwk::JwkSet;
use crate::fetch::{self, Ask};
use crate::gate::Gate;

/// Largest set that is read.
const LARGEST: usize = 1 << 20;
/// How long a fetch may take, with all that belongs to it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long keys are used after the time that they are believed for, while no newer ones can be had.
const STALE: Duration = Duration::from_secs(60 * 60);
/// How often a set is fetched because of keys that it does not have.
const NEWER_EVERY: Duration = Duration::from_secs(5);

/// All sets that are in use.
#[derive(Debug)]
pub(crate) struct KeySets {
    sets: Mutex<HashMap<String, Weak<Entry>>>,
    /// How long keys are believed where a definition says nothing.
    keep: Duration,
    /// Any certificate of their hosts is accepted.
    insecure: bool,
}

/// A set that an API uses.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    entry: Arc<Entry>,
    keep: Duration,
}

/// What is known of a set.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) keys: Arc<JwkSet>,
    /// Changes when the keys do; no two sets ever have the same.
    pub(crate) version: u64,
    digest: Box<[u8]>,
    fetched: Instant,
}

#[derive(Debug)]
struct Entry {
    place: Place,
    known: ArcSwapOption<Known>,
    fetching: Mutex<Fetching>,
}

/// Where a set is.
#[derive(Debug, Clone, PartialEq)]
enum Place {
    /// There.
    At(Target),
    /// Where the issuer says that it is (OpenID Connect Discovery 1.0 section 4).
    Of { issuer: Box<str>, address: Target },
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(url) => url.fmt(f),
            Self::Of { issuer, .. } => write!(f, "issuer {issuer}"),
        }
    }
}

#[derive(Debug, Default)]
struct Fetching {
    /// Closed when the fetch is over.
    running: Option<watch::Receiver<()>>,
    failures: Failures,
    /// What the last one was.
    failure: String,
    /// When unknown keys were last asked for.
    newer: Option<Instant>,
    /// Counts how often the keys were forgotten: what a fetch brings that began before counts no more.
    forgotten: u64,
}

impl KeySets {
    pub(crate) fn new(keep: Duration, insecure: bool) -> Self {
        Self { sets: Mutex::default(), keep, insecure }
    }

    /// The set at an address; nothing is fetched yet.
    pub(crate) fn published(&self, address: &KeySetAddress) -> Published {
        self.entry(Place::At(address.url.clone()), address.keep)
    }

    /// The set of an issuer, wherever that says it is.
    pub(crate) fn of_issuer(&self, provider: &OpenIdProvider) -> Published {
        let place = Place::Of { issuer: provider.issuer.clone(), address: provider.address.clone() };
        self.entry(place, None)
    }

    fn entry(&self, place: Place, keep: Option<Duration>) -> Published {
        let name = place.to_string();
        let mut sets = self.sets.lock();
        let entry = sets.get(&name).and_then(Weak::upgrade).unwrap_or_else(|| {
            sets.retain(|_, entry| entry.strong_count() > 0);
            let entry = Arc::new(Entry { place, known: ArcSwapOption::empty(), fetching: Mutex::default() });
            sets.insert(name, Arc::downgrade(&entry));
            entry
        });
        Published { entry, keep: keep.unwrap_or(self.keep) }
    }

    /// The keys as far as they are known, without waiting. Fetches them in the background where it is time to.
    pub(crate) fn known(&self, gate: &Arc<Gate>, published: &Published) -> Option<Arc<Known>> {
        let known = published.entry.known.load_full()?;
        let age = known.fetched.elapsed();
        if age < published.keep {
            return Some(known);
        }
        drop(self.fetch(gate, &published.entry, false));
        (age < published.keep.saturating_add(STALE)).then_some(known)
    }

    /// The keys; fetched, if none are known. The error is for operators.
    pub(crate) async fn get(&self, gate: &Arc<Gate>, published: &Published) -> Result<Arc<Known>, String> {
        if let Some(known) = self.known(gate, published) {
            return Ok(known);
        }
        if let Some(mut running) = self.fetch(gate, &published.entry, false) {
            // An error is the end of the fetch.
            let _ = running.changed().await;
        }
        self.known(gate, published).ok_or_else(|| {
            format!("no keys from {}: {}", published.entry.place, published.entry.fetching.lock().failure)
        })
    }

    /// The keys, fetched anew because one that is asked for is not among them; as they are, where that was done just now.
    pub(crate) async fn newer(&self, gate: &Arc<Gate>, published: &Published) -> Result<Arc<Known>, String> {
        if let Some(mut running) = self.fetch(gate, &published.entry, true) {
            let _ = running.changed().await;
        }
        self.get(gate, published).await
    }

    /// Fetches a set before anybody asks for it.
    pub(crate) fn prefetch(&self, gate: &Arc<Gate>, published: &Published) {
        if published.entry.known.load().is_none() {
            drop(self.fetch(gate, &published.entry, false));
        }
    }

    /// Forgets the keys of all sets.
    pub(crate) fn forget_all(&self) {
        for entry in self.sets.lock().values().filter_map(Weak::upgrade) {
            entry.forget();
        }
    }

    /// Begins a fetch, or joins the one that runs; `None` while it is too early for another.
    fn fetch(&self, gate: &Arc<Gate>, entry: &Arc<Entry>, newer: bool) -> Option<watch::Receiver<()>> {
        let mut fetching = entry.fetching.lock();
        if let Some(running) = fetching.running.as_ref().filter(|running| running.has_changed().is_ok()) {
            return Some(running.clone());
        }
        let now = Instant::now();
        if fetching.failures.pause(0, now) {
            return None;
        }
        if newer {
            if fetching.newer.is_some_and(|last| now.duration_since(last) < NEWER_EVERY) {
                return None;
            }
            fetching.newer = Some(now);
        }
        let (done, running) = watch::channel(());
        fetching.running = Some(running.clone());
        let forgotten = fetching.forgotten;
        drop(fetching);
        let (gate, entry, insecure) = (Arc::clone(gate), Arc::clone(entry), self.insecure);
        // A task of its own: whoever asked may go away.
        tokio::spawn(async move {
            let outcome = load(&gate, &entry.place, insecure).await;
            entry.take(outcome, forgotten);
            drop(done);
        });
        Some(running)
    }
}

impl Published {
    /// Forgets the keys; the next token fetches them.
    pub(crate) fn forget(&self) {
        self.entry.forget();
    }
}

impl Entry {
    fn forget(&self) {
        let mut fetching = self.fetching.lock();
        let forgotten = fetching.forgotten + 1;
        *fetching = Fetching { forgotten, ..Fetching::default() };
        self.known.store(None);
    }

    /// Takes what a fetch brought.
    fn take(&self, outcome: Result<(JwkSet, Box<[u8]>), String>, forgotten: u64) {
        static VERSIONS: AtomicU64 = AtomicU64::new(1);
        let mut fetching = self.fetching.lock();
        if fetching.forgotten != forgotten {
            return;
        }
        match outcome {
            Ok((keys, digest)) => {
                fetching.failures.clear();
                let before = self.known.load_full().filter(|before| before.digest == digest);
                let (keys, version) = match before {
                    Some(before) => (Arc::clone(&before.keys), before.version),
                    None => {
                        let (usable, unusable) = (keys.len(), keys.unusable);
                        tracing::info!(from = %self.place, usable, unusable, "keys of tokens fetched");
                        (Arc::new(keys), VERSIONS.fetch_add(1, Ordering::Relaxed))
                    }
                };
                let known = Known { keys, version, digest, fetched: Instant::now() };
                self.known.store(Some(Arc::new(known)));
            }
            Err(failure) => {
                tracing::warn!(from = %self.place, "keys of tokens cannot be fetched: {failure}");
                fetching.failures.add(Instant::now());
                fetching.failure = failure;
            }
        }
    }
}

async fn load(gate: &Gate, place: &Place, insecure: bool) -> Result<(JwkSet, Box<[u8]>), String> {
    let url = match place {
        Place::At(url) => url.clone(),
        Place::Of { issuer, address } => discover(gate, issuer, address, insecure).await?,
    };
    let body = get(gate, url, insecure).await?;
    let keys = JwkSet::read(&body).map_err(|why| format!("the answer is no key set: {why}"))?;
    Ok((keys, digest(&SHA256, &body).as_ref().into()))
}

/// Where an issuer publishes its keys.
async fn discover(gate: &Gate, issuer: &str, address: &Target, insecure: bool) -> Result<Target, String> {
    let mut url = address.clone();
    url.path = format!("{}/.well-known/openid-configuration", url.path.trim_end_matches('/')).into();
    let body = get(gate, url, insecure).await?;
    let metadata = json::object(&body).ok_or("what the issuer says of itself is no JSON object")?;
    let said = metadata.get("issuer").and_then(Value::as_str).unwrap_or_default();
    if said != issuer {
        return Err(format!("the issuer calls itself `{said}`"));
    }
    let keys = metadata.get("jwks_uri").and_then(Value::as_str).ok_or("the issuer names no `jwks_uri`")?;
    let keys = Target::parse(keys).map_err(|why| format!("the issuer's `jwks_uri` {why}"))?;
    match (address.scheme, keys.scheme) {
        (_, Scheme::Https) | (Scheme::Http, Scheme::Http) => Ok(keys),
        _ => Err("the issuer's `jwks_uri` is less safe than the issuer".to_owned()),
    }
}

async fn get(gate: &Gate, url: Target, insecure: bool) -> Result<bytes::Bytes, String> {
    let ask = Ask::get(url).within(PATIENCE, LARGEST);
    let fetched = fetch::send(&gate.upstream, insecure, ask).await.map_err(|error| error.to_string())?;
    match fetched.status {
        http::StatusCode::OK => Ok(fetched.body),
        status => Err(format!("the answer is {}, not 200", status.as_u16())),
    }
}
