//! A map in memory of a bounded number of entries that expire when they are not used (streams contract 3.11).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use document::Fault;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::build::BuildContext;
use crate::cache::{Cache, CacheError};
use crate::node::Node;
use crate::registry::{CacheSpec, Default, Field, Kind};

pub(super) static SPEC: CacheSpec = CacheSpec {
    name: "ttlru",
    summary: "Keeps a bounded number of values in memory. Each lives for its time to live after it was last used; when the cache is full, the one that would expire first goes.",
    config: Kind::Object(&[
        Field::new("cap", Kind::Int, Default::Int(1024), "Most values kept."),
        Field::new(
            "default_ttl",
            Kind::Duration,
            Default::Text("5m0s"),
            "How long a value is kept after its last use, when its writer does not say.",
        ),
        Field::optional("ttl", Kind::Duration, "The older name of `default_ttl`.")
            .advanced()
            .deprecated("write `default_ttl`"),
        Field::optional("init_values", Kind::Map(&Kind::Text), "Values from the start."),
        Field::new(
            "optimistic",
            Kind::Ignored("`add` is one step in any case"),
            Default::Bool(false),
            "Go without the lock that makes `add` one step.",
        )
        .advanced(),
    ]),
    build,
};

fn build(node: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Cache>, Fault> {
    let cap = node.count("cap")?;
    if !(1..=100_000_000).contains(&cap) {
        return Err(node.field_fault("cap", "`cap` must be from 1 to 100000000"));
    }
    let written = if node.has("ttl") { node.duration("ttl")? } else { node.duration("default_ttl")? };
    // A year stands for ever: far enough, and no clock overflows.
    let ttl = written.unwrap_or(FOR_EVER).min(FOR_EVER);
    let mut state = State { cap, values: HashMap::new(), ends: BTreeMap::new(), next: 0 };
    let now = Instant::now();
    for (key, value) in node.pairs("init_values")? {
        state.put(now, &key, Bytes::from(value), ttl);
    }
    Ok(Box::new(Ttlru { ttl, state: Mutex::new(state) }))
}

const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

struct Ttlru {
    ttl: Duration,
    state: Mutex<State>,
}

struct State {
    cap: usize,
    values: HashMap<String, Entry>,
    // By when they end; the number keeps those of one moment apart.
    ends: BTreeMap<(Instant, u64), String>,
    next: u64,
}

struct Entry {
    value: Bytes,
    ttl: Duration,
    end: (Instant, u64),
}

impl State {
    /// Removes what has expired.
    fn expire(&mut self, now: Instant) {
        while let Some(first) = self.ends.first_entry().filter(|first| first.key().0 <= now) {
            self.values.remove(&first.remove());
        }
    }

    fn put(&mut self, now: Instant, key: &str, value: Bytes, ttl: Duration) {
        self.remove(key);
        while self.values.len() >= self.cap {
            let Some((_, first)) = self.ends.pop_first() else { break };
            self.values.remove(&first);
        }
        let end = (now + ttl, self.next);
        self.next += 1;
        self.ends.insert(end, key.to_owned());
        self.values.insert(key.to_owned(), Entry { value, ttl, end });
    }

    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.values.remove(key) {
            self.ends.remove(&entry.end);
        }
    }
}

#[async_trait]
impl Cache for Ttlru {
    async fn get(&self, key: &str) -> Result<Bytes, CacheError> {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.expire(now);
        let Some(entry) = state.values.get(key) else { return Err(CacheError::NotFound) };
        let (value, ttl) = (entry.value.clone(), entry.ttl);
        state.put(now, key, value.clone(), ttl);
        Ok(value)
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError> {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.expire(now);
        state.put(now, key, value, ttl.unwrap_or(self.ttl).min(FOR_EVER));
        Ok(())
    }

    async fn add(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError> {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.expire(now);
        if state.values.contains_key(key) {
            return Err(CacheError::Exists);
        }
        state.put(now, key, value, ttl.unwrap_or(self.ttl).min(FOR_EVER));
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), CacheError> {
        self.state.lock().remove(key);
        Ok(())
    }
}
