//! Text between delimiters.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem::Finder;

use document::Fault;

use super::{Cut, Cutting};
use crate::build::BuildContext;
use crate::message::Message;
use crate::node::Node;
use crate::registry::{Default, Field, Kind, ScannerSpec};
use crate::scanner::{Scan, Scanner};

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "lines",
    summary: "Cuts at line ends, which are taken away with a carriage return before them, or at another delimiter.",
    config: Kind::Object(&[
        Field::optional("custom_delimiter", Kind::Text, "Cut at this text instead of line ends."),
        Field::new(
            "max_buffer_size",
            Kind::Size,
            Default::Int(65_536),
            "A line that is longer ends its source with a fault.",
        ),
        Field::new("omit_empty", Kind::Bool, Default::Bool(false), "Leave out empty lines."),
    ]),
    build,
};

fn build(node: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Scanner>, Fault> {
    let delimiter = node.optional_text("custom_delimiter")?.filter(|text| !text.is_empty());
    let max = usize::try_from(node.size("max_buffer_size")?.unwrap_or(65_536)).unwrap_or(usize::MAX);
    Ok(Box::new(LinesScanner {
        delimiter: delimiter.map(std::borrow::Cow::into_owned),
        max,
        omit_empty: node.boolean("omit_empty")?,
    }))
}

struct LinesScanner {
    delimiter: Option<String>,
    max: usize,
    omit_empty: bool,
}

impl Scanner for LinesScanner {
    fn scan(&self, _: &str) -> Box<dyn Scan> {
        Box::new(Cutting::new(Lines::new(self.delimiter.as_deref(), self.max, self.omit_empty)))
    }
}

/// One source.
struct Lines {
    delimiter: Finder<'static>,
    /// A carriage return before a line end belongs to it.
    strip_return: bool,
    max: usize,
    omit_empty: bool,
    pending: BytesMut,
    /// No delimiter begins before this place.
    searched: usize,
}

impl Lines {
    /// Cuts at line ends, or at `delimiter`.
    fn new(delimiter: Option<&str>, max: usize, omit_empty: bool) -> Lines {
        Lines {
            delimiter: Finder::new(delimiter.unwrap_or("\n").as_bytes()).into_owned(),
            strip_return: delimiter.is_none(),
            max,
            omit_empty,
            pending: BytesMut::new(),
            searched: 0,
        }
    }

    fn emit(&self, mut line: Bytes, out: &mut Vec<Message>) {
        if self.strip_return && line.ends_with(b"\r") {
            line.truncate(line.len() - 1);
        }
        if !(self.omit_empty && line.is_empty()) {
            out.push(Message::new(line));
        }
    }

    fn too_long(&self) -> String {
        format!("a line is longer than {} bytes; see `max_buffer_size`", self.max)
    }
}

impl Cut for Lines {
    fn feed(&mut self, chunk: Bytes, out: &mut Vec<Message>) -> Result<(), String> {
        self.pending.extend_from_slice(&chunk);
        let size = self.delimiter.needle().len();
        while let Some(at) = self.delimiter.find(&self.pending[self.searched..]) {
            let at = self.searched + at;
            if at > self.max {
                return Err(self.too_long());
            }
            let line = self.pending.split_to(at).freeze();
            self.pending.advance(size);
            self.searched = 0;
            self.emit(line, out);
        }
        if self.pending.len() > self.max {
            return Err(self.too_long());
        }
        self.searched = (self.pending.len() + 1).saturating_sub(size);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), String> {
        if !self.pending.is_empty() {
            let line = self.pending.split().freeze();
            self.emit(line, out);
        }
        Ok(())
    }
}
