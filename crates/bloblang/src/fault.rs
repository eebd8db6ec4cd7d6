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
    /// The line in which the fault is, as it is written (of the imported file, if it is in one).
    pub source: String,
    /// Where the fault is if it is in an imported file; the other place is then that of the import.
    pub imported: Option<Imported>,
}

/// A place in an imported file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The name of the file.
    pub file: String,
    /// Line of the first character at fault.
    pub line: u32,
    /// Column of the first character at fault.
    pub column: u32,
    /// How many characters are at fault, at least 1.
    pub length: u32,
}

impl ParseError {
    /// The fault over several lines: where and what, the line in which it is with the characters at fault marked, and
    /// what to write instead. `file` is the name of the text itself.
    pub fn explain(&self, file: &str) -> String {
        let (file, line, column, length) = match &self.imported {
            Some(place) => (&*place.file, place.line, place.column, place.length),
            None => (file, self.line, self.column, self.length),
        };
        let number = line.to_string();
        let indent = " ".repeat(number.len());
        // Tabs stay tabs, so that the mark stands below what it marks.
        let before: String = self.source.chars().take(column.saturating_sub(1) as usize).collect();
        let before: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let mark = "^".repeat(length.clamp(1, 200) as usize);
        let mut text = format!(
            "line {line} char {column}: {}\n{indent}--> {file}:{line}:{column}\n{indent} |\n{number} | {}\n{indent} | {before}{mark}",
            self.message, self.source
        );
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\n{indent} = {hint}"));
        }
        text
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} char {}: ", self.line, self.column)?;
        if let Some(Imported { file, line, column, .. }) = &self.imported {
            write!(f, "in {file}, line {line} char {column}: ")?;
        }
        f.write_str(&self.message)?;
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
