//! Takes a byte order mark away before another scanner reads.

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
    summary: "Takes a byte order mark away before another scanner reads.",
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

    fn skip(mut first: BytesMut) -> Bytes {
        if let Some(mark) = MARKS.iter().find(|mark| first.starts_with(mark)) {
            first.advance(mark.len());
        }
        first.freeze()
    }
}

impl Cut for SkipBom {
    fn feed(&mut self, chunk: Bytes, out: &mut Vec<Message>) -> Result<(), String> {
        let Some(mut first) = self.first.take() else { return self.into.feed(chunk, out) };
        first.extend_from_slice(&chunk);
        if MARKS.iter().any(|mark| mark.len() > first.len() && mark.starts_with(&first)) {
            self.first = Some(first);
            return Ok(());
        }
        self.into.feed(SkipBom::skip(first), out)
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), String> {
        if let Some(first) = self.first.take().filter(|first| !first.is_empty()) {
            self.into.feed(SkipBom::skip(first), out)?;
        }
        self.into.finish(out)
    }
}
