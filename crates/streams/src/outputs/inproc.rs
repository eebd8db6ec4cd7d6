//! Writes to an `inproc` input of another stream (streams contract 3.10).

use std::sync::Arc;

use async_trait::async_trait;
use document::Fault;

use crate::ack::{Ack, Transaction};
use crate::build::BuildContext;
use crate::component::{ConnectError, Output, WriteError};
use crate::message::{Batch, Message};
use crate::node::Node;
use crate::registry::{Kind, OutputSpec};
use crate::topics::Topic;

// Always allowed, although it is on the original's list of unsafe components: here a topic never leaves the gate.
pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "inproc",
    summary: "Writes to the in-process topic of this name; a message is acknowledged when the stream that reads it has delivered it.",
    config: Kind::Text,
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    Ok(Box::new(Inproc { topic: context.settings.topics.get(&node.as_text()?) }))
}

struct Inproc {
    topic: Arc<Topic>,
}

#[async_trait]
impl Output for Inproc {
    async fn connect(&self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn write(&self, _: &[Message]) -> Result<(), WriteError> {
        Err(WriteError::Failed("an in-process topic takes batches with their ack".to_owned()))
    }

    async fn consume(&self, batch: Batch, ack: Ack) -> Result<(), (Batch, Ack)> {
        self.topic.write(Transaction { batch, ack }).await;
        Ok(())
    }

    async fn close(&self) {}
}
