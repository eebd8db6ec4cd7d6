//! Spans go nowhere.

use document::Fault;

use crate::build::BuildContext;
use crate::node::Node;
use crate::registry::{Kind, TracerSpec};
use crate::tracer::Tracer;

pub(super) static SPEC: TracerSpec = TracerSpec {
    name: "none",
    summary: "No spans are made; trace context of messages is passed on as it is.",
    config: Kind::Object(&[]),
    build,
};

fn build(_: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Option<Box<dyn Tracer>>, Fault> {
    Ok(None)
}
