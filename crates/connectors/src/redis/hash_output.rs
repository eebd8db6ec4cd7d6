//! Output `redis_hash` (streams contract 3.12).

use std::collections::BTreeMap;

use async_trait::async_trait;
use bloblang::Template;
use document::Fault;
use streams::{BuildContext, ConnectError, Message, Node, Output, View, WriteError};

use super::link::Link;
use super::write::Writer;

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    let hash = HashOutput {
        writer: Writer { link: Link::read(node, context)?, stream: context.stream.clone() },
        key: node.template("key", context)?,
        metadata: node.boolean("walk_metadata")?,
        members: node.boolean("walk_json_object")?,
        fields: node.templates("fields", context)?,
        max_in_flight: node.count("max_in_flight")?.max(1),
    };
    if !hash.metadata && !hash.members && hash.fields.is_empty() {
        return Err(node
            .fault("nothing says which fields are set")
            .hint("write `fields`, `walk_metadata` or `walk_json_object`"));
    }
    Ok(Box::new(hash))
}

struct HashOutput {
    writer: Writer,
    key: Template,
    metadata: bool,
    members: bool,
    fields: Vec<(String, Template)>,
    max_in_flight: usize,
}

impl HashOutput {
    fn fields(&self, batch: &[Message], index: usize) -> Result<BTreeMap<String, Vec<u8>>, String> {
        let message = &batch[index];
        let mut fields = BTreeMap::new();
        if self.metadata {
            let metadata = message.meta_iter().map(|(name, value)| (name.to_owned(), value.to_text().into()));
            fields.extend(metadata);
        }
        if self.members {
            let value = message.value().map_err(str::to_owned)?;
            let Some(object) = value.as_object() else {
                return Err(format!("`walk_json_object` needs an object, not {}", value.type_name()));
            };
            for (name, member) in object.iter() {
                fields.insert(name.to_string(), member.to_payload().to_vec());
            }
        }
        for (name, template) in &self.fields {
            let text = template.render(&View(batch), index);
            fields.insert(name.clone(), text.map_err(|fault| format!("`fields.{name}`: {fault}"))?.into());
        }
        if fields.is_empty() { Err("there is no field to set".to_owned()) } else { Ok(fields) }
    }
}

#[async_trait]
impl Output for HashOutput {
    async fn connect(&self) -> Result<(), ConnectError> {
        self.writer.connect().await
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let add = |pipeline: &mut redis::Pipeline, index: usize| {
            let key = self.key.render(&View(batch), index).map_err(|fault| format!("`key`: {fault}"))?;
            let fields = self.fields(batch, index)?;
            let command = pipeline.cmd("HSET").arg(key);
            for (name, value) in fields {
                command.arg(name).arg(value);
            }
            Ok(())
        };
        self.writer.write(batch, add).await
    }

    fn max_in_flight(&self) -> usize {
        self.max_in_flight
    }

    async fn close(&self) {
        self.writer.link.forget();
    }
}
