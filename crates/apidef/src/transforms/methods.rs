//! The method with which the backend is asked, for single paths (contract 4.4 row 37).

use crate::AtPath;
use crate::at_path;
use crate::fields::{Field, acts};
use crate::section::Section;
use document::Fault;
use serde_json::Value;

/// `extended_paths.method_transforms`.
pub(crate) const CLASSIC: &[Field] = &[acts("path"), acts("method"), acts("disabled"), acts("to_method")];
/// `middleware.operations.*.transformRequestMethod`.
pub(crate) const OAS: &[Field] = &[acts("enabled"), acts("toMethod")];

/// Methods that the original sends; any other is refused when a request comes.
const SENT: [&str; 6] = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];

pub(super) fn classic(
    extended: &Section<'_>,
    ignore_case: bool,
    faults: &mut Vec<Fault>,
) -> Box<[AtPath<Box<str>>]> {
    at_path::classic(extended, "method_transforms", ignore_case, faults, |entry, faults| {
        method(entry, "to_method", faults)
    })
}

pub(super) fn oas(
    root: &Section<'_>,
    middleware: &Section<'_>,
    faults: &mut Vec<Fault>,
) -> Box<[AtPath<Box<str>>]> {
    at_path::oas(root, middleware, "transformRequestMethod", faults, |entry, faults| {
        method(entry, "toMethod", faults)
    })
}

fn method(entry: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Option<Box<str>> {
    let method = entry.text(key, faults).to_uppercase();
    if method.is_empty() {
        faults.push(Fault::error(entry.at(key), format!("`{key}` is missing: which method is it to be?")));
        return None;
    }
    if !SENT.contains(&&*method) {
        let text = format!("requests cannot be made to `{method}`: this path answers 405");
        faults.push(Fault::warning(entry.at(key), text).hint(format!("use one of {}", SENT.join(", "))));
    }
    Some(method.into())
}

pub(super) fn write_classic(methods: &[AtPath<Box<str>>], version: &mut Value) {
    at_path::write_classic(methods, "method_transforms", version, |method, entry| {
        entry["to_method"] = (&**method).into();
    });
}
