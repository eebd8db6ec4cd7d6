//! JSON in and out, and the text form of every value.

use std::cell::RefCell;
use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::document::Source;
use super::number::write_float;
use super::scan::plain_end;
use super::{Array, MAX_SIZE, Object, Text, Value};

impl Value {
    /// Parses a copy of a JSON document; see [`Value::from_json`].
    ///
    /// # Errors
    /// What is wrong with the text, and where.
    pub fn parse_json(text: &[u8]) -> Result<Value, String> {
        Value::from_json(Bytes::copy_from_slice(text))
    }

    /// Parses a JSON document: one value, nothing after it, at most 127 levels deep. All of it is checked, but arrays
    /// and objects are made of it only when somebody looks into them; until then they share the document's bytes.
    ///
    /// # Errors
    /// What is wrong with the text, and where.
    pub fn from_json(document: Bytes) -> Result<Value, String> {
        if document.iter().all(u8::is_ascii_whitespace) {
            return Err("message is empty".to_owned());
        }
        super::document::parse(document)
    }

    /// Compact JSON: object fields sorted, floats in their shortest form, bytes as base64, timestamps as RFC 3339.
    pub fn to_json(&self) -> String {
        let mut out = Vec::with_capacity(128);
        write_json(self, &mut out);
        String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// JSON over several lines, for people: two spaces for each level.
    pub fn to_pretty_json(&self) -> String {
        self.to_formatted_json(Some("  "), false).unwrap_or_else(|_| self.to_json())
    }

    /// JSON over several lines (`indent` for each level) or in one, as Go writes it; `escape` also escapes `<`, `>`,
    /// `&` and the line separators of JavaScript.
    ///
    /// # Errors
    /// When the text would be larger than any value may be: indents multiply.
    pub(crate) fn to_formatted_json(&self, indent: Option<&str>, escape: bool) -> Result<String, String> {
        let compact = self.to_json();
        let mut out = String::with_capacity(compact.len() * 2);
        let (mut level, mut quoted, mut escaped) = (0_usize, false, false);
        let mut previous = ' ';
        for c in compact.chars() {
            if out.len() as u64 > MAX_SIZE {
                return Err(format!("the result would be larger than {} MiB", MAX_SIZE >> 20));
            }
            let line = |out: &mut String, level: usize| {
                if let Some(indent) = indent {
                    out.push('\n');
                    // One that is too large itself is found out after the first bytes of it.
                    let most = (MAX_SIZE as usize) / indent.len().max(1) + 1;
                    out.extend(std::iter::repeat_n(indent, level.min(most)));
                }
            };
            if quoted {
                if escape && matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') {
                    out.push_str(&format!("\\u{:04x}", u32::from(c)));
                } else {
                    out.push(c);
                }
                quoted = escaped || c != '"';
                escaped = !escaped && c == '\\';
                previous = c;
                continue;
            }
            let closes = matches!(c, ']' | '}');
            if closes {
                level = level.saturating_sub(1);
            }
            // Nothing stands between the brackets of an empty array or object.
            let opened = matches!(previous, '[' | '{');
            if opened != closes && (opened || closes) {
                line(&mut out, level);
            }
            out.push(c);
            match c {
                '"' => quoted = true,
                '[' | '{' => level += 1,
                ',' => line(&mut out, level),
                ':' if indent.is_some() => out.push(' '),
                _ => {}
            }
            previous = c;
        }
        Ok(out)
    }

    /// The value as a message payload: strings and bytes raw, everything else as JSON.
    pub fn to_payload(&self) -> Bytes {
        match self {
            Value::Bytes(bytes) => bytes.clone(),
            Value::String(text) => Bytes::copy_from_slice(text.as_bytes()),
            other => json_bytes(other),
        }
    }

    /// The value as text, as `.string()` and interpolation render it. Bytes that are not UTF-8 are replaced.
    pub fn to_text(&self) -> String {
        match self {
            Value::String(text) => text.to_string(),
            other => String::from_utf8(other.to_text_bytes())
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        }
    }

    /// The text form of the value as bytes; bytes stay what they are.
    pub(crate) fn to_text_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        render_text(self, &mut out);
        out
    }
}

/// Appends the text form: strings and bytes raw, timestamps without quotes, everything else as JSON.
pub(crate) fn render_text(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::String(text) => out.extend_from_slice(text.as_bytes()),
        Value::Bytes(bytes) => out.extend_from_slice(bytes),
        Value::Timestamp(time) => out.extend_from_slice(crate::time::rfc3339(time).as_bytes()),
        other => write_json(other, out),
    }
}

pub(crate) fn write_json(value: &Value, out: &mut Vec<u8>) {
    match value {
        // The markers have no JSON form; they are stripped before anything is rendered.
        Value::Null | Value::Delete | Value::Nothing => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Int(number) => out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes()),
        Value::Float(number) => write_float(*number, out),
        Value::Digits(text) => out.extend_from_slice(text.as_bytes()),
        Value::String(text) => write_json_text(text, out),
        Value::Bytes(bytes) => {
            out.push(b'"');
            out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
            out.push(b'"');
        }
        Value::Timestamp(time) => write_json_text(&crate::time::rfc3339(time), out),
        Value::Array(items) => match items.source() {
            Some(source) => source.write(out),
            None => {
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    write_json(item, out);
                }
                out.push(b']');
            }
        },
        Value::Object(object) => match object.source() {
            Some(source) => source.write(out),
            None => {
                out.push(b'{');
                let mut first = true;
                object.each_sorted(|name, item| {
                    if !std::mem::replace(&mut first, false) {
                        out.push(b',');
                    }
                    write_json_text(name, out);
                    out.push(b':');
                    write_json(item, out);
                });
                out.push(b'}');
            }
        },
    }
}

thread_local! {
    /// Where payloads are written before their length is known.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}
/// What a thread keeps of it.
const LARGEST_SCRATCH: usize = 64 * 1024;

/// The JSON of a value, in memory of exactly its length.
fn json_bytes(value: &Value) -> Bytes {
    let size = match value {
        Value::Array(items) => items.source().map_or(0, Source::size),
        Value::Object(object) => object.source().map_or(0, Source::size),
        _ => 0,
    };
    let mut out = SCRATCH.try_with(|scratch| std::mem::take(&mut *scratch.borrow_mut())).unwrap_or_default();
    out.clear();
    out.reserve(size.min(LARGEST_SCRATCH));
    write_json(value, &mut out);
    if out.capacity() > LARGEST_SCRATCH {
        return Bytes::from(out);
    }
    let bytes = Bytes::copy_from_slice(&out);
    let _ = SCRATCH.try_with(|scratch| *scratch.borrow_mut() = out);
    bytes
}

/// Quotes a text as JSON; `<`, `>` and `&` stay as they are.
pub(crate) fn write_json_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    loop {
        let end = plain_end(bytes, start);
        out.extend_from_slice(bytes.get(start..end).unwrap_or_default());
        let Some(byte) = bytes.get(end) else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
        start = end + 1;
    }
    out.push(b'"');
}

/// A field name, read without a detour through `String`.
struct Name(Text);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        struct NameVisitor;

        impl Visitor<'_> for NameVisitor {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }

            fn visit_str<E>(self, text: &str) -> Result<Name, E> {
                Ok(Name(Text::from(text)))
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        struct ValueVisitor;

        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok(Value::Int(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok(Value::from(number))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
                Ok(Value::Float(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::from(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
                let mut array = Array::default();
                while let Some(item) = items.next_element()? {
                    array.push(item);
                }
                Ok(Value::Array(Arc::new(array)))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
                let mut object = Object::new();
                while let Some((name, value)) = fields.next_entry::<Name, Value>()? {
                    object.insert(name.0, value);
                }
                Ok(Value::object(object))
            }
        }

        deserializer.deserialize_any(ValueVisitor)
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Value {
        match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(value),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(whole) => Value::Int(whole),
                None => super::number::value(&number.to_string()),
            },
            serde_json::Value::String(text) => Value::from(text),
            serde_json::Value::Array(items) => Value::array(items.into_iter().map(Value::from).collect()),
            serde_json::Value::Object(fields) => {
                Value::object(fields.into_iter().map(|(name, value)| (name, Value::from(value))).collect())
            }
        }
    }
}

impl From<&Value> for serde_json::Value {
    fn from(value: &Value) -> serde_json::Value {
        match value {
            Value::Null | Value::Delete | Value::Nothing => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Digits(text) => match (text.parse::<u64>(), text.parse::<f64>()) {
                (Ok(whole), _) => whole.into(),
                (Err(_), Ok(number)) => number.into(),
                (Err(_), Err(_)) => serde_json::Value::Null,
            },
            Value::String(text) => text.as_str().into(),
            Value::Bytes(bytes) => STANDARD.encode(bytes).into(),
            Value::Timestamp(time) => crate::time::rfc3339(time).into(),
            Value::Array(items) => items.iter().map(serde_json::Value::from).collect(),
            Value::Object(object) => object
                .sorted()
                .into_iter()
                .map(|(name, value)| (name.to_string(), serde_json::Value::from(value)))
                .collect(),
        }
    }
}

impl From<Value> for serde_json::Value {
    fn from(value: Value) -> serde_json::Value {
        serde_json::Value::from(&value)
    }
}
