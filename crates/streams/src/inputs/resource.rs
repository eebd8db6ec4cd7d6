//! A shared input by its label (streams contract 5.7).

use std::sync::Arc;

use async_trait::async_trait;
use document::Fault;

use crate::ack::{Ack, Transaction};
use crate::build::BuildContext;
use crate::component::{ConnectError, Input, ReadError};
use crate::message::Batch;
use crate::node::Node;
use crate::registry::{InputSpec, Kind};
use crate::resources::SharedInput;
use crate::sort::Sort;

pub(super) static SPEC: InputSpec = InputSpec {
    name: "resource",
    summary: "Reads the input of this label in `input_resources`. It runs once: where several refer to it, each batch goes to one of them.",
    config: Kind::Label(Sort::Input),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let shared = context.input_resource(node)?;
    shared.join();
    Ok(Box::new(Resource { shared, left: false }))
}

struct Resource {
    shared: Arc<SharedInput>,
    left: bool,
}

impl Drop for Resource {
    fn drop(&mut self) {
        if !self.left {
            self.shared.forget();
        }
    }
}

#[async_trait]
impl Input for Resource {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        self.shared.start();
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        match self.shared.read().await {
            Some(Transaction { batch, ack }) => Ok((batch, ack)),
            None => Err(ReadError::End),
        }
    }

    fn drain(&mut self) -> bool {
        self.shared.stop();
        true
    }

    async fn close(&mut self) {
        self.left = true;
        self.shared.leave().await;
    }
}
