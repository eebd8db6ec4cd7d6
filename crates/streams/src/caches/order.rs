//! Keys in the order in which they were last used.

use std::collections::{BTreeMap, HashMap};

/// A set of keys that knows which one was used longest ago.
#[derive(Debug, Default)]
pub(super) struct Order {
    ticks: HashMap<String, u64>,
    keys: BTreeMap<u64, String>,
    next: u64,
}

impl Order {
    pub(super) fn len(&self) -> usize {
        self.ticks.len()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.ticks.contains_key(key)
    }

    /// Adds a key, or makes it the newest.
    pub(super) fn touch(&mut self, key: &str) {
        self.remove(key);
        self.ticks.insert(key.to_owned(), self.next);
        self.keys.insert(self.next, key.to_owned());
        self.next += 1;
    }

    /// Removes a key; whether it was there.
    pub(super) fn remove(&mut self, key: &str) -> bool {
        let found = self.ticks.remove(key);
        found.is_some_and(|tick| self.keys.remove(&tick).is_some())
    }

    /// Takes out the key that was used longest ago.
    pub(super) fn pop(&mut self) -> Option<String> {
        let (_, key) = self.keys.pop_first()?;
        self.ticks.remove(&key);
        Some(key)
    }
}
