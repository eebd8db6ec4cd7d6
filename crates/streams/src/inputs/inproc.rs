//! Reads what an `inproc` output of another stream writes (streams contract 3.9).

use std::sync::Arc;

use async_trait::async_trait;
use document::Fault;

use crate::ack::{Ack, Transaction};
use crate::build::BuildContext;
use crate::component::{ConnectError, Input, ReadError};
use crate::message::Batch;
use crate::node::Node;
use crate::registry::{InputSpec, Kind};
use crate::topics::Topic;

// Always allowed, although it is on the original's list of unsafe components: here a topic never leaves the gate.
pub(super) static SPEC: InputSpec = InputSpec {
    name: "inproc",
    summary: "Reads the in-process topic of this name; acknowledgement goes through to the stream that writes it.",
    config: Kind::Text,
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    Ok(Box::new(Inproc { topic: context.settings.topics.get(&node.as_text()?) }))
}

struct Inproc {
    topic: Arc<Topic>,
}

#[async_trait]
impl Input for Inproc {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        match self.topic.read().await {
            Some(Transaction { batch, ack }) => Ok((batch, ack)),
            None => Err(ReadError::End),
        }
    }

    async fn close(&mut self) {}
}
