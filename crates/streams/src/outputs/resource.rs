//! A shared output by its label (streams contract 5.7).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_trait::async_trait;
use document::Fault;

use crate::ack::{Ack, Transaction};
use crate::build::BuildContext;
use crate::component::{ConnectError, Output, WriteError};
use crate::message::{Batch, Message};
use crate::node::Node;
use crate::registry::{Kind, OutputSpec};
use crate::resources::SharedOutput;
use crate::sort::Sort;

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "resource",
    summary: "Writes to the output of this label in `output_resources`, which runs once for all that refer to it.",
    config: Kind::Label(Sort::Output),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    let shared = context.output_resource(node)?;
    shared.join();
    Ok(Box::new(Resource { shared, left: AtomicBool::new(false) }))
}

struct Resource {
    shared: Arc<SharedOutput>,
    left: AtomicBool,
}

impl Drop for Resource {
    fn drop(&mut self) {
        if !self.left.load(Relaxed) {
            self.shared.forget();
        }
    }
}

#[async_trait]
impl Output for Resource {
    async fn connect(&self) -> Result<(), ConnectError> {
        self.shared.start();
        Ok(())
    }

    async fn write(&self, _: &[Message]) -> Result<(), WriteError> {
        Err(WriteError::Failed("a shared output takes batches with their ack".to_owned()))
    }

    async fn consume(&self, batch: Batch, ack: Ack) -> Result<(), (Batch, Ack)> {
        self.shared.write(Transaction { batch, ack }).await;
        Ok(())
    }

    async fn close(&self) {
        self.left.store(true, Relaxed);
        self.shared.leave().await;
    }
}
