//! Counters go nowhere.

use async_trait::async_trait;
use document::Fault;

use crate::build::BuildContext;
use crate::exporter::Exporter;
use crate::node::Node;
use crate::registry::{Kind, MetricsSpec};

pub(super) static SPEC: MetricsSpec = MetricsSpec {
    name: "none",
    summary: "Counters of this stream are exported nowhere else than the gate's own metrics.",
    config: Kind::Object(&[]),
    build,
};

fn build(_: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Exporter>, Fault> {
    Ok(Box::new(Nowhere))
}

struct Nowhere;

#[async_trait]
impl Exporter for Nowhere {}
