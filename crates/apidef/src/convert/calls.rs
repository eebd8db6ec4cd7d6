//! Calls of MCP: `mcpTools`, `mcpResources`, `mcpPrompts` and operations that stand for methods <-> paths of classic definitions
//! (contract 2.1, 3.2).

use super::endpoints::OPERATIONS;
use super::value::{put, take};
use crate::limits::OWN;
use crate::mcp::{self, PRIMITIVES, call_at};
use crate::section::Section;
use crate::{CallKind, at_path};
use document::pointer_join;
use serde_json::{Map, Value, json};

const MIDDLEWARE: &str = "/x-tyk-api-gateway/middleware";

/// Says in a document what a classic definition says that it speaks.
pub(super) fn to_oas(rest: &mut Value, out: &mut Value) {
    let speaks = rest["application_protocol"] == "mcp";
    for key in ["/application_protocol", "/json_rpc_version"] {
        if speaks || rest.pointer(key).is_some_and(|value| value == "") {
            take(rest, key);
        }
    }
    if speaks {
        put(out, &pointer_join(&pointer_join("", OWN), "mcp"), json!({"enabled": true}));
    }
}

/// Operations that stand for calls move to where documents have these.
pub(super) fn out_of_operations(out: &mut Value) {
    let marked = format!("/{OWN}/mcp/enabled");
    if out.pointer(&marked) != Some(&Value::Bool(true)) {
        return;
    }
    let paths = out.get("paths").and_then(Value::as_object).map(|paths| paths.keys().cloned().collect());
    let paths: Vec<String> = paths.unwrap_or_default();
    for path in paths {
        let Some((kind, name)) = call_at(&path) else { continue };
        let at = pointer_join(&pointer_join("/paths", &path), "post");
        let id = out.pointer(&at).and_then(|operation| operation["operationId"].as_str());
        let Some(id) = id.map(str::to_owned) else { continue };
        let operation = take(out, &pointer_join(OPERATIONS, &id)).unwrap_or_else(|| json!({}));
        take(out, &pointer_join("/paths", &path));
        let to = match PRIMITIVES.iter().find(|(_, known)| *known == kind) {
            Some((key, _)) => pointer_join(&pointer_join(MIDDLEWARE, key), name),
            None => pointer_join(OPERATIONS, &id),
        };
        put(out, &to, operation);
    }
}

/// Calls become operations of paths that no request has, as classic definitions have them.
pub(super) fn into_operations(rest: &mut Value) -> bool {
    let mut faults = Vec::new();
    let whole = rest.clone();
    let root = Section { object: whole.as_object(), pointer: String::new() };
    if !mcp::speaks(&root, &mut faults) {
        return false;
    }
    let operations = at_path::Operations::of(&root);
    let named = whole.pointer(OPERATIONS).and_then(Value::as_object);
    for id in named.into_iter().flat_map(Map::keys) {
        let known = operations.get(id);
        if let Some(method) = mcp::method_of(id, known) {
            let operation = take(rest, &pointer_join(OPERATIONS, id)).unwrap_or_default();
            if let Some(known) = known {
                take(rest, &pointer_join(&pointer_join("/paths", known.written), known.method));
            }
            add(rest, CallKind::Method, method, operation);
        }
    }
    for (key, kind) in PRIMITIVES {
        let Some(Value::Object(all)) = take(rest, &pointer_join(MIDDLEWARE, key)) else { continue };
        for (name, said) in all {
            add(rest, kind, &name, said);
        }
    }
    true
}

fn add(rest: &mut Value, kind: CallKind, name: &str, said: Value) {
    let path = format!("{}{name}", kind.prefix());
    let id = format!("{}POST", path.trim_start_matches('/'));
    put(rest, &pointer_join(&pointer_join("/paths", &path), "post"), json!({"operationId": id}));
    put(rest, &pointer_join(OPERATIONS, &id), said);
}
