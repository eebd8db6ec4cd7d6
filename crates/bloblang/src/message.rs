//! The seam to whoever holds messages: what a mapping reads, and what it hands back.

use bytes::Bytes;

use crate::Value;

/// The batch in which a mapping runs.
pub trait BatchView {
    /// Number of messages.
    fn len(&self) -> usize;
    /// One message; `index` is below [`BatchView::len`].
    fn message(&self, index: usize) -> &dyn MessageView;
    /// Whether there is no message at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One message as a mapping reads it.
pub trait MessageView {
    /// The payload.
    fn content(&self) -> &[u8];
    /// The payload as a cheap clone; implementors that hold [`Bytes`] should override this.
    fn content_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(self.content())
    }
    /// The payload parsed as JSON. Implementors parse once (see [`Value::parse_json`]) and keep the result, also a
    /// failure, whose text is given without a prefix.
    fn structured(&self) -> Result<&Value, String>;
    /// One metadata value.
    fn metadata(&self, key: &str) -> Option<&Value>;
    /// Every metadata value, in the implementor's order.
    fn metadata_all(&self, visit: &mut dyn FnMut(&str, &Value));
    /// Why an earlier processor failed on this message.
    fn error(&self) -> Option<&str>;
    /// Which component failed on this message, where that is known.
    fn error_source(&self) -> Option<ErrorSource<'_>> {
        None
    }
    /// The trace that the message belongs to.
    fn trace(&self) -> Option<Trace> {
        None
    }
    /// What names the message on its way through the stream.
    fn flow_id(&self) -> Option<&str> {
        None
    }
}

/// The component that failed on a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorSource<'m> {
    /// Its label; empty when it has none.
    pub label: &'m str,
    /// Where it stands in the configuration, as `root.pipeline.processors.0`.
    pub path: &'m str,
    /// Its name, as `http`.
    pub kind: &'m str,
}

/// A trace, as it is handed on to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The trace's id in hexadecimal digits.
    pub id: String,
    /// What is handed on, as `traceparent`.
    pub fields: Vec<(String, String)>,
}

/// What a mapping decided about one message.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The new payload.
    pub root: Root,
    /// Metadata changes, to be applied in this order.
    pub metadata: Vec<MetadataEdit>,
}

/// What becomes of the payload.
#[derive(Debug, Clone, PartialEq)]
pub enum Root {
    /// Root was never assigned: the payload stays as it is.
    Unchanged,
    /// The message is removed from its batch.
    Deleted,
    /// The new payload: strings and bytes are written raw, everything else as JSON (see [`Value::to_payload`]).
    Value(Value),
}

/// One change of a message's metadata.
#[derive(Debug, Clone, PartialEq)]
pub enum MetadataEdit {
    /// Set a key, replacing what was there.
    Set(String, Value),
    /// Remove a key.
    Delete(String),
    /// Remove every key.
    Clear,
}
