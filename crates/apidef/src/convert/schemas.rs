//! What bodies have to be: a schema for a path, or the document's for an operation (contract 2.5 `validate_json`, 3.5).
//! Moved is only what means the same in both: what OpenAPI does not look at would let more in.

use super::endpoints::{METHODS, OPERATIONS, operation, said, template};
use super::value::{put, take, text};
use crate::at_path::{Operations, precedence};
use crate::section::Section;
use document::pointer_join;
use serde_json::{Map, Value, json};

const LIST: &str = "validate_json";
const KEY: &str = "validateRequest";
const JSON: &str = "application/json";
/// How deep a schema may be.
const DEEPEST: usize = 64;

/// Keywords that hold a schema, lists of them, schemas by name, and others that mean the same in both.
const SCHEMA: [&str; 3] = ["items", "additionalProperties", "not"];
const LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const NAMED: [&str; 3] = ["properties", "definitions", "$defs"];
const PLAIN: [&str; 22] = [
    "type",
    "enum",
    "required",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "title",
    "description",
    "default",
    "examples",
    "$comment",
    "$schema",
];
/// Beside those, where a document is of OpenAPI 3.1.
const NEWER: [&str; 2] = ["const", "patternProperties"];

/// Moves the entries of the list at `extended`; those that would not mean the same stay. Whether there were any.
pub(super) fn to_oas(from: &mut Value, extended: &str, out: &mut Value) -> bool {
    let mut any = false;
    let entries = from.pointer_mut(&pointer_join(extended, LIST)).and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten() {
        let (path, method) = (text(entry, "/path").to_owned(), text(entry, "/method").to_lowercase());
        if !path.starts_with('/') || !METHODS.contains(&method.as_str()) {
            continue;
        }
        let written = pointer_join(&pointer_join("/paths", &template(&path).0), &method);
        let at = format!("{written}/requestBody/content/application~1json/schema");
        let schema =
            entry.get("schema").filter(|schema| schema.as_object().is_some_and(|one| !one.is_empty()));
        let Some(schema) = schema.and_then(|schema| moved(schema, "", &at, 0)) else { continue };
        // A second one for the same, or an operation that says something of its own.
        if said(out, &path, &method, KEY) || out.pointer(&format!("{written}/requestBody")).is_some() {
            continue;
        }
        let id = operation(out, &path, &method);
        let section = pointer_join(&pointer_join(OPERATIONS, &id), KEY);
        let off = take(entry, "/disabled") == Some(Value::Bool(true));
        let mut rule = json!({"enabled": !off});
        if let Some(status) = take(entry, "/error_response_code") {
            put(&mut rule, "/errorResponseCode", status);
        }
        put(out, &section, rule);
        let body = json!({"required": true, "content": {JSON: {"schema": schema}}});
        put(out, &format!("{written}/requestBody"), body);
        // Its schemas are JSON schemas.
        out["openapi"] = json!("3.1.0");
        *entry = Value::Null;
        any = true;
    }
    any
}

/// Moves what is only about bodies in JSON; gives the ids of the operations.
pub(super) fn to_classic(from: &mut Value, extended: &str, out: &mut Value) -> Vec<String> {
    let whole = from.clone();
    let operations = Operations::of(&Section { object: whole.as_object(), pointer: String::new() });
    let is_newer = text(&whole, "/openapi").starts_with("3.1");
    let mut found = Vec::new();
    for id in whole.pointer(OPERATIONS).and_then(Value::as_object).into_iter().flat_map(Map::keys) {
        let at = pointer_join(&pointer_join(OPERATIONS, id), KEY);
        let (Some(known), Some(rule)) = (operations.get(id), whole.pointer(&at)) else { continue };
        let item = pointer_join("/paths", known.written);
        if whole.pointer(&format!("{item}/parameters")).is_some() || !only_path(known.operation) {
            continue;
        }
        let body = format!("{}/requestBody", pointer_join(&item, known.method));
        let place = format!("{body}/content/application~1json/schema");
        let Some(schema) = whole.pointer(&body).and_then(only_json) else { continue };
        if !is_newer && !is_old(schema, 0) {
            continue;
        }
        let Some(schema) = moved(schema, &place, "", 0) else { continue };
        let on = rule.get("enabled") == Some(&Value::Bool(true));
        let method = known.method.to_uppercase();
        let mut entry = json!({"path": known.path, "method": method, "disabled": !on, "schema": schema});
        if let Some(status) = rule.get("errorResponseCode") {
            put(&mut entry, "/error_response_code", status.clone());
        }
        take(from, &at);
        take(from, &body);
        found.push((id.clone(), known.path.clone(), entry));
    }
    found.sort_by(|a, b| precedence(&a.1).cmp(&precedence(&b.1)));
    let (ids, entries): (Vec<String>, Vec<Value>) =
        found.into_iter().map(|(id, _, entry)| (id, entry)).unzip();
    if !entries.is_empty() {
        put(out, &pointer_join(extended, LIST), entries.into());
    }
    ids
}

/// Whether an operation asks for nothing but its body, and for texts in its path.
fn only_path(operation: &Map<String, Value>) -> bool {
    let mut parameters = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
    parameters.all(|one| {
        let schema = one.get("schema").and_then(Value::as_object);
        let is_text = schema.is_none_or(|schema| {
            schema.get("type").is_none_or(|kind| kind == "string")
                && schema.keys().all(|key| key == "type" || key == "pattern")
        });
        one.get("in").is_some_and(|place| place == "path") && is_text
    })
}

/// The schema of a body that must be there and be JSON.
fn only_json(body: &Value) -> Option<&Value> {
    let content = body.get("content")?.as_object()?;
    let only = content.len() == 1 && body.get("required") == Some(&Value::Bool(true));
    content.get(JSON).filter(|_| only)?.get("schema").filter(|schema| schema.is_object())
}

/// A schema whose references lead from one place of a document to another; `None` where it would not mean the same.
fn moved(schema: &Value, from: &str, to: &str, depth: usize) -> Option<Value> {
    let Value::Object(members) = schema else { return schema.is_boolean().then(|| schema.clone()) };
    if depth > DEEPEST {
        return None;
    }
    let deeper = |one: &Value| moved(one, from, to, depth + 1);
    let mut made = Map::new();
    for (key, value) in members {
        let key = key.as_str();
        let value = match value {
            Value::String(reference) if key == "$ref" => {
                let rest = reference.strip_prefix('#')?.strip_prefix(&*encoded(from))?;
                json!(format!("#{}{rest}", encoded(to)))
            }
            value if SCHEMA.contains(&key) => deeper(value)?,
            Value::Array(list) if LISTS.contains(&key) => list.iter().map(deeper).collect::<Option<_>>()?,
            Value::Object(named) if NAMED.contains(&key) || key == "patternProperties" => {
                let named = named.iter().map(|(name, one)| Some((name.clone(), deeper(one)?)));
                Value::Object(named.collect::<Option<_>>()?)
            }
            value if PLAIN.contains(&key) || NEWER.contains(&key) => value.clone(),
            // The other formats mean nothing in OpenAPI, and neither do the other keywords.
            Value::String(format) if key == "format" && matches!(format.as_str(), "date" | "date-time") => {
                json!(format)
            }
            _ => return None,
        };
        made.insert(key.to_owned(), value);
    }
    made.shift_remove("$schema");
    for (limit, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        // In draft 4 these say of the limits beside them that they are excluded.
        if let Some(Value::Bool(on)) = made.get(exclusive) {
            let on = *on;
            made.shift_remove(exclusive);
            if let Some(value) = made.get(limit).cloned().filter(|_| on) {
                made.shift_remove(limit);
                made.insert(exclusive.to_owned(), value);
            }
        }
    }
    Some(Value::Object(made))
}

/// A pointer in a reference, which is a URL.
fn encoded(pointer: &str) -> String {
    pointer.replace('%', "%25").replace('{', "%7B").replace('}', "%7D").replace(' ', "%20")
}

/// Whether a schema of OpenAPI 3.0 has only keywords that mean the same in JSON schemas.
fn is_old(schema: &Value, depth: usize) -> bool {
    let Some(members) = schema.as_object().filter(|_| depth <= DEEPEST) else { return schema.is_boolean() };
    members.iter().all(|(key, value)| {
        let (key, limits) = (key.as_str(), ["exclusiveMinimum", "exclusiveMaximum"]);
        let inner = || match value {
            Value::Array(list) => list.iter().all(|one| is_old(one, depth + 1)),
            Value::Object(named) if NAMED.contains(&key) => named.values().all(|one| is_old(one, depth + 1)),
            one => is_old(one, depth + 1),
        };
        let holds = SCHEMA.contains(&key) || LISTS.contains(&key) || NAMED.contains(&key);
        !NEWER.contains(&key)
            && key != "$ref"
            && !(limits.contains(&key) && value.is_number())
            && (!holds || inner())
    })
}
