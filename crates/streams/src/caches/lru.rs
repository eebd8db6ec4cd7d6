//! A map in memory of a bounded number of entries (streams contract 3.11).

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use document::Fault;
use parking_lot::Mutex;

use super::eviction::Eviction;
use crate::build::BuildContext;
use crate::cache::{Cache, CacheError};
use crate::node::Node;
use crate::registry::{CacheSpec, Default, Field, Kind};

pub(super) static SPEC: CacheSpec = CacheSpec {
    name: "lru",
    summary: "Keeps a bounded number of values in memory; the least used goes first. Values do not expire, whatever time to live their writer gives.",
    config: Kind::Object(&[
        Field::new("cap", Kind::Int, Default::Int(1000), "Most values kept."),
        Field::optional("init_values", Kind::Map(&Kind::Text), "Values from the start."),
        Field::new(
            "algorithm",
            Kind::Choice(&["arc", "standard", "two_queues"]),
            Default::Text("standard"),
            "Which value goes: the one used longest ago (`standard`), or one chosen by how often, too.",
        )
        .advanced(),
        Field::new(
            "two_queues_recent_ratio",
            Kind::Float,
            Default::Float(0.25),
            "`two_queues`: the part of `cap` for values that were used once.",
        )
        .advanced(),
        Field::new(
            "two_queues_ghost_ratio",
            Kind::Float,
            Default::Float(0.5),
            "`two_queues`: how many keys of values that are gone are remembered, as a part of `cap`.",
        )
        .advanced(),
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
    let part = |name: &str| {
        let ratio = node.float(name)?;
        if (0.0..=1.0).contains(&ratio) {
            Ok((cap as f64 * ratio) as usize)
        } else {
            Err(node.field_fault(name, format!("`{name}` must be from 0 to 1")))
        }
    };
    let (recent, ghost) = (part("two_queues_recent_ratio")?, part("two_queues_ghost_ratio")?);
    let eviction = match &*node.text("algorithm")? {
        "arc" => Eviction::adaptive(cap),
        "two_queues" => Eviction::two_queues(cap, recent, ghost),
        _ => Eviction::standard(cap),
    };
    let mut state = State { values: HashMap::new(), eviction };
    for (key, value) in node.pairs("init_values")? {
        state.put(&key, Bytes::from(value));
    }
    Ok(Box::new(Lru { state: Mutex::new(state) }))
}

struct Lru {
    state: Mutex<State>,
}

struct State {
    values: HashMap<String, Bytes>,
    eviction: Eviction,
}

impl State {
    fn put(&mut self, key: &str, value: Bytes) {
        if let Some(evicted) = self.eviction.used(key, self.values.contains_key(key)) {
            self.values.remove(&evicted);
        }
        self.values.insert(key.to_owned(), value);
    }
}

#[async_trait]
impl Cache for Lru {
    async fn get(&self, key: &str) -> Result<Bytes, CacheError> {
        let mut state = self.state.lock();
        let value = state.values.get(key).cloned().ok_or(CacheError::NotFound)?;
        state.eviction.used(key, true);
        Ok(value)
    }

    async fn set(&self, key: &str, value: Bytes, _: Option<Duration>) -> Result<(), CacheError> {
        self.state.lock().put(key, value);
        Ok(())
    }

    async fn add(&self, key: &str, value: Bytes, _: Option<Duration>) -> Result<(), CacheError> {
        let mut state = self.state.lock();
        if state.values.contains_key(key) {
            return Err(CacheError::Exists);
        }
        state.put(key, value);
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), CacheError> {
        let mut state = self.state.lock();
        if state.values.remove(key).is_some() {
            state.eviction.removed(key);
        }
        Ok(())
    }
}
