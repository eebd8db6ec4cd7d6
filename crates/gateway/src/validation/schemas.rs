//! Schemas of a document, each compiled once.

use std::collections::HashMap;
use std::sync::Arc;

use document::Fault;
use jsonschema::{Draft, PatternOptions, Registry, Validator};
use serde_json::Value;

use super::MAX_PATTERN;
use super::content::{Content, Schema};
use super::shape::Shape;

/// Compiles schemas that refer to the same others.
pub(crate) struct Schemas<'k> {
    known: &'k Value,
    registry: Registry<'k>,
    compiled: HashMap<String, Arc<Validator>>,
}

impl<'k> Schemas<'k> {
    /// `known`: what they refer to.
    pub(crate) fn new(known: &'k Value) -> Result<Self, Fault> {
        jsonschema::draft202012::meta::validate(known).map_err(|error| {
            let text = format!("the schema cannot be used: {}", error.masked());
            Fault::error(in_document(error.instance_path().as_str()), text)
        })?;
        let registry = Registry::new().draft(Draft::Draft202012).add(apidef::SCHEMAS, known);
        let registry = registry.and_then(|registry| registry.prepare());
        let registry = registry.map_err(|why| Fault::error("/components/schemas", why.to_string()))?;
        Ok(Self { known, registry, compiled: HashMap::new() })
    }

    pub(crate) fn shape(&self, schema: &Value) -> Shape {
        Shape::of(schema, self.known)
    }

    /// # Errors
    /// Why the schema cannot be used.
    pub(crate) fn validator(&mut self, schema: &Value) -> Result<Arc<Validator>, String> {
        let text = schema.to_string();
        if let Some(known) = self.compiled.get(&text) {
            return Ok(Arc::clone(known));
        }
        let options = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            .with_registry(&self.registry)
            .with_pattern_options(PatternOptions::regex().size_limit(MAX_PATTERN));
        let validator =
            options.build(schema).map_err(|error| format!("the schema cannot be used: {error}"))?;
        let validator = Arc::new(validator);
        self.compiled.insert(text, Arc::clone(&validator));
        Ok(validator)
    }

    /// # Errors
    /// Which of its schemas cannot be used.
    pub(crate) fn content(&mut self, model: &apidef::BodyRules) -> Result<Content, String> {
        let media = model.media.iter().map(|(kind, schema)| {
            let schema = match schema {
                None => None,
                Some(schema) => {
                    let validator = self.validator(schema).map_err(|why| format!("`{kind}`: {why}"))?;
                    Some(Schema { shape: self.shape(schema), validator })
                }
            };
            Ok((kind.clone(), schema))
        });
        let media = media.collect::<Result<Vec<_>, String>>()?;
        Ok(Content { required: model.required, media: media.into() })
    }
}

/// The place in the document of what was gathered from it.
fn in_document(pointer: &str) -> String {
    let Some(rest) = pointer.strip_prefix("/$defs/") else { return pointer.to_owned() };
    let (name, rest) = rest.split_once('/').map_or((rest, ""), |(name, rest)| (name, rest));
    let slash = if rest.is_empty() { "" } else { "/" };
    format!("{}{slash}{rest}", name.replace("~1", "/").replace("~0", "~"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn schemas_lead_into_the_document_and_back() {
        let known = json!({"$defs": {"/components/schemas/Node": {
            "type": "object", "required": ["id"],
            "properties": {
                "id": {"type": "integer"},
                "next": {"$ref": "urn:schemas#/$defs/~1components~1schemas~1Node"},
            },
        }}});
        let mut schemas = Schemas::new(&known).unwrap();
        let node = json!({"$ref": "urn:schemas#/$defs/~1components~1schemas~1Node"});
        let validator = schemas.validator(&node).unwrap();
        assert!(Arc::ptr_eq(&validator, &schemas.validator(&node).unwrap()));
        assert!(validator.is_valid(&json!({"id": 1, "next": {"id": 2}})));
        assert!(!validator.is_valid(&json!({"id": 1, "next": {"id": "2"}})));
        assert!(schemas.validator(&json!({"pattern": "(?=a)"})).is_err());
        let wrong =
            json!({"$defs": {"/components/schemas/A~1b": {"properties": {"x": {"type": "strange"}}}}});
        let fault = Schemas::new(&wrong).err().unwrap();
        assert_eq!(fault.pointer, "/components/schemas/A~1b/properties/x/type");
    }
}
