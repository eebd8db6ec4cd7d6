//! Lists of `extended_paths` <-> keys of operations (contract 2.5, 3.1, 3.2).

use super::To;
use super::lists::LISTS;
use super::value::{is_blank, left, move_pairs, put, take, text};
use crate::at_path::{Operations, precedence};
use crate::beyond::KEYS;
use crate::mcp::call_at;
use crate::section::Section;
use document::pointer_join;
use serde_json::{Map, Value, json};

/// Those that a document can have operations for.
pub(super) const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
pub(super) const OPERATIONS: &str = "/x-tyk-api-gateway/middleware/operations";

fn as_it_is(pointer: &str) -> String {
    pointer.to_owned()
}

/// Moves the entries of the lists at `extended`; what is left of one stays there.
pub(super) fn to_oas(from: &mut Value, extended: &str, out: &mut Value) {
    for list in LISTS {
        let Some(entries) = from.pointer_mut(&pointer_join(extended, list.0)).and_then(Value::as_array_mut)
        else {
            continue;
        };
        for entry in entries {
            let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (path, method) = (text("path"), text("method").to_lowercase());
            if !path.starts_with('/') || !METHODS.contains(&method.as_str()) {
                continue; // no operation can stand for it
            }
            if said(out, &path, &method, list.1) {
                continue; // said twice: the second goes where there are lists
            }
            let mut rest = entry.clone();
            let off = take(&mut rest, "/disabled") == Some(Value::Bool(true));
            take(&mut rest, "/path");
            take(&mut rest, "/method");
            let mut written = json!({"enabled": !off});
            move_pairs(list.2, To::Oas, (&mut rest, &as_it_is), (&mut written, &as_it_is));
            if let Some(more) = list.3 {
                more(To::Oas, &mut rest, &mut written);
            }
            take(&mut rest, "/act_on"); // means nothing in either format
            if !is_blank(&rest) {
                continue; // it goes where all of it can be said
            }
            let id = operation(out, &path, &method);
            put(out, &pointer_join(&pointer_join(OPERATIONS, &id), list.1), written);
            *entry = Value::Null;
        }
    }
}

/// Whether the operation of a path and method has a key already.
pub(super) fn said(out: &Value, path: &str, method: &str, key: &str) -> bool {
    let known = pointer_join(&pointer_join("/paths", &template(path).0), method);
    let id = out.pointer(&known).map(|known| id_of(known, &template(path).0, method));
    id.is_some_and(|id| out.pointer(&pointer_join(&pointer_join(OPERATIONS, &id), key)).is_some())
}

/// What an operation is called (contract 3.1, "Operation binding").
fn id_of(operation: &Value, template: &str, method: &str) -> String {
    match text(operation, "/operationId") {
        "" => format!("{}{}", template.trim_start_matches('/'), method.to_uppercase()),
        id => id.to_owned(),
    }
}

/// The id of the operation of a path and method, which is added where there is none yet.
pub(super) fn operation(out: &mut Value, path: &str, method: &str) -> String {
    let (template, parameters) = template(path);
    let at = pointer_join(&pointer_join("/paths", &template), method);
    if let Some(known) = out.pointer(&at) {
        return id_of(known, &template, method);
    }
    let id = id_of(&Value::Null, &template, method);
    let mut operation = json!({"operationId": id, "responses": answers()});
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    put(out, &at, operation);
    id
}

/// A classic path as OpenAPI has it: segments that are regular expressions become parameters.
pub(super) fn template(path: &str) -> (String, Vec<Value>) {
    if call_at(path).is_some() {
        return (path.to_owned(), Vec::new());
    }
    let mut parameters = Vec::new();
    let segments = path.split('/').map(|segment| {
        let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b));
        if plain(name.unwrap_or(segment)) {
            if let Some(name) = name {
                let named =
                    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
                parameters.push(named);
            }
            return segment.to_owned();
        }
        let name = format!("customRegex{}", parameters.len() + 1);
        let schema = json!({"type": "string", "pattern": segment});
        parameters.push(json!({"name": name, "in": "path", "required": true, "schema": schema}));
        format!("{{{name}}}")
    });
    let template = segments.collect::<Vec<_>>().join("/");
    (template, parameters)
}

/// Moves the keys of operations into lists, in the order in which paths are tried. What is left of one stays there.
/// `given`: the definition before anything was moved.
pub(super) fn to_classic(given: &Value, from: &mut Value, extended: &str, out: &mut Value) {
    let whole = from.clone();
    let operations = Operations::of(&Section { object: whole.as_object(), pointer: String::new() });
    let ids = whole.pointer(OPERATIONS).and_then(Value::as_object);
    for list in LISTS {
        let mut found = Vec::new();
        for id in ids.into_iter().flat_map(Map::keys) {
            let at = pointer_join(&pointer_join(OPERATIONS, id), list.1);
            let (Some(known), Some(entry)) = (operations.get(id), from.pointer_mut(&at)) else { continue };
            if !entry.is_object() {
                continue;
            }
            if list.1 == "mockResponse" && !may_mock(given, id) {
                continue;
            }
            let before = entry.clone();
            let off = take(entry, "/enabled") != Some(Value::Bool(true));
            let mut written =
                json!({"path": known.path, "method": known.method.to_uppercase(), "disabled": off});
            move_pairs(list.2, To::Classic, (entry, &as_it_is), (&mut written, &as_it_is));
            if let Some(more) = list.3 {
                more(To::Classic, entry, &mut written);
            }
            if KEYS.contains(&list.1) && !is_blank(entry) {
                *entry = before; // it goes where all of it can be said
                continue;
            }
            found.push((known.path.clone(), written));
        }
        if list.0 != "rate_limit" {
            found.sort_by(|a, b| precedence(&a.0).cmp(&precedence(&b.0)));
        }
        if !found.is_empty() {
            let list_at = pointer_join(extended, list.0);
            put(out, &list_at, found.into_iter().map(|(_, entry)| entry).collect());
        }
    }
}

/// Whether an answer may come before anybody has to say who is calling, as those of classic definitions do.
fn may_mock(given: &Value, id: &str) -> bool {
    let is_on = |pointer: &str| given.pointer(pointer) == Some(&Value::Bool(true));
    let operation = pointer_join(OPERATIONS, id);
    !is_on("/x-tyk-api-gateway/server/authentication/enabled")
        || is_on(&format!("{operation}/ignoreAuthentication/enabled"))
        || !is_on(&format!("{operation}/mockResponse/enabled"))
}

/// Everything of an OpenAPI document that classic definitions have no place for, apart from what stands for operations.
/// What a document says of an operation to its readers is told as one.
pub(super) fn left_of_document(rest: &Value, found: &mut Vec<String>) {
    for (key, value) in rest.as_object().into_iter().flatten() {
        let at = pointer_join("", key);
        match key.as_str() {
            "openapi" | "info" => {}
            "paths" => {
                for (path, item) in value.as_object().into_iter().flatten() {
                    let at = pointer_join(&at, path);
                    let said = item.as_object().into_iter().flatten();
                    let said = said.filter(|(method, operation)| !only_stands_there(method, operation));
                    found.extend(said.map(|(method, _)| pointer_join(&at, method)));
                }
            }
            _ => left(value, &at, found),
        }
    }
}

/// Whether an operation says no more than where it is, as those that are written here.
fn only_stands_there(method: &str, operation: &Value) -> bool {
    METHODS.contains(&method)
        && operation.as_object().is_some_and(|members| {
            members.iter().all(|(key, value)| match key.as_str() {
                "operationId" => true,
                "responses" => *value == answers(),
                "parameters" => value.as_array().is_some_and(|all| {
                    all.iter().all(|one| {
                        let members = one.as_object().into_iter().flatten();
                        one["in"] == "path"
                            && members
                                .map(|(key, _)| key.as_str())
                                .all(|key| matches!(key, "name" | "in" | "required" | "schema"))
                    })
                }),
                _ => false,
            })
        })
}

/// What operations answer that are written here: a document has to say something.
fn answers() -> Value {
    json!({"200": {"description": "OK"}})
}
