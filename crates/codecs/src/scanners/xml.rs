//! XML documents that follow each other, as JSON.

use bytes::{Bytes, BytesMut};
use document::Fault;

use bloblang::formats::xml::{Splitter, parse};
use streams::scanners::{Cut, Cutting, LARGEST};
use streams::{BuildContext, Default, Field, Kind, Message, Node, Scan, Scanner, ScannerSpec};

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "xml_documents",
    summary: "XML documents that follow each other, each a message of JSON as the processor `xml` makes it.",
    config: Kind::Object(&[
        Field::new("operator", Kind::Choice(&["", "to_json"]), Default::Text("to_json"), "`to_json`."),
        Field::new(
            "cast",
            Kind::Bool,
            Default::Bool(false),
            "Make numbers and booleans of texts that look so.",
        ),
    ]),
    build,
};

fn build(node: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Scanner>, Fault> {
    Ok(Box::new(XmlScanner { cast: node.boolean("cast")? }))
}

struct XmlScanner {
    cast: bool,
}

impl Scanner for XmlScanner {
    fn scan(&self, _: &str) -> Box<dyn Scan> {
        Box::new(Cutting::new(XmlDocuments::new(self.cast)))
    }
}

/// One source.
pub(crate) struct XmlDocuments {
    cast: bool,
    pending: BytesMut,
    splitter: Splitter,
}

impl XmlDocuments {
    pub(crate) fn new(cast: bool) -> XmlDocuments {
        XmlDocuments { cast, pending: BytesMut::new(), splitter: Splitter::default() }
    }

    fn emit(&mut self, out: &mut Vec<Message>) -> Result<(), String> {
        let document = self.pending.split();
        out.push(Message::from_value(parse(&document, self.cast)?));
        Ok(())
    }
}

impl Cut for XmlDocuments {
    fn feed(&mut self, chunk: Bytes, out: &mut Vec<Message>) -> Result<(), String> {
        let mut rest = &chunk[..];
        while let Some(end) = self.splitter.end(rest) {
            self.pending.extend_from_slice(&rest[..end]);
            rest = &rest[end..];
            self.emit(out)?;
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
        if self.splitter.is_open() { self.emit(out) } else { Ok(()) }
    }
}
