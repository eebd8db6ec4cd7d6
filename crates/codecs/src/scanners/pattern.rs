//! Segments that begin where a pattern matches.

use bytes::{Bytes, BytesMut};
use document::Fault;
use regex::bytes::Regex;

use streams::scanners::{Cut, Cutting};
use streams::{BuildContext, Default, Field, Kind, Message, Node, Scan, Scanner, ScannerSpec};

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "re_match",
    summary: "Segments of text that begin where a pattern matches.",
    config: Kind::Object(&[
        Field::required("pattern", Kind::Text, "The pattern, RE2 syntax."),
        Field::new(
            "max_buffer_size",
            Kind::Size,
            Default::Int(65_536),
            "A segment that is longer ends its source with a fault.",
        ),
    ]),
    build,
};

fn build(node: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Scanner>, Fault> {
    let pattern = bytes_regex(&node.text("pattern")?).map_err(|fault| node.field_fault("pattern", fault))?;
    let max = usize::try_from(node.size("max_buffer_size")?.unwrap_or(65_536)).unwrap_or(usize::MAX);
    Ok(Box::new(PatternScanner { pattern, max }))
}

fn bytes_regex(text: &str) -> Result<Regex, String> {
    regex::bytes::RegexBuilder::new(text).size_limit(SIZE).build().map_err(|fault| fault.to_string())
}

/// A pattern for texts, with the same limit.
pub(super) fn compile(text: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(text).size_limit(SIZE).build().map_err(|fault| fault.to_string())
}

/// What a compiled pattern may take, in bytes.
const SIZE: usize = 1 << 20;

struct PatternScanner {
    pattern: Regex,
    max: usize,
}

impl Scanner for PatternScanner {
    fn scan(&self, _: &str) -> Box<dyn Scan> {
        Box::new(Cutting::new(Pattern::new(self.pattern.clone(), self.max)))
    }
}

/// One source.
pub(crate) struct Pattern {
    pattern: Regex,
    max: usize,
    pending: BytesMut,
}

impl Pattern {
    pub(crate) fn new(pattern: Regex, max: usize) -> Pattern {
        Pattern { pattern, max, pending: BytesMut::new() }
    }

    /// Where the second segment begins. A match that reaches the end of what is there could go on.
    fn next(&self, last: bool) -> Option<usize> {
        let matches = self.pattern.find_iter(&self.pending);
        let found = matches.into_iter().find(|found| found.start() > 0)?;
        (last || found.end() < self.pending.len()).then_some(found.start())
    }

    fn emit(&mut self, last: bool, out: &mut Vec<Message>) -> Result<(), String> {
        while let Some(at) = self.next(last) {
            if at > self.max {
                return Err(self.too_long());
            }
            out.push(Message::new(self.pending.split_to(at).freeze()));
        }
        // Where the next segment begins may show only behind as much again: whatever the chunks, the same is too long.
        let most = if last { self.max } else { self.max.saturating_mul(2) };
        if self.pending.len() > most {
            return Err(self.too_long());
        }
        Ok(())
    }

    fn too_long(&self) -> String {
        format!("a segment is longer than {} bytes; see `max_buffer_size`", self.max)
    }
}

impl Cut for Pattern {
    fn feed(&mut self, mut chunk: Bytes, out: &mut Vec<Message>) -> Result<(), String> {
        while !chunk.is_empty() {
            // No more at once than may be kept, so that long runs without a match are not searched again and again.
            let part = chunk.split_to(chunk.len().min(self.max.max(1)));
            self.pending.extend_from_slice(&part);
            self.emit(false, out)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), String> {
        self.emit(true, out)?;
        if !self.pending.is_empty() {
            out.push(Message::new(self.pending.split().freeze()));
        }
        Ok(())
    }
}
