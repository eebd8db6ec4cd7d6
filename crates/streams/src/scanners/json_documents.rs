//! JSON documents that follow each other.

use bytes::{Bytes, BytesMut};

use document::Fault;

use super::json_split::Splitter;
use super::{Cut, Cutting, LARGEST};
use crate::build::BuildContext;
use crate::message::Message;
use crate::node::Node;
use crate::registry::{Kind, ScannerSpec};
use crate::scanner::{Scan, Scanner};

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "json_documents",
    summary: "JSON documents that follow each other, with or without space between. Text that is none ends its source with a fault.",
    config: Kind::Object(&[]),
    build,
};

fn build(_: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Scanner>, Fault> {
    Ok(Box::new(JsonDocumentsScanner))
}

struct JsonDocumentsScanner;

impl Scanner for JsonDocumentsScanner {
    fn scan(&self, _: &str) -> Box<dyn Scan> {
        Box::new(Cutting::new(JsonDocuments::default()))
    }
}

/// One source.
#[derive(Default)]
struct JsonDocuments {
    pending: BytesMut,
    splitter: Splitter,
}

impl JsonDocuments {
    fn emit(&mut self, size: usize, out: &mut Vec<Message>) -> Result<(), String> {
        let document = self.pending.split_to(size).freeze();
        let message = Message::new(document.slice_ref(document.trim_ascii()));
        // Bytes that are no JSON are the source's fault, and what follows could begin anywhere.
        message.value().map_err(str::to_owned)?;
        out.push(message);
        Ok(())
    }
}

impl Cut for JsonDocuments {
    fn feed(&mut self, chunk: Bytes, out: &mut Vec<Message>) -> Result<(), String> {
        let mut rest = &chunk[..];
        while let Some(end) = self.splitter.end(rest) {
            self.pending.extend_from_slice(&rest[..end]);
            rest = &rest[end..];
            self.emit(self.pending.len(), out)?;
        }
        if self.splitter.is_open() {
            if self.pending.len() + rest.len() > LARGEST {
                return Err(format!("a document is larger than {LARGEST} bytes"));
            }
            self.pending.extend_from_slice(rest);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), String> {
        if self.splitter.is_open() { self.emit(self.pending.len(), out) } else { Ok(()) }
    }
}
