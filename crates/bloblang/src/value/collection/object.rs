//! Objects.

use std::sync::OnceLock;

use super::{Fields, Traits};
use crate::value::document::Source;
use crate::{Text, Value};

/// The fields of an object. They keep the order in which they were set; rendering sorts them.
#[derive(Debug, Clone, Default)]
pub struct Object {
    fields: Fields,
    /// Where the fields are while nobody changed them; then `fields` is not used.
    lazy: Option<(Source, OnceLock<Fields>)>,
    traits: Traits,
}

impl Object {
    /// An object without fields.
    pub fn new() -> Object {
        Object::default()
    }

    pub(crate) fn with_capacity(capacity: usize) -> Object {
        Object { fields: Fields::with_capacity(capacity), ..Object::default() }
    }

    fn fields(&self) -> &Fields {
        match &self.lazy {
            Some((source, made)) => made.get_or_init(|| source.fields()),
            None => &self.fields,
        }
    }

    /// The fields, to be changed.
    fn own(&mut self) -> &mut Fields {
        if let Some((source, made)) = self.lazy.take() {
            self.fields = made.into_inner().unwrap_or_else(|| source.fields());
        }
        &mut self.fields
    }

    /// The document that the object was read from, while it is as it was.
    pub(crate) fn source(&self) -> Option<&Source> {
        self.lazy.as_ref().map(|(source, _)| source)
    }

    /// The document, while no fields were made of it.
    pub(crate) fn unopened(&self) -> Option<&Source> {
        let (source, made) = self.lazy.as_ref()?;
        Some(source).filter(|_| made.get().is_none())
    }

    /// The document, if that is the better place to search fields in.
    pub(crate) fn searchable(&self) -> Option<&Source> {
        self.unopened().filter(|source| !source.is_large())
    }

    /// How many fields become values when the object is changed or gone through.
    pub(crate) fn unmade(&self) -> usize {
        self.unopened().map_or(0, Source::count_fields)
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.fields().len()
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields().get(name)
    }

    /// Whether the field exists, also when it is null.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets a field, keeping its place if it exists.
    pub fn insert(&mut self, name: impl Into<Text>, value: Value) {
        self.traits.see(&value);
        let name = name.into();
        self.traits.size = self.traits.size.saturating_add((name.len() as u64 + 4).max(16));
        if let Some(old) = self.own().insert(name, value) {
            self.traits.forget(old.size());
        }
    }

    /// Removes a field; the others keep their order.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let old = self.own().remove(name);
        self.traits.forget(old.as_ref().map_or(0, Value::size));
        old
    }

    /// The fields in the order in which they were set.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Text, &Value)> {
        Iter { fields: self.fields(), at: 0 }
    }

    /// The fields sorted by name.
    pub fn sorted(&self) -> Vec<(&Text, &Value)> {
        let mut sorted = Vec::with_capacity(self.len());
        self.fields().each_sorted(|name, value| sorted.push((name, value)));
        sorted
    }

    /// Goes through the fields sorted by name.
    pub(crate) fn each_sorted<'o>(&'o self, visit: impl FnMut(&'o Text, &'o Value)) {
        self.fields().each_sorted(visit);
    }

    /// Levels of nesting, at least 1.
    pub(crate) fn depth(&self) -> u16 {
        self.traits.depth.saturating_add(1)
    }

    /// About how many bytes its JSON has. Known without a walk.
    pub(crate) fn size(&self) -> u64 {
        self.traits.size.saturating_add(2)
    }

    /// How many fields were made, and are not read from a document.
    pub(crate) fn made(&self) -> usize {
        if self.lazy.is_some() { 0 } else { self.fields.len() }
    }

    pub(crate) fn has_digits(&self) -> bool {
        self.traits.digits
    }

    /// Changes one field, which is created as null when it is missing.
    pub(crate) fn update<R>(&mut self, name: &Text, change: impl FnOnce(&mut Value) -> R) -> R {
        let mut traits = self.traits;
        let fields = self.own();
        let result = match fields.get_mut(name) {
            Some(value) => {
                traits.forget(value.size());
                let result = change(value);
                traits.see(value);
                result
            }
            None => {
                let mut value = Value::Null;
                let result = change(&mut value);
                traits.see(&value);
                traits.size = traits.size.saturating_add((name.len() as u64 + 4).max(16));
                fields.push(name.clone(), value);
                result
            }
        };
        self.traits = traits;
        result
    }
}

struct Iter<'o> {
    fields: &'o Fields,
    at: usize,
}

impl<'o> Iterator for Iter<'o> {
    type Item = (&'o Text, &'o Value);

    fn next(&mut self) -> Option<Self::Item> {
        let field = self.fields.at(self.at)?;
        self.at += 1;
        Some(field)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.fields.len() - self.at;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl From<Source> for Object {
    fn from(source: Source) -> Object {
        let traits = Traits::of(&source);
        Object { fields: Fields::default(), lazy: Some((source, OnceLock::new())), traits }
    }
}

impl<K: Into<Text>> FromIterator<(K, Value)> for Object {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(fields: I) -> Object {
        let fields = fields.into_iter();
        let mut object = Object::with_capacity(fields.size_hint().0.min(1 << 10));
        for (name, value) in fields {
            object.insert(name, value);
        }
        object
    }
}
