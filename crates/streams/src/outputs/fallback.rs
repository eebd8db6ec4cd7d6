//! The next output where one fails: dead letters (streams contract 3.10).

use async_trait::async_trait;
use document::Fault;

use crate::ack::{Ack, NackKind, NackReason};
use crate::build::BuildContext;
use crate::component::{ConnectError, Output, WriteError};
use crate::message::{Batch, Message};
use crate::node::Node;
use crate::outputs::children::Children;
use crate::registry::{Kind, OutputSpec};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "fallback",
    summary: "Writes to the first output of a list; what it does not deliver goes to the next one, with the reason in the metadata `fallback_error`. What the last one does not deliver comes again. Messages that were delivered are not written twice.",
    config: Kind::List(&Kind::Output),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    let mut nodes = Vec::new();
    for child in node.members() {
        nodes.push(context.output(&child)?);
    }
    if nodes.len() < 2 {
        return Err(node.fault("`fallback` needs at least two outputs").hint("add one to fall back to"));
    }
    Ok(Box::new(Fallback { count: nodes.len(), children: Children::new(nodes) }))
}

struct Fallback {
    count: usize,
    children: Children,
}

#[async_trait]
impl Output for Fallback {
    async fn connect(&self) -> Result<(), ConnectError> {
        self.children.start();
        Ok(())
    }

    async fn write(&self, _: &[Message]) -> Result<(), WriteError> {
        Err(WriteError::Failed("`fallback` takes batches with their ack".to_owned()))
    }

    async fn consume(&self, batch: Batch, ack: Ack) -> Result<(), (Batch, Ack)> {
        let mut left = batch;
        for child in 0..self.count {
            let Err(reason) = self.children.deliver(child, left.clone()).await else {
                ack.done(Ok(()));
                return Ok(());
            };
            left.retain(|message| reason.concerns(message.place()));
            // A stream that stops is no reason to write dead letters.
            if reason.kind() != NackKind::Failed || child + 1 == self.count {
                ack.done(Err(reason.only(&left)));
                return Ok(());
            }
            for message in &mut left {
                message.set_meta("fallback_error", reason.text());
            }
        }
        ack.done(Err(NackReason::failed("there is no output").only(&left)));
        Ok(())
    }

    fn max_in_flight(&self) -> usize {
        self.children.limit()
    }

    async fn close(&self) {
        self.children.close().await;
    }
}
