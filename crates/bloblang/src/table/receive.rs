//! What methods ask of their receivers.

use std::borrow::Cow;
use std::sync::Arc;

use crate::run::{Evaluated, Failure};
use crate::value::MAX_SIZE;
use crate::{Array, Object, Value};

/// Text, or bytes that are text.
pub(super) fn text(value: &Value) -> Evaluated<Cow<'_, str>> {
    match value {
        Value::String(text) => Ok(Cow::Borrowed(text)),
        Value::Bytes(bytes) => Ok(String::from_utf8_lossy(bytes)),
        Value::Timestamp(_) => Ok(Cow::Owned(value.to_text())),
        other => Err(Failure::expected("string", other)),
    }
}

/// The bytes of text or bytes.
pub(super) fn bytes(value: &Value) -> Evaluated<Cow<'_, [u8]>> {
    match value {
        Value::String(text) => Ok(Cow::Borrowed(text.as_bytes())),
        Value::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
        Value::Timestamp(_) => Ok(Cow::Owned(value.to_text_bytes())),
        other => Err(Failure::expected("string", other)),
    }
}

/// A result of the same kind as the receiver: bytes for bytes, text for text.
pub(super) fn like(receiver: &Value, text: String) -> Value {
    match receiver {
        Value::Bytes(_) => Value::Bytes(text.into()),
        _ => Value::from(text),
    }
}

pub(super) fn number(value: &Value) -> Evaluated<f64> {
    match value {
        Value::Int(number) => Ok(*number as f64),
        Value::Float(number) => Ok(*number),
        other => Err(Failure::expected("number", other)),
    }
}

pub(super) fn array(value: Value) -> Evaluated<Arc<Array>> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(Failure::expected("array", &other)),
    }
}

pub(super) fn object(value: Value) -> Evaluated<Arc<Object>> {
    match value {
        Value::Object(object) => Ok(object),
        other => Err(Failure::expected("object", &other)),
    }
}

/// An array of what comes, which may come with a failure; it ends when that becomes larger than any value may be.
pub(super) fn gather(items: impl IntoIterator<Item = Evaluated>) -> Evaluated {
    let items = items.into_iter();
    let mut array = Array::with_capacity(items.size_hint().0.min(1 << 16));
    for item in items {
        array.push(item?);
        grown(array.size())?;
    }
    Ok(Value::Array(Arc::new(array)))
}

/// Sets a field of an object that grows while it is made.
///
/// # Errors
/// When it becomes larger than any value may be.
pub(super) fn put(object: &mut Object, name: impl Into<crate::Text>, value: Value) -> Evaluated<()> {
    object.insert(name, value);
    grown(object.size())
}

/// Adds an element to an array that grows while it is made.
///
/// # Errors
/// When it becomes larger than any value may be.
pub(super) fn add(array: &mut Array, value: Value) -> Evaluated<()> {
    array.push(value);
    grown(array.size())
}

fn grown(size: u64) -> Evaluated<()> {
    fits(usize::try_from(size).unwrap_or(usize::MAX))
}

/// A number as a whole number when it is one that fits.
pub(super) fn whole(number: f64) -> Value {
    if (-9.2e18..9.2e18).contains(&number) { Value::Int(number as i64) } else { Value::Float(number) }
}

/// A size that a text which is being made may have.
///
/// # Errors
/// When it is larger than any value may be.
pub(super) fn fits(size: usize) -> Evaluated<()> {
    if size as u64 > MAX_SIZE {
        return Err(Failure::new(format!("the result would be larger than {} MiB", MAX_SIZE >> 20)));
    }
    Ok(())
}
