//! Why a query failed.

use std::borrow::Cow;
use std::fmt;

use super::Node;
use crate::Value;

/// What evaluating a query gives.
pub(crate) type Evaluated<T = Value> = Result<T, Failure>;

/// Why a query failed; boxed so that success stays small.
#[derive(Debug, Clone)]
pub(crate) struct Failure(Box<Reason>);

#[derive(Debug, Clone)]
enum Reason {
    Text(String),
    /// A value of the wrong type, and where it came from once that is known.
    Type {
        expected: &'static str,
        found: &'static str,
        preview: String,
        from: Option<String>,
    },
}

/// Longest text of a failure, in bytes: texts of messages stand in it, and it goes to logs and into messages.
const LONGEST: usize = 2000;
/// As much of a value is shown.
const SHOWN: usize = 100;

/// A text as it is shown within that of a failure: the beginning, when it is long.
pub(crate) fn short(text: &str) -> Cow<'_, str> {
    if text.len() <= SHOWN {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{}...", &text[..text.floor_char_boundary(SHOWN)]))
}

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Failure {
        let mut text = text.into();
        if text.len() > LONGEST {
            // The first words say what was done, the last ones as a rule what was wrong.
            let (head, tail) =
                (text.floor_char_boundary(LONGEST / 2), text.ceil_char_boundary(text.len() - LONGEST / 2));
            text.replace_range(head..tail, " ... ");
        }
        Failure(Box::new(Reason::Text(text)))
    }

    pub(crate) fn expected(expected: &'static str, found: &Value) -> Failure {
        let preview = match found {
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Digits(_) => {
                format!(" ({})", found.to_json())
            }
            Value::String(text) => {
                let short: String = text.chars().take(40).collect();
                let dots = if short.len() < text.len() { "..." } else { "" };
                format!(" ({:?})", short + dots)
            }
            _ => String::new(),
        };
        Failure(Box::new(Reason::Type { expected, found: found.type_name(), preview, from: None }))
    }

    /// The same failure, saying that the offending value came from `node` (unless its origin is known already).
    pub(crate) fn blame(mut self, node: &Node) -> Failure {
        if let Reason::Type { from: from @ None, .. } = &mut *self.0 {
            *from = Some(node.describe());
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Reason::Text(text) => f.write_str(text),
            Reason::Type { expected, found, preview, from } => {
                write!(f, "expected {expected} value, got {found}")?;
                if let Some(from) = from {
                    write!(f, " from {from}")?;
                }
                f.write_str(preview)
            }
        }
    }
}
