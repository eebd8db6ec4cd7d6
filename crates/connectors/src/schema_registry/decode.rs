//! Processor `schema_registry_decode`.

use std::sync::Arc;

use async_trait::async_trait;
use codecs::avro::Unions;
use codecs::registry::{Codec, Options, frame};
use document::Fault;
use streams::{Batch, BuildContext, Message, Node, Processor};

use super::cache::Cache;
use super::client::Client;
use super::schema::{Change, compile};

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let avro = node.get("avro");
    let raw =
        if avro.has("raw_unions") { avro.boolean("raw_unions")? } else { node.boolean("avro_raw_json")? };
    Ok(Box::new(Decode {
        client: Client::read(node, context)?,
        codecs: Cache::new(),
        change: Change {
            mapping: avro.mapping("mapping", context)?,
            sanitize: node.boolean("sanitize_namespace_names")?,
        },
        options: Options {
            unions: if raw { Unions::Bare } else { Unions::Tagged },
            logical: avro.boolean("preserve_logical_types")?,
        },
    }))
}

struct Decode {
    client: Client,
    codecs: Cache<u32, Arc<Codec>>,
    change: Change,
    options: Options,
}

/// The schema of the message before, or why there is none.
type Last = Option<(u32, Result<Arc<Codec>, Arc<str>>)>;

impl Decode {
    async fn one(&self, message: &mut Message, last: &mut Last) -> Result<(), String> {
        let (id, _) = frame::split(message.bytes())?;
        let codec = match last {
            Some((known, codec)) if *known == id => codec.clone(),
            _ => {
                let codec = self.codecs.get(&id, || self.fetch(id)).await;
                *last = Some((id, codec.clone()));
                codec
            }
        };
        let codec = codec.map_err(|why| why.to_string())?;
        codec.decode(message, self.options).map_err(|fault| format!("by the schema {id}: {fault}"))
    }

    async fn fetch(&self, id: u32) -> Result<Arc<Codec>, String> {
        let found = self.client.by_id(id).await?;
        compile(found, self.change.clone()).await.map(Arc::new)
    }
}

#[async_trait]
impl Processor for Decode {
    async fn process(&self, mut batch: Batch) -> Vec<Batch> {
        let mut last = None;
        for message in &mut batch {
            if let Err(fault) = self.one(message, &mut last).await {
                message.set_error(format!("schema_registry_decode: {fault}"));
            }
        }
        vec![batch]
    }
}
