//! A classic definition that serves its versions itself becomes one definition for each of them: the base and its versions
//! (contract 2.4, 2.9, 3.2 `info.versioning`, 8.1).

use super::value::{is_blank, put, take, text};
use crate::{Api, Definition, Versions};
use document::{Fault, pointer_join};
use serde_json::{Map, Value, json};

const VERSIONS: &str = "/version_data/versions";
/// Where the only version of a definition stands.
pub(super) const ONLY: &str = "/version_data/versions/Default";

/// One version as a definition of its own.
#[derive(Debug)]
pub(super) struct Split {
    /// What the version is called.
    pub(super) version: String,
    pub(super) definition: Value,
}

fn own_name(base: &str, version: &str) -> String {
    format!("{base}-{version}")
}

/// Whether a classic definition serves its versions itself.
pub(super) fn serves_its_own(api: &Api) -> bool {
    api.versioning.as_ref().is_some_and(|versioning| matches!(versioning.versions, Versions::Own(_)))
}

/// The definitions, the base first: it serves who names no version, where somebody is.
///
/// # Errors
/// What cannot be the name of a file or a path.
pub(super) fn split(given: &Value) -> Result<Vec<Split>, Fault> {
    let versions = given.pointer(VERSIONS).and_then(Value::as_object).cloned().unwrap_or_default();
    let default = text(given, "/version_data/default_version");
    let mut names: Vec<&String> = versions.keys().collect();
    // Those of one sort stay in their order.
    names.sort_by_key(|name| **name != default);
    let (id, title) = (text(given, "/api_id"), text(given, "/name"));
    let listen = text(given, "/proxy/listen_path");
    let mut others = Map::new();
    for name in names.iter().skip(1) {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_plain) {
            let fault =
                Fault::error(pointer_join(VERSIONS, name), format!("`{name}` cannot be part of an id"));
            return Err(fault.hint("call the version something of letters, digits, `-`, `_` and `.`"));
        }
        others.insert((*name).clone(), json!(own_name(id, name)));
    }
    let mut all = Vec::new();
    for (number, name) in names.into_iter().enumerate() {
        let mut definition = one(given, versions.get(name).unwrap_or(&Value::Null));
        if number == 0 {
            let stays = ["location", "key", "strip_versioning_data", "url_versioning_pattern"];
            let mut section = json!({"enabled": true, "name": name, "default": default, "versions": others});
            for key in stays {
                if let Some(said) =
                    given.pointer(&format!("/definition/{key}")).filter(|said| !is_blank(said))
                {
                    section[key] = said.clone();
                }
            }
            if given.pointer("/definition/strip_path") == Some(&Value::Bool(true)) {
                section["strip_versioning_data"] = json!(true);
            }
            definition["definition"] = section;
        } else {
            take(&mut definition, "/definition");
            put(&mut definition, "/api_id", json!(own_name(id, name)));
            put(&mut definition, "/name", json!(own_name(title, name)));
            put(&mut definition, "/internal", true.into());
            put(
                &mut definition,
                "/proxy/listen_path",
                json!(format!("{}-{name}/", listen.trim_end_matches('/'))),
            );
            for key in ["/domain", "/slug", "/id"] {
                take(&mut definition, key);
            }
        }
        all.push(Split { version: name.clone(), definition });
    }
    Ok(all)
}

/// The definition as if there were this version alone.
fn one(given: &Value, version: &Value) -> Value {
    let (mut definition, mut version) = (given.clone(), version.clone());
    if let Some(Value::String(target)) =
        take(&mut version, "/override_target").filter(|target| !is_blank(target))
    {
        put(&mut definition, "/proxy/target_url", target.into());
        take(&mut definition, "/proxy/enable_load_balancing");
        take(&mut definition, "/proxy/target_list");
    }
    let expires = take(&mut version, "/expires").filter(|date| text(date, "") != "-1" && !is_blank(date));
    if let Some(date) = expires.filter(|_| text(&definition, "/expiration").is_empty()) {
        put(&mut definition, "/expiration", date);
    }
    definition["version_data"] = json!({"not_versioned": true, "versions": {"Default": version}});
    definition
}

/// What the other format says in other words, or keys have to say.
pub(super) fn told(given: &Value, all: &[Split]) -> Vec<Fault> {
    let ids: Vec<String> = all
        .iter()
        .map(|one| format!("`{}` is `{}`", one.version, text(&one.definition, "/api_id")))
        .collect();
    let message = format!(
        "each version is an API of its own ({}), to which keys and policies need rights",
        ids.join(", ")
    );
    let mut told = vec![Fault::warning(VERSIONS, message)];
    for (name, version) in given.pointer(VERSIONS).and_then(Value::as_object).into_iter().flatten() {
        let date = text(version, "/expires");
        if !matches!(date, "" | "-1") {
            let at = pointer_join(&pointer_join(VERSIONS, name), "expires");
            let both = !text(given, "/expiration").is_empty();
            told.push(match both {
                true => {
                    Fault::error(at, "the definition has an `expiration`, too, and an API can have only one")
                }
                false => {
                    Fault::warning(at, "who asks later is told that the API has expired, not its version")
                }
            });
        }
    }
    told
}

/// Whether the definitions are the same APIs as the versions, but for what tells them apart.
pub(super) fn is_same(api: &Api, all: &[Split]) -> bool {
    let Some(Versions::Own(own)) = api.versioning.as_ref().map(|versioning| &versioning.versions) else {
        return false;
    };
    all.len() == own.len()
        && all.iter().all(|split| {
            let read = Definition::parse(&split.definition.to_string()).map(|read| read.api);
            let known = own.iter().find(|known| *known.version == *split.version);
            read.ok().zip(known).is_some_and(|(read, known)| {
                let mut read = Api::clone(&read);
                read.id.clone_from(&known.id);
                read.name.clone_from(&known.name);
                read.internal = known.internal;
                read.domain.clone_from(&known.domain);
                read.listen_path.clone_from(&known.listen_path);
                read.versioning.clone_from(&known.versioning);
                read.version.clone_from(&known.version);
                read.expires = known.expires;
                read.version_expires = known.version_expires;
                super::settled::settled(read.into()).api == super::settled::settled(known.clone().into()).api
            })
        })
}
