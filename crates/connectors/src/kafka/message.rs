//! Between Kafka's records and a stream's messages.

use std::sync::Arc;

use bloblang::Value;
use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Header, Headers, Message as _, OwnedHeaders};
use streams::Message;

use super::consumer::Current;
use super::plan::Plan;
use streams::Selection;

/// Names of the metadata that every message of the input carries (streams contract 2.6), made once.
#[derive(Debug)]
pub(super) struct Names {
    key: Arc<str>,
    topic: Arc<str>,
    partition: Arc<str>,
    offset: Arc<str>,
    lag: Arc<str>,
    seconds: Arc<str>,
    millis: Arc<str>,
    tombstone: Arc<str>,
}

impl Names {
    pub(super) fn new() -> Names {
        Names {
            key: "kafka_key".into(),
            topic: "kafka_topic".into(),
            partition: "kafka_partition".into(),
            offset: "kafka_offset".into(),
            lag: "kafka_lag".into(),
            seconds: "kafka_timestamp_unix".into(),
            millis: "kafka_timestamp_unix_ms".into(),
            tombstone: "kafka_tombstone_message".into(),
        }
    }
}

/// A message of the stream for a record of the partition `current`.
pub(super) fn from_record(
    record: &BorrowedMessage<'_>,
    current: &Current,
    plan: &Plan,
    names: &Names,
) -> Message {
    let mut message = Message::new(Bytes::copy_from_slice(record.payload().unwrap_or_default()));
    // Headers first: what the client tells of the record itself wins (5.2).
    if let Some(headers) = record.headers() {
        set_headers(&mut message, headers.iter(), plan.multi_header);
    }
    // In the order of their names, so that each goes to the end.
    message.set_meta(names.key.clone(), text_or_bytes(record.key().unwrap_or_default()));
    if plan.lag {
        message.set_meta(names.lag.clone(), (current.high - record.offset() - 1).max(0));
    }
    message.set_meta(names.offset.clone(), record.offset());
    message.set_meta(names.partition.clone(), i64::from(record.partition()));
    if let Some(millis) = record.timestamp().to_millis() {
        message.set_meta(names.seconds.clone(), millis.div_euclid(1000));
        message.set_meta(names.millis.clone(), millis);
    }
    message.set_meta(names.tombstone.clone(), record.payload().is_none());
    message.set_meta(names.topic.clone(), Value::from(&*current.partition.topic));
    message
}

fn set_headers<'a>(message: &mut Message, headers: impl Iterator<Item = Header<'a, &'a [u8]>>, multi: bool) {
    for header in headers {
        let value = text_or_bytes(header.value.unwrap_or_default());
        if !multi {
            message.set_meta(header.key, value);
            continue;
        }
        let mut values =
            message.meta(header.key).and_then(Value::as_array).map_or_else(Vec::new, <[_]>::to_vec);
        values.push(value);
        message.set_meta(header.key, Value::Array(Arc::new(values.into())));
    }
}

fn text_or_bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => Value::Bytes(Bytes::copy_from_slice(bytes)),
    }
}

/// Which headers a record gets: those that every record gets, and metadata.
pub(super) struct HeaderRules {
    pub(super) fixed: Vec<(String, String)>,
    pub(super) metadata: MetadataRules,
}

/// Which metadata is sent.
pub(super) enum MetadataRules {
    /// All but names that begin so (2.7).
    Without(Vec<String>),
    /// Only what is selected (3.10).
    Only(Selection),
}

impl MetadataRules {
    fn takes(&self, name: &str) -> bool {
        match self {
            MetadataRules::Without(prefixes) => {
                !prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()))
            }
            MetadataRules::Only(selection) => selection.takes(name),
        }
    }
}

impl HeaderRules {
    /// The headers of the record for this message.
    pub(super) fn of(&self, message: &Message) -> Option<OwnedHeaders> {
        // A name with a NUL byte is no header name for the client library, which would stop the process.
        let sent = |name: &str| self.metadata.takes(name) && !name.contains('\0');
        let mut headers: Option<OwnedHeaders> = None;
        let mut add = |key: &str, value: &[u8]| {
            let so_far = headers.take().unwrap_or_else(|| OwnedHeaders::new_with_capacity(16));
            headers = Some(so_far.insert(Header { key, value: Some(value) }));
        };
        for (key, value) in &self.fixed {
            add(key, value.as_bytes());
        }
        for (key, value) in message.meta_iter().filter(|(key, _)| sent(key)) {
            match value {
                Value::String(text) => add(key, text.as_bytes()),
                Value::Int(number) => add(key, itoa::Buffer::new().format(*number).as_bytes()),
                Value::Bool(true) => add(key, b"true"),
                Value::Bool(false) => add(key, b"false"),
                other => add(key, &other.to_payload()),
            }
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header<'a>(key: &'a str, value: &'a str) -> Header<'a, &'a [u8]> {
        Header { key, value: Some(value.as_bytes()) }
    }

    #[test]
    fn headers_become_metadata_alone_or_as_lists() {
        let list = || [header("a", "1"), header("b", "x"), header("a", "2")].into_iter();
        let mut message = Message::new("");
        set_headers(&mut message, list(), false);
        assert_eq!(message.meta("a").and_then(Value::as_str), Some("2"));
        let mut message = Message::new("");
        set_headers(&mut message, list(), true);
        assert_eq!(message.meta("a").map(Value::to_json).as_deref(), Some(r#"["1","2"]"#));
        assert_eq!(message.meta("b").map(Value::to_json).as_deref(), Some(r#"["x"]"#));
    }

    #[test]
    fn metadata_becomes_headers_except_what_is_excluded() {
        let mut message = Message::new("");
        message.set_meta("kafka_offset", 3_i64);
        message.set_meta("trace", "abc");
        message.set_meta("a\0b", "never");
        message.set_meta("blob", Value::Bytes(Bytes::from_static(b"\xff\x00")));
        let mut rules = HeaderRules {
            fixed: vec![("source".to_owned(), "gate".to_owned())],
            metadata: MetadataRules::Without(vec!["kafka_".to_owned()]),
        };
        let headers = rules.of(&message).expect("some");
        let sent: Vec<_> =
            headers.iter().map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec())).collect();
        let expected = [("source", &b"gate"[..]), ("blob", b"\xff\x00"), ("trace", b"abc")];
        assert_eq!(sent, expected.map(|(key, value)| (key.to_owned(), value.to_vec())));
        rules.fixed.clear();
        assert!(rules.of(&Message::new("")).is_none());
        rules.metadata = MetadataRules::Only(Selection::default());
        assert!(rules.of(&message).is_none(), "nothing is selected");
    }
}
