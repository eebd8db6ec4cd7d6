//! What a document may cost before anybody looks at what it asks for. Every one of these is a refusal for its sender and
//! nothing for anybody else.

/// Limits of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of the query's text.
    pub bytes: usize,
    /// Tokens of it.
    pub tokens: usize,
    /// How deep it may be nested, braces of all kinds.
    pub nesting: usize,
    /// Fields that are asked for under another name.
    pub aliases: usize,
    /// Fields that an operation selects, with its fragments put in where they are spread.
    pub fields: u64,
    /// Depth of any operation, whoever asks.
    pub depth: u64,
}

impl Default for Bounds {
    /// Far above what programs write, far below what costs a server anything.
    fn default() -> Self {
        Self {
            bytes: 256 << 10,
            tokens: 15_000,
            nesting: 100,
            aliases: 1_000,
            fields: 10_000,
            depth: u64::MAX,
        }
    }
}
