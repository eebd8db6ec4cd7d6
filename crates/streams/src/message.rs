//! What moves through a stream: a payload with metadata.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bloblang::{BatchView, ErrorSource, MessageView, Trace, Value};
use bytes::Bytes;

use crate::added::Added;
use crate::cache::Cache;
use crate::metadata::Metadata;
use crate::metrics::Probe;
use crate::reply::ReplySlot;
use crate::way::Way;

/// What moves together: an ordered list of messages that share one [`Ack`](crate::Ack).
pub type Batch = Vec<Message>;

/// The place of a message that belongs to no batch whose ack could name it.
const UNPLACED: u32 = u32::MAX;

/// A payload, as bytes or as a structured value (each made from the other when first asked for, once for all
/// clones), its metadata, and perhaps the fault that a processor left on it (streams contract 5.1, 5.6).
///
/// Cloning is cheap: payload and metadata are shared until one of the clones changes them.
#[derive(Clone)]
pub struct Message {
    body: Arc<Body>,
    metadata: Option<Arc<Metadata>>,
    error: Option<Arc<Failure>>,
    way: Option<Arc<Way>>,
    reply: Option<Arc<ReplySlot>>,
    added: Option<Arc<Added>>,
    place: u32,
    // Where it stood when a processor that keeps the order took its batch apart.
    mark: u32,
}

/// What went wrong, and in which component if that is known.
#[derive(Clone)]
struct Failure {
    text: Arc<str>,
    at: Option<Arc<Probe>>,
}

#[derive(Default)]
struct Body {
    bytes: OnceLock<Bytes>,
    value: OnceLock<Result<Value, String>>,
}

impl Body {
    fn bytes(&self) -> &Bytes {
        self.bytes.get_or_init(|| match self.value.get() {
            Some(Ok(value)) => value.to_payload(),
            _ => Bytes::new(),
        })
    }
}

impl Message {
    /// A message of these bytes, without metadata.
    pub fn new(payload: impl Into<Bytes>) -> Message {
        let body = Body::default();
        let _ = body.bytes.set(payload.into());
        Message::with_body(body)
    }

    /// A message of this structured value. Its bytes are text and bytes as they are, else compact JSON.
    pub fn from_value(value: Value) -> Message {
        let mut message = Message::with_body(Body::default());
        message.set_value(value);
        message
    }

    fn with_body(body: Body) -> Message {
        Message {
            body: Arc::new(body),
            metadata: None,
            error: None,
            way: None,
            reply: None,
            added: None,
            place: UNPLACED,
            mark: UNPLACED,
        }
    }

    /// The payload.
    pub fn bytes(&self) -> &Bytes {
        self.body.bytes()
    }

    /// The payload parsed as JSON; parsed at most once, also for all clones.
    ///
    /// # Errors
    /// The parser's words when the payload is not JSON.
    pub fn value(&self) -> Result<&Value, &str> {
        let parsed = self.body.value.get_or_init(|| Value::from_json(self.body.bytes().clone()));
        parsed.as_ref().map_err(String::as_str)
    }

    /// Replaces the payload.
    pub fn set_bytes(&mut self, payload: impl Into<Bytes>) {
        let body = Body::default();
        let _ = body.bytes.set(payload.into());
        self.body = Arc::new(body);
    }

    /// Replaces the payload by a structured value. Text and bytes become the raw payload.
    pub fn set_value(&mut self, value: Value) {
        let body = Body::default();
        match &value {
            Value::String(_) | Value::Bytes(_) => {
                let _ = body.bytes.set(value.to_payload());
            }
            _ => {
                let _ = body.value.set(Ok(value));
            }
        }
        self.body = Arc::new(body);
    }

    /// One metadata value.
    pub fn meta(&self, key: &str) -> Option<&Value> {
        self.metadata.as_ref()?.get(key)
    }

    /// All metadata, ordered by key.
    pub fn meta_iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        let entries = self.metadata.as_deref().map_or(&[][..], Metadata::entries);
        entries.iter().map(|(key, value)| (&**key, value))
    }

    /// Sets one metadata value; an earlier one of this key is replaced (5.2).
    pub fn set_meta(&mut self, key: impl Into<Arc<str>>, value: impl Into<Value>) {
        let all = self.metadata.get_or_insert_with(Arc::default);
        Arc::make_mut(all).set(key.into(), value.into());
    }

    /// Removes one metadata value.
    pub fn delete_meta(&mut self, key: &str) {
        if let Some(all) = &mut self.metadata
            && all.get(key).is_some()
        {
            Arc::make_mut(all).remove(key);
        }
    }

    /// Removes all metadata.
    pub fn clear_meta(&mut self) {
        self.metadata = None;
    }

    /// What went wrong in a processor, while nothing has handled it yet (5.6).
    pub fn error(&self) -> Option<&str> {
        self.error.as_ref().map(|failure| &*failure.text)
    }

    /// Flags the message as failed; the payload stays as it was (5.6).
    pub fn set_error(&mut self, error: impl Into<Arc<str>>) {
        self.error = Some(Arc::new(Failure { text: error.into(), at: None }));
    }

    /// A failed message whose failure has no component yet has failed in this one.
    pub(crate) fn failed_at(&mut self, component: &Arc<Probe>) {
        if let Some(failure) = &mut self.error
            && failure.at.is_none()
        {
            Arc::make_mut(failure).at = Some(component.clone());
        }
    }

    pub(crate) fn way(&self) -> Option<&Arc<Way>> {
        self.way.as_ref()
    }

    pub(crate) fn set_way(&mut self, way: Arc<Way>) {
        self.way = Some(way);
    }

    /// Takes the failure flag away.
    pub fn clear_error(&mut self) {
        self.error = None;
    }

    /// Where a synchronous response to this message's sender is collected (5.9), if its input can answer.
    pub fn reply(&self) -> Option<&Arc<ReplySlot>> {
        self.reply.as_ref()
    }

    /// Lets processors and outputs answer the sender of this message.
    pub fn set_reply(&mut self, slot: Arc<ReplySlot>) {
        self.reply = Some(slot);
    }

    pub(crate) fn drop_reply(&mut self) {
        self.reply = None;
    }

    /// A key was added to a cache for this message.
    pub(crate) fn add_key(&mut self, cache: Arc<dyn Cache>, key: String) {
        self.added = Some(Arc::new(Added::new(cache, key, self.added.take())));
    }

    /// What was added for it, which it no longer carries.
    pub(crate) fn take_added(&mut self) -> Option<Arc<Added>> {
        self.added.take()
    }

    /// The place in the batch to which an ack can point, see [`number`].
    pub(crate) fn place(&self) -> Option<u32> {
        (self.place != UNPLACED).then_some(self.place)
    }

    /// Gives the message its place in the batch of the nearest ack.
    pub(crate) fn set_place(&mut self, place: u32) {
        self.place = place;
    }

    pub(crate) fn mark(&self) -> u32 {
        self.mark
    }

    pub(crate) fn set_mark(&mut self, mark: u32) {
        self.mark = mark;
    }

    /// A message made of several has no single place; a failure of it fails their whole batch.
    pub fn clear_place(&mut self) {
        self.place = UNPLACED;
    }
}

/// Numbers the messages of a new batch, so that a later failure of some can be told from the success of the others
/// even after processors filtered or split the batch. A batch that was numbered before keeps its places: its ack
/// knows them.
pub(crate) fn number(batch: &mut [Message]) {
    if batch.iter().any(|message| message.place().is_some()) {
        return;
    }
    for (place, message) in batch.iter_mut().enumerate() {
        message.set_place(u32::try_from(place).unwrap_or(UNPLACED));
    }
}

impl fmt::Debug for Message {
    // Payload and metadata may hold secrets: only sizes are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("bytes", &self.body.bytes.get().map(Bytes::len))
            .field("metadata", &self.metadata.as_ref().map_or(0, |all| all.len()))
            .field("error", &self.error())
            .finish_non_exhaustive()
    }
}

impl MessageView for Message {
    fn content(&self) -> &[u8] {
        self.bytes()
    }

    fn content_bytes(&self) -> Bytes {
        self.bytes().clone()
    }

    fn structured(&self) -> Result<&Value, String> {
        self.value().map_err(str::to_owned)
    }

    fn metadata(&self, key: &str) -> Option<&Value> {
        self.meta(key)
    }

    fn metadata_all(&self, visit: &mut dyn FnMut(&str, &Value)) {
        for (key, value) in self.meta_iter() {
            visit(key, value);
        }
    }

    fn error(&self) -> Option<&str> {
        Message::error(self)
    }

    fn error_source(&self) -> Option<ErrorSource<'_>> {
        let at = self.error.as_ref()?.at.as_ref()?;
        let label = at.label.as_deref().unwrap_or_default();
        Some(ErrorSource { label, path: &at.path, kind: at.type_name })
    }

    fn trace(&self) -> Option<Trace> {
        self.way.as_ref()?.trace()
    }

    fn flow_id(&self) -> Option<&str> {
        self.way.as_ref()?.flow.as_deref()
    }
}

/// A batch as a mapping sees it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a>(pub &'a [Message]);

impl BatchView for View<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn message(&self, index: usize) -> &dyn MessageView {
        &self.0[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_and_value_are_made_from_each_other_once() {
        let message = Message::new(r#"{"a":1}"#);
        let clone = message.clone();
        let parsed: *const Value = message.value().unwrap();
        assert_eq!(parsed, std::ptr::from_ref(clone.value().unwrap()), "clones share what was parsed");
        assert_eq!(message.bytes().as_ptr(), clone.bytes().as_ptr());

        let message = Message::from_value(message.value().unwrap().clone());
        assert_eq!(&**message.bytes(), br#"{"a":1}"#);
        for (value, payload) in
            [(Value::from("text"), "text"), (Value::Null, "null"), (Value::from(2_i64), "2")]
        {
            assert_eq!(&**Message::from_value(value).bytes(), payload.as_bytes());
        }
        // Text is the payload as it is, and a payload is not text again but JSON.
        assert!(Message::from_value(Value::from("text")).value().is_err());
        assert_eq!(Message::from_value(Value::from("[1]")).value().unwrap().type_name(), "array");
    }

    #[test]
    fn a_clone_keeps_what_it_had() {
        let mut message = Message::new("a");
        message.set_meta("k", "v");
        let clone = message.clone();
        message.set_bytes("b");
        message.set_meta("k", "w");
        message.set_meta("l", 1_i64);
        message.set_error("broken");
        assert_eq!((&**clone.bytes(), clone.error()), (&b"a"[..], None));
        assert_eq!(clone.meta("k"), Some(&Value::from("v")));
        assert_eq!(clone.meta_iter().count(), 1);
        message.delete_meta("k");
        assert_eq!(message.meta_iter().map(|(key, _)| key).collect::<Vec<_>>(), ["l"]);
        message.clear_meta();
        assert_eq!(message.meta_iter().count(), 0);
        assert!(!format!("{:?}", Message::new("secret")).contains("secret"));
    }
}
