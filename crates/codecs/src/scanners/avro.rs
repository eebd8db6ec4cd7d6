//! Avro object container files.

use document::Fault;
use streams::scanners::Cutting;
use streams::{BuildContext, Default, Field, Kind, Node, Scan, Scanner, ScannerSpec};

use crate::avro::{ContainerScan, Unions};

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "avro",
    summary: "An Avro object container file; each datum becomes a message of JSON. Blocks may be packed with deflate, snappy or zstandard.",
    config: Kind::Object(&[Field::new(
        "raw_json",
        Kind::Bool,
        Default::Bool(false),
        "Write values of unions as they are, not as `{\"type\": value}`.",
    )
    .advanced()]),
    build,
};

fn build(node: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Scanner>, Fault> {
    Ok(Box::new(Avro { unions: if node.boolean("raw_json")? { Unions::Bare } else { Unions::Tagged } }))
}

struct Avro {
    unions: Unions,
}

impl Scanner for Avro {
    fn scan(&self, _: &str) -> Box<dyn Scan> {
        Box::new(Cutting::new(ContainerScan::new(self.unions)))
    }
}
