//! A fixed answer (contract 2.5 `mock_response`, 3.2 `mockResponse`).

use crate::fields::{Field, acts};
use crate::section::Section;
use document::{Fault, pointer_join};
use serde_json::Value;

/// `mock_response` of `extended_paths`.
pub(crate) const CLASSIC: &[Field] = &[
    acts("path"),
    acts("method"),
    acts("disabled"),
    acts("ignore_case"),
    acts("code"),
    acts("body"),
    acts("headers"),
];

/// Names and values of header fields, both fit for them.
pub type Fields = Box<[(Box<str>, Box<str>)]>;

/// A fixed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Between 200 and 599.
    pub status: u16,
    /// Names and values of fields, both fit for a header.
    pub headers: Box<[(Box<str>, Box<str>)]>,
    /// What is sent.
    pub body: Box<str>,
}

impl Reply {
    /// Reads an answer whose status and body have these keys; `headers` is a map.
    pub(crate) fn read(
        entry: &Section<'_>,
        [code, body]: [&str; 2],
        faults: &mut Vec<Fault>,
    ) -> Option<Self> {
        let status = status(entry, code, faults)?;
        let mut headers = Vec::new();
        let named = entry.section("headers", faults);
        for (name, value) in named.object.into_iter().flatten() {
            headers.push(field(name, value, named.at(name), faults)?);
        }
        Some(Self { status, headers: headers.into(), body: entry.text(body, faults).into() })
    }
}

/// A status that ends an exchange; 200 where none is named.
pub(crate) fn status(entry: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Option<u16> {
    match entry.number(key, faults) {
        0.0 => Some(200),
        number if number.fract() == 0.0 && (200.0..600.0).contains(&number) => Some(number as u16),
        number => {
            let fault = Fault::error(entry.at(key), format!("{number} is no status that an answer can have"));
            faults.push(fault.hint("use a number from 200 to 599"));
            None
        }
    }
}

/// A field of an answer.
pub(crate) fn field(
    name: &str,
    value: &Value,
    pointer: String,
    faults: &mut Vec<Fault>,
) -> Option<(Box<str>, Box<str>)> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        faults.push(Fault::error(pointer, format!("`{name}` is no name of a header")).on_key());
        return None;
    }
    match value.as_str() {
        Some(text) if !text.chars().any(|c| c.is_control() && c != '\t') => Some((name.into(), text.into())),
        _ => {
            faults.push(Fault::error(pointer, "a header has a text without line breaks"));
            None
        }
    }
}

/// Fields as a list of objects with `name` and `value`.
pub(crate) fn fields(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Option<Fields> {
    let mut fields = Vec::new();
    for (index, entry) in holder.get(key).and_then(Value::as_array).into_iter().flatten().enumerate() {
        let at = pointer_join(&holder.at(key), &index.to_string());
        let name = entry.get("name").and_then(Value::as_str).unwrap_or_default();
        fields.push(field(name, entry.get("value").unwrap_or(&Value::Null), at, faults)?);
    }
    Some(fields.into())
}
