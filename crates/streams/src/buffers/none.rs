//! No buffer: batches pass from the input to the pipeline with their ack.

use document::Fault;

use crate::buffer::Buffer;
use crate::build::BuildContext;
use crate::node::Node;
use crate::registry::{BufferSpec, Kind};

pub(super) static SPEC: BufferSpec = BufferSpec {
    name: "none",
    summary: "No buffer: the input waits for the pipeline.",
    config: Kind::Object(&[]),
    build,
};

fn build(_: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Option<Box<dyn Buffer>>, Fault> {
    Ok(None)
}
