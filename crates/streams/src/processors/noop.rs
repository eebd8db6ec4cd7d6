//! Nothing.

use async_trait::async_trait;
use document::Fault;

use crate::build::BuildContext;
use crate::component::Processor;
use crate::message::Batch;
use crate::node::Node;
use crate::registry::{Kind, ProcessorSpec};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "noop",
    summary: "Passes every batch on as it is.",
    config: Kind::Object(&[]),
    build,
};

fn build(_: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    Ok(Box::new(Noop))
}

struct Noop;

#[async_trait]
impl Processor for Noop {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        vec![batch]
    }
}
