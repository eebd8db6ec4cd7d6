//! Which metadata, or which headers, a component takes along.

use document::Fault;
use regex::Regex;

use crate::message::Message;
use crate::node::Node;
use crate::registry::{Default, Field, Kind};

/// `include_prefixes` and `include_patterns`, inside an object field.
pub const SELECTION: &[Field] = &[
    Field::new(
        "include_prefixes",
        Kind::List(&Kind::Text),
        Default::Texts(&[]),
        "Names that begin so are taken.",
    ),
    Field::new(
        "include_patterns",
        Kind::List(&Kind::Text),
        Default::Texts(&[]),
        "Names in which one of these regular expressions (RE2) is found are taken.",
    ),
];

/// What [`SELECTION`] says; nothing without prefixes and patterns.
#[derive(Debug, Default)]
pub struct Selection {
    prefixes: Vec<String>,
    patterns: Vec<Regex>,
}

impl Selection {
    /// Reads the object at `node`.
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn read(node: &Node<'_>) -> Result<Selection, Fault> {
        let mut patterns = Vec::new();
        for (index, text) in node.texts("include_patterns")?.iter().enumerate() {
            let pattern = Regex::new(text).map_err(|fault| {
                let place = format!("include_patterns/{index}");
                Fault::error(
                    format!("{}/{place}", node.pointer()),
                    format!("not a regular expression: {fault}"),
                )
            })?;
            patterns.push(pattern);
        }
        Ok(Selection { prefixes: node.texts("include_prefixes")?, patterns })
    }

    /// Whether this name is taken.
    pub fn takes(&self, name: &str) -> bool {
        self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()))
            || self.patterns.iter().any(|pattern| pattern.is_match(name))
    }

    /// The message's metadata that is taken, as text.
    pub fn of<'a>(&'a self, message: &'a Message) -> impl Iterator<Item = (&'a str, String)> {
        let taken = message.meta_iter().filter(|(name, _)| self.takes(name));
        taken.map(|(name, value)| (name, value.to_text()))
    }
}
