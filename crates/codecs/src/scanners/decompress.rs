//! Decompression before another scanner.

use std::sync::Arc;

use bloblang::formats::compression::{Algorithm, Push, UNPACKED};
use bytes::Bytes;
use document::Fault;

use streams::scanners::{Cut, Cutting, Inner};
use streams::{BuildContext, Field, Kind, Message, Node, Scan, Scanner, ScannerSpec};

use crate::compress::algorithm;

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "decompress",
    summary: "Decompresses a source before another scanner reads. `lz4` and `snappy` are their frame formats; they and `bzip2` are gathered up to 64 MiB first; the others are unpacked as they arrive.",
    config: Kind::Object(&[
        Field::required("algorithm", Kind::Choice(UNPACKED), "The format."),
        Field::optional("into", Kind::Scanner, "The other scanner; `to_the_end` when it is not written."),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Scanner>, Fault> {
    let algorithm = algorithm(node)?;
    Ok(Box::new(DecompressScanner { algorithm, into: context.scanner(&node.get("into"), "to_the_end")? }))
}

struct DecompressScanner {
    algorithm: Algorithm,
    into: Arc<dyn Scanner>,
}

impl Scanner for DecompressScanner {
    fn scan(&self, name: &str) -> Box<dyn Scan> {
        Box::new(Cutting::new(Decompress::new(Push::new(self.algorithm), Inner(self.into.scan(name)))))
    }
}

/// One source.
pub(crate) struct Decompress {
    push: Push,
    into: Inner,
}

impl Decompress {
    pub(crate) fn new(push: Push, into: Inner) -> Decompress {
        Decompress { push, into }
    }
}

impl Cut for Decompress {
    fn feed(&mut self, chunk: Bytes, out: &mut Vec<Message>) -> Result<(), String> {
        let Decompress { push, into } = self;
        push.feed(&chunk, &mut |bytes| into.feed(bytes, out))
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), String> {
        let Decompress { push, into } = self;
        push.finish(&mut |bytes| into.feed(bytes, out))?;
        into.finish(out)
    }
}
