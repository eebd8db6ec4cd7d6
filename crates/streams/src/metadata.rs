//! The metadata of a message: few names, ordered, found by search.
//!
//! A flat list, because a message has about as many names as a cache line has words: filling one costs a single
//! allocation, where a tree's nodes would be larger and slower to walk.

use std::sync::Arc;

use bloblang::Value;

/// Room for what most inputs set, so that a list is not moved while it is filled.
const USUAL: usize = 8;

/// Names with their values, ordered by name.
#[derive(Clone, Default)]
pub(crate) struct Metadata(Vec<(Arc<str>, Value)>);

impl Metadata {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.find(name).ok().map(|at| &self.0[at].1)
    }

    /// All of them, in order.
    pub(crate) fn entries(&self) -> &[(Arc<str>, Value)] {
        &self.0
    }

    /// Sets one value; an earlier one of this name is replaced.
    pub(crate) fn set(&mut self, name: Arc<str>, value: Value) {
        // Who fills it in order pays for no search.
        let at = match self.0.last() {
            Some((last, _)) if **last < *name => Err(self.0.len()),
            _ => self.find(&name),
        };
        match at {
            Ok(at) => self.0[at].1 = value,
            Err(at) => {
                if self.0.is_empty() {
                    self.0.reserve_exact(USUAL);
                }
                self.0.insert(at, (name, value));
            }
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if let Ok(at) = self.find(name) {
            self.0.remove(at);
        }
    }

    /// Where the name stands, or where it would.
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| (**known).cmp(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    // Against the map of the standard library, over names that come in order, backwards, again, and are taken away.
    #[test]
    fn it_holds_what_an_ordered_map_holds() {
        let (mut metadata, mut map) = (Metadata::default(), BTreeMap::new());
        let mut random = 7_u64;
        for step in 0_i64..2_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let name = format!("n{}", (random >> 33) % 24);
            if (random >> 60).is_multiple_of(3) {
                metadata.remove(&name);
                map.remove(&name);
            } else {
                metadata.set(name.as_str().into(), Value::from(step));
                map.insert(name.clone(), Value::from(step));
            }
            assert_eq!(metadata.get(&name), map.get(&name));
            assert!(
                metadata
                    .entries()
                    .iter()
                    .map(|(name, value)| (&**name, value))
                    .eq(map.iter().map(|(name, value)| (name.as_str(), value))),
                "step {step}"
            );
            assert_eq!(metadata.len(), map.len());
        }
    }
}
