//! The JSON schema of OAS definitions, written from the tables that read them.

use super::table;
use crate::fields::{Field, Means};
use serde_json::{Map, Value, json};

/// The schema for a version of OpenAPI: `3.0` or `3.1`, with or without a patch number. `None` for others.
pub fn schema(version: &str) -> Option<Value> {
    let minor = ["3.0", "3.1"].into_iter().find(|known| {
        version.strip_prefix(known).is_some_and(|rest| {
            rest.is_empty() || rest.strip_prefix('.').is_some_and(|patch| patch.parse::<u8>().is_ok())
        })
    })?;
    let mut properties = properties(table::ROOT);
    properties["openapi"] =
        json!({"type": "string", "pattern": format!("^{}(\\.|$)", minor.replace('.', "\\."))});
    properties["info"] = json!({
        "type": "object", "required": ["title", "version"],
        "properties": {"title": {"type": "string"}, "version": {"type": "string"}},
    });
    properties["x-tyk-api-gateway"]["required"] = json!(["info", "server"]);
    // OpenAPI 3.1 asks for one of `paths`, `components` and `webhooks` only.
    let required: &[&str] = if minor == "3.0" {
        &["openapi", "info", "paths", "x-tyk-api-gateway"]
    } else {
        &["openapi", "info", "x-tyk-api-gateway"]
    };
    Some(json!({
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": format!("OpenAPI {minor} with x-tyk-api-gateway"),
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": true,
    }))
}

fn properties(fields: &[Field]) -> Value {
    let described: Map<String, Value> =
        fields.iter().map(|field| (field.name.to_owned(), property(&field.means))).collect();
    Value::Object(described)
}

/// Unknown keys are kept, so every object may have more.
fn property(means: &Means) -> Value {
    match means {
        Means::Acts => json!({}),
        Means::Kept | Means::Ignored => json!({"description": "Kept as it is."}),
        Means::Section(fields) => json!({"type": "object", "properties": properties(fields)}),
        Means::Each(fields) => json!({
            "type": ["object", "array"],
            "additionalProperties": {"type": "object", "properties": properties(fields)},
            "items": {"type": "object", "properties": properties(fields)},
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (version, known) in [
            ("3.0", true),
            ("3.0.3", true),
            ("3.1", true),
            ("3.1.0", true),
            ("3", false),
            ("3.2", false),
            ("3.00", false),
        ] {
            assert_eq!(schema(version).is_some(), known, "{version}");
        }
        let schema = schema("3.0").unwrap();
        let listen = "/properties/x-tyk-api-gateway/properties/server/properties/listenPath/properties/value";
        assert!(schema.pointer(listen).is_some(), "{schema:#}");
    }
}
