//! JSON schemas, compiled (contract 2.5 `validate_json`).

use document::Fault;
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use super::MAX_PATTERN;
use super::effort::{self, Efforts};

/// Compiles a schema. Its references lead nowhere but into itself, and its patterns cannot take more time for a text than
/// in proportion to its length.
pub(crate) fn compile(schema: &Value, at: &str) -> Result<Validator, Fault> {
    if let Some(place) = Efforts::new(schema).too_much(schema) {
        return Err(Fault::error(
            format!("{at}{place}"),
            format!("the schema cannot be used: {}", effort::told()),
        ));
    }
    let options = jsonschema::options()
        .with_draft(draft(schema))
        .should_validate_formats(true)
        .with_pattern_options(PatternOptions::regex().size_limit(MAX_PATTERN));
    options.build(schema).map_err(|error| {
        let place = error.instance_path().as_str().to_owned();
        Fault::error(format!("{at}{place}"), format!("the schema cannot be used: {error}"))
    })
}

/// The version of JSON Schema that a schema is written in. Without `$schema` it is the one that old definitions are written
/// for, or, where nothing of it is used, a later one.
fn draft(schema: &Value) -> Draft {
    if schema.get("$schema").is_some() {
        return Draft::default().detect(schema);
    }
    if has_old_limits(schema, 0) { Draft::Draft4 } else { Draft::Draft7 }
}

/// Whether `exclusiveMinimum` or `exclusiveMaximum` is true or false somewhere, as it is in draft 4 alone.
fn has_old_limits(schema: &Value, depth: usize) -> bool {
    match schema {
        _ if depth > 64 => false,
        Value::Object(members) => members.iter().any(|(name, value)| {
            (matches!(&**name, "exclusiveMinimum" | "exclusiveMaximum") && value.is_boolean())
                || has_old_limits(value, depth + 1)
        }),
        Value::Array(items) => items.iter().any(|item| has_old_limits(item, depth + 1)),
        _ => false,
    }
}
