//! What is wrong with a value of a request or an answer: the place first, then what is asked for there (contract 3.5).

use std::fmt::Write as _;

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

/// Violations that are told, and the length of what is told of them, in bytes.
const MOST_TOLD: usize = 10;
const LONGEST: usize = 2048;

/// Every violation, joined by `; `; `None` where there is none. Places are told from `below` on.
pub(crate) fn violations(validator: &Validator, value: &Value, below: &str) -> Option<String> {
    if validator.is_valid(value) {
        return None;
    }
    let mut told = String::new();
    for error in validator.iter_errors(value).take(MOST_TOLD) {
        for (place, text) in describe(&error, below) {
            if !told.is_empty() {
                told.push_str("; ");
            }
            // Writing to a string cannot fail.
            let _ = match place.is_empty() {
                true => write!(told, "{text}"),
                false => write!(told, "Error at {place:?}: {text}"),
            };
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

fn describe(error: &ValidationError<'_>, below: &str) -> Vec<(String, String)> {
    let at = error.instance_path().as_str();
    let at = at.strip_prefix(below).unwrap_or(at).to_owned();
    let below = |name: &str| document::pointer_join(&at, name);
    let text = match error.kind() {
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            return vec![(below(name), format!("property {name:?} is missing"))];
        }
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            return unexpected
                .iter()
                .map(|name| (at.clone(), format!("property {name:?} is unsupported")))
                .collect();
        }
        Kind::Type { kind } => match &**error.instance() {
            Value::Null => "Value is not nullable".to_owned(),
            _ => format!("value must be {}", kinds(kind)),
        },
        Kind::Enum { options } => format!("value is not one of the allowed values {options}"),
        Kind::Constant { expected_value } => format!("value must be {expected_value}"),
        Kind::AnyOf { .. } => "doesn't match any schema from \"anyOf\"".to_owned(),
        Kind::OneOfNotValid { .. } => "value doesn't match any schema from \"oneOf\"".to_owned(),
        Kind::OneOfMultipleValid { .. } => "value matches more than one schema from \"oneOf\"".to_owned(),
        Kind::Not { .. } => "value must not match the schema of \"not\"".to_owned(),
        Kind::MinItems { limit } => format!("minimum number of items is {limit}"),
        Kind::MaxItems { limit } => format!("maximum number of items is {limit}"),
        Kind::UniqueItems => "duplicate items found".to_owned(),
        Kind::MinProperties { limit } => format!("there must be at least {limit} properties"),
        Kind::MaxProperties { limit } => format!("there must be at most {limit} properties"),
        Kind::MinLength { limit } => format!("minimum string length is {limit}"),
        Kind::MaxLength { limit } => format!("maximum string length is {limit}"),
        Kind::Pattern { pattern } => format!("string doesn't match the regular expression {pattern:?}"),
        Kind::Format { format } => format!("string doesn't match the format {format:?}"),
        Kind::MultipleOf { multiple_of } => format!("number must be a multiple of {multiple_of}"),
        Kind::Minimum { limit } => format!("number must be at least {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("number must be more than {limit}"),
        Kind::Maximum { limit } => format!("number must be at most {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("number must be less than {limit}"),
        Kind::FalseSchema => "it may not be sent".to_owned(),
        // The crate's own words; a value may be large, and what must not be told.
        _ => error.masked().to_string(),
    };
    vec![(at, text)]
}

fn kinds(kind: &TypeKind) -> String {
    let article = |kind: String| match kind.chars().next() {
        Some('a' | 'i' | 'o') => format!("an {kind}"),
        _ => format!("a {kind}"),
    };
    match kind {
        TypeKind::Single(kind) => article(kind.to_string()),
        TypeKind::Multiple(kinds) => {
            let mut kinds: Vec<String> = kinds.iter().map(|kind| article(kind.to_string())).collect();
            kinds.sort_unstable();
            kinds.join(" or ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn c3_5_the_place_is_told_and_what_is_asked_for_there() {
        let schema = json!({
            "type": "object", "required": ["name"], "additionalProperties": false, "minProperties": 1,
            "properties": {
                "name": {"type": "string", "minLength": 2, "pattern": "^[a-z]+$"},
                "age": {"type": ["integer", "null"], "minimum": 0, "exclusiveMaximum": 150},
                "kind": {"enum": ["a", 1]},
                "list": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
                "at": {"type": "string", "format": "date-time"},
                "made": false,
            },
        });
        let validator = crate::validation::compile(&schema, "").unwrap();
        for (value, told) in [
            (json!({"name": "bo"}), None),
            (json!([]), Some("value must be an object")),
            (json!({"name": null}), Some("Error at \"/name\": Value is not nullable")),
            (json!({"name": "bo", "x": 1}), Some("property \"x\" is unsupported")),
            (
                json!({"name": "bo", "age": "1"}),
                Some("Error at \"/age\": value must be a null or an integer"),
            ),
            (json!({"name": "bo", "age": -1}), Some("Error at \"/age\": number must be at least 0")),
            (
                json!({"name": "bo", "kind": 2}),
                Some("Error at \"/kind\": value is not one of the allowed values [\"a\",1]"),
            ),
            (json!({"name": "bo", "list": [1]}), Some("Error at \"/list/0\": value must be a boolean")),
            (
                json!({"name": "bo", "at": "noon"}),
                Some("Error at \"/at\": string doesn't match the format \"date-time\""),
            ),
            (json!({"name": "bo", "made": 1}), Some("Error at \"/made\": it may not be sent")),
            (
                json!({"name": "B"}),
                Some(
                    "Error at \"/name\": minimum string length is 2; \
                     Error at \"/name\": string doesn't match the regular expression \"^[a-z]+$\"",
                ),
            ),
        ] {
            assert_eq!(violations(&validator, &value, "").as_deref(), told, "{value}");
        }
    }
}
