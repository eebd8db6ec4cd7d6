//! Where answers are kept: in the memory of this node, or in the store that nodes share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use http::Method;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use state::{State, Unavailable};
use tokio::sync::Semaphore;

use super::CacheSettings;
use super::entry::Entry;
use super::key::prefix;
use super::wire;
use crate::clock::unix_millis;

/// Parts of the memory that are locked apart. Few, so that the longest answer fits into one.
const SHARDS: usize = 4;
/// Answers on their way to the shared store; another one is not kept.
const WRITES: usize = 512;
/// Answers that are deleted from it at once.
const AT_ONCE: usize = 64;

#[derive(Debug)]
pub(super) enum Store {
    Memory(Memory),
    Shared(Shared),
}

type Memory = Cache<Arc<str>, Arc<Entry>, Weight>;

/// Answers weigh what they take.
#[derive(Debug, Clone)]
pub(super) struct Weight;

impl Weighter<Arc<str>, Arc<Entry>> for Weight {
    fn weight(&self, key: &Arc<str>, entry: &Arc<Entry>) -> u64 {
        (key.len() + entry.weight()) as u64
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    state: State,
    writes: Arc<Semaphore>,
    unwritten: AtomicU64,
}

impl Store {
    pub(super) fn new(settings: CacheSettings, state: &State) -> Self {
        if state.is_shared() {
            let writes = Arc::new(Semaphore::new(WRITES));
            return Self::Shared(Shared { state: state.clone(), writes, unwritten: AtomicU64::new(0) });
        }
        // About as many as there are when each is of a few kilobytes; the weight is what bounds them.
        let items = usize::try_from(settings.memory / 4096).unwrap_or(usize::MAX).clamp(16, 1 << 20);
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .estimated_items_capacity(items)
            .weight_capacity(settings.memory)
            .build();
        Self::Memory(match options {
            Ok(options) => Cache::with_options(
                options,
                Weight,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            Err(_) => Cache::with_weighter(items, settings.memory, Weight),
        })
    }

    pub(super) fn memory(&self) -> Option<(u64, u64)> {
        match self {
            Self::Memory(memory) => Some((memory.weight(), memory.capacity())),
            Self::Shared(_) => None,
        }
    }

    pub(super) fn unwritten(&self) -> u64 {
        match self {
            Self::Memory(_) => 0,
            Self::Shared(shared) => shared.unwritten.load(Ordering::Relaxed),
        }
    }

    /// The answer of this key to a request of this method. A store that is away has none: the backend has.
    pub(super) async fn get(&self, key: &str, method: &Method) -> Option<Arc<Entry>> {
        match self {
            Self::Memory(_) => self.at_hand(key),
            Self::Shared(shared) => {
                if !shared.state.is_up() {
                    return None;
                }
                let text = shared.state.record(key).await.ok()??;
                wire::decode(&text, method).filter(Entry::lives).map(Arc::new)
            }
        }
    }

    /// The same, without asking another store.
    pub(super) fn at_hand(&self, key: &str) -> Option<Arc<Entry>> {
        let Self::Memory(memory) = self else { return None };
        let entry = memory.get(key)?;
        if entry.lives() {
            return Some(entry);
        }
        // Only this one: another may have taken its place.
        memory.remove_if(key, |kept| Arc::ptr_eq(kept, &entry));
        None
    }

    /// Keeps an answer, given to a request of this method, if it is `still` one to be kept when its turn comes; `then` is
    /// dropped when it is kept.
    pub(super) fn put<T: Send + 'static>(
        &self,
        key: &Arc<str>,
        entry: &Arc<Entry>,
        method: &Method,
        then: T,
        still: impl Fn() -> bool + Send + 'static,
    ) {
        match self {
            Self::Memory(memory) => memory.insert(Arc::clone(key), Arc::clone(entry)),
            Self::Shared(shared) => {
                let Ok(permit) = Arc::clone(&shared.writes).try_acquire_owned() else {
                    shared.unwritten.fetch_add(1, Ordering::Relaxed);
                    return;
                };
                let (state, key, entry, method) =
                    (shared.state.clone(), Arc::clone(key), Arc::clone(entry), method.clone());
                // Nobody waits for it.
                tokio::spawn(async move {
                    let left = u64::try_from(entry.expires - unix_millis()).unwrap_or(0);
                    let text = wire::encode(&entry, &method);
                    if left > 0
                        && still()
                        && let Err(away) =
                            state.put_record(&key, &text, Some(Duration::from_millis(left))).await
                    {
                        tracing::debug!(%away, "an answer is not kept");
                    }
                    drop((permit, then));
                });
            }
        }
    }

    /// Forgets what is at hand under these keys.
    pub(super) fn forget(&self, which: impl Fn(&str) -> bool) {
        if let Self::Memory(memory) = self {
            memory.retain(|key, _| !which(key));
        }
    }

    /// Deletes the answers of APIs from the shared store, in one walk over its keys.
    pub(super) async fn drop_all(&self, apis: &[&str]) -> Result<(), Unavailable> {
        let Self::Shared(shared) = self else { return Ok(()) };
        let walk = match apis {
            [] => return Ok(()),
            [api] => prefix(api),
            _ => "cache-".to_owned(),
        };
        let prefixes: Vec<String> = apis.iter().map(|api| prefix(api)).collect();
        let mut keys = shared.state.record_keys(&walk).await?;
        keys.retain(|key| prefixes.iter().any(|prefix| key.starts_with(&**prefix)));
        for some in keys.chunks(AT_ONCE) {
            let mut deletions = Vec::with_capacity(some.len());
            for key in some {
                deletions.push(shared.state.delete_record(key));
            }
            try_join_all(deletions).await?;
        }
        Ok(())
    }
}
