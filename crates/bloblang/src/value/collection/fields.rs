//! The fields of an object: a list while they are few, with an index when they are many.

use foldhash::fast::RandomState;
use indexmap::IndexMap;

use crate::value::document::prefix;
use crate::{Text, Value};

/// As many fields are searched as fast in a list as through an index.
const FEW: usize = 16;

/// Fields in the order in which they were set.
#[derive(Debug, Clone)]
pub(in crate::value) enum Fields {
    Few(Vec<(Text, Value)>),
    Many(IndexMap<Text, Value, RandomState>),
}

impl Default for Fields {
    fn default() -> Fields {
        Fields::Few(Vec::new())
    }
}

impl Fields {
    pub(in crate::value) fn with_capacity(capacity: usize) -> Fields {
        if capacity <= FEW {
            return Fields::Few(Vec::with_capacity(capacity));
        }
        Fields::Many(IndexMap::with_capacity_and_hasher(capacity, RandomState::default()))
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Fields::Few(fields) => fields.len(),
            Fields::Many(fields) => fields.len(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Fields::Few(fields) => fields.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            Fields::Many(fields) => fields.get(name),
        }
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        match self {
            Fields::Few(fields) => fields.iter_mut().find(|(known, _)| known == name).map(|(_, value)| value),
            Fields::Many(fields) => fields.get_mut(name),
        }
    }

    /// Sets a field and gives what it was before; an old one keeps its place.
    pub(in crate::value) fn insert(&mut self, name: Text, value: Value) -> Option<Value> {
        match self.get_mut(&name) {
            Some(old) => Some(std::mem::replace(old, value)),
            None => {
                self.push(name, value);
                None
            }
        }
    }

    /// Adds a field that is not there yet.
    pub(in crate::value) fn push(&mut self, name: Text, value: Value) {
        match self {
            Fields::Few(fields) if fields.len() < FEW => fields.push((name, value)),
            Fields::Few(fields) => {
                let mut many = IndexMap::with_capacity_and_hasher(FEW * 2, RandomState::default());
                many.extend(fields.drain(..));
                many.insert(name, value);
                *self = Fields::Many(many);
            }
            Fields::Many(fields) => {
                fields.insert(name, value);
            }
        }
    }

    /// Removes a field; the others keep their order.
    pub(super) fn remove(&mut self, name: &str) -> Option<Value> {
        match self {
            Fields::Few(fields) => {
                let at = fields.iter().position(|(known, _)| known == name)?;
                Some(fields.remove(at).1)
            }
            Fields::Many(fields) => fields.shift_remove(name),
        }
    }

    pub(super) fn at(&self, index: usize) -> Option<(&Text, &Value)> {
        match self {
            Fields::Few(fields) => fields.get(index).map(|(name, value)| (name, value)),
            Fields::Many(fields) => fields.get_index(index),
        }
    }

    /// Goes through the fields sorted by name.
    pub(super) fn each_sorted<'f>(&'f self, mut visit: impl FnMut(&'f Text, &'f Value)) {
        match self {
            Fields::Few(fields) => {
                // The names with their first bytes, which nearly always decide.
                let mut order = [(0_u64, 0_usize); FEW];
                for (place, (index, (name, _))) in order.iter_mut().zip(fields.iter().enumerate()) {
                    *place = (prefix(name), index);
                }
                let order = order.get_mut(..fields.len()).unwrap_or_default();
                let name = |index: usize| fields.get(index).map(|(name, _)| name.as_str());
                order.sort_unstable_by(|left, right| {
                    left.0.cmp(&right.0).then_with(|| name(left.1).cmp(&name(right.1)))
                });
                for (name, value) in order.iter().filter_map(|(_, index)| fields.get(*index)) {
                    visit(name, value);
                }
            }
            Fields::Many(fields) => {
                let mut sorted: Vec<_> = fields.iter().collect();
                sorted.sort_unstable_by(|left, right| left.0.cmp(right.0));
                sorted.into_iter().for_each(|(name, value)| visit(name, value));
            }
        }
    }
}
