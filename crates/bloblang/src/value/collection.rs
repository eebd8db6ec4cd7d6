//! Arrays and objects that know how deeply they nest.

use std::ops::Deref;

use foldhash::fast::RandomState;
use indexmap::IndexMap;

use super::{Text, Value};

/// The elements of an array; reads go to the slice inside.
#[derive(Debug, Clone, Default)]
pub struct Array {
    items: Vec<Value>,
    depth: u16,
}

impl Array {
    /// Adds an element at the end.
    pub fn push(&mut self, value: Value) {
        self.depth = self.depth.max(value.depth().saturating_add(1));
        self.items.push(value);
    }

    /// Levels of nesting, at least 1. An upper bound: it does not shrink when a deep element is replaced.
    pub(crate) fn depth(&self) -> u16 {
        self.depth.max(1)
    }

    /// Changes one element; the depth follows.
    pub(crate) fn update<R>(&mut self, index: usize, change: impl FnOnce(&mut Value) -> R) -> Option<R> {
        let item = self.items.get_mut(index)?;
        let result = change(item);
        self.depth = self.depth.max(item.depth().saturating_add(1));
        Some(result)
    }

    pub(crate) fn remove(&mut self, index: usize) {
        if index < self.items.len() {
            self.items.remove(index);
        }
    }

    pub(crate) fn to_vec(&self) -> Vec<Value> {
        self.items.clone()
    }
}

impl From<Vec<Value>> for Array {
    fn from(items: Vec<Value>) -> Array {
        let depth = items.iter().map(Value::depth).max().unwrap_or(0).saturating_add(1);
        Array { items, depth }
    }
}

impl FromIterator<Value> for Array {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Array {
        Array::from(values.into_iter().collect::<Vec<_>>())
    }
}

impl Deref for Array {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.items
    }
}

/// The fields of an object. They keep the order in which they were set; rendering sorts them.
#[derive(Debug, Clone, Default)]
pub struct Object {
    fields: IndexMap<Text, Value, RandomState>,
    depth: u16,
}

impl Object {
    /// An object without fields.
    pub fn new() -> Object {
        Object::default()
    }

    pub(crate) fn with_capacity(capacity: usize) -> Object {
        Object { fields: IndexMap::with_capacity_and_hasher(capacity, RandomState::default()), depth: 1 }
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    /// Whether the field exists, also when it is null.
    pub fn contains_key(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// Sets a field, keeping its place if it exists.
    pub fn insert(&mut self, name: impl Into<Text>, value: Value) {
        self.depth = self.depth.max(value.depth().saturating_add(1));
        self.fields.insert(name.into(), value);
    }

    /// Removes a field; the others keep their order.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.fields.shift_remove(name)
    }

    /// The fields in the order in which they were set.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Text, &Value)> {
        self.fields.iter()
    }

    /// The fields sorted by name.
    pub fn sorted(&self) -> Vec<(&Text, &Value)> {
        let mut fields: Vec<_> = self.fields.iter().collect();
        fields.sort_unstable_by(|left, right| left.0.cmp(right.0));
        fields
    }

    /// Levels of nesting, at least 1. An upper bound: it does not shrink when a deep field is replaced.
    pub(crate) fn depth(&self) -> u16 {
        self.depth.max(1)
    }

    /// Changes one field, which is created as null when it is missing; the depth follows.
    pub(crate) fn update<R>(&mut self, name: &str, change: impl FnOnce(&mut Value) -> R) -> R {
        let value = match self.fields.get_index_of(name) {
            Some(index) => &mut self.fields[index],
            None => self.fields.entry(Text::from(name)).or_insert(Value::Null),
        };
        let result = change(value);
        self.depth = self.depth.max(value.depth().saturating_add(1));
        result
    }
}

impl<K: Into<Text>> FromIterator<(K, Value)> for Object {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(fields: I) -> Object {
        let fields = fields.into_iter();
        let mut object = Object::with_capacity(fields.size_hint().0);
        for (name, value) in fields {
            object.insert(name, value);
        }
        object
    }
}
