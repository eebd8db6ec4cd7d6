//! Whatever a schema of bodies and a body are: the schema is compiled or refused in words, and what is said of the body is short.
//! Of schemas of a few plain keywords it says what a reading of each of them says (contract 2.5 `validate_json`).
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

// Only what compiles and tells: the rest of the gateway would make this target's build a hundred times longer.
#[allow(dead_code, reason = "the rest of the gateway uses what this target does not")]
#[path = "../../crates/gateway/src/validation"]
mod validation {
    /// As in the room itself.
    const MAX_PATTERN: usize = 1 << 20;

    pub mod compile;
    mod effort;
    pub mod message;
}

use validation::compile::compile;
use validation::message::violations;

const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "integer", "string"];
const NAMES: [&str; 3] = ["a", "b", ""];

/// Numbers that a float holds exactly; `None` for others.
fn exact(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.abs() < 9e15)
}

/// What a plain reading says; `None` where it has to leave that to others.
fn fits(schema: &Value, value: &Value) -> Option<bool> {
    let mut fits = true;
    for (key, said) in schema.as_object()? {
        fits &= match (key.as_str(), value) {
            ("type", value) => {
                let is = match value {
                    Value::Null => "null",
                    Value::Bool(_) => "boolean",
                    Value::Object(_) => "object",
                    Value::Array(_) => "array",
                    Value::String(_) => "string",
                    Value::Number(_) if exact(value)?.fract() == 0.0 => "integer",
                    Value::Number(_) => "number",
                };
                said == is || (said == "number" && is == "integer")
            }
            ("required", Value::Object(members)) => {
                said.as_array()?.iter().all(|name| members.contains_key(name.as_str().unwrap_or_default()))
            }
            ("enum", value) if !holds_numbers(value) => said.as_array()?.contains(value),
            ("enum", Value::Number(_)) => {
                let number = exact(value)?;
                said.as_array()?.iter().any(|one| exact(one) == Some(number))
            }
            ("enum", _) => return None,
            ("minimum", Value::Number(_)) => exact(value)? >= exact(said)?,
            ("maxLength", Value::String(text)) => text.chars().count() as u64 <= said.as_u64()?,
            ("required" | "minimum" | "maxLength", _) => true,
            _ => return None,
        };
    }
    Some(fits)
}

/// Numbers are the same however they are written, and those within others are left to others.
fn holds_numbers(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::Array(items) => items.iter().any(holds_numbers),
        Value::Object(members) => members.values().any(holds_numbers),
        _ => false,
    }
}

fn judged(schema: &Value, value: &Value) -> Option<bool> {
    let validator = match compile(schema, "/at") {
        Ok(validator) => validator,
        Err(fault) => {
            assert!(fault.pointer.starts_with("/at") && !fault.message.is_empty());
            return None;
        }
    };
    let told = violations(&validator, value);
    assert!(told.as_ref().is_none_or(|told| !told.is_empty() && told.len() <= 4096 + '…'.len_utf8()));
    Some(told.is_none())
}

fuzz_target!(|input: (&str, &str, u16, i16, u8)| {
    let (schema, value, picked, minimum, length) = input;
    let Ok(value) = serde_json::from_str::<Value>(value) else { return };
    if let Ok(schema) = serde_json::from_str::<Value>(schema) {
        let judged = judged(&schema, &value);
        if let (Some(judged), Some(fits)) = (judged, plain(&schema).then(|| fits(&schema, &value)).flatten()) {
            assert_eq!(judged, fits, "{schema} of {value}");
        }
    }
    // A schema of plain keywords alone, so that no input is lost on its frame.
    let mut schema = json!({});
    let on = |bit: u16| picked >> bit & 1 == 1;
    if on(0) {
        schema["type"] = json!(TYPES[usize::from(picked >> 8) % TYPES.len()]);
    }
    if on(1) {
        schema["required"] = json!(&NAMES[..=usize::from(picked >> 11) % NAMES.len()]);
    }
    if on(2) {
        schema["enum"] = json!([null, true, "a", "é", minimum, 1.0, [], {"a": "b"}]);
    }
    if on(3) {
        schema["minimum"] = json!(minimum);
    }
    if on(4) {
        schema["maxLength"] = json!(length);
    }
    let judged = judged(&schema, &value).expect("this is a schema");
    if let Some(fits) = fits(&schema, &value) {
        assert_eq!(judged, fits, "{schema} of {value}");
    }
});

/// Whether a schema says nothing but what the plain reading knows, and says it as it has to be said.
fn plain(schema: &Value) -> bool {
    let members = schema.as_object().into_iter().flatten();
    schema.is_object()
        && members.clone().all(|(key, said)| match key.as_str() {
            "type" => said.as_str().is_some_and(|said| TYPES.contains(&said)),
            "required" => said.as_array().is_some_and(|names| names.iter().all(Value::is_string)),
            "enum" => said.is_array(),
            "minimum" => said.is_number(),
            "maxLength" => said.is_u64(),
            _ => false,
        })
}
