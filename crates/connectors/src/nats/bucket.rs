//! Key/value buckets: what their entries are, and how they are read. A bucket is a stream; a key is a subject.

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{DeliverPolicy, push};
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::{self, consumer};
use bloblang::{Object, Value};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::sync::Arc;
use streams::Message;

use super::connection::{Link, chain};

/// Most entries that one question is answered with.
const MOST: usize = 100_000;

/// Opens a bucket that exists.
pub(super) async fn open(link: Link, name: String) -> Result<Store, String> {
    let context = jetstream::new(link.client);
    let store = context.get_key_value(&name).await;
    store.map_err(|fault| format!("the bucket `{name}` cannot be opened: {}", chain(&fault)))
}

/// What was done to a key, as the original calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Put,
    Delete,
    Purge,
}

impl Operation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Operation::Put => "KeyValuePutOp",
            Operation::Delete => "KeyValueDeleteOp",
            Operation::Purge => "KeyValuePurgeOp",
        }
    }

    /// What the headers of an entry say.
    pub(super) fn of(headers: Option<&HeaderMap>) -> Operation {
        let header = |name: &str| headers.and_then(|headers| headers.get(name)).map(|value| value.as_str());
        match (header("KV-Operation"), header("Nats-Marker-Reason")) {
            (Some("DEL"), _) | (None, Some("Remove")) => Operation::Delete,
            (Some("PURGE"), _) | (None, Some("MaxAge" | "Purge")) => Operation::Purge,
            _ => Operation::Put,
        }
    }
}

/// What a bucket holds of a key at one revision.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Bytes,
    pub(super) revision: u64,
    /// How many entries come after it, of those that were asked for.
    pub(super) delta: u64,
    pub(super) operation: Operation,
    pub(super) created: Option<Timestamp>,
}

impl Entry {
    /// An entry as it arrives; `None` is nothing of this bucket.
    fn arrived(store: &Store, incoming: &jetstream::Message) -> Option<Entry> {
        let info = incoming.info().ok()?;
        Some(Entry {
            key: incoming.message.subject.strip_prefix(&store.prefix)?.to_owned(),
            value: incoming.message.payload.clone(),
            revision: info.stream_sequence,
            delta: info.pending,
            operation: Operation::of(incoming.message.headers.as_ref()),
            created: Timestamp::from_nanosecond(info.published.unix_timestamp_nanos()).ok(),
        })
    }

    fn created(&self) -> Value {
        self.created.map_or(Value::Null, |at| Value::Timestamp(Arc::new(at.to_zoned(TimeZone::UTC))))
    }

    /// Sets all there is to know as metadata.
    pub(super) fn describe(&self, bucket: &str, message: &mut Message) {
        let delta = Value::Int(i64::try_from(self.delta).unwrap_or(i64::MAX));
        describe(message, bucket, &self.key, self.revision, self.operation);
        message.set_meta("nats_kv_delta", delta);
        message.set_meta("nats_kv_created", self.created().to_text());
    }

    /// As a record of the key's history.
    pub(super) fn record(&self, bucket: &str) -> Value {
        let number = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let mut record = Object::default();
        for (name, value) in [
            ("key", Value::from(self.key.as_str())),
            ("value", Value::Bytes(self.value.clone())),
            ("bucket", Value::from(bucket)),
            ("revision", number(self.revision)),
            ("delta", number(self.delta)),
            ("operation", Value::from(self.operation.name())),
            ("created", self.created()),
        ] {
            record.insert(name, value);
        }
        Value::Object(Arc::new(record))
    }
}

/// Sets what is known of a key after something was done to it.
pub(super) fn describe(message: &mut Message, bucket: &str, key: &str, revision: u64, operation: Operation) {
    message.set_meta("nats_kv_key", key);
    message.set_meta("nats_kv_bucket", bucket);
    message.set_meta("nats_kv_revision", Value::Int(i64::try_from(revision).unwrap_or(i64::MAX)));
    message.set_meta("nats_kv_operation", operation.name());
}

/// Entries as they arrive, without gaps.
pub(super) type Entries = BoxStream<'static, Result<Entry, String>>;

/// Reads the entries of the keys that `key` matches, from where `from` says; with how many there are now.
pub(super) async fn watch(
    link: &Link,
    store: &Store,
    key: &str,
    from: DeliverPolicy,
    meta_only: bool,
) -> Result<(u64, Entries), String> {
    let config = push::OrderedConfig {
        deliver_subject: link.client.new_inbox(),
        filter_subject: format!("{}{key}", store.prefix),
        replay_policy: consumer::ReplayPolicy::Instant,
        headers_only: meta_only,
        deliver_policy: from,
        ..push::OrderedConfig::default()
    };
    let unreadable = |fault: &dyn std::error::Error| format!("`{key}` cannot be read: {}", chain(fault));
    let consumer = store.stream.create_consumer(config).await.map_err(|fault| unreadable(&fault))?;
    let pending = consumer.cached_info().num_pending;
    let messages = consumer.messages().await.map_err(|fault| unreadable(&fault))?;
    let store = store.clone();
    let entries = messages.filter_map(move |incoming| {
        let entry = match incoming {
            Ok(incoming) => Entry::arrived(&store, &incoming).map(Ok),
            Err(fault) => Some(Err(chain(&fault))),
        };
        std::future::ready(entry)
    });
    Ok((pending, entries.boxed()))
}

/// All entries that there are now.
pub(super) async fn collect(
    link: &Link,
    store: &Store,
    key: &str,
    from: DeliverPolicy,
    meta_only: bool,
) -> Result<Vec<Entry>, String> {
    let (pending, mut entries) = watch(link, store, key, from, meta_only).await?;
    let mut found = Vec::new();
    if pending == 0 {
        return Ok(found);
    }
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        let last = entry.delta == 0;
        found.push(entry);
        if last {
            return Ok(found);
        }
        if found.len() == MOST {
            return Err(format!("`{key}` matches more than {MOST} entries; ask for fewer"));
        }
    }
    Err("the connection was lost before all entries were there".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_read_of_headers() {
        for (name, value, expected) in [
            ("KV-Operation", "DEL", Operation::Delete),
            ("KV-Operation", "PURGE", Operation::Purge),
            ("KV-Operation", "PUT", Operation::Put),
            ("Nats-Marker-Reason", "MaxAge", Operation::Purge),
            ("Nats-Marker-Reason", "Remove", Operation::Delete),
            ("Other", "DEL", Operation::Put),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value);
            assert_eq!(Operation::of(Some(&headers)), expected, "{name}: {value}");
        }
        assert_eq!(Operation::of(None), Operation::Put);
    }
}
