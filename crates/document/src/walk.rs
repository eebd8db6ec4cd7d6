//! What a walk over a text meets, and who listens to it.

use crate::Place;
use std::collections::HashMap;
use std::ops::Range;

/// What was written at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An object or array.
    Container,
    /// JSON string, or YAML double-quoted scalar.
    Escaped,
    /// YAML single-quoted scalar: `''` is a quote.
    SingleQuoted,
    /// YAML plain scalar, or any JSON scalar that is no string.
    Plain,
    /// YAML `|` or `>` scalar, with its header line.
    Block,
    /// YAML alias: the value is written elsewhere.
    Alias,
}

/// Where a value is written, in bytes.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) key: Option<Range<usize>>,
    pub(crate) value: Range<usize>,
    pub(crate) kind: Kind,
}

/// Listens to a walk. A node is whatever the listener knows a value by.
pub(crate) trait Listener {
    /// The member `segment` of `node`, if anything in it matters.
    fn child(&mut self, node: usize, segment: &str, key: Option<&Range<usize>>) -> Option<usize>;
    /// Where `node` is written.
    fn found(&mut self, node: usize, found: Found);
    /// The node of the whole document.
    fn root(&self) -> Option<usize> {
        Some(0)
    }
}

/// Listens to nothing.
pub(crate) struct Nobody;

impl Listener for Nobody {
    fn child(&mut self, _: usize, _: &str, _: Option<&Range<usize>>) -> Option<usize> {
        None
    }
    fn found(&mut self, _: usize, _: Found) {}
    fn root(&self) -> Option<usize> {
        None
    }
}

/// The pointers whose places are wanted, as a tree, so that one walk finds them all.
#[derive(Debug)]
pub(crate) struct Wanted {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    parent: Option<usize>,
    children: HashMap<String, usize>,
    found: Option<Found>,
}

impl Default for Wanted {
    fn default() -> Wanted {
        Wanted { nodes: vec![Node::default()] }
    }
}

impl Wanted {
    pub(crate) fn add(&mut self, pointer: &str) -> usize {
        let mut at = 0;
        // Nothing is nested deeper, so the rest of a longer pointer cannot exist.
        for segment in pointer.split('/').skip(1).take(crate::MAX_DEPTH + 1) {
            let segment = segment.replace("~1", "/").replace("~0", "~");
            let next = self.nodes.len();
            let child = *self.nodes[at].children.entry(segment).or_insert(next);
            if child == next {
                self.nodes.push(Node { parent: Some(at), ..Node::default() });
            }
            at = child;
        }
        at
    }

    /// Where a node or its nearest ancestor that exists is written, and whether it is the node itself.
    pub(crate) fn nearest(&self, node: usize) -> Option<(&Found, bool)> {
        let mut at = node;
        loop {
            if let Some(found) = &self.nodes[at].found {
                return Some((found, at == node));
            }
            at = self.nodes[at].parent?;
        }
    }
}

impl Listener for Wanted {
    fn child(&mut self, node: usize, segment: &str, _: Option<&Range<usize>>) -> Option<usize> {
        self.nodes[node].children.get(segment).copied()
    }

    fn found(&mut self, node: usize, found: Found) {
        // Of a key given twice the last one counts, as it does for the value.
        self.nodes[node].found = Some(found);
    }
}

/// Turns byte ranges into places; ranges must come in the order of the text.
pub(crate) struct Cursor<'t> {
    text: &'t str,
    offset: usize,
    line: u32,
    column: u32,
}

impl<'t> Cursor<'t> {
    pub(crate) fn new(text: &'t str) -> Cursor<'t> {
        Cursor { text, offset: 0, line: 1, column: 1 }
    }

    /// The place of a range; cut at the end of its first line, and at least one character long.
    pub(crate) fn place(&mut self, range: Range<usize>) -> Place {
        let start = self.text.floor_char_boundary(range.start);
        for c in self.text.get(self.offset..start).unwrap_or_default().chars() {
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.offset = self.offset.max(start);
        let end = self.text.ceil_char_boundary(range.end);
        let stretch = self.text.get(start..end).unwrap_or_default();
        let length = stretch.chars().take_while(|c| !matches!(c, '\n' | '\r')).count();
        Place { line: self.line, column: self.column, length: length.max(1) as u32 }
    }
}
