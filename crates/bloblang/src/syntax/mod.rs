//! Text to tree: what is written, not yet what it means.

pub(crate) mod expression;
pub(crate) mod lexer;
pub(crate) mod parser;
pub(crate) mod place;
pub(crate) mod tree;
pub(crate) mod unescape;

/// Largest mapping text in bytes.
pub(crate) const MAX_TEXT: usize = 1 << 20;
/// How deeply queries may nest in the text: brackets, arguments, blocks.
pub(crate) const MAX_NESTING: u16 = 100;
/// How deep the tree of one query may be, long chains of methods and operators included.
pub(crate) const MAX_TREE_DEPTH: u16 = 256;
/// After this many faults the rest of the text is not looked at.
pub(crate) const MAX_FAULTS: usize = 50;
/// How many segments a path may have, in the text and in path strings.
pub(crate) const MAX_PATH: usize = 200;
