//! One document as a mapping sees it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bloblang::{BatchView, MapError, Mapping, MessageView, Root, Value};
use bytes::Bytes;

/// A message of its own.
#[derive(Debug)]
pub(super) struct Document {
    bytes: Bytes,
    /// The payload parsed, once somebody asks; text when lines are raw.
    value: OnceLock<Result<Value, String>>,
    raw: bool,
    metadata: BTreeMap<String, Value>,
}

impl Document {
    pub(super) fn new(bytes: Bytes, raw: bool) -> Document {
        Document { bytes, value: OnceLock::new(), raw, metadata: BTreeMap::new() }
    }

    pub(super) fn with_metadata(bytes: Bytes, metadata: BTreeMap<String, Value>) -> Document {
        Document { metadata, ..Document::new(bytes, false) }
    }

    fn value(&self) -> &Result<Value, String> {
        self.value.get_or_init(|| match self.raw {
            true => Ok(Value::from(&*String::from_utf8_lossy(&self.bytes))),
            false => Value::from_json(self.bytes.clone()),
        })
    }
}

impl MessageView for Document {
    fn content(&self) -> &[u8] {
        &self.bytes
    }

    fn content_bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    fn structured(&self) -> Result<&Value, String> {
        self.value().as_ref().map_err(Clone::clone)
    }

    fn metadata(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    fn metadata_all(&self, visit: &mut dyn FnMut(&str, &Value)) {
        for (key, value) in &self.metadata {
            visit(key, value);
        }
    }

    fn error(&self) -> Option<&str> {
        None
    }
}

impl BatchView for Document {
    fn len(&self) -> usize {
        1
    }

    fn message(&self, _index: usize) -> &dyn MessageView {
        self
    }
}

/// The new payload of a document; none when the mapping removes it.
pub(super) fn render(root: &Root, document: &Document, pretty: bool) -> Option<Bytes> {
    let value = match root {
        Root::Deleted => return None,
        Root::Value(value) => value,
        Root::Unchanged => match document.value() {
            Ok(value) if pretty => value,
            _ => return Some(document.bytes.clone()),
        },
    };
    Some(match value {
        Value::Array(_) | Value::Object(_) if pretty => value.to_pretty_json().into(),
        value => value.to_payload(),
    })
}

/// Maps one document.
pub(super) fn map(mapping: &Mapping, document: &Document, pretty: bool) -> Result<Option<Bytes>, MapError> {
    let outcome = mapping.apply(document, 0)?;
    Ok(render(&outcome.root, document, pretty))
}
