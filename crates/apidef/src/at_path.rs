//! What counts for single methods and paths: lists of `extended_paths`, or a key of operations (contract 2.5, 3.1, 3.2, 4.3).

use crate::fields::{LEFT_OPEN, in_use};
use crate::mcp::{self, CallKind, OfCall};
use crate::rights::{PathMatching, path_pattern};
use crate::section::Section;
use document::{Fault, pointer_join};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;

/// Something that counts for one method and path.
#[derive(Debug, Clone, PartialEq)]
pub struct AtPath<T> {
    /// Method, upper case; empty for every method.
    pub method: Box<str>,
    /// Pattern of the path below the listen path (contract 4.3).
    pub path: Box<str>,
    /// Upper and lower case of the path are the same.
    pub ignore_case: bool,
    /// What counts there.
    pub value: T,
    /// Where it stands.
    pub at: WrittenAt,
}

/// A JSON pointer into the definition that something was read from, for faults that are found later. What is the same in
/// two places is the same.
#[derive(Debug, Clone, Default)]
pub struct WrittenAt(pub Box<str>);

impl PartialEq for WrittenAt {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl From<String> for WrittenAt {
    fn from(pointer: String) -> Self {
        Self(pointer.into())
    }
}

/// What an entry means that names no method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Methods {
    /// It counts for all of them.
    Any,
    /// It counts for no request, which is told.
    One,
    /// The same, and what it guards would be left open: the definition is refused.
    Guarded,
}

/// The entries of one list of `extended_paths` that are on; those that name no method are told, and count for nothing.
pub(crate) fn classic<T>(
    extended: &Section<'_>,
    key: &str,
    ignore_case: bool,
    faults: &mut Vec<Fault>,
    read: impl FnMut(&Section<'_>, &mut Vec<Fault>) -> Option<T>,
) -> Box<[AtPath<T>]> {
    classic_for(extended, key, Methods::One, ignore_case, faults, read)
}

/// The same; `methods` is what entries mean that name no method.
pub(crate) fn classic_for<T>(
    extended: &Section<'_>,
    key: &str,
    methods: Methods,
    ignore_case: bool,
    faults: &mut Vec<Fault>,
    mut read: impl FnMut(&Section<'_>, &mut Vec<Fault>) -> Option<T>,
) -> Box<[AtPath<T>]> {
    let mut all = Vec::new();
    for entry in entries(extended, key) {
        if entry.flag("disabled", faults) {
            continue;
        }
        let (method, path) = (entry.text("method", faults).to_uppercase(), entry.text("path", faults));
        let ignore_case = ignore_case || entry.get("ignore_case").is_some_and(in_use);
        let Some(value) = read(&entry, faults) else { continue };
        check_path(path, || entry.at("path"), faults);
        if method.is_empty() && methods != Methods::Any {
            let message = "this names no `method`, so that it counts for no request";
            faults.push(match methods {
                Methods::Guarded => {
                    Fault::error(entry.pointer, format!("{message}: its path is {LEFT_OPEN}"))
                }
                _ => Fault::warning(entry.pointer, message),
            });
            continue;
        }
        let (method, path) = (method.into(), path.into());
        all.push(AtPath { method, path, ignore_case, value, at: entry.pointer.into() });
    }
    all.into()
}

/// The entries of a list of objects.
pub(crate) fn entries<'v>(holder: &Section<'v>, key: &str) -> impl Iterator<Item = Section<'v>> {
    let at = holder.at(key);
    let list = holder.get(key).and_then(Value::as_array);
    list.into_iter().flatten().enumerate().map(move |(index, entry)| Section {
        object: entry.as_object(),
        pointer: pointer_join(&at, &index.to_string()),
    })
}

/// One key of every operation where it is on, in the order in which paths are tried; path and method are those of the
/// operation.
pub(crate) fn oas<T>(
    root: &Section<'_>,
    middleware: &Section<'_>,
    key: &str,
    faults: &mut Vec<Fault>,
    mut read: impl FnMut(&Section<'_>, &mut Vec<Fault>) -> Option<T>,
) -> Box<[AtPath<T>]> {
    oas_with(root, middleware, key, faults, |entry, _, faults| read(entry, faults))
}

/// The same, of what the document says of the operation, too.
pub(crate) fn oas_with<T>(
    root: &Section<'_>,
    middleware: &Section<'_>,
    key: &str,
    faults: &mut Vec<Fault>,
    read: impl FnMut(&Section<'_>, &Operation<'_>, &mut Vec<Fault>) -> Option<T>,
) -> Box<[AtPath<T>]> {
    oas_by(root, middleware, key, |operation, faults| operation.section(key, faults), faults, read)
}

/// The same, where the key holds something else than one section: `entry` gives that of an operation.
pub(crate) fn oas_by<T>(
    root: &Section<'_>,
    middleware: &Section<'_>,
    key: &str,
    entry: impl for<'v> Fn(&Section<'v>, &mut Vec<Fault>) -> Section<'v>,
    faults: &mut Vec<Fault>,
    mut read: impl FnMut(&Section<'_>, &Operation<'_>, &mut Vec<Fault>) -> Option<T>,
) -> Box<[AtPath<T>]> {
    let named = middleware.section("operations", faults);
    let calls = mcp::speaks(root, faults);
    let primitives = if calls { mcp::primitives(middleware, faults) } else { Vec::new() };
    let says = |entry: &Value| entry.get(key).is_some();
    if !named.object.into_iter().flat_map(Map::values).any(says)
        && !primitives.iter().any(|one| one.section.get(key).is_some())
    {
        return Box::default();
    }
    let operations = Operations::of(root);
    let of_paths = mcp::OF_PATHS.contains(&key);
    let ignore_case = middleware.section("global", faults).section("ignoreCase", faults);
    let ignore_case = ignore_case.get("enabled").is_some_and(in_use);
    let mut all = Vec::new();
    for id in named.object.into_iter().flat_map(Map::keys) {
        let holder = named.section(id, faults);
        if calls && let Some(method) = mcp::method_of(id, operations.get(id)) {
            let call = OfCall { kind: CallKind::Method, name: method, section: holder };
            all.extend(of_call(&call, key, of_paths, &entry, faults, &mut read));
            continue;
        }
        let entry = entry(&holder, faults);
        if !entry.flag("enabled", faults) {
            continue;
        }
        let Some(operation) = operations.get(id) else {
            let message = format!("no operation in `paths` has the id `{id}`, so this counts nowhere");
            faults.push(Fault::error(entry.pointer, message).on_key());
            continue;
        };
        let Some(value) = read(&entry, operation, faults) else { continue };
        check_path(&operation.path, || pointer_join("/paths", operation.written), faults);
        let (method, path) = (operation.method.to_uppercase().into(), operation.path.as_ref().into());
        let ignore_case = ignore_case || entry.get("ignoreCase").is_some_and(in_use);
        all.push(AtPath { method, path, ignore_case, value, at: entry.pointer.into() });
    }
    for call in &primitives {
        all.extend(of_call(call, key, of_paths, &entry, faults, &mut read));
    }
    all.sort_by(|a, b| precedence(&a.path).cmp(&precedence(&b.path)));
    all.into()
}

/// The same key of what is said of one call of MCP.
fn of_call<T>(
    call: &OfCall<'_>,
    key: &str,
    of_paths: bool,
    entry: &impl for<'v> Fn(&Section<'v>, &mut Vec<Fault>) -> Section<'v>,
    faults: &mut Vec<Fault>,
    read: &mut impl FnMut(&Section<'_>, &Operation<'_>, &mut Vec<Fault>) -> Option<T>,
) -> Option<AtPath<T>> {
    if of_paths {
        mcp::without_effect(&call.section, key, faults);
        return None;
    }
    let entry = entry(&call.section, faults);
    if !entry.flag("enabled", faults) {
        return None;
    }
    if entry.get("ignoreCase").is_some_and(in_use) {
        let text = "names of calls are compared as they are written, so this has no effect";
        faults.push(Fault::warning(entry.at("ignoreCase"), text).on_key());
    }
    let operation = mcp::operation(call.kind, call.name);
    let value = read(&entry, &operation, faults)?;
    let (method, path) = ("POST".into(), operation.path.into());
    Some(AtPath { method, path, ignore_case: false, value, at: entry.pointer.into() })
}

/// Writes such a list into `extended_paths` of a version; `entry` adds what is not path and method.
pub(crate) fn write_classic<T>(
    all: &[AtPath<T>],
    key: &str,
    version: &mut Value,
    entry: impl Fn(&T, &mut Value),
) {
    if all.is_empty() {
        return;
    }
    let written = all.iter().map(|one| {
        let mut written = json!({"path": one.path, "method": one.method, "disabled": false});
        entry(&one.value, &mut written);
        written
    });
    version["extended_paths"][key] = written.collect();
    if all.iter().any(|one| one.ignore_case) {
        version["ignore_endpoint_case"] = true.into();
    }
}

/// What paths of OpenAPI documents are ordered by: most segments first, then the longer one without its parameters, which
/// are compared as nothing, then as letters are ordered.
pub(crate) fn precedence(path: &str) -> (Reverse<usize>, Reverse<usize>, &str) {
    let segments = path.matches('/').count();
    let length: usize = path.split('/').filter(|segment| !segment.contains('{')).map(str::len).sum();
    (Reverse(segments), Reverse(length), path)
}

/// A pattern that cannot be used is a fault where it stands.
pub(crate) fn check_path(path: &str, pointer: impl FnOnce() -> String, faults: &mut Vec<Fault>) {
    if mcp::call_at(path).is_some() {
        // The name of a call is no pattern.
    } else if path.is_empty() {
        faults.push(Fault::error(pointer(), "there is no `path`").hint("write `/` for every path"));
    } else if !is_plain(path)
        && let Err(error) = path_pattern(path, PathMatching::default())
    {
        let told = error.to_string();
        let why = told.lines().last().unwrap_or_default().trim();
        let message =
            format!("`{path}` is no usable pattern: {}", why.strip_prefix("error: ").unwrap_or(why));
        faults.push(Fault::error(pointer(), message));
    }
}

/// Whether a path is a usable pattern at first sight, as nearly all are.
fn is_plain(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte))
}

/// An operation of an OpenAPI document.
#[derive(Debug, Clone)]
pub(crate) struct Operation<'v> {
    /// Pattern of its path.
    pub(crate) path: Cow<'v, str>,
    /// The path as the document has it.
    pub(crate) written: &'v str,
    /// Lower case.
    pub(crate) method: &'v str,
    /// What the document says of it.
    pub(crate) operation: &'v Map<String, Value>,
}

/// The operations of an OpenAPI document by id (contract 3.1, "Operation binding").
#[derive(Debug)]
pub(crate) struct Operations<'v>(HashMap<Cow<'v, str>, Operation<'v>>);

/// Methods that a path of a document may have.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

impl<'v> Operations<'v> {
    pub(crate) fn of(root: &Section<'v>) -> Self {
        let mut operations = HashMap::new();
        let paths = root.get("paths").and_then(Value::as_object);
        for (written, item) in paths.into_iter().flatten() {
            let Some(item) = item.as_object() else { continue };
            for method in METHODS {
                let Some(operation) = item.get(method).and_then(Value::as_object) else { continue };
                let id = match operation.get("operationId").and_then(Value::as_str) {
                    Some(id) if !id.is_empty() => Cow::Borrowed(id),
                    _ => id_of_place(method, written).into(),
                };
                let path = pattern(written, item, operation);
                operations.insert(id, Operation { path, written, method, operation });
            }
        }
        Self(operations)
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Operation<'v>> {
        self.0.get(id)
    }

    /// The id of the operation of a method and the pattern of a path.
    pub(crate) fn id_of(&self, method: &str, path: &str) -> Option<&str> {
        let is = |operation: &Operation<'_>| {
            operation.method.eq_ignore_ascii_case(method)
                && (operation.path == path || operation.written == path)
        };
        self.0.iter().find(|(_, operation)| is(operation)).map(|(id, _)| &**id)
    }
}

/// The id of an operation that has none.
pub(crate) fn id_of_place(method: &str, path: &str) -> String {
    format!("{}{}", path.trim_start_matches('/'), method.to_uppercase())
}

/// Parameters that stand for a regular expression of a classic path have it as the pattern of their schema.
fn pattern<'v>(
    written: &'v str,
    item: &'v Map<String, Value>,
    operation: &'v Map<String, Value>,
) -> Cow<'v, str> {
    if !written.contains("{customRegex") {
        return written.into();
    }
    let mut path = written.to_owned();
    for parameter in
        [item, operation].into_iter().filter_map(|holder| holder.get("parameters")?.as_array()).flatten()
    {
        let name = parameter.get("name").and_then(Value::as_str).unwrap_or_default();
        let pattern = parameter.pointer("/schema/pattern").and_then(Value::as_str);
        if let Some(pattern) = pattern.filter(|_| name.starts_with("customRegex")) {
            path = path.replace(&format!("{{{name}}}"), pattern);
        }
    }
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &Value) -> (Vec<(String, String)>, Vec<String>) {
        let mut faults = Vec::new();
        let root = Section::root(value, &mut faults);
        let middleware = root.section("middleware", &mut faults);
        let found = oas(&root, &middleware, "allow", &mut faults, |_, _| Some(()));
        let found = found.iter().map(|at| (at.method.to_string(), at.path.to_string())).collect();
        (found, faults.into_iter().map(|fault| fault.pointer).collect())
    }

    #[test]
    fn operations_are_tried_from_the_longest_path() {
        let on = json!({"allow": {"enabled": true}});
        let value = json!({
            "paths": {
                "/{id}": {"get": {"operationId": "any"}},
                "/api/{id}": {"get": {}},
                "/api/user": {"get": {"operationId": "user"}, "post": {"operationId": ""}},
                "/api/user-access": {"get": {"operationId": "access"}},
                "/api/user/profile": {"get": {"operationId": "profile"}},
                "/{customRegex1}": {"put": {"operationId": "regex", "parameters": [
                    {"name": "customRegex1", "in": "path", "schema": {"type": "string", "pattern": "[a-z]+"}},
                ]}},
            },
            "middleware": {"operations": {
                "any": on, "api/{id}GET": on, "user": on, "api/userPOST": on, "access": on, "profile": on, "regex": on,
                "off": {"allow": {"enabled": false}}, "gone": on,
            }},
        });
        let (found, faults) = read(&value);
        let found: Vec<(&str, &str)> = found.iter().map(|(method, path)| (&**method, &**path)).collect();
        assert_eq!(
            found,
            [
                ("GET", "/api/user/profile"),
                ("GET", "/api/user-access"),
                ("GET", "/api/user"),
                ("POST", "/api/user"),
                ("GET", "/api/{id}"),
                ("PUT", "/[a-z]+"),
                ("GET", "/{id}"),
            ]
        );
        assert_eq!(faults, ["/middleware/operations/gone/allow"]);
    }

    #[test]
    fn entries_without_a_method() {
        let value = json!({"list": [
            {"path": "/a", "method": "get"}, {"path": "/b"}, {"path": "/c", "disabled": true}, {"path": "/(", "method": "GET"},
            {"method": "GET"},
        ]});
        for (methods, paths, faulty, errors) in [
            (Methods::Any, &["/a", "/b", "/(", ""][..], &["/list/3/path", "/list/4/path"][..], 2),
            (Methods::One, &["/a", "/(", ""], &["/list/1", "/list/3/path", "/list/4/path"], 2),
            (Methods::Guarded, &["/a", "/(", ""], &["/list/1", "/list/3/path", "/list/4/path"], 3),
        ] {
            let mut faults = Vec::new();
            let root = Section::root(&value, &mut faults);
            let found = classic_for(&root, "list", methods, false, &mut faults, |_, _| Some(()));
            assert_eq!(found.iter().map(|at| &*at.path).collect::<Vec<_>>(), paths, "{methods:?}");
            assert_eq!(faults.iter().map(|fault| &*fault.pointer).collect::<Vec<_>>(), faulty, "{methods:?}");
            assert_eq!(faults.iter().filter(|fault| fault.is_error()).count(), errors, "{methods:?}");
        }
    }
}
