//! Reading policies. Everything here is blocking.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use apidef::Policy;
use document::{Document, Fault, Format, pointer_join};
use serde_json::Value;

use super::{
    CatalogError, Item, Kind, Loaded, PolicySource,
    disk::{self, Stamp},
    load::unreadable,
};

/// One policy file as it was last read.
#[derive(Debug)]
pub(super) struct Entry {
    stamp: Stamp,
    digest: u64,
    policies: Vec<(Box<str>, Arc<Policy>)>,
    faults: Vec<Fault>,
}

/// Reads what changed; policies that cannot be read any more stay as they were.
pub(super) fn load(source: &PolicySource, cache: &mut HashMap<PathBuf, Entry>, loaded: &mut Loaded) {
    let (paths, is_map) = match source {
        PolicySource::None => return,
        PolicySource::File(path) => (vec![path.clone()], true),
        PolicySource::Folder(folder) => match disk::json_names(folder) {
            Ok(names) => (names.into_iter().map(|name| folder.join(name)).collect(), false),
            Err(error) => {
                missing(folder, format!("cannot list the folder of policies: {error}"), loaded);
                return keep(cache.values(), loaded);
            }
        },
    };
    let mut next = HashMap::with_capacity(paths.len());
    for path in paths {
        let before = cache.remove(&path);
        let Some(stamp) = Stamp::of(&path) else {
            if is_map {
                missing(&path, "this file of policies does not exist".to_owned(), loaded);
                keep(before.iter(), loaded);
                next.extend(before.map(|before| (path, before)));
            }
            continue;
        };
        let entry = match before {
            Some(before) if before.stamp == stamp && stamp.settled() => before,
            before => read(&path, stamp, is_map, before, loaded),
        };
        if !entry.faults.is_empty() {
            loaded.policy_faults.push((path.clone(), entry.faults.clone()));
        }
        keep([&entry], loaded);
        next.insert(path, entry);
    }
    *cache = next;
}

fn missing(path: &Path, message: String, loaded: &mut Loaded) {
    let fault = Fault::error("", message)
        .hint("create it, or set policies.policy_path or policies.policy_record_name to where policies are");
    loaded.policy_faults.push((path.to_owned(), vec![fault]));
}

fn keep<'a>(entries: impl IntoIterator<Item = &'a Entry>, loaded: &mut Loaded) {
    for entry in entries {
        loaded.policies.extend(entry.policies.iter().map(|(id, policy)| (id.clone(), Arc::clone(policy))));
    }
}

fn read(path: &Path, stamp: Stamp, is_map: bool, before: Option<Entry>, loaded: &mut Loaded) -> Entry {
    let text = match disk::read(path) {
        Ok(text) => text,
        Err(error) => {
            let policies = before.map(|before| before.policies).unwrap_or_default();
            return Entry { stamp, digest: 0, policies, faults: vec![unreadable(&error)] };
        }
    };
    let digest = disk::digest([text.as_str()]);
    let before = match before {
        Some(before) if before.digest == digest => return Entry { stamp, ..before },
        before => before.map(|before| before.policies).unwrap_or_default(),
    };
    loaded.parsed += 1;
    let document = match Document::parse(text, Format::Json) {
        Ok(document) => document,
        Err(fault) => return Entry { stamp, digest, policies: before, faults: vec![fault] },
    };
    let mut faults = Vec::new();
    let mut policies = Vec::new();
    match document.value() {
        Value::Object(map) if is_map => {
            for (id, value) in map {
                match policy(Some(id), value) {
                    Ok(read) => policies.push(read),
                    Err(message) => {
                        faults.push(Fault::error(pointer_join("", id), message));
                        policies.extend(before.iter().find(|(old, _)| **old == **id).cloned());
                    }
                }
            }
        }
        value if is_map => {
            faults.push(Fault::error("", format!("this is {}, not a map from id to policy", kind(value))));
            policies = before;
        }
        value => match policy(None, value) {
            Ok(read) => policies.push(read),
            Err(message) => {
                faults.push(Fault::error("", message));
                policies = before;
            }
        },
    }
    document.locate(&mut faults);
    Entry { stamp, digest, policies, faults }
}

/// Every policy that was read, as it is written; with the id of the map, where it is one.
pub(super) fn items(
    source: &PolicySource,
    loaded: &Loaded,
    items: &mut Vec<Item>,
) -> Result<(), CatalogError> {
    let folder = match source {
        PolicySource::None => return Ok(()),
        PolicySource::Folder(folder) => folder,
        PolicySource::File(_) => {
            for (id, policy) in &loaded.policies {
                let text = format!("{:#}\n", serde_json::to_value(&**policy).unwrap_or_default());
                items.push(Item { kind: Kind::Policy, id: id.clone(), text });
            }
            return Ok(());
        }
    };
    let io = |path: &Path, source| CatalogError::Io { path: path.to_owned(), source };
    for name in disk::json_names(folder).map_err(|error| io(folder, error))? {
        let path = folder.join(name);
        let text = disk::read(&path).map_err(|error| io(&path, error))?;
        let mut value: Value = serde_json::from_str(&text)
            .map_err(|error| CatalogError::Unreadable { path: path.clone(), reason: error.to_string() })?;
        let (id, _) =
            policy(None, &value).map_err(|reason| CatalogError::Unreadable { path: path.clone(), reason })?;
        let named = value.get("id").and_then(Value::as_str).is_some_and(|own| *own == *id);
        let text = if named {
            text
        } else {
            // Known by the id of a database: elsewhere it is known by this one.
            value["id"] = Value::from(&*id);
            format!("{value:#}\n")
        };
        items.push(Item { kind: Kind::Policy, id, text });
    }
    Ok(())
}

/// The id is that of the map, or the policy's own, or that of a database.
pub(in crate::catalog) fn policy(id: Option<&str>, value: &Value) -> Result<(Box<str>, Arc<Policy>), String> {
    if !value.is_object() {
        return Err(format!("this is {}, not a policy", kind(value)));
    }
    let mut policy: Policy =
        serde_json::from_value(value.clone()).map_err(|error| format!("not a policy: {error}"))?;
    let own = [id, Some(&policy.id), Some(&policy._id)].into_iter().flatten().find(|id| !id.is_empty());
    let Some(id) = own.map(str::to_owned) else {
        return Err("this policy has no id: give it one".to_owned());
    };
    policy.id.clone_from(&id);
    Ok((id.into(), Arc::new(policy)))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
