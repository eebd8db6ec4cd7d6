//! The values of a statement's placeholders.

use bloblang::{Mapping, Value};
use bytes::Bytes;
use streams::{Message, View};

/// One value that is bound.
#[derive(Debug, Clone)]
pub(super) enum Arg {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Also what is structured: its JSON.
    Text(String),
    /// Text that stays as it is, even where it looks like a time.
    Word(String),
    Bytes(Bytes),
}

impl Arg {
    fn from(value: &Value) -> Arg {
        match value {
            Value::Null | Value::Delete | Value::Nothing => Arg::Null,
            Value::Bool(value) => Arg::Bool(*value),
            Value::Int(value) => Arg::Int(*value),
            Value::Float(value) => Arg::Float(*value),
            Value::Bytes(bytes) => Arg::Bytes(bytes.clone()),
            // Whole numbers of JSON documents are numbers; what a float cannot say stays as it is written.
            Value::Digits(text) => text.parse().map_or_else(|_| Arg::Text(text.to_string()), Arg::Int),
            other => Arg::Text(other.to_text()),
        }
    }

    /// As text, for databases that read numbers and times from it.
    pub(super) fn text(&self) -> Option<String> {
        Some(match self {
            Arg::Null => return None,
            Arg::Bool(value) => value.to_string(),
            Arg::Int(value) => value.to_string(),
            Arg::Float(value) => value.to_string(),
            Arg::Text(text) | Arg::Word(text) => text.clone(),
            Arg::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        })
    }
}

/// The values for one message; none without a mapping.
pub(super) fn args(mapping: Option<&Mapping>, batch: &[Message], index: usize) -> Result<Vec<Arg>, String> {
    let Some(mapping) = mapping else { return Ok(Vec::new()) };
    let value = mapping.query(&View(batch), index).map_err(|fault| format!("args_mapping: {fault}"))?;
    match value.as_array() {
        Some(values) => Ok(values.iter().map(Arg::from).collect()),
        None => Err(format!("args_mapping must give an array, not {}", value.type_name())),
    }
}
