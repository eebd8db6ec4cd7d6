//! Documents as values of templates.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::Value;

/// A JSON value as Go reads it: all numbers are floating-point numbers.
pub fn from_json(value: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => Value::Float(number.as_f64().unwrap_or_default()),
        Json::String(text) => Value::String(text.as_str().into()),
        Json::Array(items) => Value::List(items.iter().map(from_json).collect()),
        Json::Object(fields) => map(fields.iter().map(|(name, value)| (name.as_str(), from_json(value)))),
    }
}

/// A map of these fields.
pub fn map<K: Into<Arc<str>>>(fields: impl IntoIterator<Item = (K, Value)>) -> Value {
    Value::Map(Arc::new(fields.into_iter().map(|(name, value)| (name.into(), value)).collect()))
}

/// An XML document: elements by their local names, attributes by theirs behind `-`, text beside either as `#text`.
/// Reads UTF-8, ISO 8859-1, windows-1252's common part and US-ASCII, as the document says.
///
/// # Errors
/// What is wrong with the document.
pub fn from_xml(document: &[u8]) -> Result<Value, String> {
    let latin;
    let document = match declared_encoding(document).as_deref() {
        None | Some("utf-8" | "utf8" | "us-ascii" | "ascii") => document,
        Some("iso-8859-1" | "latin1" | "windows-1252") => {
            latin = document.iter().map(|byte| char::from(*byte)).collect::<String>();
            latin.as_bytes()
        }
        Some(other) => return Err(format!("the encoding `{other}` is not read")),
    };
    bloblang::formats::xml::parse(document, false).map(|value| from_mapping(&value))
}

/// The encoding that the document's first line declares, in lower case.
fn declared_encoding(document: &[u8]) -> Option<String> {
    let start = document.get(..document.len().min(200))?;
    let start: String = start.iter().map(|byte| char::from(*byte)).collect();
    let declaration = start.trim_start().strip_prefix("<?xml")?.split("?>").next()?.to_owned();
    let value = declaration.split("encoding").nth(1)?.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    Some(value[1..].split(quote).next()?.to_ascii_lowercase())
}

fn from_mapping(value: &bloblang::Value) -> Value {
    use bloblang::Value as Mapped;
    match value {
        Mapped::Bool(value) => Value::Bool(*value),
        Mapped::Int(number) => Value::Float(*number as f64),
        Mapped::Float(number) => Value::Float(*number),
        Mapped::Array(items) => Value::List(items.iter().map(from_mapping).collect()),
        Mapped::Object(fields) => {
            map(fields.iter().map(|(name, value)| (name.as_str(), from_mapping(value))))
        }
        Mapped::Null | Mapped::Delete | Mapped::Nothing => Value::Nil,
        other => Value::String(other.to_text().into()),
    }
}

/// A value as XML: a map of one field is a document of that name, any other stands within `doc`.
pub(crate) fn to_xml(fields: &BTreeMap<Arc<str>, Value>) -> Result<String, String> {
    let fields: bloblang::Object =
        fields.iter().map(|(name, value)| (name.to_string(), to_mapping(value))).collect();
    bloblang::formats::xml::format(&Arc::new(fields), None)
}

fn to_mapping(value: &Value) -> bloblang::Value {
    use bloblang::Value as Mapped;
    match value {
        Value::Nil => Mapped::Null,
        Value::List(items) => Mapped::Array(Arc::new(items.iter().map(to_mapping).collect())),
        Value::Map(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.to_string(), to_mapping(value)));
            Mapped::Object(Arc::new(fields.collect()))
        }
        other => Mapped::from(crate::go::text(other)),
    }
}
