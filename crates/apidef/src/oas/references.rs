//! References inside of an OpenAPI document.

use crate::section::Section;
use serde_json::Value;

/// How many references may follow each other.
const REFERENCES: usize = 32;

/// What a value of the document is, wherever it is written; nothing where references lead nowhere.
pub(crate) fn resolve<'v>(root: &Section<'v>, mut value: &'v Value) -> Option<&'v Value> {
    for _ in 0..REFERENCES {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return Some(value) };
        value = step(root, reference)?;
    }
    None
}

/// What a reference leads to, over any others.
pub(crate) fn follow<'v>(root: &Section<'v>, reference: &str) -> Option<&'v Value> {
    resolve(root, step(root, reference)?)
}

/// The pointer that a reference is, if it is one inside of the document.
pub(crate) fn pointed(reference: &str) -> Option<String> {
    let pointer = reference.strip_prefix('#')?;
    pointer.starts_with('/').then(|| percent_decoded(pointer))
}

fn step<'v>(root: &Section<'v>, reference: &str) -> Option<&'v Value> {
    let pointer = pointed(reference)?;
    let pointer = pointer.strip_prefix('/')?;
    let (first, rest) = pointer.split_once('/').map_or((pointer, None), |(first, rest)| (first, Some(rest)));
    let member = root.get(&first.replace("~1", "/").replace("~0", "~"))?;
    match rest {
        Some(rest) => member.pointer(&format!("/{rest}")),
        None => Some(member),
    }
}

/// References are URLs, so that what may not stand in these is escaped.
fn percent_decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(b'%');
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}
