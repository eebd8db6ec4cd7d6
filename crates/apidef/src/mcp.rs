//! APIs that speak MCP, the Model Context Protocol (contract 2.1, 3.2): what a definition says of calls, which are told apart
//! by what stands in a body and not by a path. A call has a place of its own among paths all the same, so that whatever a
//! path may have, a call may have.

use crate::Backend;
use crate::at_path::Operation;
use crate::fields::{Field, acts, in_use};
use crate::limits::OWN;
use crate::oas::EXTENSION;
use crate::section::Section;
use crate::tools;
use document::Fault;
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// `mcp` of our own extension, which marks OpenAPI documents as classic definitions are by `application_protocol`.
pub(crate) const OWN_FIELDS: &[Field] = &[acts("enabled")];

/// Where `middleware` says something of tools, resources and prompts.
pub(crate) const PRIMITIVES: [(&str, CallKind); 3] =
    [("mcpTools", CallKind::Tool), ("mcpResources", CallKind::Resource), ("mcpPrompts", CallKind::Prompt)];

/// Keys of operations that count for paths only: a call has no path or method that could be another, and its answer is one of
/// the protocol.
pub(crate) const OF_PATHS: [&str; 8] = [
    "internal",
    "transformRequestMethod",
    "transformResponseBody",
    "urlRewrite",
    "cache",
    "validateRequest",
    "validateResponse",
    "mockResponse",
];

/// What a call is named by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// Its method.
    Method,
    /// The tool that it uses.
    Tool,
    /// The URI of the resource that it reads.
    Resource,
    /// The prompt that it gets.
    Prompt,
}

impl CallKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Method, Self::Tool, Self::Resource, Self::Prompt];

    /// What it is called wherever somebody names it: rights, rates, records, refusals.
    pub fn name(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Tool => "tool",
            Self::Resource => "resource",
            Self::Prompt => "prompt",
        }
    }

    /// The kind of what a call is for, by what that is called.
    pub fn of_primitive(name: &str) -> Option<Self> {
        [Self::Tool, Self::Resource, Self::Prompt].into_iter().find(|kind| kind.name() == name)
    }

    /// What the places of such calls begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Method => "/json-rpc-method:",
            Self::Tool => "/mcp-tool:",
            Self::Resource => "/mcp-resource:",
            Self::Prompt => "/mcp-prompt:",
        }
    }
}

/// The call that a place among paths stands for; `None` for what is a path.
pub fn call_at(path: &str) -> Option<(CallKind, &str)> {
    CallKind::ALL.into_iter().find_map(|kind| Some((kind, path.strip_prefix(kind.prefix())?)))
}

/// Methods that MCP knows (2024-11-05 to 2026-07-28), as far as clients call them.
const METHODS: [&str; 21] = [
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/progress",
    "notifications/roots/list_changed",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tools/call",
    "tools/list",
];

/// Whether an OpenAPI document speaks MCP: it says so, says something of tools, resources or prompts, or makes tools.
pub(crate) fn speaks(root: &Section<'_>, faults: &mut Vec<Fault>) -> bool {
    let marked = root.section(OWN, faults).section("mcp", faults).flag("enabled", faults);
    let middleware = root.section(EXTENSION, faults).section("middleware", faults);
    marked || has_primitives(&middleware) || root.get(tools::EXTENSION).is_some()
}

fn has_primitives(middleware: &Section<'_>) -> bool {
    let named = |key: &str| middleware.get(key).and_then(Value::as_object).is_some_and(|all| !all.is_empty());
    PRIMITIVES.iter().any(|(key, _)| named(key))
}

/// Whether a classic definition does (contract 2.1).
pub(crate) fn classic(root: &Section<'_>, faults: &mut Vec<Fault>) -> bool {
    let (protocol, version) =
        (root.text("application_protocol", faults), root.text("json_rpc_version", faults));
    match (protocol, version) {
        ("mcp", "2.0") => true,
        ("mcp", _) => {
            let text = "calls of MCP are JSON-RPC 2.0, so that this must be \"2.0\"";
            faults.push(Fault::error(root.at("json_rpc_version"), text));
            true
        }
        ("", version) => {
            if !version.is_empty() {
                let text = "this has no effect without an `application_protocol`";
                faults.push(Fault::warning(root.at("json_rpc_version"), text).on_key());
            }
            root.section(OWN, faults).section("mcp", faults).flag("enabled", faults)
        }
        (other, _) => {
            let text = format!(
                "`{other}` is spoken by nothing here; the API is refused so that it is not left open"
            );
            let fault = Fault::error(root.at("application_protocol"), text);
            faults.push(fault.hint("write \"mcp\", or take it out for an API of HTTP"));
            false
        }
    }
}

/// Calls are sent on to a server that answers them; streams and graphs do not.
pub(crate) fn only_upstreams(
    mcp: bool,
    backend: &Option<&Backend>,
    pointer: String,
    faults: &mut Vec<Fault>,
) {
    if mcp && matches!(backend, Some(Backend::Streams(_) | Backend::Graph)) {
        let text = "an API of MCP has an upstream that speaks it, and no streams or graph of its own";
        faults.push(Fault::error(pointer, text));
    }
}

/// The method that an operation of a document stands for, where it is one of JSON-RPC and not of HTTP.
pub(crate) fn method_of<'v>(id: &'v str, operation: Option<&Operation<'v>>) -> Option<&'v str> {
    let own = CallKind::Method.prefix().trim_start_matches('/');
    if let Some(operation) = operation {
        if operation.method != "post" {
            return None;
        }
        if let Some(method) = operation.operation.get("x-mcp-method").and_then(Value::as_str) {
            return Some(method).filter(|method| !method.is_empty());
        }
        let path = operation.written.trim_start_matches('/');
        return path.strip_prefix(own).or_else(|| known(path)).or_else(|| known(path.strip_prefix("mcp/")?));
    }
    let method = id.trim_start_matches('/');
    let bare = method.strip_suffix("POST").unwrap_or(method);
    bare.strip_prefix(own).or_else(|| known(bare))
}

fn known(name: &str) -> Option<&str> {
    METHODS.contains(&name).then_some(name)
}

/// What stands for a call where an operation of the document is asked for.
pub(crate) fn operation<'v>(kind: CallKind, name: &str) -> Operation<'v> {
    static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    let path = format!("{}{name}", kind.prefix()).into();
    Operation { path, written: "", method: "post", operation: &NOTHING }
}

/// What a definition says of one call.
pub(crate) struct OfCall<'v> {
    pub(crate) kind: CallKind,
    pub(crate) name: &'v str,
    pub(crate) section: Section<'v>,
}

/// What `middleware` says of tools, resources and prompts, in the order written.
pub(crate) fn primitives<'v>(middleware: &Section<'v>, faults: &mut Vec<Fault>) -> Vec<OfCall<'v>> {
    let mut all = Vec::new();
    for (key, kind) in PRIMITIVES {
        let named = middleware.section(key, faults);
        for name in named.object.into_iter().flat_map(Map::keys) {
            let section = named.section(name, faults);
            if name.is_empty() {
                faults.push(Fault::error(section.pointer.clone(), "this needs a name").on_key());
                continue;
            }
            all.push(OfCall { kind, name, section });
        }
    }
    all
}

/// Told of a key that counts for paths only.
pub(crate) fn without_effect(section: &Section<'_>, key: &str, faults: &mut Vec<Fault>) {
    if section.get(key).is_some_and(in_use) {
        let text = format!(
            "`{key}` has no effect on calls of MCP: they have no path, method or document of their own"
        );
        faults.push(Fault::warning(section.at(key), text).on_key());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operations_stand_for_methods() {
        let post = json!({"x-mcp-method": "a/b"});
        let plain = json!({});
        for (id, path, method, document, expected) in [
            ("tools/callPOST", None, "post", &plain, Some("tools/call")),
            ("json-rpc-method:tools/listPOST", None, "post", &plain, Some("tools/list")),
            ("json-rpc-method:x/y", None, "post", &plain, Some("x/y")),
            ("initializePOST", None, "post", &plain, Some("initialize")),
            ("usersPOST", None, "post", &plain, None),
            ("any", Some("/tools/call"), "post", &plain, Some("tools/call")),
            ("any", Some("/mcp/tools/call"), "post", &plain, Some("tools/call")),
            ("any", Some("/json-rpc-method:x/y"), "post", &plain, Some("x/y")),
            ("any", Some("/mcp"), "post", &plain, None),
            ("any", Some("/mcp"), "post", &post, Some("a/b")),
            ("any", Some("/tools/call"), "get", &plain, None),
        ] {
            let operation = path.map(|path| Operation {
                path: path.into(),
                written: path,
                method,
                operation: document.as_object().unwrap(),
            });
            assert_eq!(method_of(id, operation.as_ref()), expected, "{id} {path:?} {method}");
        }
    }

    #[test]
    fn c2_1_row_7_classic_definitions_say_what_they_speak() {
        for (value, speaks, faulty) in [
            (json!({}), false, None),
            (json!({"application_protocol": "", "json_rpc_version": ""}), false, None),
            (json!({"application_protocol": "mcp", "json_rpc_version": "2.0"}), true, None),
            (json!({"application_protocol": "mcp"}), true, Some("/json_rpc_version")),
            (json!({"json_rpc_version": "2.0"}), false, Some("/json_rpc_version")),
            (
                json!({"application_protocol": "a2a", "json_rpc_version": "2.0"}),
                false,
                Some("/application_protocol"),
            ),
            (json!({"x-sluicegate": {"mcp": {"enabled": true}}}), true, None),
        ] {
            let mut faults = Vec::new();
            let root = Section::root(&value, &mut faults);
            assert_eq!(classic(&root, &mut faults), speaks, "{value}");
            assert_eq!(faults.first().map(|fault| &*fault.pointer), faulty, "{value}");
        }
    }

    #[test]
    fn places_of_calls() {
        for kind in CallKind::ALL {
            assert_eq!(call_at(&format!("{}a/b", kind.prefix())), Some((kind, "a/b")));
        }
        assert_eq!(call_at("/tools/call"), None);
    }
}
