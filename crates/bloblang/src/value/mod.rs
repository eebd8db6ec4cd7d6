//! The values that mappings compute with.

mod collection;
mod compare;
mod document;
mod json;
mod number;
mod scan;

use std::sync::Arc;

use bytes::Bytes;
use jiff::Zoned;

use self::document::Source;

pub use collection::{Array, Object};
pub(crate) use json::{render_text, write_json_text};

/// How deeply arrays and objects may nest. Everything that walks or drops a value recurses this deep at most.
pub(crate) const MAX_DEPTH: u16 = 400;
/// How large a value may be, in bytes of its JSON. What is shared counts wherever it stands, since it is rendered there.
pub(crate) const MAX_SIZE: u64 = 256 << 20;
/// What an element of an array or a field takes in memory, in bytes.
pub(crate) const ELEMENT: u64 = 40;

/// The text of strings and field names: short ones stand in place, so that neither making nor cloning one allocates,
/// and no counter is shared between threads.
pub type Text = smol_str::SmolStr;

/// A value. Cloning is cheap: text, bytes, arrays and objects are shared, and copied when a shared one is written.
#[derive(Debug, Clone)]
pub enum Value {
    /// `null`
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number of 64 bits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A number of a JSON document whose text says more than a float can: `1.50`, `18446744073709551615`. It stays as
    /// it is written until somebody computes with it; see [`Value::settled`].
    Digits(Text),
    /// Text.
    String(Text),
    /// Raw bytes.
    Bytes(Bytes),
    /// A point in time with its zone.
    Timestamp(Arc<Zoned>),
    /// An ordered list.
    Array(Arc<Array>),
    /// Fields by name.
    Object(Arc<Object>),
    /// What `deleted()` gives: remove the target.
    Delete,
    /// What an `if` without `else` gives: leave the target alone.
    Nothing,
}

impl Value {
    /// The name of the value's type as the language writes it (the `type` method, error texts).
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Int(_) | Value::Float(_) | Value::Digits(_) => "number",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Timestamp(_) => "timestamp",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
            Value::Delete => "delete",
            Value::Nothing => "nothing",
        }
    }

    /// The text of a string; bytes are not text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The fields of an object.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The elements of an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }

    /// A field of an object; none for other types.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.as_object()?.get(name)
    }

    /// The value at a dot path (`a.b.0`; `~1` stands for a dot in a name), if there is one.
    pub fn at(&self, path: &str) -> Option<Value> {
        crate::run::path::find(self, &crate::run::path::split(path).ok()?)
    }

    /// Sets the value at a dot path; missing parents are created as objects.
    ///
    /// # Errors
    /// When a parent is there and cannot hold it.
    pub fn set_at(&mut self, path: &str, value: Value) -> Result<(), String> {
        let path = crate::run::path::split(path)?;
        crate::run::path::write(self, &path, value).map_err(|failure| failure.to_string())
    }

    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Value::Null | Value::Delete | Value::Nothing)
    }

    /// Levels of nesting: 0 for scalars. Known without a walk.
    pub(crate) fn depth(&self) -> u16 {
        match self {
            Value::Array(array) => array.depth(),
            Value::Object(object) => object.depth(),
            _ => 0,
        }
    }

    /// About how many bytes its JSON has, or it has in memory. Known without a walk.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Value::String(text) | Value::Digits(text) => (text.len() as u64 + 3).max(32),
            Value::Bytes(bytes) => (bytes.len() as u64 / 3 * 4 + 6).max(32),
            Value::Array(array) => array.size(),
            Value::Object(object) => object.size(),
            _ => 32,
        }
    }

    /// How many bytes of memory looking into it takes: its elements or fields become values once.
    pub(crate) fn opening(&self) -> u64 {
        let source = match self {
            Value::Array(array) => array.searchable(),
            Value::Object(object) => object.unopened(),
            _ => None,
        };
        source.map_or(0, Source::opening)
    }

    /// How many elements or fields become values when it is looked into.
    pub(crate) fn unmade(&self) -> usize {
        match self {
            Value::Array(array) => array.searchable().map_or(0, Source::count),
            Value::Object(object) => object.unmade(),
            _ => 0,
        }
    }

    /// About how many bytes of memory were taken to make it, what it contains aside.
    pub(crate) fn cost(&self) -> u64 {
        match self {
            Value::String(text) => text.len() as u64,
            Value::Bytes(bytes) => bytes.len() as u64,
            Value::Array(array) => array.made() as u64 * 8,
            Value::Object(object) => object.made() as u64 * 8,
            _ => 0,
        }
    }

    /// Whether there are numbers in it that keep their text.
    pub(crate) fn has_digits(&self) -> bool {
        match self {
            Value::Digits(_) => true,
            Value::Array(array) => array.has_digits(),
            Value::Object(object) => object.has_digits(),
            _ => false,
        }
    }

    /// The value with every number as [`Value::Int`] or [`Value::Float`], also within arrays and objects.
    #[must_use]
    pub fn settled(self) -> Value {
        if !self.has_digits() {
            return self;
        }
        match self {
            Value::Digits(text) => number::settle(&text),
            Value::Array(items) => Value::array(items.iter().map(|item| item.clone().settled()).collect()),
            Value::Object(object) => Value::object(
                object.iter().map(|(name, value)| (name.clone(), value.clone().settled())).collect(),
            ),
            other => other,
        }
    }

    pub(crate) fn array(items: Vec<Value>) -> Value {
        Value::Array(Arc::new(Array::from(items)))
    }

    pub(crate) fn object(object: Object) -> Value {
        Value::Object(Arc::new(object))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::String(Text::from(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::String(Text::from(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(number)
    }
}

impl From<u64> for Value {
    /// A number that only fits without sign keeps its text.
    fn from(number: u64) -> Value {
        i64::try_from(number).map_or_else(|_| Value::Digits(number.to_string().into()), Value::Int)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Float(number)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Value {
        Value::Bytes(bytes)
    }
}
