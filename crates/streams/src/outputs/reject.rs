//! Refuses every message (streams contract 3.10).

use async_trait::async_trait;
use bloblang::Template;
use document::Fault;

use crate::bloblangs;
use crate::build::BuildContext;
use crate::component::{ConnectError, Output, WriteError};
use crate::message::{Message, View};
use crate::node::Node;
use crate::registry::{Kind, OutputSpec};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "reject",
    summary: "Fails every message with this text, so that its input hears of it: mostly as a case of `switch` or the end of `fallback`.",
    config: Kind::Template,
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    let text = bloblangs::template(&context.settings.environment, &node.as_text()?, node.pointer())
        .map_err(bloblangs::first)?;
    Ok(Box::new(Reject { text }))
}

struct Reject {
    text: Template,
}

#[async_trait]
impl Output for Reject {
    async fn connect(&self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let text = |index| match self.text.render(&View(batch), index) {
            Ok(text) => text,
            Err(fault) => format!("the text of the rejection failed: {fault}"),
        };
        Err(WriteError::Partial((0..batch.len()).map(|index| (index, text(index))).collect()))
    }

    async fn close(&self) {}
}
