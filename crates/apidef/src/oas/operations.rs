//! The operations of an OpenAPI document: what requests of one method to one path have of their own.

use crate::at_path;
use crate::fields::in_use;
use crate::mcp;
use crate::section::Section;
use document::{Fault, pointer_join};
use serde_json::{Map, Value};

/// Something that counts for one operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation<T> {
    /// Method, upper case.
    pub method: Box<str>,
    /// Path below the listen path, with `{name}` for parameters.
    pub path: Box<str>,
    /// What counts there.
    pub value: T,
}

/// An operation as it is written.
pub(crate) struct Written<'v> {
    pub(crate) method: &'v str,
    pub(crate) path: &'v str,
    pub(crate) object: &'v Map<String, Value>,
    pub(crate) pointer: String,
}

/// Whether upper and lower case of paths are the same.
pub(crate) fn ignores_case(root: &Section<'_>, faults: &mut Vec<Fault>) -> bool {
    let extension = root.section(super::EXTENSION, faults);
    let global = extension.section("middleware", faults).section("global", faults);
    global.section("ignoreCase", faults).get("enabled").is_some_and(in_use)
}

/// Members of a path that are operations (OpenAPI 3.0, "Path Item Object").
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

impl<'v> Written<'v> {
    pub(crate) fn id(&self) -> Option<&'v str> {
        self.object.get("operationId").and_then(Value::as_str)
    }

    /// The method of JSON-RPC that it stands for, in documents of MCP.
    pub(crate) fn json_rpc_method(&self) -> Option<&'v str> {
        let (written, method, operation) = (self.path, self.method, self.object);
        let at_path = at_path::Operation { path: written.into(), written, method, operation };
        mcp::method_of("", Some(&at_path))
    }

    pub(crate) fn with<T>(&self, value: T) -> Operation<T> {
        Operation { method: self.method.to_ascii_uppercase().into(), path: self.path.into(), value }
    }
}

/// Every operation of a document.
pub(crate) fn operations<'v>(root: &Section<'v>) -> impl Iterator<Item = Written<'v>> {
    let at = root.at("paths");
    let paths = root.get("paths").and_then(Value::as_object).into_iter().flatten();
    paths.flat_map(move |(path, item)| {
        let at = pointer_join(&at, path);
        let members = item.as_object().into_iter().flatten();
        members.filter(|(method, _)| METHODS.contains(&method.as_str())).filter_map(
            move |(method, operation)| {
                let object = operation.as_object()?;
                Some(Written { method, path, object, pointer: pointer_join(&at, method) })
            },
        )
    })
}
