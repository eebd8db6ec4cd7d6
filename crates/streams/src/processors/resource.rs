//! A shared processor by its label (streams contract 5.7).

use std::sync::Arc;

use async_trait::async_trait;
use document::Fault;

use crate::build::{BuildContext, Stage};
use crate::component::Processor;
use crate::message::Batch;
use crate::node::Node;
use crate::registry::{Kind, ProcessorSpec};
use crate::sort::Sort;

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "resource",
    summary: "Runs the processor of this label in `processor_resources`.",
    config: Kind::Label(Sort::Processor),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    Ok(Box::new(Resource { stage: context.processor_resource(node)? }))
}

struct Resource {
    stage: Arc<Stage>,
}

#[async_trait]
impl Processor for Resource {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        self.stage.process(batch).await
    }
}
