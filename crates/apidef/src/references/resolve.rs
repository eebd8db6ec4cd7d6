//! Puts values in the place of references, in every text of a definition.

use std::collections::BTreeMap;

use document::{Fault, pointer_join};
use serde_json::Value as Json;

use super::{Lookup, Reference, Store, Value, find};
use crate::Secret;

/// Values that are shorter stand in too many texts by chance.
pub(super) const LEAST_WHOLE: usize = 4;
/// Values that are shorter are parts of too many texts of a projection by chance. Where faults are told, no secret may be.
const LEAST_WITHIN: usize = 8;
/// What is written for people, and never acted on.
const PROSE: [&str; 6] = ["description", "summary", "title", "example", "examples", "externalDocs"];
/// In streams, addresses of files are those of their components.
const STREAMS: &str = "x-tyk-streaming";

/// What was put where.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    /// Each reference once.
    pub(crate) references: Vec<Reference>,
    /// What `$secret_…` stand for, by their names without that mark.
    pub(crate) secrets: BTreeMap<String, Secret>,
    /// Where values stand now of which nothing is known.
    pub(crate) unknown: Vec<String>,
    /// A value, and what is shown in its place; long ones first.
    covers: Vec<(Secret, Box<str>)>,
}

/// Replaces the references in all texts below `value`; faults for those that there are not.
pub(crate) fn resolve(value: &mut Json, lookup: &dyn Lookup, faults: &mut Vec<Fault>) -> Resolved {
    let mut walk = Walk { lookup, faults, resolved: Resolved::default() };
    walk.value(value, &mut String::new(), false);
    let mut resolved = walk.resolved;
    resolved.references.sort_unstable();
    resolved.references.dedup();
    resolved.covers.retain(|(value, _)| value.0.len() >= LEAST_WHOLE);
    resolved.covers.sort_by_key(|(value, _)| std::cmp::Reverse(value.0.len()));
    resolved
}

impl Resolved {
    /// A text without values: what they were referred to by stands in their places. Values that are shorter than `least`
    /// are left where they are only a part.
    pub(super) fn cover(&self, text: &mut String, least: usize) {
        for (value, shown) in &self.covers {
            if text == &*value.0 {
                shown.as_ref().clone_into(text);
                return;
            }
            if value.0.len() >= least && text.contains(&*value.0) {
                *text = text.replace(&*value.0, shown);
            }
        }
    }

    /// The same for every text below a value.
    pub(crate) fn cover_all(&self, value: &mut Json) {
        if self.covers.is_empty() {
            return;
        }
        match value {
            Json::String(text) => self.cover(text, LEAST_WITHIN),
            Json::Array(items) => items.iter_mut().for_each(|item| self.cover_all(item)),
            Json::Object(members) => members.values_mut().for_each(|member| self.cover_all(member)),
            _ => {}
        }
    }

    /// The same for what a fault says.
    pub(crate) fn cover_fault(&self, fault: &mut Fault) {
        self.cover(&mut fault.message, LEAST_WHOLE);
        if let Some(hint) = &mut fault.hint {
            self.cover(hint, LEAST_WHOLE);
        }
    }
}

/// Something that fits where a value will stand that is not known here, so that all else can be checked.
fn sample(pointer: &str, before: &str) -> Option<&'static str> {
    let key = pointer.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    match () {
        () if before.ends_with("://") => Some("unknown.invalid"),
        () if !before.is_empty() => None,
        () if key == "listen_path" || pointer.ends_with("/listenPath/value") => Some("/unknown/"),
        () if key.contains("url") || key.contains("uri") => Some("http://unknown.invalid/"),
        () => None,
    }
}

/// Where references stand whose values only a running gate knows, below `value`.
pub fn pointers(value: &Json) -> Vec<String> {
    let mut walk = Walk { lookup: &super::Nobody, faults: &mut Vec::new(), resolved: Resolved::default() };
    walk.value(&mut value.clone(), &mut String::new(), false);
    walk.resolved.unknown
}

struct Walk<'w> {
    lookup: &'w dyn Lookup,
    faults: &'w mut Vec<Fault>,
    resolved: Resolved,
}

impl Walk<'_> {
    fn value(&mut self, value: &mut Json, pointer: &mut String, in_streams: bool) {
        let length = pointer.len();
        match value {
            Json::String(text) => self.text(text, pointer, in_streams),
            Json::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    *pointer = pointer_join(pointer, &index.to_string());
                    self.value(item, pointer, in_streams);
                    pointer.truncate(length);
                }
            }
            Json::Object(members) => {
                for (key, member) in members {
                    if PROSE.contains(&key.as_str()) {
                        continue;
                    }
                    *pointer = pointer_join(pointer, key);
                    if !find::found(key).is_empty() {
                        let told = format!("`{key}`: a reference is not read where it names a field");
                        self.faults.push(Fault::warning(pointer.as_str(), told).on_key());
                    }
                    self.value(member, pointer, in_streams || key == STREAMS);
                    pointer.truncate(length);
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &mut String, pointer: &str, in_streams: bool) {
        if text.contains("secret_") {
            self.later(text, pointer);
        }
        let mut found = find::found(text);
        found.retain(|(_, reference)| !(in_streams && reference.store == Store::File));
        if found.is_empty() {
            return;
        }
        let written = text.clone();
        // From the end, so that ranges stay true.
        for (range, reference) in found.into_iter().rev() {
            match self.lookup.look_up(&reference) {
                Value::Is(value) => {
                    self.resolved.covers.push((Secret(value.to_string()), written[range.clone()].into()));
                    text.replace_range(range, &value);
                }
                Value::Missing(why) => {
                    let told = format!("there is no value for `{reference}`: {why}");
                    self.faults.push(Fault::error(pointer, told));
                }
                Value::Unknown => {
                    self.resolved.unknown.push(pointer.to_owned());
                    if let Some(sample) = sample(pointer, &written[..range.start]) {
                        text.replace_range(range, sample);
                    }
                }
            }
            self.resolved.references.push(reference);
        }
        if *text != written {
            self.resolved.covers.push((Secret(text.clone()), written.into()));
        }
    }

    fn later(&mut self, text: &str, pointer: &str) {
        for reference in find::later(text) {
            let (store, name) = match reference.store {
                Store::SecretEnvironment => ("env", reference.name.to_ascii_uppercase()),
                Store::Consul => ("consul", reference.name.to_string()),
                Store::Vault => ("vault", reference.name.to_string()),
                Store::File => ("file", reference.name.to_string()),
                _ => ("conf", reference.name.to_string()),
            };
            match self.lookup.look_up(&reference) {
                Value::Is(value) => {
                    self.resolved.secrets.insert(format!("{store}.{name}"), Secret(value.to_string()));
                }
                Value::Missing(why) => {
                    let told = format!("there is no value for `$secret_{store}.{}`: {why}", reference.name);
                    self.faults.push(if self.lookup.lets_none_be() {
                        Fault::warning(pointer, told).hint("nothing stands in its place until there is one")
                    } else {
                        Fault::error(pointer, told)
                            .hint("keep a value there, or set `kv.missing_secrets_are_empty` of the gate")
                    });
                }
                Value::Unknown => self.resolved.unknown.push(pointer.to_owned()),
            }
            self.resolved.references.push(reference);
        }
    }
}
