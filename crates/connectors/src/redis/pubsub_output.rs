//! Output `redis_pubsub` (streams contract 3.10).

use async_trait::async_trait;
use bloblang::Template;
use document::Fault;
use streams::{BuildContext, ConnectError, Message, Node, Output, View, WriteError};

use super::link::Link;
use super::write::Writer;

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    context.with_batching(node)?;
    Ok(Box::new(PubSubOutput {
        writer: Writer { link: Link::read(node, context)?, stream: context.stream.clone() },
        channel: node.template("channel", context)?,
        max_in_flight: node.count("max_in_flight")?.max(1),
    }))
}

struct PubSubOutput {
    writer: Writer,
    channel: Template,
    max_in_flight: usize,
}

#[async_trait]
impl Output for PubSubOutput {
    async fn connect(&self) -> Result<(), ConnectError> {
        self.writer.connect().await
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let add = |pipeline: &mut redis::Pipeline, index: usize| {
            let channel = self.channel.render(&View(batch), index);
            let channel = channel.map_err(|fault| format!("`channel`: {fault}"))?;
            pipeline.cmd("PUBLISH").arg(channel).arg(&batch[index].bytes()[..]);
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
