//! Pieces of one size; the last may be shorter.

use bytes::{Bytes, BytesMut};

use document::Fault;

use super::{Cut, Cutting, LARGEST};
use crate::build::BuildContext;
use crate::message::Message;
use crate::node::Node;
use crate::registry::{Field, Kind, ScannerSpec};
use crate::scanner::{Scan, Scanner};

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "chunker",
    summary: "Pieces of one size; the last of a source may be shorter.",
    config: Kind::Object(&[Field::required("size", Kind::Size, "Bytes in a message.")]),
    build,
};

fn build(node: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Scanner>, Fault> {
    match node.size("size")?.and_then(|size| usize::try_from(size).ok()) {
        Some(size) if (1..=LARGEST).contains(&size) => Ok(Box::new(ChunkerScanner { size })),
        _ => Err(node.field_fault("size", format!("`size` must be from 1 to {LARGEST}"))),
    }
}

struct ChunkerScanner {
    size: usize,
}

impl Scanner for ChunkerScanner {
    fn scan(&self, _: &str) -> Box<dyn Scan> {
        Box::new(Cutting::new(Chunker::new(self.size)))
    }
}

/// One source.
struct Chunker {
    size: usize,
    pending: BytesMut,
}

impl Chunker {
    fn new(size: usize) -> Chunker {
        Chunker { size: size.max(1), pending: BytesMut::new() }
    }
}

impl Cut for Chunker {
    fn feed(&mut self, chunk: Bytes, out: &mut Vec<Message>) -> Result<(), String> {
        self.pending.extend_from_slice(&chunk);
        while self.pending.len() >= self.size {
            out.push(Message::new(self.pending.split_to(self.size).freeze()));
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), String> {
        if !self.pending.is_empty() {
            out.push(Message::new(self.pending.split().freeze()));
        }
        Ok(())
    }
}
