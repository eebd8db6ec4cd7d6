//! Faults: what is wrong in a document, where, and what to write instead.

use serde::Serialize;

/// Whether a fault refuses the document or only tells something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document is taken; something in it has no effect, or surprises.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A stretch of one line in the text of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Line, counted from 1.
    pub line: u32,
    /// Column, counted from 1 in characters (not bytes, not screen cells).
    pub column: u32,
    /// How many characters belong to it; at least 1, never past the end of its line.
    pub length: u32,
}

/// One thing that is wrong, or worth knowing, about a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Refused or only told.
    pub severity: Severity,
    /// RFC 6901 pointer to the value at fault; empty is the whole document.
    pub pointer: String,
    /// Where it stands in the text, once known (see [`crate::Document::locate`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// What is wrong: lower case, without a final full stop.
    pub message: String,
    /// What to write or do instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The key at `pointer` is at fault, rather than its value.
    #[serde(skip)]
    pub at_key: bool,
}

impl Fault {
    /// A fault that refuses the document.
    pub fn error(pointer: impl Into<String>, message: impl Into<String>) -> Fault {
        Fault::new(Severity::Error, pointer.into(), message.into())
    }

    /// A fault that is only told.
    pub fn warning(pointer: impl Into<String>, message: impl Into<String>) -> Fault {
        Fault::new(Severity::Warning, pointer.into(), message.into())
    }

    fn new(severity: Severity, pointer: String, message: String) -> Fault {
        Fault { severity, pointer, place: None, message, hint: None, at_key: false }
    }

    /// Says what to write or do instead.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = Some(hint.into());
        self
    }

    /// Says where it stands in the text.
    #[must_use]
    pub fn at(mut self, place: Place) -> Fault {
        self.place = Some(place);
        self
    }

    /// Marks the key at the pointer, not its value, as the thing to underline (unknown or misspelt keys).
    #[must_use]
    pub fn on_key(mut self) -> Fault {
        self.at_key = true;
        self
    }

    /// True for a fault that refuses the document.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// A pointer (RFC 6901) to the member `segment` of what `base` points at.
pub fn pointer_join(base: &str, segment: &str) -> String {
    let mut pointer = String::with_capacity(base.len() + segment.len() + 1);
    pointer.push_str(base);
    pointer_push(&mut pointer, segment);
    pointer
}

/// Appends one segment, escaping `~` and `/`.
pub(crate) fn pointer_push(pointer: &mut String, segment: &str) {
    pointer.push('/');
    for c in segment.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}
