//! Processor `nats_kv` (streams contract 3.8).

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::kv::{CreateErrorKind, Store, UpdateErrorKind};
use async_nats::jetstream::stream::RawMessageErrorKind;
use async_trait::async_trait;
use bloblang::{Template, Value};
use document::Fault;
use jiff::Timestamp;
use streams::{Batch, BuildContext, Message, Node, Processor, View};

use super::bucket::{self, Entry, Operation, collect, describe};
use super::connection::{Lazy, Link, Settings, chain};

/// What is done to a key.
enum Action {
    Get,
    GetRevision(Template),
    Create,
    Put,
    Update(Template),
    Delete,
    Purge,
    History,
    Keys,
}

/// Builds the processor.
pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let revision = |operation: &str| {
        node.optional_template("revision", context)?
            .ok_or_else(|| node.field_fault("revision", format!("`{operation}` needs a `revision`")))
    };
    let action = match &*node.text("operation")? {
        "get" => Action::Get,
        "get_revision" => Action::GetRevision(revision("get_revision")?),
        "create" => Action::Create,
        "put" => Action::Put,
        "update" => Action::Update(revision("update")?),
        "delete" => Action::Delete,
        "purge" => Action::Purge,
        "history" => Action::History,
        "keys" => Action::Keys,
        other => return Err(node.field_fault("operation", format!("there is no operation `{other}`"))),
    };
    Ok(Box::new(KvProcessor {
        lazy: Lazy::new(Settings::read(node, context)?),
        bucket: node.text("bucket")?.into_owned(),
        key: node.template("key", context)?,
        action,
        timeout: node.duration("timeout")?.unwrap_or(Duration::from_secs(5)),
    }))
}

struct KvProcessor {
    lazy: Lazy<Store>,
    bucket: String,
    key: Template,
    action: Action,
    timeout: Duration,
}

impl KvProcessor {
    /// What takes the place of the message at `index`.
    async fn act(&self, batch: &[Message], index: usize) -> Result<Message, String> {
        let render = |name: &str, template: &Template| {
            template.render(&View(batch), index).map_err(|fault| format!("`{name}`: {fault}"))
        };
        let number = |template: &Template| {
            let text = render("revision", template)?;
            text.trim().parse::<u64>().map_err(|_| format!("`revision` is `{text}`, which is no revision"))
        };
        let key = render("key", &self.key)?;
        let (link, store) = self.lazy.get(|link| bucket::open(link, self.bucket.clone())).await?;
        let done = async {
            match &self.action {
                Action::History | Action::Keys => self.list(&link, &store, &key).await,
                Action::Get => self.get(&store, &key).await.map(|entry| self.read(&batch[index], &entry)),
                Action::GetRevision(revision) => {
                    let entry = self.get_revision(&store, &key, number(revision)?).await?;
                    Ok(self.read(&batch[index], &entry))
                }
                Action::Update(revision) => {
                    let revision = number(revision)?;
                    let updated = store.update(&key, batch[index].bytes().clone(), revision).await;
                    let updated = updated.map_err(|fault| match fault.kind() {
                        UpdateErrorKind::WrongLastRevision => {
                            format!("`{key}` is not at revision {revision}")
                        }
                        _ => self.failed(&key, &fault),
                    })?;
                    Ok(self.changed(&batch[index], &key, updated, Operation::Put))
                }
                _ => self.change(&store, &key, &batch[index]).await,
            }
        };
        tokio::select! {
            biased;
            done = done => done,
            () = link.lost() => Err("the connection was lost before the answer came".to_owned()),
        }
    }

    fn failed(&self, key: &str, fault: &dyn std::error::Error) -> String {
        format!("`{key}` of the bucket `{}`: {}", self.bucket, chain(fault))
    }

    async fn change(&self, store: &Store, key: &str, message: &Message) -> Result<Message, String> {
        let payload = message.bytes().clone();
        let (revision, operation) = match &self.action {
            Action::Create => {
                let created = store.create(key, payload).await.map_err(|fault| match fault.kind() {
                    CreateErrorKind::AlreadyExists => format!("`{key}` exists already"),
                    _ => self.failed(key, &fault),
                });
                (created?, Operation::Put)
            }
            Action::Delete => {
                store.delete(key).await.map_err(|fault| self.failed(key, &fault))?;
                (0, Operation::Delete)
            }
            Action::Purge => {
                store.purge(key).await.map_err(|fault| self.failed(key, &fault))?;
                (0, Operation::Purge)
            }
            _ => (store.put(key, payload).await.map_err(|fault| self.failed(key, &fault))?, Operation::Put),
        };
        Ok(self.changed(message, key, revision, operation))
    }

    fn changed(&self, message: &Message, key: &str, revision: u64, operation: Operation) -> Message {
        let mut message = message.clone();
        describe(&mut message, &self.bucket, key, revision, operation);
        message
    }

    fn read(&self, message: &Message, entry: &Entry) -> Message {
        let mut message = message.clone();
        message.set_bytes(entry.value.clone());
        entry.describe(&self.bucket, &mut message);
        message
    }

    async fn get(&self, store: &Store, key: &str) -> Result<Entry, String> {
        let found = store.entry(key).await.map_err(|fault| self.failed(key, &fault))?;
        let found = found.map(|entry| Entry {
            key: entry.key,
            value: entry.value,
            revision: entry.revision,
            delta: entry.delta,
            operation: match entry.operation {
                async_nats::jetstream::kv::Operation::Put => Operation::Put,
                async_nats::jetstream::kv::Operation::Delete => Operation::Delete,
                async_nats::jetstream::kv::Operation::Purge => Operation::Purge,
            },
            created: Timestamp::from_nanosecond(entry.created.unix_timestamp_nanos()).ok(),
        });
        found.filter(|entry| entry.operation == Operation::Put).ok_or_else(|| self.missing(key))
    }

    async fn get_revision(&self, store: &Store, key: &str, revision: u64) -> Result<Entry, String> {
        let found = match store.stream.get_raw_message(revision).await {
            Ok(found) => found,
            Err(fault) if fault.kind() == RawMessageErrorKind::NoMessageFound => {
                return Err(self.missing(key));
            }
            Err(fault) => return Err(self.failed(key, &fault)),
        };
        let operation = Operation::of(Some(&found.headers));
        // A revision of another key is none of this key's.
        if found.subject.strip_prefix(&store.prefix) != Some(key) || operation != Operation::Put {
            return Err(self.missing(key));
        }
        Ok(Entry {
            key: key.to_owned(),
            value: found.payload,
            revision,
            delta: 0,
            operation,
            created: Timestamp::from_nanosecond(found.time.unix_timestamp_nanos()).ok(),
        })
    }

    fn missing(&self, key: &str) -> String {
        format!("the bucket `{}` has no `{key}`", self.bucket)
    }

    async fn list(&self, link: &Link, store: &Store, key: &str) -> Result<Message, String> {
        let values: Vec<Value> = match &self.action {
            Action::Keys => {
                let entries = collect(link, store, key, DeliverPolicy::LastPerSubject, true).await?;
                let there = entries.into_iter().filter(|entry| entry.operation == Operation::Put);
                there.map(|entry| Value::from(entry.key)).collect()
            }
            _ => {
                let entries = collect(link, store, key, DeliverPolicy::All, false).await?;
                entries.iter().map(|entry| entry.record(&self.bucket)).collect()
            }
        };
        let mut message = Message::from_value(Value::Array(Arc::new(values.into())));
        message.set_meta("nats_kv_bucket", self.bucket.as_str());
        Ok(message)
    }
}

#[async_trait]
impl Processor for KvProcessor {
    async fn process(&self, mut batch: Batch) -> Vec<Batch> {
        // One after the other: messages for the same key keep their order.
        for index in 0..batch.len() {
            let done = tokio::time::timeout(self.timeout, self.act(&batch, index)).await;
            match done.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.timeout))) {
                Ok(message) => batch[index] = message,
                Err(text) => batch[index].set_error(text),
            }
        }
        vec![batch]
    }
}
