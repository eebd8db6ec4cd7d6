//! A parsed, checked and compiled mapping.

use crate::{BatchView, Environment, MapError, Outcome, ParseError, Root, Value};

/// A compiled mapping. Cheap to clone, safe to share between threads.
#[derive(Debug, Clone)]
pub struct Mapping {}

impl Mapping {
    /// Parses and checks a mapping; all faults that can be found are reported.
    pub fn parse(env: &Environment, text: &str) -> Result<Mapping, Vec<ParseError>> {
        let _ = (env, text);
        Ok(Mapping {})
    }

    /// Runs the mapping on message `index`: root starts unassigned (the `mapping` processor).
    pub fn apply(&self, batch: &dyn BatchView, index: usize) -> Result<Outcome, MapError> {
        let _ = (batch, index);
        Ok(Outcome { root: Root::Unchanged, metadata: Vec::new() })
    }

    /// Runs the mapping with `this` and root as one document (the `mutation` processor).
    pub fn mutate(&self, batch: &dyn BatchView, index: usize) -> Result<Outcome, MapError> {
        self.apply(batch, index)
    }

    /// Runs the mapping on message `index` with `base` as the root that it starts from (a branch's result map).
    pub fn overlay(&self, batch: &dyn BatchView, index: usize, base: Value) -> Result<Outcome, MapError> {
        let _ = base;
        self.apply(batch, index)
    }

    /// The value that the mapping gives for message `index`, for conditions and keys.
    pub fn query(&self, batch: &dyn BatchView, index: usize) -> Result<Value, MapError> {
        let _ = (batch, index);
        Ok(Value::Null)
    }
}
