//! What was fetched, by what it was fetched for.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// So many are kept; the one that was not used for longest goes first.
const MOST: usize = 1024;
/// Kept so long after the last use.
const UNUSED: Duration = Duration::from_secs(600);
/// After a failure nobody asks again for so long.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Cache<K, V> {
    entries: Mutex<HashMap<K, Arc<Entry<V>>>>,
}

struct Entry<V> {
    value: OnceCell<V>,
    failed: Mutex<Option<(Instant, Arc<str>)>>,
    used: Mutex<Instant>,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    pub(super) fn new() -> Cache<K, V> {
        Cache { entries: Mutex::default() }
    }

    /// The value of a key. Whoever needs one that is not there waits for the same fetch; after one that failed, the
    /// failure is told for a second before there is another.
    ///
    /// # Errors
    /// Why it could not be fetched.
    pub(super) async fn get<F>(&self, key: &K, fetch: impl FnOnce() -> F) -> Result<V, Arc<str>>
    where
        F: Future<Output = Result<V, String>>,
    {
        let entry = self.entry(key);
        let value = entry.value.get_or_try_init(|| async {
            let known = entry.failed.lock().clone();
            if let Some((when, why)) = known
                && when.elapsed() < PAUSE
            {
                return Err(why);
            }
            fetch().await.map_err(|why| {
                let why: Arc<str> = why.into();
                *entry.failed.lock() = Some((Instant::now(), why.clone()));
                why
            })
        });
        value.await.cloned()
    }

    fn entry(&self, key: &K) -> Arc<Entry<V>> {
        let now = Instant::now();
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get(key) {
            *entry.used.lock() = now;
            return entry.clone();
        }
        entries.retain(|_, entry| now.duration_since(*entry.used.lock()) < UNUSED);
        if entries.len() >= MOST {
            let oldest = entries.iter().min_by_key(|(_, entry)| *entry.used.lock());
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                entries.remove(&oldest);
            }
        }
        let entry =
            Arc::new(Entry { value: OnceCell::new(), failed: Mutex::new(None), used: Mutex::new(now) });
        entries.insert(key.clone(), entry.clone());
        entry
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_fetch_serves_all_and_failures_are_tried_again_later() {
        let (cache, fetched) = (Cache::<u32, u32>::new(), AtomicUsize::new(0));
        let fetch = |outcome: Result<u32, String>| {
            let fetched = &fetched;
            move || async move {
                fetched.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
                outcome
            }
        };
        let wrong = || Err("away".to_owned());
        let (a, b) = tokio::join!(cache.get(&1, fetch(wrong())), cache.get(&1, fetch(wrong())));
        assert_eq!((a.unwrap_err().as_ref(), b.unwrap_err().as_ref()), ("away", "away"));
        assert_eq!(fetched.load(Ordering::Relaxed), 1);
        tokio::time::advance(PAUSE).await;
        let (a, b) = tokio::join!(cache.get(&1, fetch(Ok(5))), cache.get(&1, fetch(Ok(6))));
        assert_eq!((a, b), (Ok(5), Ok(5)));
        assert_eq!(fetched.load(Ordering::Relaxed), 2);
        // What is not used is forgotten when something new comes.
        tokio::time::advance(UNUSED).await;
        assert_eq!(cache.get(&2, fetch(Ok(7))).await, Ok(7));
        assert_eq!(cache.entries.lock().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_grow_beyond_its_bound() {
        let cache = Cache::<usize, usize>::new();
        for key in 0..MOST + 10 {
            tokio::time::advance(Duration::from_millis(1)).await;
            assert_eq!(cache.get(&key, || async { Ok(key) }).await, Ok(key));
            assert_eq!(cache.get(&0, || async { Ok(0) }).await, Ok(0));
        }
        let entries = cache.entries.lock();
        assert_eq!(entries.len(), MOST);
        assert!(entries.contains_key(&0) && !entries.contains_key(&1));
    }
}
