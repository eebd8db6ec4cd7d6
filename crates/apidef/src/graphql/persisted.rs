//! Paths that stand for operations (contract 2.5, `persist_graphql`).

use crate::AtPath;
use crate::fields::{Field, acts};
use crate::section::Section;
use document::Fault;
use serde_json::{Map, Value, json};

/// `persist_graphql` of `extended_paths`.
pub(crate) const PERSISTED: &[Field] =
    &[acts("path"), acts("method"), acts("disabled"), acts("operation"), acts("variables")];

/// An operation that a path stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct PersistedOperation {
    /// A document.
    pub operation: Box<str>,
    /// Values of its variables; texts may name what requests bring.
    pub variables: Map<String, Value>,
}

/// `persist_graphql` of a classic version.
pub(crate) fn persisted(
    extended: &Section<'_>,
    ignore_case: bool,
    faults: &mut Vec<Fault>,
) -> Box<[AtPath<PersistedOperation>]> {
    use crate::at_path::{Methods, classic_for};
    // An entry without a method would leave its path to the upstream as it is asked for.
    classic_for(extended, "persist_graphql", Methods::Guarded, ignore_case, faults, |entry, faults| {
        let operation = entry.text("operation", faults);
        if operation.is_empty() {
            faults.push(Fault::error(
                entry.at("operation"),
                "`operation` is missing: what does the path stand for?",
            ));
            return None;
        }
        let variables = entry.section("variables", faults).object.cloned().unwrap_or_default();
        Some(PersistedOperation { operation: operation.into(), variables })
    })
}

/// What a classic version is to say of them.
pub(crate) fn write_persisted(operations: &[AtPath<PersistedOperation>], version: &mut Value) {
    crate::at_path::write_classic(operations, "persist_graphql", version, |one, entry| {
        entry["operation"] = json!(one.operation);
        entry["variables"] = one.variables.clone().into();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c2_5_persisted_operations() {
        let value = json!({"persist_graphql": [
            {"path": "/a/{id}", "method": "GET", "operation": "{ a }", "variables": {"id": "$path.id"}},
            {"path": "/b", "method": "GET"},
            {"path": "/c", "operation": "{ c }"},
            {"path": "/d", "disabled": true},
        ]});
        let mut faults = Vec::new();
        let read = persisted(&Section::root(&value, &mut faults), false, &mut faults);
        assert_eq!(read.iter().map(|at| &*at.path).collect::<Vec<_>>(), ["/a/{id}"]);
        assert_eq!(read[0].value.variables["id"], "$path.id");
        let places: Vec<&str> = faults.iter().map(|fault| &*fault.pointer).collect();
        assert_eq!(places, ["/persist_graphql/1/operation", "/persist_graphql/2"]);
    }
}
