//! The two ways in which a mapping can go wrong: when it is parsed, and when it runs.

use std::fmt;

/// A fault in the text of a mapping. Lines and columns count from 1; column and length count characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Line of the first character at fault.
    pub line: u32,
    /// Column of the first character at fault.
    pub column: u32,
    /// How many characters are at fault, at least 1.
    pub length: u32,
    /// What is wrong.
    pub message: String,
    /// What to write instead, where that can be told.
    pub hint: Option<String>,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} char {}: {}", self.line, self.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ParseError {}

/// A mapping failed on one message: the first failing statement, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapError {
    /// Line of the failing assignment, from 1.
    pub line: u32,
    /// Column of the failing assignment in characters, from 1.
    pub column: u32,
    /// Why, for example ``expected string value, got null from field `this.name` ``.
    pub message: String,
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed assignment (line {}): {}", self.line, self.message)
    }
}

impl std::error::Error for MapError {}
