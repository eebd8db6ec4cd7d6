//! Inputs one after the other (streams contract 3.9).

use async_trait::async_trait;
use document::Fault;

use crate::ack::{Ack, Transaction};
use crate::build::BuildContext;
use crate::component::{ConnectError, Input, ReadError};
use crate::inputs::child::Child;
use crate::message::Batch;
use crate::node::Node;
use crate::registry::{Field, InputSpec, Kind};

pub(super) static SPEC: InputSpec = InputSpec {
    name: "sequence",
    summary: "Reads its inputs one after the other: the next one starts when the one before has ended.",
    config: Kind::Object(&[
        Field::optional(
            "sharded_join",
            Kind::Refused("joins are not offered; join the documents in a store or with a cache"),
            "Joins the documents of the inputs by an id.",
        ),
        Field::required("inputs", Kind::List(&Kind::Input), "The inputs, in this order."),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let mut children = Vec::new();
    for child in node.items("inputs") {
        children.push(Child::new(context.input(&child)?));
    }
    if children.is_empty() {
        return Err(node.field_fault("inputs", "`inputs` must name at least one input"));
    }
    Ok(Box::new(Sequence { children, now: 0, stopping: false }))
}

struct Sequence {
    children: Vec<Child>,
    now: usize,
    stopping: bool,
}

#[async_trait]
impl Input for Sequence {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        while let Some(child) = self.children.get_mut(self.now) {
            // One that has not begun when the stream stops does not begin any more.
            if !self.stopping {
                child.start();
            }
            if let Some(Transaction { batch, ack }) = child.read().await {
                return Ok((batch, ack));
            }
            self.now += 1;
        }
        Err(ReadError::End)
    }

    fn drain(&mut self) -> bool {
        self.stopping = true;
        self.children.iter().for_each(Child::stop);
        true
    }

    async fn close(&mut self) {
        for child in &mut self.children {
            child.close().await;
        }
    }
}
