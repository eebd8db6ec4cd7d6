//! What is a little different in the other format and is converted all the same: the definition is changed as it is
//! compared, and it is told.

use super::endpoints::OPERATIONS;
use super::lists::LISTS;
use super::value::text;
use crate::beyond::in_order;
use document::{Fault, pointer_join};
use serde_json::Value;

const ORDER: &str = "the order of this list is lost: OpenAPI definitions try the paths with most segments first, then the \
                     longest";
const SESSIONS: &str = "templates of OpenAPI definitions see the metadata of sessions, too";
const LATER: &str = "this is answered after authentication and limits in OpenAPI definitions, not before";
const BODIES: &str = "in OpenAPI definitions bodies must have the content type `application/json`, too, paths below these are \
                      refused, and refusals say it in other words";

/// Of a classic definition that becomes an OpenAPI one.
/// `moved`: bodies are looked at by operations now.
pub(super) fn to_oas(expected: &mut Value, extended: &str, moved: bool) -> Vec<Fault> {
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
    if has("validate_json") && moved {
        told.push(Fault::warning(pointer_join(extended, "validate_json"), BODIES));
    }
    told
}

/// Puts the lists into the order in which OpenAPI definitions try paths; tells of those that had another.
fn sort(definition: &mut Value, extended: &str) -> Vec<Fault> {
    let mut told = Vec::new();
    // Of rates the order counts in both.
    let others = ["transform_jq", "transform_jq_response", "persist_graphql", "go_plugin", "validate_json"];
    for list in LISTS.iter().map(|list| list.0).filter(|list| *list != "rate_limit").chain(others) {
        let at = pointer_join(extended, list);
        let Some(entries) = definition.pointer_mut(&at).and_then(Value::as_array_mut) else { continue };
        let before = entries.clone();
        entries.sort_by(|a, b| {
            in_order((text(a, "/path"), text(a, "/method")), (text(b, "/path"), text(b, "/method")))
        });
        if *entries != before {
            told.push(Fault::warning(at, ORDER));
        }
    }
    told
}

fn entries<'v>(definition: &'v mut Value, list: &str) -> impl Iterator<Item = &'v mut Value> {
    definition.pointer_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Of operations whose bodies classic definitions look at.
pub(super) fn bodies(ids: &[String]) -> Vec<Fault> {
    let told = "classic definitions look at bodies whatever their content type, at those of paths below this one, too, \
                and refusals say it in other words";
    let at = |id: &String| pointer_join(&pointer_join(OPERATIONS, id), "validateRequest");
    ids.iter().map(|id| Fault::warning(at(id), told)).collect()
}
