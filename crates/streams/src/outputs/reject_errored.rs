//! Refuses what a processor failed on (streams contract 3.10).

use async_trait::async_trait;
use document::Fault;

use crate::ack::{Ack, AckGroup};
use crate::build::{BuildContext, OutputNode};
use crate::component::{ConnectError, Output, WriteError};
use crate::message::{Batch, Message};
use crate::node::Node;
use crate::outputs::children::Children;
use crate::registry::{Kind, OutputSpec};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "reject_errored",
    summary: "Fails messages that a processor failed on, with its reason, so that their input hears of it, and writes the others.",
    config: Kind::Output,
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    Ok(refusing(context.output(node)?))
}

/// An output that writes to this one what no processor failed on.
pub(crate) fn refusing(child: OutputNode) -> Box<dyn Output> {
    Box::new(RejectErrored { children: Children::new(vec![child]) })
}

struct RejectErrored {
    children: Children,
}

#[async_trait]
impl Output for RejectErrored {
    async fn connect(&self) -> Result<(), ConnectError> {
        self.children.start();
        Ok(())
    }

    async fn write(&self, _: &[Message]) -> Result<(), WriteError> {
        Err(WriteError::Failed("`reject_errored` takes batches with their ack".to_owned()))
    }

    async fn consume(&self, batch: Batch, ack: Ack) -> Result<(), (Batch, Ack)> {
        if batch.iter().all(|message| message.error().is_none()) {
            self.children.send(0, batch, ack).await;
            return Ok(());
        }
        let mut group = AckGroup::new(ack);
        let failures = (batch.iter().enumerate())
            .filter_map(|(index, message)| Some((index, message.error()?.to_owned())))
            .collect();
        group.part().done(Err(WriteError::Partial(failures).into_nack(&batch)));
        let right: Batch = batch.into_iter().filter(|message| message.error().is_none()).collect();
        let part = (!right.is_empty()).then(|| group.part());
        group.close();
        if let Some(ack) = part {
            self.children.send(0, right, ack).await;
        }
        Ok(())
    }

    async fn close(&self) {
        self.children.close().await;
    }
}
