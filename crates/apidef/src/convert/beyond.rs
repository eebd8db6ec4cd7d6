//! What the other format has no words for, in our extension (contract 2.5, 2.7, 3.2): lists of a classic version in an
//! OpenAPI definition; in a classic one the OpenAPI document, with what it alone can say of its operations.

use super::endpoints::OPERATIONS;
use super::value::{is_blank, put, take, text};
use super::{EXTENSION, EXTENSION_AT, To};
use crate::beyond::{DOCUMENT, KEYS, LISTS, REQUESTS, in_order, part};
use crate::graphql::engine_of_first;
use document::pointer_join;
use serde_json::{Map, Value, json};

const OWN: &str = "/x-sluicegate";
const GRAPH: &str = "/x-sluicegate/graphql";
const AUTHENTICATION: &str = "/x-tyk-api-gateway/server/authentication";

/// The OpenAPI document of a classic definition: what the other one begins as.
pub(super) fn begin(rest: &mut Value, out: &mut Value) -> bool {
    let Some(Value::Object(document)) = take(rest, &pointer_join(OWN, DOCUMENT)) else { return false };
    for (key, value) in document {
        if key == EXTENSION {
            for part in ["/server/authentication", "/middleware/operations"] {
                if let Some(said) = value.pointer(part) {
                    put(out, &format!("{EXTENSION_AT}{part}"), said.clone());
                }
            }
        } else {
            out[key] = value;
        }
    }
    out.pointer(AUTHENTICATION).is_some()
}

/// The rest of the lists of a version, as they are.
pub(super) fn lists_to_oas(rest: &mut Value, extended: &str, out: &mut Value) {
    let Some(lists) = rest.pointer_mut(extended).and_then(Value::as_object_mut) else { return };
    for (key, entries) in lists.iter_mut().filter(|(_, entries)| !is_blank(entries)) {
        let Value::Array(entries) = entries.take() else { continue };
        // What says nothing was moved.
        let entries: Vec<Value> = entries.into_iter().filter(|entry| !is_blank(entry)).collect();
        put(out, &format!("{OWN}/{LISTS}/{key}"), entries.into());
    }
}

/// Lists that are as they were are put among those that operations became, in the order in which they are tried.
pub(super) fn lists_to_classic(rest: &mut Value, extended: &str, out: &mut Value) {
    let Some(Value::Object(lists)) = take(rest, &format!("{OWN}/{LISTS}")) else { return };
    for (key, entries) in lists {
        let Value::Array(entries) = entries else { continue };
        let at = pointer_join(extended, &key);
        let mut all = match out.pointer_mut(&at).map(Value::take) {
            Some(Value::Array(known)) => known,
            _ => Vec::new(),
        };
        all.extend(entries);
        if key != "rate_limit" && all.iter().all(Value::is_object) {
            all.sort_by(|a, b| {
                in_order((text(a, "/path"), text(a, "/method")), (text(b, "/path"), text(b, "/method")))
            });
        }
        put(out, &at, all.into());
    }
}

/// GraphQL stands in our extension of OpenAPI definitions; limits of requests do so in both.
pub(super) fn graph(to: To, from: &mut Value, out: &mut Value) {
    const LEFT: [&str; 3] = ["version", "last_schema_update", "type_field_configurations"];
    match to {
        To::Oas => {
            let Some(Value::Object(mut graph)) = take(from, "/graphql").filter(|graph| !is_blank(graph))
            else {
                return;
            };
            if let Some(engine) = engine_of_first(&Value::Object(graph.clone())) {
                graph.insert("engine".to_owned(), engine);
            }
            LEFT.iter().for_each(|key| drop(graph.shift_remove(*key)));
            for (key, value) in graph {
                put(out, &pointer_join(GRAPH, &key), value);
            }
        }
        To::Classic => {
            let Some(Value::Object(graph)) = take(from, GRAPH) else { return };
            let (limits, graph): (Map<String, Value>, _) =
                graph.into_iter().partition(|(key, _)| key == "limits");
            if !limits.is_empty() {
                put(out, GRAPH, limits.into());
            }
            if !graph.is_empty() {
                put(out, "/graphql", graph.into());
                put(out, "/graphql/version", json!("2"));
            }
        }
    }
}

/// What else is in our extension.
pub(super) fn own(from: &mut Value, out: &mut Value) {
    if let Some(Value::Object(own)) = take(from, OWN) {
        for (key, value) in own.into_iter().filter(|(_, value)| !is_blank(value)) {
            match value {
                Value::Object(members) => {
                    for (name, member) in members {
                        put(out, &pointer_join(&pointer_join(OWN, &key), &name), member);
                    }
                }
                value => put(out, &pointer_join(OWN, &key), value),
            }
        }
    }
}

/// Keeps the document of an OpenAPI definition in the classic one, where that needs it.
pub(super) fn keep_document(
    given: &Value,
    rest: &mut Value,
    extended: &str,
    with_auth: bool,
    out: &mut Value,
) {
    let operations = rest.pointer(OPERATIONS).and_then(Value::as_object);
    let said =
        |operation: &Value| KEYS.iter().any(|key| operation.get(*key).is_some_and(|said| !is_blank(said)));
    let needed = with_auth
        || given.get(crate::oas::STREAMING).is_some_and(|streams| !is_blank(streams))
        || given.get(crate::tools::EXTENSION).is_some()
        || out.pointer(&format!("{extended}/{REQUESTS}")).is_some_and(|list| !is_blank(list))
        || operations.into_iter().flat_map(Map::values).any(said);
    if !needed {
        return;
    }
    let mut whole = given.clone();
    if let Some(left) = rest.pointer(OPERATIONS) {
        let mut left = left.clone();
        for operation in left.as_object_mut().into_iter().flat_map(Map::values_mut) {
            if let Some(members) = operation.as_object_mut() {
                members.retain(|key, said| KEYS.contains(&key.as_str()) && !is_blank(said));
            }
        }
        put(&mut whole, OPERATIONS, left);
    }
    put(out, &pointer_join(OWN, DOCUMENT), part(&whole, with_auth));
    // All of it is there.
    let extensions = [crate::oas::STREAMING, crate::tools::EXTENSION];
    for key in ["paths", "components", "security", "info", "openapi"].into_iter().chain(extensions) {
        take(rest, &pointer_join("", key));
    }
    let ids: Vec<String> = operations_of(rest);
    for (id, key) in ids.iter().flat_map(|id| KEYS.map(|key| (id, key))) {
        take(rest, &pointer_join(&pointer_join(OPERATIONS, id), key));
    }
}

fn operations_of(definition: &Value) -> Vec<String> {
    definition
        .pointer(OPERATIONS)
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::keys)
        .cloned()
        .collect()
}
