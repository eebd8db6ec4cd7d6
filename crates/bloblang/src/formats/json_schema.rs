//! JSON schemas: drafts 4 to 2020-12, 7 where a schema names none. Nothing is fetched.

use std::error::Error;

use jsonschema::{Draft, PatternOptions, Retrieve, Uri, Validator};
use serde_json::Value as Json;

use crate::Value;

/// How many faults of a value are told.
const MAX_FAULTS: usize = 50;
/// Of each, so many bytes: it quotes what is wrong.
const MAX_FAULT: usize = 512;

/// A schema, ready to be applied.
#[derive(Debug)]
pub struct JsonSchema(Validator);

/// What is wrong with a value, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// A JSON pointer; empty for the value itself.
    pub pointer: String,
    /// What is wrong there.
    pub reason: String,
}

/// Schemas that others refer to by name.
struct Named(Vec<(String, Json)>);

impl Retrieve for Named {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Json, Box<dyn Error + Send + Sync>> {
        let uri = uri.as_str();
        // A name that is no whole address was made one by putting it behind that of the schema which refers to it.
        let is = |name: &str| uri == name || uri.strip_suffix(name).is_some_and(|base| base.ends_with('/'));
        match self.0.iter().find(|(name, _)| is(name)) {
            Some((_, schema)) => Ok(schema.clone()),
            None => Err(format!("`{uri}` is not known, and nothing is fetched").into()),
        }
    }
}

impl JsonSchema {
    /// Reads a schema that stands for itself.
    ///
    /// # Errors
    /// What is wrong with it; references to other documents are.
    pub fn parse(text: &str) -> Result<JsonSchema, String> {
        JsonSchema::parse_with(text, &[])
    }

    /// Reads a schema that may refer to others, given by name with their text.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn parse_with(text: &str, references: &[(&str, &str)]) -> Result<JsonSchema, String> {
        let schema: Json = serde_json::from_str(text).map_err(|fault| fault.to_string())?;
        let mut named = Vec::with_capacity(references.len());
        for (name, text) in references {
            let schema = serde_json::from_str(text).map_err(|fault| format!("`{name}`: {fault}"))?;
            named.push(((*name).to_owned(), schema));
        }
        let mut options =
            jsonschema::options().with_pattern_options(PatternOptions::regex()).with_retriever(Named(named));
        if schema.get("$schema").is_none() {
            options = options.with_draft(Draft::Draft7);
        }
        options.build(&schema).map(JsonSchema).map_err(|fault| fault.to_string())
    }

    /// What is wrong with a value, the first fifty faults; nothing when it is as the schema says.
    pub fn check(&self, value: &Value) -> Vec<Mismatch> {
        let document = Json::from(value);
        let faults = self.0.iter_errors(&document).take(MAX_FAULTS);
        faults
            .map(|fault| {
                let mut reason = fault.to_string();
                if reason.len() > MAX_FAULT {
                    reason.truncate(reason.floor_char_boundary(MAX_FAULT));
                    reason.push_str(" ...");
                }
                Mismatch { pointer: fault.instance_path().to_string(), reason }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::JsonSchema;
    use crate::Value;

    #[test]
    fn schemas_refer_to_others_by_name() {
        let text = r#"{"type":"string"}"#;
        for (schema, name) in [
            (r#"{"properties":{"a":{"$ref":"text.json"}}}"#, "text.json"),
            (
                r#"{"$id":"https://example.com/x/root.json","properties":{"a":{"$ref":"text.json"}}}"#,
                "text.json",
            ),
            (r#"{"properties":{"a":{"$ref":"https://example.com/text"}}}"#, "https://example.com/text"),
        ] {
            let schema = JsonSchema::parse_with(schema, &[(name, text)]).unwrap();
            assert!(schema.check(&Value::parse_json(br#"{"a":"x"}"#).unwrap()).is_empty());
            let faults = schema.check(&Value::parse_json(br#"{"a":1}"#).unwrap());
            assert_eq!(faults[0].pointer, "/a");
        }
        let unknown = JsonSchema::parse(r#"{"$ref":"https://example.com/text"}"#).unwrap_err();
        assert!(unknown.contains("nothing is fetched"), "{unknown}");
    }

    #[test]
    fn faults_are_told_with_their_place_and_shortly() {
        let schema = JsonSchema::parse(r#"{"items":{"type":"integer"}}"#).unwrap();
        let long = Value::from("\u{e4}".repeat(2000));
        let faults = schema.check(&Value::array(vec![Value::from("x"), long]));
        assert_eq!(faults.iter().map(|fault| &*fault.pointer).collect::<Vec<_>>(), ["/0", "/1"]);
        assert!(faults[1].reason.len() < 600 && faults[1].reason.ends_with(" ..."));
        assert_eq!(schema.check(&Value::array(vec![Value::from("x"); 100])).len(), 50);
    }
}
