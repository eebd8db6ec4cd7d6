//! Stores messages in a cache (streams contract 3.10).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bloblang::Template;
use document::Fault;

use crate::build::BuildContext;
use crate::cache::{Cache, CacheItem};
use crate::component::{ConnectError, Output, WriteError};
use crate::fields::max_in_flight;
use crate::message::{Message, View};
use crate::node::Node;
use crate::registry::{Default, Field, Kind, OutputSpec};
use crate::units;

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "cache",
    summary: "Stores each message in a cache resource.",
    config: Kind::Object(&[
        Field::required("target", Kind::Cache, "The label of the cache."),
        Field::new(
            "key",
            Kind::Template,
            Default::Text("${!count(\"items\")}-${!timestamp_unix_nano()}"),
            "The key of each message.",
        ),
        Field::optional(
            "ttl",
            Kind::Template,
            "How long it is kept, as a duration; without it as long as the cache says.",
        )
        .advanced(),
        max_in_flight(64),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    Ok(Box::new(Store {
        cache: context.cache(&node.get("target"))?,
        key: node.template("key", context)?,
        ttl: node.optional_template("ttl", context)?,
        limit: node.count("max_in_flight")?.max(1),
    }))
}

struct Store {
    cache: Arc<dyn Cache>,
    key: Template,
    ttl: Option<Template>,
    limit: usize,
}

impl Store {
    fn item(&self, batch: &[Message], index: usize) -> Result<CacheItem, String> {
        let view = View(batch);
        let key = self.key.render(&view, index).map_err(|fault| format!("the key failed: {fault}"))?;
        let ttl = ttl(self.ttl.as_ref(), &view, index)?;
        Ok(CacheItem { key, value: batch[index].bytes().clone(), ttl })
    }
}

/// The time that a template gives; `None` when it is empty.
pub(crate) fn ttl(
    template: Option<&Template>,
    view: &View<'_>,
    index: usize,
) -> Result<Option<Duration>, String> {
    let Some(template) = template else { return Ok(None) };
    let text = template.render(view, index).map_err(|fault| format!("the time to live failed: {fault}"))?;
    if text.is_empty() { Ok(None) } else { units::duration(&text).map(Some) }
}

#[async_trait]
impl Output for Store {
    async fn connect(&self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let mut items = Vec::with_capacity(batch.len());
        let mut failures = Vec::new();
        for index in 0..batch.len() {
            match self.item(batch, index) {
                Ok(item) => items.push(item),
                Err(text) => failures.push((index, text)),
            }
        }
        if !items.is_empty() {
            self.cache.set_many(items).await.map_err(|fault| {
                WriteError::Failed(format!("the cache did not store the messages: {fault}"))
            })?;
        }
        if failures.is_empty() { Ok(()) } else { Err(WriteError::Partial(failures)) }
    }

    fn max_in_flight(&self) -> usize {
        self.limit
    }

    async fn close(&self) {}
}
