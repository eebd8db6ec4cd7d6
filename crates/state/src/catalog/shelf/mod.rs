//! A catalog in a database that many nodes share.
//!
//! Each definition, policy, certificate and client is one row (or document) with a kind, an id, its text, and the number
//! of the change that wrote it. That number is drawn from one counter, the head, so that who knows the head knows whether
//! anything changed, and who knows the number of a row knows whether it is the one that was read. Numbers go up by steps of
//! random length: a database that was put back to where it was before, or failed over to a server that had not the last
//! changes, does not draw for new ones the numbers that somebody has seen already. Once in a while all numbers are compared,
//! for what the head does not tell.
//!
//! What was loaded is kept here. While the database is away that is all there is, and it stays in force.

mod feed;
#[cfg(feature = "mongodb")]
mod mongo;
mod parse;
mod postgres;
mod sql;
mod sqlite;
mod store;

use std::{
    collections::BTreeMap,
    future::Future,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use apidef::references::{Lookup, Seal};
use apidef::{Definition, Policy};
use arc_swap::ArcSwap;
use document::Fault;
use tokio::sync::{Mutex, mpsc};

use self::{
    parse::Content,
    store::{Fresh, Read, Store, Trouble},
};
use super::{
    Address, AddressError, CatalogError, CatalogOptions, Change, Item, Kind, Loaded, Papers, files::is_safe,
    papers::PaperMap,
};
use crate::Health;

/// The head of which nothing is known: everything differs from it.
const UNKNOWN: i64 = -1;
/// A write of many items may take so many times as long as one call.
const BULK: u32 = 12;

#[derive(Debug)]
pub(super) struct Shelf {
    store: Store,
    engine: &'static str,
    /// What rows are called: where the database is, and the table.
    place: String,
    options: CatalogOptions,
    /// The head that was last loaded; negative before.
    head: AtomicI64,
    /// What was loaded is not what is there, whatever the head says.
    doubted: AtomicBool,
    /// When all numbers were last looked at.
    compared: parking_lot::Mutex<Instant>,
    /// Held while loading, so that loads do not overtake each other.
    cache: Mutex<Cache>,
    health: ArcSwap<Health>,
}

/// What was last loaded.
#[derive(Debug, Default)]
struct Cache {
    entries: BTreeMap<(Kind, Box<str>), Entry>,
    /// Rows of kinds that are not known here.
    strangers: Vec<String>,
}

#[derive(Debug)]
struct Entry {
    revision: i64,
    /// Of the text.
    digest: u64,
    /// Which values kept elsewhere it was read with.
    seal: Seal,
    content: Content,
}

impl Cache {
    /// The number of the change that a row was last read as.
    fn known(&self, kind: &str, id: &str) -> Option<i64> {
        let key = (Kind::of_word(kind)?, Box::from(id));
        self.entries.get(&key).map(|entry| entry.revision)
    }

    /// Has what was read with other values read again; tells whether there is any.
    fn doubt(&mut self, lookup: &dyn Lookup) -> bool {
        let mut any = false;
        for entry in self.entries.values_mut().filter(|entry| !entry.seal.holds(lookup)) {
            (entry.revision, entry.digest, any) = (UNKNOWN, 0, true);
        }
        any
    }
}

impl Shelf {
    pub(super) fn new(address: &Address, options: &CatalogOptions) -> Result<Shelf, AddressError> {
        let name = &options.name;
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if !(1..=40).contains(&name.len())
            || !name.bytes().all(fits)
            || !name.starts_with(|first: char| first.is_ascii_lowercase())
        {
            return Err(AddressError::Name(name.clone()));
        }
        Ok(Shelf {
            store: Store::new(address, options)?,
            engine: address.engine(),
            place: format!("{address}#{name}"),
            options: options.clone(),
            head: AtomicI64::new(UNKNOWN),
            doubted: AtomicBool::new(false),
            compared: parking_lot::Mutex::new(Instant::now()),
            cache: Mutex::default(),
            health: ArcSwap::from_pointee(Health::down("not connected yet")),
        })
    }

    pub(super) fn engine(&self) -> &'static str {
        self.engine
    }

    pub(super) fn health(&self) -> Health {
        Health::clone(&self.health.load())
    }

    /// What the row of an item is called.
    fn row(&self, kind: Kind, id: &str) -> PathBuf {
        PathBuf::from(format!("{}/{kind}/{id}", self.place))
    }

    pub(super) async fn load(&self, papers: &Papers, lookup: &Arc<dyn Lookup>) -> Loaded {
        let mut cache = self.cache.lock().await;
        let since = papers.writes();
        let doubted = self.doubted.swap(false, Ordering::AcqRel);
        let head =
            if cache.doubt(&**lookup) || doubted { UNKNOWN } else { self.head.load(Ordering::Acquire) };
        let read = self.call(1, self.store.read(head, &|kind, id| cache.known(kind, id))).await;
        let mut loaded = Loaded::default();
        let taken = match read {
            Ok(None) => None,
            Ok(Some(read)) => {
                let head = read.head;
                match self.take(&mut cache, read, Arc::clone(lookup)).await {
                    Ok(parsed) => Some((parsed, head)),
                    Err(reason) => self.incomplete(&mut loaded, &reason),
                }
            }
            Err(trouble) => self.incomplete(&mut loaded, &trouble.to_string()),
        };
        let read = self.tell(&cache, &mut loaded);
        match taken {
            Some((parsed, head)) => {
                loaded.parsed = parsed;
                self.head.store(head, Ordering::Release);
                let taken = papers.set(read, since);
                loaded.papers_changed = taken.changed;
                if taken.overlapped {
                    self.doubted.store(true, Ordering::Release);
                }
            }
            // Nothing was read: what this process wrote since the last load holds.
            None if doubted => self.doubted.store(true, Ordering::Release),
            None => {}
        }
        loaded
    }

    fn incomplete<T>(&self, loaded: &mut Loaded, reason: &str) -> Option<T> {
        let fault = Fault::error("", format!("the catalog cannot be read: {reason}"))
            .hint("what was loaded before stays in force until it can be read again");
        loaded.definitions.push((PathBuf::from(&self.place), Err(vec![fault])));
        loaded.complete = false;
        None
    }

    /// Parses what is new, and forgets what is gone; tells how many were parsed.
    async fn take(&self, cache: &mut Cache, read: Read, lookup: Arc<dyn Lookup>) -> Result<usize, String> {
        let digests = |fresh: Fresh| {
            let digest = Kind::of_word(&fresh.kind)
                .and_then(|kind| cache.entries.get(&(kind, fresh.id.as_str().into())))
                .map(|entry| entry.digest);
            (fresh, digest)
        };
        let fresh: Vec<(Fresh, Option<u64>)> = read.fresh.into_iter().map(digests).collect();
        let parsed = tokio::task::spawn_blocking(move || parse::all(fresh, &*lookup)).await;
        let parsed = parsed.map_err(|error| error.to_string())?;

        let mut before = std::mem::take(&mut cache.entries);
        cache.strangers.clear();
        let mut fresh: BTreeMap<(Kind, Box<str>), parse::Parsed> =
            parsed.into_iter().map(|parsed| ((parsed.kind, parsed.id.clone()), parsed)).collect();
        let mut count = 0;
        for (word, id, revision) in read.keys {
            let Some(kind) = Kind::of_word(&word) else {
                cache.strangers.push(format!("{}/{word}/{id}", self.place));
                continue;
            };
            let key = (kind, id.into_boxed_str());
            let entry = match (fresh.remove(&key), before.remove(&key)) {
                (Some(parse::Parsed { content: None, .. }), Some(old)) => Entry { revision, ..old },
                (Some(parse::Parsed { content: Some(content), digest, seal, .. }), old) => {
                    count += 1;
                    Entry { revision, digest, seal, content: content.after(old.map(|old| old.content)) }
                }
                (None, Some(old)) => old,
                // Its text could not be had; the next load tries again.
                (_, None) => continue,
            };
            cache.entries.insert(key, entry);
        }
        Ok(count)
    }

    /// What is in force, as far as it is known; returns certificates and clients.
    fn tell(&self, cache: &Cache, loaded: &mut Loaded) -> PaperMap {
        let mut read = PaperMap::new();
        for ((kind, id), entry) in &cache.entries {
            match &entry.content {
                Content::Api(parsed) => loaded.definitions.push((self.row(*kind, id), parsed.clone())),
                Content::Policy { policy, faults } => {
                    loaded.policies.extend(policy.iter().map(|policy| (id.clone(), Arc::clone(policy))));
                    if !faults.is_empty() {
                        loaded.policy_faults.push((self.row(*kind, id), faults.clone()));
                    }
                }
                Content::Paper { text, faults } => {
                    read.extend(text.iter().map(|text| ((*kind, id.clone()), Arc::clone(text))));
                    if !faults.is_empty() {
                        loaded.paper_faults.push((self.row(*kind, id), faults.clone()));
                    }
                }
            }
        }
        for place in &cache.strangers {
            let fault = Fault::warning("", "a row of this kind is not known here and is left out");
            loaded.paper_faults.push((PathBuf::from(place), vec![fault]));
        }
        read
    }

    pub(super) async fn put_api(
        &self,
        definition: &Definition,
        over: Option<&Definition>,
    ) -> Result<PathBuf, CatalogError> {
        let id = &*definition.api.id;
        check_id(Kind::Api, id)?;
        let expected = match over {
            Some(over) => Some(self.revision_of(over).await?),
            None => None,
        };
        self.write(Kind::Api, id, &definition.text, expected).await?;
        Ok(self.row(Kind::Api, id))
    }

    /// The number of the row that a definition was read from.
    async fn revision_of(&self, definition: &Definition) -> Result<i64, CatalogError> {
        let id = &definition.api.id;
        let cache = self.cache.lock().await;
        match cache.entries.get(&(Kind::Api, id.as_ref().into())) {
            Some(Entry { revision, content: Content::Api(Ok(now)), .. })
                if now.digest == definition.digest =>
            {
                Ok(*revision)
            }
            _ => Err(CatalogError::Changed(id.to_string())),
        }
    }

    pub(super) async fn put_policy(&self, policy: &Policy) -> Result<PathBuf, CatalogError> {
        let id = if policy.id.is_empty() { &policy._id } else { &policy.id };
        check_id(Kind::Policy, id)?;
        let faulty = |error: serde_json::Error| CatalogError::Faulty {
            place: format!("{}/{id}", Kind::Policy),
            reason: error.to_string(),
        };
        let text = serde_json::to_string(policy).map_err(faulty)?;
        self.write(Kind::Policy, id, &text, None).await?;
        Ok(self.row(Kind::Policy, id))
    }

    pub(super) async fn put(&self, kind: Kind, id: &str, text: &str) -> Result<(), CatalogError> {
        self.write(kind, id, text, None).await
    }

    async fn write(
        &self,
        kind: Kind,
        id: &str,
        text: &str,
        expected: Option<i64>,
    ) -> Result<(), CatalogError> {
        let written = self.call(1, self.store.put(kind.word(), id, text, expected)).await;
        written.map_err(|trouble| self.failed(id, trouble))
    }

    pub(super) async fn delete(&self, kind: Kind, id: &str) -> Result<bool, CatalogError> {
        let deleted = self.call(1, self.store.delete(kind.word(), id)).await;
        deleted.map_err(|trouble| self.failed(id, trouble))
    }

    pub(super) async fn write_items(
        &self,
        put: &[Item],
        remove: &[(Kind, Box<str>)],
    ) -> Result<(), CatalogError> {
        let written = self.call(BULK, self.store.write_all(put, remove)).await;
        written.map_err(|trouble| self.failed("", trouble))
    }

    pub(super) async fn items(&self, lookup: &dyn Lookup) -> Result<Vec<Item>, CatalogError> {
        let nothing = |_: &str, _: &str| None;
        let read = self.call(BULK, self.store.read(UNKNOWN, &nothing)).await;
        let read = read.map_err(|trouble| self.failed("", trouble))?;
        let mut items = Vec::new();
        for fresh in read.into_iter().flat_map(|read| read.fresh) {
            let place = format!("{}/{}/{}", self.place, fresh.kind, fresh.id);
            let faulty = |reason: String| CatalogError::Faulty { place: place.clone(), reason };
            let kind = Kind::of_word(&fresh.kind)
                .ok_or_else(|| faulty("a row of this kind is not known here".to_owned()))?;
            let text = fresh.text.clone().map_err(&faulty)?;
            let (parsed, _) = parse::content(kind, &fresh.id, &text, lookup);
            if let Some(faults) = parsed.errors() {
                return Err(CatalogError::of_faults(&place, faults));
            }
            items.push(Item { kind, id: fresh.id.into(), text });
        }
        Ok(items)
    }

    pub(super) fn watch(self: &Arc<Self>) -> mpsc::Receiver<Change> {
        feed::start(Arc::clone(self))
    }

    /// Whether something changed since the last load.
    async fn stale(&self) -> Result<bool, Trouble> {
        let head = self.call(1, self.store.head()).await?;
        if head != self.head.load(Ordering::Acquire) || self.doubted.load(Ordering::Acquire) {
            return Ok(true);
        }
        if self.compared.lock().elapsed() < self.options.compare {
            return Ok(false);
        }
        let differs = self.differs().await?;
        *self.compared.lock() = Instant::now();
        Ok(differs)
    }

    /// Whether any name or number is another than it was loaded, whatever the head says: a change may have been made
    /// by who was gone before he could tell, or by hand.
    async fn differs(&self) -> Result<bool, Trouble> {
        let cache = self.cache.lock().await;
        let keys = self.call(1, self.store.keys()).await?;
        let differs = keys.len() != cache.entries.len() + cache.strangers.len()
            || keys.iter().any(|(kind, id, revision)| {
                Kind::of_word(kind).is_some() && cache.known(kind, id) != Some(*revision)
            });
        if differs {
            self.doubted.store(true, Ordering::Release);
        }
        Ok(differs)
    }

    /// A call in its time; what came of it tells whether the database is there.
    async fn call<T>(
        &self,
        times: u32,
        work: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        let limit = self.options.timeout.saturating_mul(times);
        let outcome = match tokio::time::timeout(limit, work).await {
            Ok(outcome) => outcome,
            Err(_) => {
                // What hangs would hang again.
                self.store.reset();
                Err(Trouble::Away(format!("no answer within {limit:?}")))
            }
        };
        let was_up = self.health.load().connected;
        match &outcome {
            Err(Trouble::Away(reason)) => {
                self.store.doubt();
                if was_up || self.health.load().error.as_ref() != Some(reason) {
                    self.health.store(Arc::new(Health::down(reason.clone())));
                }
            }
            Ok(_) | Err(_) if !was_up => self.health.store(Arc::new(Health::up())),
            Ok(_) | Err(_) => {}
        }
        outcome
    }

    fn failed(&self, id: &str, trouble: Trouble) -> CatalogError {
        match trouble {
            Trouble::Changed => CatalogError::Changed(id.to_owned()),
            Trouble::Missing => CatalogError::Missing { place: self.place.clone() },
            Trouble::Away(reason) | Trouble::Refused(reason) => {
                CatalogError::Away { place: self.place.clone(), reason }
            }
        }
    }

    /// How long to wait between two looks.
    fn poll(&self) -> Duration {
        self.options.poll.max(Duration::from_millis(10))
    }
}

/// What can be a row can be a file, too, so that a catalog can be copied.
fn check_id(kind: Kind, id: &str) -> Result<(), CatalogError> {
    let companion = kind == Kind::Api && (id.ends_with("-oas") || id.ends_with("-mcp"));
    if is_safe(id) && !companion { Ok(()) } else { Err(CatalogError::Id(id.to_owned())) }
}
