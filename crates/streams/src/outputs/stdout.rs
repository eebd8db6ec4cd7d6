//! Writes lines to wherever the program's lines go.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{BufMut, BytesMut};
use document::Fault;

use crate::build::BuildContext;
use crate::component::{ConnectError, Output, WriteError};
use crate::message::Message;
use crate::node::Node;
use crate::registry::{Default, Field, Kind, OutputSpec};
use crate::settings::Lines;

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "stdout",
    summary: "Writes each message and a newline to standard output.",
    config: Kind::Object(&[Field::new(
        "codec",
        Kind::Choice(&["lines"]),
        Default::Text("lines"),
        "How messages are written; only `lines` is offered.",
    )]),
    build,
};

fn build(_: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    Ok(Box::new(Stdout { lines: context.settings.lines.clone() }))
}

struct Stdout {
    lines: Arc<dyn Lines>,
}

#[async_trait]
impl Output for Stdout {
    async fn connect(&self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let mut text = BytesMut::new();
        for message in batch {
            text.put_slice(message.bytes());
            text.put_u8(b'\n');
        }
        let lines = self.lines.clone();
        let written = tokio::task::spawn_blocking(move || lines.write_all(&text)).await;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fault)) => Err(WriteError::Failed(format!("standard output cannot be written: {fault}"))),
            Err(fault) => Err(WriteError::Failed(format!("writing was interrupted: {fault}"))),
        }
    }

    async fn close(&self) {}
}
