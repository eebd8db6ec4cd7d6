//! What is a little different in the other format and is converted all the same: the definition is changed as it is
//! compared, and it is told.

use super::endpoints::OPERATIONS;
use super::lists::LISTS;
use crate::at_path::precedence;
use document::{Fault, pointer_join};
use serde_json::{Map, Value};

const ORDER: &str = "the order of this list is lost: OpenAPI definitions try the paths with most segments first, then the \
                     longest";
const SESSIONS: &str = "templates of OpenAPI definitions see the metadata of sessions, too";
const LATER: &str = "this is answered after authentication and limits in OpenAPI definitions, not before";
const BODIES: &str = "in OpenAPI definitions bodies must have the content type `application/json`, too, paths below these are \
                      refused, and refusals say it in other words";
const OPEN: &str = "classic definitions answer this before anybody has to say who is calling";

/// Of a classic definition that becomes an OpenAPI one.
pub(super) fn to_oas(expected: &mut Value, extended: &str) -> Vec<Fault> {
    let mut told = sort(expected, extended);
    for list in ["transform", "transform_response"] {
        let at = pointer_join(extended, list);
        for (index, entry) in entries(expected, &at).enumerate() {
            let Some(data) = entry.get_mut("template_data").and_then(Value::as_object_mut) else { continue };
            if data.insert("enable_session".to_owned(), Value::Bool(true)) != Some(Value::Bool(true)) {
                told.push(Fault::warning(format!("{at}/{index}/template_data"), SESSIONS));
            }
        }
    }
    let has = |list: &str| {
        let list = expected.pointer(&pointer_join(extended, list)).and_then(Value::as_array);
        list.is_some_and(|list| !list.is_empty())
    };
    if has("mock_response") && expected.get("use_keyless") != Some(&Value::Bool(true)) {
        told.push(Fault::warning(pointer_join(extended, "mock_response"), LATER));
    }
    if has("validate_json") {
        told.push(Fault::warning(pointer_join(extended, "validate_json"), BODIES));
    }
    told
}

/// Puts the lists into the order in which OpenAPI definitions try paths; tells of those that had another.
fn sort(definition: &mut Value, extended: &str) -> Vec<Fault> {
    let mut told = Vec::new();
    for list in LISTS.iter().filter(|list| list.0 != "rate_limit") {
        let at = pointer_join(extended, list.0);
        let Some(entries) = definition.pointer_mut(&at).and_then(Value::as_array_mut) else { continue };
        let before = entries.clone();
        let path = |entry: &Value| entry.get("path").and_then(Value::as_str).unwrap_or_default().to_owned();
        entries.sort_by(|a, b| precedence(&path(a)).cmp(&precedence(&path(b))));
        if *entries != before {
            told.push(Fault::warning(at, ORDER));
        }
    }
    told
}

fn entries<'v>(definition: &'v mut Value, list: &str) -> impl Iterator<Item = &'v mut Value> {
    definition.pointer_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Of an OpenAPI definition that becomes a classic one: answers that would be open to everybody are not written.
pub(super) fn to_classic(given: &Value) -> Vec<Fault> {
    if given.pointer("/x-tyk-api-gateway/server/authentication/enabled") != Some(&Value::Bool(true)) {
        return Vec::new();
    }
    let operations = given.pointer(OPERATIONS).and_then(Value::as_object);
    let is_on = |operation: &Value, key: &str| {
        operation.get(key).is_some_and(|section| section.get("enabled") == Some(&Value::Bool(true)))
    };
    let guarded = |(_, operation): &(&String, &Value)| {
        is_on(operation, "mockResponse") && !is_on(operation, "ignoreAuthentication")
    };
    let named = operations.into_iter().flat_map(Map::iter).filter(guarded);
    named
        .map(|(id, _)| Fault::error(pointer_join(&pointer_join(OPERATIONS, id), "mockResponse"), OPEN))
        .collect()
}

/// Of operations whose bodies classic definitions look at.
pub(super) fn bodies(ids: &[String]) -> Vec<Fault> {
    let told = "classic definitions look at bodies whatever their content type, at those of paths below this one, too, \
                and refusals say it in other words";
    let at = |id: &String| pointer_join(&pointer_join(OPERATIONS, id), "validateRequest");
    ids.iter().map(|id| Fault::warning(at(id), told)).collect()
}
