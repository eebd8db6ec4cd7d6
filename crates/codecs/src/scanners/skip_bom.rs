//! Takes byte order marks away before another scanner reads.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use document::Fault;

use streams::scanners::{Cut, Cutting, Inner};
use streams::{BuildContext, Field, Kind, Message, Node, Scan, Scanner, ScannerSpec};

/// Those of UTF-8, UTF-32 and UTF-16, longer ones first where they begin alike.
const MARKS: [&[u8]; 5] =
    [b"\xef\xbb\xbf", b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff", b"\xff\xfe", b"\xfe\xff"];

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "skip_bom",
    summary: "Takes byte order marks away before another scanner reads: of UTF-8, UTF-16 and UTF-32, also several that follow each other.",
    config: Kind::Object(&[Field::optional(
        "into",
        Kind::Scanner,
        "The other scanner; `to_the_end` when it is not written.",
    )]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Scanner>, Fault> {
    Ok(Box::new(SkipBomScanner { into: context.scanner(&node.get("into"), "to_the_end")? }))
}

struct SkipBomScanner {
    into: Arc<dyn Scanner>,
}

impl Scanner for SkipBomScanner {
    fn scan(&self, name: &str) -> Box<dyn Scan> {
        Box::new(Cutting::new(SkipBom::new(Inner(self.into.scan(name)))))
    }
}

/// One source.
pub(crate) struct SkipBom {
    into: Inner,
    /// The first bytes, while a mark may still become whole.
    first: Option<BytesMut>,
}

impl SkipBom {
    pub(crate) fn new(into: Inner) -> SkipBom {
        SkipBom { into, first: Some(BytesMut::new()) }
    }

    /// Takes the marks away that are whole; true when what is left may be the begin of one.
    fn skip(first: &mut BytesMut) -> bool {
        loop {
            if MARKS.iter().any(|mark| mark.len() > first.len() && mark.starts_with(first)) {
                return true;
            }
            match MARKS.iter().find(|mark| first.starts_with(mark)) {
                Some(mark) => first.advance(mark.len()),
                None => return false,
            }
        }
    }
}

impl Cut for SkipBom {
    fn feed(&mut self, chunk: Bytes, out: &mut Vec<Message>) -> Result<(), String> {
        let Some(mut first) = self.first.take() else { return self.into.feed(chunk, out) };
        first.extend_from_slice(&chunk);
        if SkipBom::skip(&mut first) {
            self.first = Some(first);
            return Ok(());
        }
        self.into.feed(first.freeze(), out)
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), String> {
        if let Some(mut first) = self.first.take() {
            // No more bytes come: what could have become a longer mark is a shorter one, or none.
            while let Some(mark) = MARKS.iter().find(|mark| first.starts_with(mark)) {
                first.advance(mark.len());
            }
            if !first.is_empty() {
                self.into.feed(first.freeze(), out)?;
            }
        }
        self.into.finish(out)
    }
}
