//! Writing definitions and policies. Everything here is blocking.

use std::path::{Path, PathBuf};

use apidef::{Definition, Policy, Source};
use serde_json::{Map, Value};

use super::{
    CatalogError, Files, PolicySource, disk,
    load::{COMPANIONS, companion_path},
};

/// Where an API lies: its main file, and the one that its text is in.
struct Home {
    main: PathBuf,
    text: PathBuf,
}

/// Writes a definition; one that was made of another only where that one is still there.
pub(super) fn put_api(
    files: &Files,
    definition: &Definition,
    over: Option<&Definition>,
) -> Result<PathBuf, CatalogError> {
    if let Some(over) = over {
        let home = home(files, &over.api.id);
        let now = home.and_then(|home| disk::read(&home.text).ok());
        // Others write these files as well: what counts is what is in them, not what was loaded.
        // What others have not said of it in the document was said when it was loaded.
        let same = now.is_some_and(|text| {
            apidef::digest(&text) == over.digest
                || over.api.mcp && apidef::digest(&apidef::as_mcp(&text)) == over.digest
        });
        if !same {
            return Err(CatalogError::Changed(over.api.id.to_string()));
        }
    }
    put(files, definition, &pretty(&definition.text))
}

/// As it is, also as text.
pub(super) fn put_text(files: &Files, definition: &Definition, text: &str) -> Result<(), CatalogError> {
    put(files, definition, text).map(drop)
}

fn put(files: &Files, definition: &Definition, text: &str) -> Result<PathBuf, CatalogError> {
    let id = &definition.api.id;
    check_api_id(id)?;
    let known = home(files, id);
    let main =
        known.as_ref().map_or_else(|| files.app_path.join(format!("{id}.json")), |home| home.main.clone());
    if known.is_none()
        && let Some(other) = holder(files, &main)
    {
        return Err(CatalogError::Taken { path: main, other });
    }
    let [oas, mcp] = COMPANIONS.map(|ending| companion_path(&main, ending));
    match definition.source {
        // An OpenAPI document that stands alone goes on standing alone.
        Source::Oas
            if known.as_ref().is_some_and(|home| home.text == home.main && is_openapi(files, &home.main)) =>
        {
            replace(&main, text)?;
            Ok(main)
        }
        Source::Oas => {
            let (new, other) = if definition.api.mcp { (mcp, oas) } else { (oas, mcp) };
            let path = new;
            // The document first: without its projection it is no definition yet, with an old one it is one already.
            replace(&path, text)?;
            let mut projection = definition.classic();
            if let Some(projection) = projection.as_object_mut() {
                projection.insert("is_oas".to_owned(), Value::Bool(true));
            }
            replace(&main, &format!("{projection:#}\n"))?;
            // Which of the two it is in tells what it speaks.
            remove(&other)?;
            Ok(path)
        }
        Source::Classic => {
            replace(&main, text)?;
            for companion in [oas, mcp] {
                remove(&companion)?;
            }
            Ok(main)
        }
    }
}

pub(super) fn delete_api(files: &Files, id: &str) -> Result<bool, CatalogError> {
    check_api_id(id)?;
    let main = match home(files, id) {
        Some(home) => home.main,
        None => {
            let main = files.app_path.join(format!("{id}.json"));
            if holder(files, &main).is_some() {
                return Ok(false);
            }
            main
        }
    };
    let found = remove(&main)?;
    for ending in COMPANIONS {
        remove(&companion_path(&main, ending))?;
    }
    Ok(found)
}

pub(super) fn put_policy(files: &Files, policy: &Policy) -> Result<PathBuf, CatalogError> {
    let id = if policy.id.is_empty() { &policy._id } else { &policy.id };
    check_id(id)?;
    let value = serde_json::to_value(policy)
        .map_err(|error| CatalogError::Unreadable { path: PathBuf::from(id), reason: error.to_string() })?;
    match &files.policies {
        PolicySource::None => Err(CatalogError::NoPolicySource),
        PolicySource::Folder(folder) => {
            let path = folder.join(format!("{id}.json"));
            replace(&path, &format!("{value:#}\n"))?;
            Ok(path)
        }
        PolicySource::File(path) => {
            let mut map = read_map(path)?;
            map.insert(id.clone(), value);
            replace(path, &format!("{:#}\n", Value::Object(map)))?;
            Ok(path.clone())
        }
    }
}

/// As it is, also as text.
pub(super) fn put_policy_text(files: &Files, id: &str, text: &str) -> Result<(), CatalogError> {
    check_id(id)?;
    match &files.policies {
        PolicySource::Folder(folder) => replace(&folder.join(format!("{id}.json")), text),
        _ => Err(CatalogError::NoPolicySource),
    }
}

pub(super) fn delete_policy(files: &Files, id: &str) -> Result<bool, CatalogError> {
    check_id(id)?;
    match &files.policies {
        PolicySource::None => Err(CatalogError::NoPolicySource),
        PolicySource::Folder(folder) => remove(&folder.join(format!("{id}.json"))),
        PolicySource::File(path) => {
            let mut map = read_map(path)?;
            let found = map.shift_remove(id).is_some();
            if found {
                replace(path, &format!("{:#}\n", Value::Object(map)))?;
            }
            Ok(found)
        }
    }
}

/// Where the last load found an API.
fn home(files: &Files, id: &str) -> Option<Home> {
    let cache = files.cache.lock();
    let mut entries = cache.definitions.iter();
    entries
        .find(|(_, entry)| entry.parsed.as_ref().is_ok_and(|definition| *definition.api.id == *id))
        .map(|(main, entry)| Home { main: main.clone(), text: entry.text_path.clone() })
}

/// The API that a file holds, as of the last load.
fn holder(files: &Files, path: &Path) -> Option<Box<str>> {
    let cache = files.cache.lock();
    cache.definitions.get(path)?.parsed.as_ref().ok().map(|definition| definition.api.id.as_ref().into())
}

fn is_openapi(files: &Files, path: &Path) -> bool {
    let cache = files.cache.lock();
    let entry = cache.definitions.get(path);
    entry
        .and_then(|entry| entry.parsed.as_ref().ok())
        .is_some_and(|definition| definition.source == Source::Oas)
}

fn check_id(id: &str) -> Result<(), CatalogError> {
    if disk::is_safe(id) { Ok(()) } else { Err(CatalogError::Id(id.to_owned())) }
}

fn check_api_id(id: &str) -> Result<(), CatalogError> {
    check_id(id)?;
    if COMPANIONS.iter().any(|ending| id.ends_with(ending)) {
        Err(CatalogError::Id(id.to_owned()))
    } else {
        Ok(())
    }
}

fn read_map(path: &Path) -> Result<Map<String, Value>, CatalogError> {
    let unreadable = |reason: String| CatalogError::Unreadable { path: path.to_owned(), reason };
    match disk::read(path) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| unreadable(error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Map::new()),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// With line breaks, for people and for version control. The text was parsed before.
fn pretty(text: &str) -> String {
    serde_json::from_str::<Value>(text).map_or_else(|_| text.to_owned(), |value| format!("{value:#}\n"))
}

fn replace(path: &Path, content: &str) -> Result<(), CatalogError> {
    disk::replace(path, content).map_err(|source| CatalogError::Io { path: path.to_owned(), source })
}

fn remove(path: &Path) -> Result<bool, CatalogError> {
    disk::remove(path).map_err(|source| CatalogError::Io { path: path.to_owned(), source })
}
