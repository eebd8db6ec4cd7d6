//! Plugins of single paths: `go_plugin` <-> `postPlugins` (contract 2.5, 3.2).

use super::To;
use super::endpoints::{METHODS, OPERATIONS, operation, said};
use super::table::{How, Pair};
use super::value::{each, is_blank, put, take, text};
use crate::at_path::{Operations, precedence};
use crate::section::Section;
use How::{Not, Same};
use document::pointer_join;
use serde_json::{Map, Value, json};

const LIST: &str = "go_plugin";
const KEY: &str = "postPlugins";
pub(super) const PLUGIN: &[Pair] = &[
    Pair("/func_name", "/functionName", Same),
    Pair("/plugin_path", "/path", Same),
    Pair("/disabled", "/enabled", Not),
];

pub(super) fn to_oas(from: &mut Value, extended: &str, out: &mut Value) {
    let entries = from.pointer_mut(&pointer_join(extended, LIST)).and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten() {
        let (path, method) = (text(entry, "/path").to_owned(), text(entry, "/method").to_lowercase());
        if !path.starts_with('/') || !METHODS.contains(&method.as_str()) || said(out, &path, &method, KEY) {
            continue;
        }
        let mut rest = json!([entry.clone()]);
        let Some(mut written) = each(&mut rest, PLUGIN, To::Oas) else { continue };
        written[0]["enabled"] = json!(entry.get("disabled") != Some(&Value::Bool(true)));
        take(&mut rest[0], "/path");
        take(&mut rest[0], "/method");
        if is_blank(&rest) {
            let id = operation(out, &path, &method);
            put(out, &pointer_join(&pointer_join(OPERATIONS, &id), KEY), written);
            *entry = Value::Null;
        }
    }
}

/// Of several plugins of an operation the first counts; the others stay, and are told.
pub(super) fn to_classic(from: &mut Value, extended: &str, out: &mut Value) {
    let whole = from.clone();
    let operations = Operations::of(&Section { object: whole.as_object(), pointer: String::new() });
    let mut found = Vec::new();
    for id in whole.pointer(OPERATIONS).and_then(Value::as_object).into_iter().flat_map(Map::keys) {
        let at = pointer_join(&pointer_join(OPERATIONS, id), KEY);
        let (Some(known), Some(list)) = (operations.get(id), from.pointer_mut(&at)) else { continue };
        let Some(first) = list.as_array_mut().and_then(|list| list.first_mut()) else { continue };
        let mut only = json!([first.take()]);
        let Some(mut written) = each(&mut only, PLUGIN, To::Classic) else { continue };
        *first = only[0].take();
        let mut entry = written[0].take();
        put(&mut entry, "/path", json!(known.path));
        put(&mut entry, "/method", json!(known.method.to_uppercase()));
        found.push((known.path.clone(), entry));
    }
    found.sort_by(|a, b| precedence(&a.0).cmp(&precedence(&b.0)));
    if !found.is_empty() {
        put(out, &pointer_join(extended, LIST), found.into_iter().map(|(_, entry)| entry).collect());
    }
}
