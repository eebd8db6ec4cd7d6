//! Output `redis_list` (streams contract 3.10).

use async_trait::async_trait;
use bloblang::Template;
use document::Fault;
use streams::{BuildContext, ConnectError, Message, Node, Output, View, WriteError};

use super::link::Link;
use super::write::Writer;

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    context.with_batching(node)?;
    Ok(Box::new(ListOutput {
        writer: Writer { link: Link::read(node, context)?, stream: context.stream.clone() },
        key: node.template("key", context)?,
        command: if node.text("command")? == "lpush" { "LPUSH" } else { "RPUSH" },
        max_in_flight: node.count("max_in_flight")?.max(1),
    }))
}

struct ListOutput {
    writer: Writer,
    key: Template,
    command: &'static str,
    max_in_flight: usize,
}

#[async_trait]
impl Output for ListOutput {
    async fn connect(&self) -> Result<(), ConnectError> {
        self.writer.connect().await
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let add = |pipeline: &mut redis::Pipeline, index: usize| {
            let key = self.key.render(&View(batch), index).map_err(|fault| format!("`key`: {fault}"))?;
            pipeline.cmd(self.command).arg(key).arg(&batch[index].bytes()[..]);
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
