//! What bodies have to be (contract 2.5 `validate_json`, 4.4 row 30).

use crate::AtPath;
use crate::at_path::{Methods, classic_for, write_classic};
use crate::fields::{Field, acts, ignored};
use crate::section::Section;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use document::Fault;
use serde_json::{Value, json};

/// `validate_json` of `extended_paths`.
pub(crate) const CLASSIC: &[Field] = &[
    acts("path"),
    acts("method"),
    acts("disabled"),
    acts("schema"),
    acts("schema_b64"),
    ignored("schema_version"),
    acts("error_response_code"),
];

/// The schema that bodies are looked at by.
#[derive(Debug, Clone, PartialEq)]
pub struct BodySchema {
    /// A JSON schema.
    pub schema: Value,
    /// Status of the refusal.
    pub status: u16,
}

pub(super) fn classic(
    extended: &Section<'_>,
    ignore_case: bool,
    faults: &mut Vec<Fault>,
) -> Box<[AtPath<BodySchema>]> {
    classic_for(extended, "validate_json", Methods::Guarded, ignore_case, faults, |entry, faults| {
        let status = refusal(entry, "error_response_code", faults)?;
        let schema = match (entry.get("schema"), entry.text("schema_b64", faults)) {
            (Some(schema @ Value::Object(members)), _) if !members.is_empty() => Some(schema.clone()),
            (None | Some(Value::Object(_)), encoded) if !encoded.is_empty() => {
                let text = STANDARD.decode(encoded).ok();
                text.and_then(|text| serde_json::from_slice(&text).ok()).filter(Value::is_object)
            }
            _ => None,
        };
        if schema.is_none() {
            let at = if entry.get("schema").is_some() { entry.at("schema") } else { entry.pointer.clone() };
            let fault = Fault::error(at, "there is no schema to look at bodies by");
            faults.push(fault.hint("`schema` is an object, `schema_b64` the same as JSON in Base64"));
        }
        schema.map(|schema| BodySchema { schema, status })
    })
}

/// The status of a refusal; 422 where none is named.
pub(crate) fn refusal(entry: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Option<u16> {
    match entry.number(key, faults) {
        0.0 => Some(422),
        number if number.fract() == 0.0 && (400.0..600.0).contains(&number) => Some(number as u16),
        number => {
            let fault = Fault::error(entry.at(key), format!("{number} is no status of a refusal"));
            faults.push(fault.hint("use a number from 400 to 599"));
            None
        }
    }
}

pub(super) fn write(schemas: &[AtPath<BodySchema>], version: &mut Value) {
    write_classic(schemas, "validate_json", version, |schema, entry| {
        entry["schema"] = schema.schema.clone();
        entry["error_response_code"] = json!(schema.status);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c2_5_row_14_schemas_of_bodies() {
        let encoded = STANDARD.encode(r#"{"type": "string"}"#);
        let value = json!({"validate_json": [
            {"path": "/a", "method": "POST", "schema": {"type": "object"}},
            {"path": "/b", "method": "POST", "schema_b64": encoded, "error_response_code": 400},
            {"path": "/c", "method": "POST"},
            {"path": "/d", "method": "POST", "schema": {}},
            {"path": "/e", "method": "POST", "schema_b64": "e30"},
            {"path": "/f", "method": "POST", "schema": {"type": "object"}, "error_response_code": 200},
            {"path": "/g", "schema": {"type": "object"}},
        ]});
        let mut faults = Vec::new();
        let root = Section::root(&value, &mut faults);
        let schemas = classic(&root, false, &mut faults);
        let read: Vec<_> =
            schemas.iter().map(|at| (&*at.path, at.value.status, at.value.schema.to_string())).collect();
        assert_eq!(
            read,
            [("/a", 422, r#"{"type":"object"}"#.to_owned()), ("/b", 400, r#"{"type":"string"}"#.to_owned())]
        );
        let pointers: Vec<&str> = faults.iter().map(|fault| &*fault.pointer).collect();
        assert_eq!(
            pointers,
            [
                "/validate_json/2",
                "/validate_json/3/schema",
                "/validate_json/4",
                "/validate_json/5/error_response_code",
                "/validate_json/6",
            ]
        );
    }
}
