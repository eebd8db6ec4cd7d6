//! Versions are added to a definition, and taken away.

use super::{HEADER, KEY, SELF};
use crate::{Definition, Source};
use serde_json::{Map, Value, json};

/// An API that becomes a version of another.
#[derive(Debug, Clone, Copy)]
pub struct NewVersion<'a> {
    /// What the base is called from now on, if it has no name yet.
    pub base_name: Option<&'a str>,
    /// What the version is called.
    pub name: &'a str,
    /// The API that serves it.
    pub api: &'a str,
    /// Whether it serves who names no version.
    pub default: bool,
}

/// The text of a base definition with one more version.
pub fn with_version(base: &Definition, new: &NewVersion<'_>) -> String {
    edit(base, |section, source| {
        section.insert("enabled".to_owned(), json!(true));
        for (key, value) in [
            ("name", new.base_name.unwrap_or_default()),
            ("location", HEADER),
            ("key", KEY),
            ("default", SELF),
        ] {
            // A version in the path has no key.
            let needless = key == "key" && section.get("location").is_some_and(|location| location == "url");
            let held = section.get(key).and_then(Value::as_str).is_some_and(|held| !held.is_empty());
            if !held && !needless {
                section.insert(key.to_owned(), json!(value));
            }
        }
        if new.default {
            section.insert("default".to_owned(), json!(new.name));
        }
        let versions = section.get_mut("versions").map(Value::take);
        let versions = match (source, versions) {
            (Source::Classic, versions) => {
                let mut versions = match versions {
                    Some(Value::Object(versions)) => versions,
                    _ => Map::new(),
                };
                versions.insert(new.name.to_owned(), json!(new.api));
                Value::Object(versions)
            }
            (Source::Oas, versions) => {
                let mut versions = match versions {
                    Some(Value::Array(versions)) => versions,
                    _ => Vec::new(),
                };
                versions.retain(|version| version["name"] != new.name);
                versions.push(json!({"name": new.name, "id": new.api}));
                Value::Array(versions)
            }
        };
        section.insert("versions".to_owned(), versions);
    })
}

/// The text of a base definition without the versions that an API serves.
pub fn without_version(base: &Definition, api: &str) -> String {
    let gone: Vec<&str> = base
        .api
        .versioning
        .iter()
        .flat_map(|versioning| versioning.others())
        .filter(|(_, id)| **id == *api)
        .map(|(name, _)| &**name)
        .collect();
    edit(base, |section, _| {
        if section.get("default").and_then(Value::as_str).is_some_and(|default| gone.contains(&default)) {
            section.insert("default".to_owned(), json!(SELF));
        }
        match section.get_mut("versions") {
            Some(Value::Object(versions)) => versions.retain(|_, id| id != api),
            Some(Value::Array(versions)) => versions.retain(|version| version["id"] != api),
            _ => {}
        }
    })
}

/// The text of a definition with its versioning changed.
fn edit(base: &Definition, change: impl FnOnce(&mut Map<String, Value>, Source)) -> String {
    let mut value: Value = serde_json::from_str(&base.text).unwrap_or_default();
    let (holder, key) = match base.source {
        Source::Classic => (Some(&mut value), "definition"),
        Source::Oas => (value.pointer_mut("/x-tyk-api-gateway/info"), "versioning"),
    };
    if let Some(holder) = holder.and_then(Value::as_object_mut) {
        let section = holder.entry(key).or_insert_with(|| json!({}));
        if !section.is_object() {
            *section = json!({});
        }
        if let Some(section) = section.as_object_mut() {
            change(section, base.source);
        }
    }
    value.to_string()
}
