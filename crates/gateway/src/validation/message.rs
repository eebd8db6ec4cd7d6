//! What is wrong with a value, in the words that clients of the original know.

use std::fmt::Write as _;

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

/// Violations that are told, and the length of what is told of them, in bytes.
const MOST_TOLD: usize = 20;
const LONGEST: usize = 4096;

/// Every violation, joined by `; `; `None` where there is none.
pub(crate) fn violations(validator: &Validator, value: &Value) -> Option<String> {
    if validator.is_valid(value) {
        return None;
    }
    let mut told = String::new();
    for error in validator.iter_errors(value).take(MOST_TOLD) {
        let field = field(&error);
        for text in describe(&error, &field) {
            if !told.is_empty() {
                told.push_str("; ");
            }
            // Writing to a string cannot fail.
            let _ = write!(told, "{field}: {text}");
        }
        if told.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|at| told.is_char_boundary(*at)).unwrap_or_default();
            told.truncate(end);
            told.push('…');
            break;
        }
    }
    Some(told)
}

/// The place of a value, with dots.
fn field(error: &ValidationError<'_>) -> String {
    let pointer = error.instance_path().as_str();
    if pointer.is_empty() {
        return "(root)".to_owned();
    }
    pointer.trim_start_matches('/').replace('/', ".").replace("~1", "/").replace("~0", "~")
}

fn describe(error: &ValidationError<'_>, field: &str) -> Vec<String> {
    let one = |text: String| vec![text];
    match error.kind() {
        Kind::Required { property } => one(format!("{} is required", text(property))),
        Kind::Type { kind } => {
            one(format!("Invalid type. Expected: {}, given: {}", expected(kind), given(error.instance())))
        }
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            unexpected.iter().map(|name| format!("Additional property {name} is not allowed")).collect()
        }
        Kind::AdditionalItems { .. } | Kind::UnevaluatedItems { .. } => {
            one("No additional items allowed on array".to_owned())
        }
        Kind::AnyOf { .. } => one("Must validate at least one schema (anyOf)".to_owned()),
        Kind::OneOfNotValid { .. } | Kind::OneOfMultipleValid { .. } => {
            one("Must validate one and only one schema (oneOf)".to_owned())
        }
        Kind::Not { .. } => one("Must not validate the schema (not)".to_owned()),
        Kind::Enum { options } => {
            let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
            let options: Vec<String> = options.iter().map(Value::to_string).collect();
            one(format!("{field} must be one of the following: {}", options.join(", ")))
        }
        Kind::Constant { expected_value } => one(format!("{field} does not match: {expected_value}")),
        Kind::Contains => one("At least one of the items must match".to_owned()),
        Kind::MinItems { limit } => one(format!("Array must have at least {limit} items")),
        Kind::MaxItems { limit } => one(format!("Array must have at most {limit} items")),
        Kind::UniqueItems => one("array items must be unique".to_owned()),
        Kind::MinProperties { limit } => one(format!("Must have at least {limit} properties")),
        Kind::MaxProperties { limit } => one(format!("Must have at most {limit} properties")),
        Kind::MinLength { limit } => one(format!("String length must be greater than or equal to {limit}")),
        Kind::MaxLength { limit } => one(format!("String length must be less than or equal to {limit}")),
        Kind::Pattern { pattern } => one(format!("Does not match pattern '{pattern}'")),
        Kind::Format { format } => one(format!("Does not match format '{format}'")),
        Kind::MultipleOf { multiple_of } => one(format!("Must be a multiple of {multiple_of}")),
        Kind::Minimum { limit } => one(format!("Must be greater than or equal to {limit}")),
        Kind::ExclusiveMinimum { limit } => one(format!("Must be greater than {limit}")),
        Kind::Maximum { limit } => one(format!("Must be less than or equal to {limit}")),
        Kind::ExclusiveMaximum { limit } => one(format!("Must be less than {limit}")),
        Kind::PropertyNames { error } => describe(error, field),
        // The crate's own words; a value may be large, and what must not be told.
        _ => one(error.masked().to_string()),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn expected(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(kind) => kind.to_string(),
        TypeKind::Multiple(kinds) => {
            let mut kinds: Vec<String> = kinds.iter().map(|kind| kind.to_string()).collect();
            kinds.sort_unstable();
            format!("[{}]", kinds.join(","))
        }
    }
}

fn given(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validation::compile;
    use serde_json::json;

    #[test]
    fn c4_4_row_30_violations_are_joined() {
        let schema = json!({
            "type": "object", "required": ["name"], "additionalProperties": false,
            "properties": {
                "name": {"type": "string", "minLength": 2, "pattern": "^[a-z]+$"},
                "age": {"type": ["integer", "null"], "minimum": 0, "exclusiveMaximum": 150},
                "kind": {"enum": ["a", 1]},
                "list": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
                "at": {"type": "string", "format": "date-time"},
            },
        });
        let validator = compile(&schema, "").unwrap();
        for (value, told) in [
            (json!({"name": "bo", "age": 7, "list": [true]}), None),
            (json!({}), Some("(root): name is required")),
            (json!([]), Some("(root): Invalid type. Expected: object, given: array")),
            (json!({"name": 1.5}), Some("name: Invalid type. Expected: string, given: number")),
            (json!({"name": "bo", "x": 1}), Some("(root): Additional property x is not allowed")),
            (
                json!({"name": "bo", "age": "1"}),
                Some("age: Invalid type. Expected: [integer,null], given: string"),
            ),
            (json!({"name": "bo", "age": -1}), Some("age: Must be greater than or equal to 0")),
            (json!({"name": "bo", "age": 150}), Some("age: Must be less than 150")),
            (json!({"name": "bo", "kind": 2}), Some("kind: kind must be one of the following: \"a\", 1")),
            (
                json!({"name": "bo", "list": [1]}),
                Some("list.0: Invalid type. Expected: boolean, given: integer"),
            ),
            (
                json!({"name": "bo", "list": [true, true, true]}),
                Some("list: Array must have at most 2 items"),
            ),
            (json!({"name": "bo", "at": "noon"}), Some("at: Does not match format 'date-time'")),
            (
                json!({"name": "B"}),
                Some(
                    "name: String length must be greater than or equal to 2; name: Does not match pattern '^[a-z]+$'",
                ),
            ),
        ] {
            assert_eq!(violations(&validator, &value).as_deref(), told, "{value}");
        }
    }

    #[test]
    fn what_is_told_has_an_end() {
        let validator = compile(&json!({"additionalProperties": false}), "").unwrap();
        let many: serde_json::Map<String, Value> = (0..5000).map(|n| (format!("é{n}"), json!(n))).collect();
        assert!(violations(&validator, &Value::Object(many)).unwrap().len() <= LONGEST + 3);
    }

    #[test]
    fn schemas_that_are_none_are_told_with_their_place() {
        for (schema, place) in [
            (json!({"type": "strange"}), "/at/type"),
            (json!({"properties": {"a": {"minimum": "1"}}}), "/at/properties/a/minimum"),
            (json!({"$ref": "http://elsewhere.example/schema"}), "/at"),
            (json!({"$ref": "#/none"}), "/at"),
            (json!({"pattern": "("}), "/at/pattern"),
            (json!({"pattern": "(?=a)"}), "/at/pattern"),
        ] {
            let fault = compile(&schema, "/at").unwrap_err();
            assert!(fault.pointer.starts_with("/at"), "{schema}: {}", fault.pointer);
            if place != "/at" {
                assert_eq!(fault.pointer, place, "{schema}: {}", fault.message);
            }
        }
        // Both ways to exclude a limit are known.
        for (schema, value) in [
            (json!({"minimum": 1, "exclusiveMinimum": true}), json!(1)),
            (json!({"exclusiveMinimum": 1}), json!(1)),
            (
                json!({"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": true}),
                json!(1),
            ),
        ] {
            assert!(violations(&compile(&schema, "").unwrap(), &value).is_some(), "{schema}");
        }
    }
}
