//! Where placeholders stand in a text.

use std::ops::Range;

use document::Fault;

use super::{Placeholder, Source, mappings};
use crate::registry::Kind;

const MARKS: [(&str, Source); 7] = [
    ("tyk_context.", Source::Context),
    ("tyk_meta.", Source::Meta),
    ("secret_conf.", Source::ConfiguredSecret),
    ("secret_env.", Source::EnvironmentSecret),
    ("secret_consul.", Source::ConsulSecret),
    ("secret_vault.", Source::VaultSecret),
    ("secret_file.", Source::FileSecret),
];

/// One placeholder in a text.
#[derive(Debug)]
pub struct Found<'t> {
    /// What it stands for.
    pub placeholder: Placeholder,
    /// What stands there where there is no such value.
    pub default: Option<&'t str>,
    /// Where it is.
    pub range: Range<usize>,
}

/// How a value is put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    AsIs,
    Encoded,
    /// As the inside of a string literal.
    Literal,
}

/// Every placeholder of a text, first to last.
pub fn found(text: &str) -> impl Iterator<Item = Found<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + text.get(at..)?.find('$')?;
            at = start + 1;
            if let Some(found) = one(text, start) {
                at = found.range.end;
                return Some(found);
            }
        }
    })
}

/// The placeholder that begins with the `$` at a place.
fn one(text: &str, start: usize) -> Option<Found<'_>> {
    let rest = text.get(start + 1..)?;
    let (inside, braced) = match rest.strip_prefix('{') {
        Some(inside) => (inside, true),
        None => (rest, false),
    };
    let (mark, source) = MARKS.iter().find(|(mark, _)| inside.starts_with(mark))?;
    let inside = &inside[mark.len()..];
    let legal = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') || (c == '/' && source.has_paths())
    };
    let length = inside.find(|c: char| !legal(c)).unwrap_or(inside.len());
    let (name, mut rest) = inside.split_at(length);
    if name.is_empty() {
        return None;
    }
    let mut default = None;
    if braced {
        if let Some(text) = rest.strip_prefix(':') {
            let end = text.find('}')?;
            default = Some(&text[..end]);
            rest = &text[end..];
        }
        rest = rest.strip_prefix('}')?;
    }
    let placeholder = Placeholder { source: *source, name: name.to_owned() };
    Some(Found { placeholder, default, range: start..text.len() - rest.len() })
}

/// What is wrong with where the placeholders of a text stand.
pub(super) fn misplaced(kind: Kind, text: &str, at: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    if text.starts_with("kv://") {
        faults.push(
            Fault::error(at, "`kv://` is not read in streams")
                .hint("write `$secret_conf.NAME` or `$secret_env.NAME`"),
        );
    }
    for Found { placeholder, range, .. } in found(text) {
        let before = &text[..range.start];
        let fault = match kind {
            Kind::Bloblang if !mappings::in_literal(before) => {
                Fault::error(at, format!("`{placeholder}` stands outside of a string in a mapping"))
                    .hint(format!("write it into double quotes: \"{placeholder}\""))
            }
            Kind::Template if in_interpolation(before) => {
                Fault::error(at, format!("`{placeholder}` stands inside of an interpolation"))
                    .hint("put it beside `${! … }`")
            }
            _ => continue,
        };
        faults.push(fault);
    }
    faults
}

fn in_interpolation(before: &str) -> bool {
    before.rfind("${!").is_some_and(|start| !before[start..].contains('}'))
}

/// How a value is put behind this text.
pub(super) fn form(kind: Kind, before: &str, whole: bool, source: Source) -> Form {
    match kind {
        Kind::Bloblang => Form::Literal,
        _ if whole => Form::AsIs,
        // Whoever runs the gate wrote it; in an address it must be encoded all the same.
        _ if source.is_secret() && !before.contains("://") => Form::AsIs,
        _ => Form::Encoded,
    }
}

/// Every byte that may mean something in an address, a query or a document, as `%XX`.
pub(super) fn encoded(value: &str) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte))
            }
            _ => drop(write!(text, "%{byte:02X}")), // a String takes all
        }
    }
    text
}
