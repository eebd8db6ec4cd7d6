//! Between the binary form of a message and its canonical JSON.

use std::io::{self, Write};

use prost::Message as _;
use prost_reflect::{
    DeserializeOptions, DynamicMessage, Kind, MessageDescriptor, ReflectMessage as _, SerializeOptions, Value,
};

use bloblang::formats::LARGEST;

/// Longest payload: as a tree it takes many times its size.
const LONGEST: usize = 64 << 20;
/// So deep a `google.protobuf.Any` may hold others.
const DEEPEST_ANY: usize = 16;
/// Messages below each other where an `Any` is looked for; the decoder allows no more.
const DEEPEST: usize = 128;
const ANY: &str = "google.protobuf.Any";

/// How messages are written as JSON, and read from it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Form {
    /// Whether fields that the message does not know are left out when JSON is read.
    pub discard_unknown: bool,
    /// Names as in the `.proto` file instead of `lowerCamelCase`.
    pub use_proto_names: bool,
    /// Enums by number.
    pub use_enum_numbers: bool,
    /// Fields without value with their defaults.
    pub emit_unpopulated: bool,
}

impl Form {
    /// The canonical JSON of a message in its binary form.
    ///
    /// # Errors
    /// When the bytes are no such message, or something in it has no JSON.
    pub fn to_json(self, message: &MessageDescriptor, payload: &[u8]) -> Result<Vec<u8>, String> {
        if payload.len() > LONGEST {
            return Err(format!("the message is longer than {LONGEST} bytes"));
        }
        let decoded = DynamicMessage::decode(message.clone(), payload).map_err(|fault| fault.to_string())?;
        if message.parent_pool().get_message_by_name(ANY).is_some() {
            check(&decoded, 0, 0)?;
        }
        let options = SerializeOptions::new()
            .use_proto_field_name(self.use_proto_names)
            .use_enum_numbers(self.use_enum_numbers)
            .skip_default_fields(!self.emit_unpopulated);
        let mut out = Limited(Vec::new());
        decoded
            .serialize_with_options(&mut serde_json::Serializer::new(&mut out), &options)
            .map_err(|fault| fault.to_string())?;
        Ok(out.0)
    }

    /// The binary form of a message in JSON.
    ///
    /// # Errors
    /// When the JSON is no such message.
    pub fn from_json(self, message: &MessageDescriptor, json: &[u8]) -> Result<Vec<u8>, String> {
        if json.len() > LONGEST {
            return Err(format!("the document is longer than {LONGEST} bytes"));
        }
        let options = DeserializeOptions::new().deny_unknown_fields(!self.discard_unknown);
        let mut reader = serde_json::Deserializer::from_slice(json);
        let decoded = DynamicMessage::deserialize_with_options(message.clone(), &mut reader, &options)
            .and_then(|decoded| reader.end().map(|()| decoded))
            .map_err(|fault| fault.to_string())?;
        Ok(decoded.encode_to_vec())
    }
}

/// Refuses what holds one `Any` in the other so deep that writing it would take the stack: each is decoded on its own,
/// so that the decoder's limit begins anew.
fn check(message: &DynamicMessage, anys: usize, depth: usize) -> Result<(), String> {
    if depth > DEEPEST {
        return Err("the message is nested too deeply".to_owned());
    }
    let descriptor = message.descriptor();
    if descriptor.full_name() == ANY {
        if anys == DEEPEST_ANY {
            return Err(format!("`{ANY}` holds others more than {DEEPEST_ANY} levels deep"));
        }
        let inner = (message.get_field_by_name("type_url"), message.get_field_by_name("value"));
        let (Some(name), Some(bytes)) = inner else { return Ok(()) };
        let name = name.as_str().and_then(|url| url.rsplit_once('/')).map_or("", |(_, name)| name);
        // One that is not known, or is broken, is refused when it is written.
        let Some(inner) = descriptor.parent_pool().get_message_by_name(name) else { return Ok(()) };
        let bytes = bytes.as_bytes().cloned().unwrap_or_default();
        let Ok(inner) = DynamicMessage::decode(inner, bytes) else { return Ok(()) };
        return check(&inner, anys + 1, 0);
    }
    let fields = message.fields().filter(|(field, _)| matches!(field.kind(), Kind::Message(_)));
    let extensions = message.extensions().filter(|(field, _)| matches!(field.kind(), Kind::Message(_)));
    for value in fields.map(|(_, value)| value).chain(extensions.map(|(_, value)| value)) {
        match value {
            Value::Message(inner) => check(inner, anys, depth + 1)?,
            Value::List(items) => {
                for inner in items.iter().filter_map(Value::as_message) {
                    check(inner, anys, depth + 1)?;
                }
            }
            Value::Map(entries) => {
                for inner in entries.values().filter_map(Value::as_message) {
                    check(inner, anys, depth + 1)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Takes no more than a payload may be large.
struct Limited(Vec<u8>);

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > LARGEST - self.0.len() {
            return Err(io::Error::other(format!("the JSON is larger than {LARGEST} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
