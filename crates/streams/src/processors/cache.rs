//! Asks and fills caches (streams contract 3.8).

use std::sync::Arc;

use async_trait::async_trait;
use bloblang::{Mapping, Template, Value};
use bytes::Bytes;
use document::Fault;

use crate::build::{BuildContext, Stage};
use crate::cache::{Cache, CacheError};
use crate::component::Processor;
use crate::message::{Batch, Message, View};
use crate::node::Node;
use crate::outputs::cache::ttl;
use crate::pipeline::run_stages;
use crate::record;
use crate::registry::{Default, Field, Kind, ProcessorSpec};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "cache",
    summary: "Does one thing with a cache for each message. `get` puts the value in place of the payload, `exists` a boolean; the others leave the message as it is. A `get` without a value and an `add` with one flag the message.",
    config: Kind::Object(&[
        Field::required("resource", Kind::Cache, "The label of the cache."),
        Field::required(
            "operator",
            Kind::Choice(&["set", "add", "get", "exists", "delete"]),
            "What is done.",
        ),
        Field::required("key", Kind::Template, "The key."),
        Field::optional("value", Kind::Template, "What `set` and `add` store."),
        Field::optional(
            "ttl",
            Kind::Template,
            "How long it is kept, as a duration; without it as long as the cache says.",
        )
        .advanced(),
    ]),
    build,
};

pub(super) static CACHED: ProcessorSpec = ProcessorSpec {
    name: "cached",
    summary: "Runs processors only where a cache has no result of theirs yet, and keeps what they make: all messages of it with their metadata, also where there are none. A result that failed is not kept. A value that something else has put there becomes the payload.",
    config: Kind::Object(&[
        Field::required("cache", Kind::Cache, "The label of the cache."),
        Field::optional(
            "skip_on",
            Kind::Bloblang,
            "A query on the result; where it is true the result is not kept.",
        ),
        Field::required("key", Kind::Template, "The key of a message's result."),
        Field::optional("ttl", Kind::Template, "How long a result is kept, as a duration."),
        Field::required("processors", Kind::List(&Kind::Processor), "The processors."),
    ]),
    build: build_cached,
};

pub(super) static DEDUPE: ProcessorSpec = ProcessorSpec {
    name: "dedupe",
    summary: "Drops messages whose key is in a cache already, and adds the keys of the others. When a message fails further on its key is forgotten before it comes again. A process that is killed in between forgets nothing: with a cache that outlives it, what comes again then is dropped.",
    config: Kind::Object(&[
        Field::required("cache", Kind::Cache, "The label of the cache."),
        Field::required("key", Kind::Template, "The key. A message on which it fails is dropped."),
        Field::new(
            "drop_on_err",
            Kind::Bool,
            Default::Bool(true),
            "Whether messages are dropped, too, when the cache cannot be asked; else they are flagged and pass.",
        ),
        Field::new(
            "strategy",
            Kind::Choice(&["FIFO", "LIFO"]),
            Default::Text("FIFO"),
            "Which message of a batch stays where several have one key: the first, or the last.",
        )
        .advanced(),
    ]),
    build: build_dedupe,
};

#[derive(Clone, Copy)]
enum Operator {
    Set,
    Add,
    Get,
    Exists,
    Delete,
}

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let operator = match &*node.text("operator")? {
        "set" => Operator::Set,
        "add" => Operator::Add,
        "get" => Operator::Get,
        "exists" => Operator::Exists,
        "delete" => Operator::Delete,
        other => return Err(node.field_fault("operator", format!("there is no operator `{other}`"))),
    };
    if matches!(operator, Operator::Set | Operator::Add) && !node.has("value") {
        return Err(node.field_fault("value", "`set` and `add` need a `value`"));
    }
    Ok(Box::new(Operate {
        cache: context.cache(&node.get("resource"))?,
        operator,
        key: node.template("key", context)?,
        value: node.template("value", context)?,
        ttl: node.optional_template("ttl", context)?,
    }))
}

struct Operate {
    cache: Arc<dyn Cache>,
    operator: Operator,
    key: Template,
    value: Template,
    ttl: Option<Template>,
}

impl Operate {
    /// What takes the place of the payload, if anything does.
    async fn operate(&self, batch: &[Message], index: usize) -> Result<Option<Message>, String> {
        let key = render(&self.key, batch, index)?;
        let told = |fault: CacheError| fault.to_string();
        let mut changed = batch[index].clone();
        match self.operator {
            Operator::Get => changed.set_bytes(self.cache.get(&key).await.map_err(told)?),
            Operator::Exists => changed.set_value(self.cache.exists(&key).await.map_err(told)?.into()),
            Operator::Delete => return self.cache.delete(&key).await.map(|()| None).map_err(told),
            Operator::Set | Operator::Add => {
                let value = self.value.render_bytes(&View(batch), index);
                let value = value.map_err(|fault| format!("the value failed: {fault}"))?;
                let ttl = ttl(self.ttl.as_ref(), &View(batch), index)?;
                let stored = match self.operator {
                    Operator::Set => self.cache.set(&key, value, ttl).await,
                    _ => self.cache.add(&key, value, ttl).await,
                };
                return stored.map(|()| None).map_err(told);
            }
        }
        Ok(Some(changed))
    }
}

fn render(template: &Template, batch: &[Message], index: usize) -> Result<String, String> {
    template.render(&View(batch), index).map_err(|fault| format!("the key failed: {fault}"))
}

#[async_trait]
impl Processor for Operate {
    async fn process(&self, mut batch: Batch) -> Vec<Batch> {
        for index in 0..batch.len() {
            match self.operate(&batch, index).await {
                Ok(None) => {}
                Ok(Some(message)) => batch[index] = message,
                Err(text) => batch[index].set_error(text),
            }
        }
        vec![batch]
    }
}

fn build_cached(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    Ok(Box::new(Cached {
        cache: context.cache(&node.get("cache"))?,
        skip_on: node.mapping("skip_on", context)?,
        key: node.template("key", context)?,
        ttl: node.optional_template("ttl", context)?,
        stages: context.stages(&node.get("processors"))?,
    }))
}

struct Cached {
    cache: Arc<dyn Cache>,
    skip_on: Option<Mapping>,
    key: Template,
    ttl: Option<Template>,
    stages: Vec<Stage>,
}

impl Cached {
    async fn message(&self, batch: &[Message], index: usize) -> Result<Batch, String> {
        let key = render(&self.key, batch, index)?;
        let message = batch[index].clone();
        match self.cache.get(&key).await {
            Ok(value) => return Ok(kept(&message, value)),
            Err(CacheError::NotFound) => {}
            Err(fault) => return Err(fault.to_string()),
        }
        let ttl = ttl(self.ttl.as_ref(), &View(batch), index)?;
        let made: Batch = run_stages(&self.stages, vec![message]).await.into_iter().flatten().collect();
        if made.iter().all(|message| message.error().is_none()) && !self.skips(&made) {
            let value = record::encode(&made).ok_or("the result is too large to be kept")?;
            self.cache.set(&key, value.into(), ttl).await.map_err(|fault| fault.to_string())?;
        }
        Ok(made)
    }

    fn skips(&self, made: &[Message]) -> bool {
        if made.is_empty() {
            // There is nothing to ask about.
            return false;
        }
        let result = self.skip_on.as_ref().map(|check| check.query(&View(made), 0));
        matches!(result, Some(Ok(Value::Bool(true)) | Err(_)))
    }
}

/// What was kept, in the place of the message.
fn kept(message: &Message, value: Bytes) -> Batch {
    let Some(kept) = record::decode(value.clone()) else {
        let mut message = message.clone();
        message.set_bytes(value);
        return vec![message];
    };
    let in_place = |kept: &Message| {
        let mut message = message.clone();
        message.set_bytes(kept.bytes().clone());
        message.clear_meta();
        for (key, value) in kept.meta_iter() {
            message.set_meta(key, value.clone());
        }
        message
    };
    kept.iter().map(in_place).collect()
}

#[async_trait]
impl Processor for Cached {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        let mut all = Batch::with_capacity(batch.len());
        for index in 0..batch.len() {
            match self.message(&batch, index).await {
                Ok(made) => all.extend(made),
                Err(text) => {
                    let mut message = batch[index].clone();
                    message.set_error(text);
                    all.push(message);
                }
            }
        }
        if all.is_empty() { Vec::new() } else { vec![all] }
    }
}

fn build_dedupe(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    context.adding += 1;
    Ok(Box::new(Dedupe {
        cache: context.cache(&node.get("cache"))?,
        key: node.template("key", context)?,
        drop_on_error: node.boolean("drop_on_err")?,
        last: node.text("strategy")? == "LIFO",
    }))
}

struct Dedupe {
    cache: Arc<dyn Cache>,
    key: Template,
    drop_on_error: bool,
    last: bool,
}

impl Dedupe {
    /// Whether the message stays; it is flagged where that is not known.
    async fn stays(&self, batch: &mut [Message], index: usize) -> bool {
        let key = match render(&self.key, batch, index) {
            Ok(key) => key,
            Err(text) => {
                tracing::warn!(fault = %text, "a message without key is dropped");
                return false;
            }
        };
        match self.cache.add(&key, "t".into(), None).await {
            Ok(()) => {
                batch[index].add_key(self.cache.clone(), key);
                true
            }
            Err(CacheError::Exists) => false,
            Err(fault) if self.drop_on_error => {
                tracing::warn!(%fault, "the cache cannot be asked, the message is dropped");
                false
            }
            Err(fault) => {
                batch[index].set_error(fault.to_string());
                true
            }
        }
    }
}

#[async_trait]
impl Processor for Dedupe {
    async fn process(&self, mut batch: Batch) -> Vec<Batch> {
        let mut stays = vec![false; batch.len()];
        let mut indices: Vec<usize> = (0..batch.len()).collect();
        if self.last {
            indices.reverse();
        }
        for index in indices {
            stays[index] = self.stays(&mut batch, index).await;
        }
        let mut stays = stays.into_iter();
        batch.retain(|_| stays.next() == Some(true));
        if batch.is_empty() { Vec::new() } else { vec![batch] }
    }
}
