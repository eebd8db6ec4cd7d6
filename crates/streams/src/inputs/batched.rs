//! A batching policy behind any input (streams contract 3.9).

use async_trait::async_trait;
use document::Fault;

use crate::ack::{Ack, Transaction};
use crate::batching::Policy;
use crate::build::BuildContext;
use crate::component::{ConnectError, Input, ReadError};
use crate::fields::BATCHING;
use crate::inputs::child::Child;
use crate::message::Batch;
use crate::node::Node;
use crate::registry::{Field, InputSpec, Kind};

pub(super) static SPEC: InputSpec = InputSpec {
    name: "batched",
    summary: "Gathers the messages of an input to larger batches.",
    config: Kind::Object(&[
        Field::required("child", Kind::Input, "The input."),
        Field::object("policy", BATCHING, "When gathered messages are a batch."),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let child = context.input(&node.get("child"))?;
    context.batching = Policy::build(&node.get("policy"), context)?;
    if context.batching.is_none() {
        return Err(node
            .field_fault("policy", "the policy gathers nothing")
            .hint("add `count`, `byte_size`, `period` or `check`"));
    }
    Ok(Box::new(Batched { child: Child::new(child) }))
}

struct Batched {
    child: Child,
}

#[async_trait]
impl Input for Batched {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        self.child.start();
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        let Transaction { batch, ack } = self.child.read().await.ok_or(ReadError::End)?;
        Ok((batch, ack))
    }

    fn drain(&mut self) -> bool {
        self.child.stop();
        true
    }

    async fn close(&mut self) {
        self.child.close().await;
    }
}
