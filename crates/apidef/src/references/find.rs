//! Where references stand in a text.

use std::ops::Range;

use super::{Reference, Store};

/// Longest name that is taken for one, in bytes.
const LONGEST: usize = 1024;

const SCHEMES: [(&str, Option<Store>); 6] = [
    ("env", Some(Store::Environment)),
    ("secrets", Some(Store::Secrets)),
    ("consul", Some(Store::Consul)),
    ("vault", Some(Store::Vault)),
    ("file", Some(Store::File)),
    ("kv", None),
];

const LATER: [(&str, Store); 5] = [
    ("conf", Store::Secrets),
    ("env", Store::SecretEnvironment),
    ("consul", Store::Consul),
    ("vault", Store::Vault),
    ("file", Store::File),
];

/// The references of a text whose values take their places, first to last.
pub fn found(text: &str) -> Vec<(Range<usize>, Reference)> {
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let braced = rest.find("$kv{").map(|start| at + start);
        let scheme = rest.find("://").map(|colon| at + colon);
        match (braced, scheme) {
            (None, None) => break,
            (Some(start), scheme) if scheme.is_none_or(|scheme| start < scheme) => {
                match inside_braces(text, start) {
                    Some((range, reference)) => {
                        at = range.end;
                        all.push((range, reference));
                    }
                    None => at = start + 1,
                }
            }
            (_, Some(colon)) => match open(text, colon) {
                Some((range, reference)) => {
                    all.push((range, reference));
                    break;
                }
                None => at = colon + 3,
            },
            (Some(start), None) => at = start + 1,
        }
    }
    all
}

/// `$kv{…}`.
fn inside_braces(text: &str, start: usize) -> Option<(Range<usize>, Reference)> {
    let inside = &text[start + "$kv{".len()..];
    let end = inside.find('}')?;
    let name = &inside[..end];
    let reference = match name.split_once("://") {
        Some((scheme, name)) => of_scheme(scheme, name)?,
        None => named(name)?,
    };
    Some((start..start + "$kv{".len() + end + 1, reference))
}

/// A scheme whose `:` is at a place; the name goes to the end of the text.
fn open(text: &str, colon: usize) -> Option<(Range<usize>, Reference)> {
    let before = &text[..colon];
    // A longer word is another scheme.
    let start = before.rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '+' | '-' | '.' | '_')));
    let start = start.map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    Some((start..text.len(), of_scheme(&before[start..], &text[colon + 3..])?))
}

fn of_scheme(scheme: &str, name: &str) -> Option<Reference> {
    let (_, store) = SCHEMES.iter().find(|(known, _)| *known == scheme)?;
    match store {
        None => named(name),
        Some(store) => is_name(name).then(|| Reference { store: store.clone(), name: name.into() }),
    }
}

/// `store/path#field`.
fn named(name: &str) -> Option<Reference> {
    let (store, name) = name.split_once('/')?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_store = !store.is_empty() && store.chars().all(legal);
    (is_store && is_name(name)).then(|| Reference { store: Store::Named(store.into()), name: name.into() })
}

/// What has spaces is prose about references.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST
        && !name.contains(|c: char| c.is_whitespace() || c.is_control())
        && !name.contains("://")
}

/// The references of a text whose values are kept apart from it.
pub fn later(text: &str) -> Vec<Reference> {
    let marks = text.match_indices("$secret_").map(|(at, mark)| &text[at + mark.len()..]);
    let braced = text.match_indices("${secret_").map(|(at, mark)| &text[at + mark.len()..]);
    marks.chain(braced).filter_map(one_later).collect()
}

fn one_later(text: &str) -> Option<Reference> {
    let (kind, rest) = text.split_once('.')?;
    let (_, store) = LATER.iter().find(|(known, _)| *known == kind)?;
    let has_path = matches!(store, Store::Consul | Store::Vault | Store::File);
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') || (has_path && c == '/');
    let name = &rest[..rest.find(|c: char| !legal(c)).unwrap_or(rest.len())];
    (!name.is_empty() && name.len() <= LONGEST).then(|| Reference { store: store.clone(), name: name.into() })
}
