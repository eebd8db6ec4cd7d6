//! A map in memory whose entries expire (streams contract 3.11).

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
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
    name: "memory",
    summary: "Keeps values in memory, lost when the stream stops. Its size is not bounded: let entries expire, or take `lru` or `ttlru`.",
    config: Kind::Object(&[
        Field::new(
            "default_ttl",
            Kind::Duration,
            Default::Text("5m"),
            "How long a value is kept when its writer does not say.",
        ),
        Field::new(
            "compaction_interval",
            Kind::Duration,
            Default::Text("60s"),
            "How often expired values are removed. They are never given out, whenever they are removed. Empty: only when their key is used again.",
        ),
        Field::optional("init_values", Kind::Map(&Kind::Text), "Values from the start, which never expire."),
        Field::new("shards", Kind::Int, Default::Int(1), "Parts with a lock each, from 1 to 1024.")
            .advanced(),
    ]),
    build,
};

fn build(node: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Cache>, Fault> {
    let shards = node.count("shards")?;
    if !(1..=1024).contains(&shards) {
        return Err(node.field_fault("shards", "`shards` must be from 1 to 1024"));
    }
    let memory = Memory {
        ttl: node.duration("default_ttl")?,
        compaction: node.duration("compaction_interval")?,
        hasher: RandomState::new(),
        shards: (0..shards).map(|_| Mutex::default()).collect(),
    };
    for (key, value) in node.pairs("init_values")? {
        let entry = Entry { value: Bytes::from(value), expires: None };
        memory.shard(&key).lock().entries.insert(key, entry);
    }
    Ok(Box::new(memory))
}

struct Memory {
    ttl: Option<Duration>,
    compaction: Option<Duration>,
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
}

#[derive(Default)]
struct Shard {
    entries: HashMap<String, Entry>,
    compacted: Option<Instant>,
}

struct Entry {
    value: Bytes,
    expires: Option<Instant>,
}

impl Entry {
    fn alive(&self, now: Instant) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

impl Memory {
    fn shard(&self, key: &str) -> &Mutex<Shard> {
        let hash = self.hasher.hash_one(key) as usize;
        &self.shards[hash % self.shards.len()]
    }

    fn put(&self, key: &str, value: Bytes, ttl: Option<Duration>, only_new: bool) -> Result<(), CacheError> {
        let now = Instant::now();
        let mut shard = self.shard(key).lock();
        if let Some(every) = self.compaction
            && now >= *shard.compacted.get_or_insert(now) + every
        {
            shard.compacted = Some(now);
            shard.entries.retain(|_, entry| entry.alive(now));
        }
        // Unlike in the original an expired value is gone for `add`, too, compacted or not.
        if only_new && shard.entries.get(key).is_some_and(|entry| entry.alive(now)) {
            return Err(CacheError::Exists);
        }
        let expires = ttl.or(self.ttl).and_then(|ttl| now.checked_add(ttl));
        shard.entries.insert(key.to_owned(), Entry { value, expires });
        Ok(())
    }
}

#[async_trait]
impl Cache for Memory {
    async fn get(&self, key: &str) -> Result<Bytes, CacheError> {
        let now = Instant::now();
        let mut shard = self.shard(key).lock();
        match shard.entries.get(key) {
            Some(entry) if entry.alive(now) => Ok(entry.value.clone()),
            Some(_) => {
                shard.entries.remove(key);
                Err(CacheError::NotFound)
            }
            None => Err(CacheError::NotFound),
        }
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError> {
        self.put(key, value, ttl, false)
    }

    async fn add(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError> {
        self.put(key, value, ttl, true)
    }

    async fn delete(&self, key: &str) -> Result<(), CacheError> {
        self.shard(key).lock().entries.remove(key);
        Ok(())
    }
}
