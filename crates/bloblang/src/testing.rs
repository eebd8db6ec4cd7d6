//! Messages to run mappings on, for tests.

use crate::{BatchView, MessageView, Outcome, Root, Value};

/// A message with its payload parsed beforehand.
pub(crate) struct Message {
    content: Vec<u8>,
    structured: Result<Value, String>,
    pub(crate) metadata: Vec<(String, Value)>,
    pub(crate) error: Option<String>,
}

pub(crate) fn message(content: &str) -> Message {
    Message {
        content: content.as_bytes().to_vec(),
        structured: Value::parse_json(content.as_bytes()),
        metadata: Vec::new(),
        error: None,
    }
}

impl MessageView for Message {
    fn content(&self) -> &[u8] {
        &self.content
    }

    fn structured(&self) -> Result<&Value, String> {
        self.structured.as_ref().map_err(Clone::clone)
    }

    fn metadata(&self, key: &str) -> Option<&Value> {
        self.metadata.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    fn metadata_all(&self, visit: &mut dyn FnMut(&str, &Value)) {
        for (name, value) in &self.metadata {
            visit(name, value);
        }
    }

    fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }
}

pub(crate) struct Batch(pub(crate) Vec<Message>);

impl BatchView for Batch {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn message(&self, index: usize) -> &dyn MessageView {
        &self.0[index]
    }
}

/// The outcome in one line: the new payload, `unchanged` or `deleted`.
pub(crate) fn payload(outcome: &Outcome) -> String {
    match &outcome.root {
        Root::Unchanged => "unchanged".to_owned(),
        Root::Deleted => "deleted".to_owned(),
        Root::Value(value) => String::from_utf8_lossy(&value.to_payload()).into_owned(),
    }
}
