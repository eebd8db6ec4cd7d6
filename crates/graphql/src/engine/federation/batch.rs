//! What is missing of the objects that are at hand, put together so that a part is asked once for the same of many.

use apollo_compiler::collections::IndexMap;
use apollo_compiler::executable::Field;
use serde_json::Value;

use super::part::Needed;
use crate::engine::query::OWN;

/// Fields by the names that the answer has for them.
pub(super) type Selected<'r> = Vec<(&'r str, Vec<&'r Field>)>;

/// The same that is missing of several objects.
pub(super) struct Batch<'r> {
    pub(super) to: usize,
    pub(super) kind: String,
    pub(super) fields: Selected<'r>,
    pub(super) needed: Vec<Needed>,
    /// Each once.
    pub(super) representations: Vec<Value>,
    /// Where the objects are, and by which of them they are named.
    pub(super) objects: Vec<(Vec<Value>, usize)>,
}

impl Batch<'_> {
    /// What its objects get.
    pub(super) fn keys(&self) -> impl Iterator<Item = String> + '_ {
        let own = self.needed.iter().map(|needed| format!("{OWN}{}", needed.name));
        self.fields.iter().map(|(key, _)| (*key).to_owned()).chain(own)
    }
}

/// Batches by whom is asked, where in the operation, and for what.
pub(super) type Batches<'r> = IndexMap<String, Batch<'r>>;

/// Where an object is: in the answer, and in the operation.
pub(super) struct Place {
    pub(super) path: Vec<Value>,
    pub(super) site: String,
}

/// An object of which something is missing, and who sent it.
pub(super) struct Of<'o> {
    pub(super) kind: &'o str,
    pub(super) object: &'o Value,
    pub(super) from: usize,
    pub(super) at: &'o Place,
}

pub(super) enum Wanted<'r> {
    Field(&'r str, Vec<&'r Field>),
    Needed(Needed),
}
