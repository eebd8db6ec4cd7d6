//! Reading configuration text, JSON or YAML, so that every fault can be shown where it stands.
//!
//! A [`Document`] is its text and its value. Places (line and column) are found only when a fault needs one, with a
//! second walk over the text, so that reading thousands of good definitions costs no more than `serde_json` does.
//! Everything here is total: size, depth and alias expansion are limited, and no input panics.

mod fault;
mod inside;
mod json;
mod nearest;
mod render;
mod walk;
mod yaml;

pub use fault::{Fault, Place, Severity, pointer_join};
pub use nearest::nearest;
pub use render::render;

use std::sync::Arc;
use walk::{Cursor, Found, Wanted};

/// Longest text that is read, in bytes.
pub const MAX_TEXT: usize = 16 * 1024 * 1024;

/// Deepest nesting of objects and arrays that is read.
pub const MAX_DEPTH: usize = 127;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 8259.
    Json,
    /// YAML 1.2, core schema, one document, merge keys (`<<`) resolved.
    Yaml,
}

/// A text that was read, with its value.
#[derive(Debug, Clone)]
pub struct Document {
    text: Arc<str>,
    format: Format,
    value: serde_json::Value,
    repeats_keys: bool,
}

impl Document {
    /// Reads `text`. The fault of a text that is not well-formed carries its place.
    ///
    /// A key that is given twice in one object is an error in YAML (1.2, section 3.2.1.3); in JSON the last one
    /// counts and [`Document::repeated_keys`] tells.
    pub fn parse(text: impl Into<Arc<str>>, format: Format) -> Result<Document, Fault> {
        let text = text.into();
        if text.len() > MAX_TEXT {
            return Err(Fault::error("", format!("the text is longer than {} MiB", MAX_TEXT >> 20)));
        }
        let (value, repeats_keys) = match format {
            Format::Json => json::read(&text)?,
            Format::Yaml => (yaml::read(&text, &mut walk::Nobody)?, false),
        };
        Ok(Document { text, format, value, repeats_keys })
    }

    /// The value of the whole document.
    pub fn value(&self) -> &serde_json::Value {
        &self.value
    }

    /// The value, for who needs to own it.
    pub fn into_value(self) -> serde_json::Value {
        self.value
    }

    /// The text as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the value at an RFC 6901 pointer stands, or its nearest ancestor that exists.
    ///
    /// An object or array is shown by its key when it has one, else by its first character.
    pub fn place(&self, pointer: &str) -> Option<Place> {
        let mut fault = [Fault::error(pointer, "")];
        self.locate(&mut fault);
        fault[0].place
    }

    /// Fills in the place of every fault that has none, in one walk over the text.
    pub fn locate(&self, faults: &mut [Fault]) {
        let mut wanted = Wanted::default();
        let nodes: Vec<Option<usize>> =
            faults.iter().map(|fault| fault.place.is_none().then(|| wanted.add(&fault.pointer))).collect();
        if nodes.iter().all(Option::is_none) {
            return;
        }
        self.walk(&mut wanted);
        let mut ranges: Vec<(usize, std::ops::Range<usize>)> = Vec::new();
        for (index, node) in nodes.into_iter().enumerate() {
            let Some((found, exact)) = node.and_then(|node| wanted.nearest(node)) else { continue };
            ranges.push((index, found.shown(faults[index].at_key && exact)));
        }
        // In the order of the text, so that lines are counted once.
        ranges.sort_by_key(|(_, range)| range.start);
        let mut cursor = Cursor::new(&self.text);
        for (index, range) in ranges {
            faults[index].place = Some(cursor.place(range));
        }
    }

    /// Where `length` characters from (`line`, `column`), all counted from 1 inside the string value at `pointer`,
    /// stand in this document's text: behind JSON escapes, or in a YAML block, quoted or plain scalar.
    /// `None` when the value is no string or is not written at that very place (an alias).
    pub fn place_in_string(&self, pointer: &str, line: u32, column: u32, length: u32) -> Option<Place> {
        let value = self.value.pointer(pointer)?.as_str()?;
        let mut wanted = Wanted::default();
        let node = wanted.add(pointer);
        self.walk(&mut wanted);
        let (found, true) = wanted.nearest(node)? else { return None };
        let range = inside::range(&self.text, found, value, line, column, length)?;
        Some(Cursor::new(&self.text).place(range))
    }

    /// A warning for each key that a JSON object gives twice: the last one counts, which readers may not expect.
    pub fn repeated_keys(&self) -> Vec<Fault> {
        if self.repeats_keys { json::repeated_keys(&self.text) } else { Vec::new() }
    }

    fn walk(&self, wanted: &mut Wanted) {
        match self.format {
            Format::Json => json::walk(&self.text, wanted),
            // The text was read before, so there is no fault to tell.
            Format::Yaml => drop(yaml::read(&self.text, wanted)),
        }
    }
}

impl Found {
    /// What to underline.
    fn shown(&self, at_key: bool) -> std::ops::Range<usize> {
        match &self.key {
            Some(key) if at_key || self.kind == walk::Kind::Container => key.clone(),
            _ if self.kind == walk::Kind::Container => self.value.start..self.value.start + 1,
            _ => self.value.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
