//! Stores the batch as the answer to its sender (streams contract 2.13).

use async_trait::async_trait;
use document::Fault;

use crate::build::BuildContext;
use crate::component::{ConnectError, Output, WriteError};
use crate::message::Message;
use crate::node::Node;
use crate::registry::{Kind, OutputSpec};
use crate::reply::store_all;

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "sync_response",
    summary: "Adds each message to the answer that its sender gets, and acknowledges it.",
    config: Kind::Object(&[]),
    build,
};

fn build(_: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    Ok(Box::new(SyncResponse))
}

struct SyncResponse;

#[async_trait]
impl Output for SyncResponse {
    async fn connect(&self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        store_all(batch);
        Ok(())
    }

    async fn close(&self) {}
}
