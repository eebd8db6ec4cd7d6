//! Output `redis_streams` (streams contract 3.10).

use async_trait::async_trait;
use bloblang::Template;
use document::Fault;
use streams::{BuildContext, ConnectError, Message, Node, Output, View, WriteError};

use super::link::Link;
use super::write::Writer;

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    context.with_batching(node)?;
    Ok(Box::new(StreamsOutput {
        writer: Writer { link: Link::read(node, context)?, stream: context.stream.clone() },
        name: node.template("stream", context)?,
        body_key: node.text("body_key")?.into_owned(),
        max_length: node.count("max_length")?,
        excluded: node.get("metadata").texts("exclude_prefixes")?,
        max_in_flight: node.count("max_in_flight")?.max(1),
    }))
}

struct StreamsOutput {
    writer: Writer,
    name: Template,
    body_key: String,
    max_length: usize,
    excluded: Vec<String>,
    max_in_flight: usize,
}

#[async_trait]
impl Output for StreamsOutput {
    async fn connect(&self) -> Result<(), ConnectError> {
        self.writer.connect().await
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let add = |pipeline: &mut redis::Pipeline, index: usize| {
            let name = self.name.render(&View(batch), index).map_err(|fault| format!("`stream`: {fault}"))?;
            let message = &batch[index];
            let command = pipeline.cmd("XADD").arg(name);
            if self.max_length > 0 {
                command.arg("MAXLEN").arg("~").arg(self.max_length);
            }
            command.arg("*");
            for (name, value) in message.meta_iter() {
                let excluded = self.excluded.iter().any(|prefix| name.starts_with(prefix.as_str()));
                if !excluded && name != self.body_key {
                    command.arg(name).arg(value.to_text());
                }
            }
            command.arg(&self.body_key).arg(&message.bytes()[..]);
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
