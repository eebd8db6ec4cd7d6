//! Stores the batch as the answer to its sender (streams contract 5.9).

use async_trait::async_trait;
use document::Fault;

use crate::build::BuildContext;
use crate::component::Processor;
use crate::message::Batch;
use crate::node::Node;
use crate::registry::{Kind, ProcessorSpec};
use crate::reply::store_all;

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "sync_response",
    summary: "Adds each message to the answer that its sender gets after the ack, and passes it on.",
    config: Kind::Object(&[]),
    build,
};

fn build(_: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    Ok(Box::new(SyncResponse))
}

struct SyncResponse;

#[async_trait]
impl Processor for SyncResponse {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        store_all(&batch);
        vec![batch]
    }
}
