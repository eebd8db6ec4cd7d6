//! What tokens have to be good for: the scopes that the operations of an OpenAPI document ask for (contract 5.12).

use crate::AtPath;
use crate::fields::{Field, acts};
use crate::mcp::{self, CallKind};
use crate::oas::{Operation, Written, ignores_case, operations};
use crate::section::{Section, kind};
use document::{Fault, pointer_join};
use serde_json::Value;

/// `scopeCheck` of a scheme.
pub(super) const OAS: &[Field] =
    &[acts("enabled"), acts("claimNames"), acts("separator"), acts("scopeSource")];

/// `middleware.operations.*.scopeCheck`.
pub(crate) const OAS_OPERATION: &[Field] = &[acts("enabled")];

/// Lists of scopes of which one is enough, but whole. Where there is none, nothing is needed.
pub type Scopes = Box<[Box<[Box<str>]>]>;

/// Which scopes requests need.
#[derive(Debug, Clone, PartialEq)]
pub struct ScopeCheck {
    /// Claims that hold the scopes of a token; those of all of them count together.
    pub claims: Box<[Box<str>]>,
    /// What is between scopes where a claim is a text.
    pub separator: Box<str>,
    /// What a request needs that is none of the operations.
    pub otherwise: Scopes,
    /// What operations need, where that is something else.
    pub operations: Box<[Operation<Scopes>]>,
    /// Upper and lower case of their paths are the same.
    pub ignore_case: bool,
    /// What calls of MCP need, at their places.
    pub calls: Box<[AtPath<Scopes>]>,
}

/// Whose requirements count.
#[derive(Clone, Copy, PartialEq)]
enum Source {
    Union,
    Operation,
    Global,
}

/// What `security` says of one scheme.
type Asked<'v> = Vec<Vec<&'v str>>;

impl ScopeCheck {
    /// `None`: the scheme checks no scopes. `name`: what requirements call it.
    pub(super) fn oas(
        root: &Section<'_>,
        scheme: &Section<'_>,
        name: &str,
        faults: &mut Vec<Fault>,
    ) -> Option<Self> {
        let check = scheme.section("scopeCheck", faults);
        if !check.flag("enabled", faults) {
            return None;
        }
        let source = match check.text("scopeSource", faults) {
            "" | "union" => Source::Union,
            "operation" => Source::Operation,
            "global" => Source::Global,
            other => {
                let fault = Fault::error(check.at("scopeSource"), format!("`{other}` asks for no scopes"));
                faults.push(fault.hint("use union, operation or global"));
                Source::Union
            }
        };
        let claims = match check.texts("claimNames", faults) {
            none if none.is_empty() => Box::new(["scope".into(), "scp".into()]),
            claims => claims,
        };
        let separator = match check.text("separator", faults) {
            "" => " ",
            separator => separator,
        };
        let of_root = asked(root.get("security"), &root.at("security"), name, faults);
        let of_root = if source == Source::Operation { Vec::new() } else { of_root };
        let otherwise = needed(&of_root, &[]);
        let exempt = exempt(root, faults);
        let mut of_operations = Vec::new();
        let mut calls = of_calls(root, name, source, &of_root, faults);
        let speaks = mcp::speaks(root, faults);
        for operation in operations(root) {
            let own = match source {
                Source::Global => Vec::new(),
                _ => asked(
                    operation.object.get("security"),
                    &pointer_join(&operation.pointer, "security"),
                    name,
                    faults,
                ),
            };
            let is_exempt = operation.id().is_some_and(|id| exempt.contains(&id));
            let needed = if is_exempt { Scopes::default() } else { needed(&of_root, &own) };
            if let Some(method) = operation.json_rpc_method().filter(|_| speaks) {
                let path = mcp::operation(CallKind::Method, method).path.into();
                let (method, at) = ("POST".into(), operation.pointer.clone().into());
                calls.push(AtPath { method, path, ignore_case: false, value: needed, at });
                continue;
            }
            // Even what is needed anyhow is told here, so that no other operation is taken for this one.
            of_operations.push(operation.with(needed));
        }
        Some(Self {
            claims,
            separator: separator.into(),
            otherwise,
            operations: of_operations.into(),
            ignore_case: ignores_case(root, faults),
            calls: calls.into(),
        })
    }

    /// The scopes of a scheme that the document names anywhere, each once, in their order.
    pub(super) fn named<'v>(root: &Section<'v>, name: &str) -> Vec<&'v str> {
        let mut ignored = Vec::new();
        let of_root = asked(root.get("security"), "", name, &mut ignored);
        let of_operations = operations(root)
            .flat_map(|operation| asked(operation.object.get("security"), "", name, &mut ignored));
        let all: Vec<Vec<&str>> = of_root.into_iter().chain(of_operations).collect();
        let mut once = Vec::new();
        for scope in all.into_iter().flatten() {
            if !once.contains(&scope) {
                once.push(scope);
            }
        }
        once
    }
}

/// What tools, resources and prompts need: their own requirements count where they have them checked.
fn of_calls(
    root: &Section<'_>,
    name: &str,
    source: Source,
    of_root: &[Vec<&str>],
    faults: &mut Vec<Fault>,
) -> Vec<AtPath<Scopes>> {
    let middleware = root.section(crate::oas::EXTENSION, faults).section("middleware", faults);
    let mut all = Vec::new();
    for one in mcp::primitives(&middleware, faults) {
        let checked = one.section.section("scopeCheck", faults).flag("enabled", faults);
        let own = match source {
            Source::Operation | Source::Union if checked => {
                asked(one.section.get("security"), &one.section.at("security"), name, faults)
            }
            _ => continue,
        };
        let path = mcp::operation(one.kind, one.name).path.into();
        let (method, at) = ("POST".into(), one.section.pointer.clone().into());
        all.push(AtPath { method, path, ignore_case: false, value: needed(of_root, &own), at });
    }
    all
}

/// The scopes that a tool, resource or prompt asks for by itself.
pub(super) fn of_call(call: &Section<'_>, name: &str, faults: &mut Vec<Fault>) -> Box<[Box<str>]> {
    once(asked(call.get("security"), &call.at("security"), name, faults))
}

/// The scopes that an operation asks for by itself, of all its requirements that name the scheme.
pub(super) fn of_operation(operation: &Written<'_>, name: &str, faults: &mut Vec<Fault>) -> Box<[Box<str>]> {
    let at = pointer_join(&operation.pointer, "security");
    once(asked(operation.object.get("security"), &at, name, faults))
}

fn once(asked: Asked<'_>) -> Box<[Box<str>]> {
    let mut once: Vec<Box<str>> = Vec::new();
    for scope in asked.into_iter().flatten() {
        if !once.iter().any(|known| **known == *scope) {
            once.push(scope.into());
        }
    }
    once.into()
}

/// What an operation needs. A requirement without scopes asks for none: on an operation that is its last word, on the whole
/// document it takes nothing from what an operation asks for.
fn needed(of_root: &[Vec<&str>], own: &[Vec<&str>]) -> Scopes {
    let is_none = |scopes: &Vec<&str>| scopes.is_empty();
    let open = if own.is_empty() { of_root.iter().any(is_none) } else { own.iter().any(is_none) };
    if open {
        return Scopes::default();
    }
    let lists = own.iter().chain(of_root).filter(|scopes| !scopes.is_empty());
    lists.map(|scopes| scopes.iter().map(|scope| Box::from(*scope)).collect()).collect()
}

/// The scopes that `security` asks for of a scheme, one list for each requirement that names it.
fn asked<'v>(security: Option<&'v Value>, at: &str, name: &str, faults: &mut Vec<Fault>) -> Asked<'v> {
    let mut asked = Vec::new();
    let Some(items) = security.and_then(Value::as_array) else { return asked };
    for (index, item) in items.iter().enumerate() {
        let Some(scopes) = item.get(name) else { continue };
        let at = pointer_join(&pointer_join(at, &index.to_string()), name);
        let Some(scopes) = scopes.as_array() else {
            let text = format!("scopes must be an array of strings, not {}", kind(scopes));
            faults.push(Fault::error(at, text));
            continue;
        };
        let mut list = Vec::with_capacity(scopes.len());
        for (index, scope) in scopes.iter().enumerate() {
            match scope.as_str() {
                // What the challenge of a refusal can hold (RFC 6749 section 3.3), with spaces for those who split otherwise.
                Some(scope) if is_scope(scope) => list.push(scope),
                _ => faults.push(Fault::error(
                    pointer_join(&at, &index.to_string()),
                    "a scope is a text of printable ASCII without quotes and backslashes",
                )),
            }
        }
        asked.push(list);
    }
    asked
}

fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\')
}

/// Operations whose scopes are not checked.
fn exempt<'v>(root: &Section<'v>, faults: &mut Vec<Fault>) -> Vec<&'v str> {
    let extension = root.section(crate::oas::EXTENSION, faults);
    let middleware = extension.section("middleware", faults).section("operations", faults);
    let mut exempt = Vec::new();
    for id in middleware.object.into_iter().flat_map(serde_json::Map::keys) {
        let check = middleware.section(id, faults).section("scopeCheck", faults);
        if check.get("enabled") != Some(&Value::Bool(false)) {
            continue;
        }
        if operations(root).all(|operation| operation.id() != Some(id)) {
            let text = format!(
                "no operation in `paths` has the id `{id}`, so none is left out of the check of scopes"
            );
            faults.push(Fault::warning(check.pointer.clone(), text).on_key());
        }
        exempt.push(id.as_str());
    }
    exempt
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(check: Value, root: Value, own: Value) -> (Option<ScopeCheck>, Vec<Fault>) {
        let mut faults = Vec::new();
        let document = json!({
            "security": root,
            "paths": {
                "/a/{id}": {"get": {"operationId": "one", "security": own}, "summary": "x"},
                "/free": {"get": {"operationId": "free", "security": [{"idp": ["x"]}]}},
            },
            "x-tyk-api-gateway": {"middleware": {"operations": {
                "free": {"scopeCheck": {"enabled": false}}, "one": {"scopeCheck": {"enabled": true}},
            }}},
        });
        let mut written = json!({"enabled": true});
        written.as_object_mut().unwrap().extend(check.as_object().unwrap().clone());
        let scheme = json!({"scopeCheck": written});
        let root = Section::root(&document, &mut faults);
        let scheme = Section { object: scheme.as_object(), pointer: String::new() };
        let check = ScopeCheck::oas(&root, &scheme, "idp", &mut faults);
        (check, faults)
    }

    fn lists(scopes: &Scopes) -> Vec<Vec<&str>> {
        scopes.iter().map(|list| list.iter().map(|scope| &**scope).collect()).collect()
    }

    #[test]
    fn operations_ask_for_scopes_and_the_document_does() {
        let none: &[&[&str]] = &[];
        for (source, root, own, otherwise, operation) in [
            // What the document asks for without scopes takes nothing from an operation.
            ("union", json!([{"idp": []}]), json!([{"idp": ["a", "b"]}]), none, &[&["a", "b"][..]][..]),
            (
                "union",
                json!([{"idp": ["r"]}]),
                json!([{"idp": ["a"]}, {"idp": ["b"]}]),
                &[&["r"]],
                &[&["a"], &["b"], &["r"]],
            ),
            ("union", json!([{"idp": ["r"]}]), json!([{"idp": []}]), &[&["r"]], none),
            ("union", json!([{"idp": ["r"]}]), json!([{"other": ["a"]}]), &[&["r"]], &[&["r"]]),
            ("union", json!([{"idp": ["r"]}]), json!([]), &[&["r"]], &[&["r"]]),
            ("union", json!([{"idp": ["r"]}]), json!(null), &[&["r"]], &[&["r"]]),
            ("union", json!([{"idp": ["r"]}, {"idp": []}]), json!(null), none, none),
            ("operation", json!([{"idp": ["r"]}]), json!([{"idp": ["a"]}]), none, &[&["a"]]),
            ("operation", json!([{"idp": ["r"]}]), json!(null), none, none),
            (
                "global",
                json!([{"idp": ["r", "s"], "other": []}]),
                json!([{"idp": ["a"]}]),
                &[&["r", "s"]],
                &[&["r", "s"]],
            ),
        ] {
            let (check, faults) = read(json!({"scopeSource": source}), root.clone(), own.clone());
            let check = check.unwrap();
            assert_eq!(lists(&check.otherwise), otherwise, "{source} {root} {own}");
            assert_eq!((&*check.operations[0].method, &*check.operations[0].path), ("GET", "/a/{id}"));
            assert_eq!(lists(&check.operations[0].value), operation, "{source} {root} {own}");
            assert_eq!(lists(&check.operations[1].value), none, "it is exempt");
            assert!(faults.is_empty(), "{faults:?}");
        }
    }

    #[test]
    fn defaults_and_faults() {
        let (check, _) = read(json!({}), json!([]), json!([]));
        let check = check.unwrap();
        assert_eq!((&*check.claims, &*check.separator), (&["scope".into(), "scp".into()][..], " "));
        assert!(read(json!({"enabled": false}), json!([]), json!([])).0.is_none());
        for (check, own, expected) in [
            (json!({"scopeSource": "all"}), json!([]), "/scopeCheck/scopeSource"),
            (json!({}), json!([{"idp": "a"}]), "/paths/~1a~1{id}/get/security/0/idp"),
            (json!({}), json!([{"idp": ["a", 1]}]), "/paths/~1a~1{id}/get/security/0/idp/1"),
            (json!({}), json!([{"idp": ["a\"b"]}]), "/paths/~1a~1{id}/get/security/0/idp/0"),
            (json!({}), json!([{"idp": [""]}]), "/paths/~1a~1{id}/get/security/0/idp/0"),
        ] {
            let (_, faults) = read(check, json!([]), own);
            assert_eq!(faults.iter().map(|fault| &*fault.pointer).collect::<Vec<_>>(), [expected]);
        }
    }

    #[test]
    fn scopes_are_named_once() {
        let document = json!({"security": [{"idp": ["b"]}], "paths": {"/x": {"get": {"security": [{"idp": ["a", "b"]}]}}}});
        let root = Section::root(&document, &mut Vec::new());
        assert_eq!(ScopeCheck::named(&root, "idp"), ["b", "a"]);
    }
}
