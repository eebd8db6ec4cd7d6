//! Arrays.

use std::ops::Deref;
use std::sync::OnceLock;

use super::Traits;
use crate::Value;
use crate::value::document::Source;

/// The elements of an array; reads go to the slice inside.
#[derive(Debug, Clone, Default)]
pub struct Array {
    items: Vec<Value>,
    /// Where the elements are while nobody changed them; then `items` is not used.
    lazy: Option<(Source, OnceLock<Vec<Value>>)>,
    traits: Traits,
}

impl Array {
    pub(crate) fn with_capacity(capacity: usize) -> Array {
        Array { items: Vec::with_capacity(capacity), ..Array::default() }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.searchable().map_or_else(|| self[..].len(), Source::count)
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an element at the end.
    pub fn push(&mut self, value: Value) {
        self.traits.see(&value);
        self.own().push(value);
    }

    /// Levels of nesting, at least 1.
    pub(crate) fn depth(&self) -> u16 {
        self.traits.depth.saturating_add(1)
    }

    /// About how many bytes its JSON has. Known without a walk.
    pub(crate) fn size(&self) -> u64 {
        self.traits.size.saturating_add(2)
    }

    /// How many elements were made, and are not read from a document.
    pub(crate) fn made(&self) -> usize {
        if self.lazy.is_some() { 0 } else { self.items.len() }
    }

    pub(crate) fn has_digits(&self) -> bool {
        self.traits.digits
    }

    /// The document that the array was read from, while it is as it was.
    pub(crate) fn source(&self) -> Option<&Source> {
        self.lazy.as_ref().map(|(source, _)| source)
    }

    /// The document, while no elements were made of it.
    pub(crate) fn searchable(&self) -> Option<&Source> {
        let (source, made) = self.lazy.as_ref()?;
        Some(source).filter(|_| made.get().is_none())
    }

    /// Changes one element.
    pub(crate) fn update<R>(&mut self, index: usize, change: impl FnOnce(&mut Value) -> R) -> Option<R> {
        let mut traits = self.traits;
        let item = self.own().get_mut(index)?;
        traits.forget(item.size());
        let result = change(item);
        traits.see(item);
        self.traits = traits;
        Some(result)
    }

    pub(crate) fn remove(&mut self, index: usize) {
        let items = self.own();
        if index < items.len() {
            let size = items.remove(index).size();
            self.traits.forget(size);
        }
    }

    pub(crate) fn to_vec(&self) -> Vec<Value> {
        self[..].to_vec()
    }

    /// The elements, to be changed.
    fn own(&mut self) -> &mut Vec<Value> {
        if let Some((source, made)) = self.lazy.take() {
            self.items = made.into_inner().unwrap_or_else(|| source.items());
        }
        &mut self.items
    }
}

impl From<Source> for Array {
    fn from(source: Source) -> Array {
        let traits = Traits::of(&source);
        Array { items: Vec::new(), lazy: Some((source, OnceLock::new())), traits }
    }
}

impl From<Vec<Value>> for Array {
    fn from(items: Vec<Value>) -> Array {
        let mut traits = Traits::default();
        items.iter().for_each(|item| traits.see(item));
        Array { items, lazy: None, traits }
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
        match &self.lazy {
            Some((source, made)) => made.get_or_init(|| source.items()),
            None => &self.items,
        }
    }
}
