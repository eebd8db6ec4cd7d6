//! Schemas of a document, compiled once.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use document::Fault;
use jsonschema::{Draft, PatternOptions, Registry, Validator};
use serde_json::{Map, Value};

use super::content::{Content, Schema};
use super::effort::{self, Efforts};
use super::shape::Shape;
use super::{MAX_PATTERN, told};

/// Compiles schemas that refer to the same others: all of them at once, as parts of one, since in large documents nearly
/// everything refers to nearly everything.
pub(crate) struct Schemas<'k> {
    known: &'k Value,
    registry: Registry<'k>,
    /// By its text: under which name a schema is a part.
    names: HashMap<String, Box<str>>,
    parts: Vec<Part>,
    compiled: Arc<OnceLock<Validator>>,
}

struct Part {
    schema: Value,
    /// Where it is used first, and as what.
    at: String,
    used_as: String,
}

/// A schema among all of an API.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    name: Box<str>,
    all: Arc<OnceLock<Validator>>,
}

impl Asked {
    /// What is wrong with a value; `None` where nothing is.
    pub(crate) fn violations(&self, value: Value) -> Option<String> {
        // All schemas are compiled before any of them is asked.
        let validator = self.all.get()?;
        let mut holder = Map::new();
        holder.insert(self.name.to_string(), value);
        told::violations(validator, &Value::Object(holder), &format!("/{}", self.name))
    }
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
        Ok(Self { known, registry, names: HashMap::new(), parts: Vec::new(), compiled: Arc::default() })
    }

    pub(crate) fn shape(&self, schema: &Value) -> Shape {
        Shape::of(schema, self.known)
    }

    /// Takes a schema, which may be asked once all of them are compiled.
    pub(crate) fn add(&mut self, schema: &Value, at: &str, used_as: &str) -> Asked {
        let parts = &mut self.parts;
        let name = self.names.entry(schema.to_string()).or_insert_with(|| {
            let name = parts.len().to_string();
            parts.push(Part { schema: schema.clone(), at: at.to_owned(), used_as: used_as.to_owned() });
            name.into()
        });
        Asked { name: name.clone(), all: Arc::clone(&self.compiled) }
    }

    /// What a body has to be, whose content types these are.
    pub(crate) fn content(&mut self, model: &apidef::BodyRules, at: &str, used_as: &str) -> Content {
        let media = model.media.iter().map(|(kind, schema)| {
            let schema = schema.as_ref().map(|schema| {
                let asked = self.add(schema, at, &format!("{used_as}, `{kind}`"));
                Schema { shape: self.shape(schema), asked }
            });
            (kind.clone(), schema)
        });
        Content { required: model.required, media: media.collect() }
    }

    /// Compiles them.
    ///
    /// # Errors
    /// Which of them cannot be used.
    pub(crate) fn finish(self) -> Result<(), Fault> {
        self.check_effort()?;
        let named = self.parts.iter().enumerate().map(|(at, part)| (at.to_string(), part.schema.clone()));
        let whole = serde_json::json!({"properties": Value::Object(named.collect())});
        match self.build(&whole) {
            Ok(validator) => {
                let _ = self.compiled.set(validator);
                Ok(())
            }
            Err(told) => {
                // Which one it is, shows one after the other.
                let wrong = self.parts.iter().find_map(|part| Some((part, self.build(&part.schema).err()?)));
                Err(match wrong {
                    Some((part, told)) => Fault::error(&*part.at, format!("{}: {told}", part.used_as)),
                    None => Fault::error("/components/schemas", told),
                })
            }
        }
    }

    fn check_effort(&self) -> Result<(), Fault> {
        let mut efforts = Efforts::new(self.known);
        if let Some(place) = efforts.too_much(self.known) {
            let text = format!("the schema cannot be used: {}", effort::told());
            return Err(Fault::error(in_document(&place), text));
        }
        match self.parts.iter().find(|part| efforts.too_much(&part.schema).is_some()) {
            Some(part) => Err(Fault::error(&*part.at, format!("{}: {}", part.used_as, effort::told()))),
            None => Ok(()),
        }
    }

    fn build(&self, schema: &Value) -> Result<Validator, String> {
        let options = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            .with_registry(&self.registry)
            .with_pattern_options(PatternOptions::regex().size_limit(MAX_PATTERN));
        options.build(schema).map_err(|error| format!("the schema cannot be used: {error}"))
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
        let asked = schemas.add(&node, "/at", "the body");
        let again = schemas.add(&node, "/elsewhere", "the body");
        assert_eq!(asked.name, again.name, "what is the same is compiled once");
        schemas.finish().unwrap();
        assert_eq!(asked.violations(json!({"id": 1, "next": {"id": 2}})), None);
        let told = asked.violations(json!({"id": 1, "next": {"id": "2"}}));
        assert_eq!(told.as_deref(), Some("Error at \"/next/id\": value must be an integer"));
        let mut schemas = Schemas::new(&known).unwrap();
        schemas.add(&node, "/fine", "the body");
        schemas.add(&json!({"pattern": "(?=a)"}), "/at", "the parameter `p`");
        let fault = schemas.finish().err().unwrap();
        assert_eq!(fault.pointer, "/at");
        assert!(
            fault.message.starts_with("the parameter `p`: the schema cannot be used"),
            "{}",
            fault.message
        );
        let wrong =
            json!({"$defs": {"/components/schemas/A~1b": {"properties": {"x": {"type": "strange"}}}}});
        let fault = Schemas::new(&wrong).err().unwrap();
        assert_eq!(fault.pointer, "/components/schemas/A~1b/properties/x/type");
    }
}
