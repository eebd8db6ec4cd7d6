//! Acknowledges and forgets.

use async_trait::async_trait;
use document::Fault;

use crate::build::BuildContext;
use crate::component::{ConnectError, Output, WriteError};
use crate::message::Message;
use crate::node::Node;
use crate::registry::{Kind, OutputSpec};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "drop",
    summary: "Acknowledges every message and forgets it.",
    config: Kind::Object(&[]),
    build,
};

fn build(_: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    Ok(Box::new(Drop))
}

struct Drop;

#[async_trait]
impl Output for Drop {
    async fn connect(&self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn write(&self, _: &[Message]) -> Result<(), WriteError> {
        Ok(())
    }

    async fn close(&self) {}
}
