//! Examples and defaults of an OpenAPI document, with the schemas that they have to fit (contract 1.3 `oas_config`, 3.1).

use super::json_schema::{Converter, LIST, NAMED, SCHEMA, Side};
use crate::section::Section;
use document::{Fault, pointer_join};
use serde_json::{Map, Value};

/// So many are looked at; what comes after that is not.
const MOST: usize = 10_000;

/// Values that a document states, and their schemas.
#[derive(Debug)]
pub struct Stated {
    /// What the schemas refer to (see [`crate::SCHEMAS`]).
    pub schemas: Value,
    /// The values, in the order in which they stand there.
    pub values: Vec<StatedValue>,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub struct StatedValue {
    /// Where it stands in the document: a JSON pointer.
    pub at: Box<str>,
    /// Itself.
    pub value: Value,
    /// A JSON schema that it has to fit.
    pub schema: Value,
}

/// Which values count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StatedKinds {
    /// `example` and `examples`: of schemas, parameters, header fields and bodies.
    pub examples: bool,
    /// `default` of schemas.
    pub defaults: bool,
}

/// What a document states. Values whose schemas lead nowhere are left out: that is another fault.
pub fn stated(document: &Value, kinds: StatedKinds) -> Stated {
    let root = Section { object: document.as_object(), pointer: String::new() };
    let mut walk = Walk { converter: Converter::new(&root, Side::Both), kinds, values: Vec::new() };
    for (key, value) in document.as_object().into_iter().flatten() {
        if !key.starts_with("x-") {
            walk.any(value, &pointer_join("", key));
        }
    }
    Stated { values: walk.values, schemas: walk.converter.finish() }
}

struct Walk<'s, 'v> {
    converter: Converter<'s, 'v>,
    kinds: StatedKinds,
    values: Vec<StatedValue>,
}

impl<'v> Walk<'_, 'v> {
    /// Anything of a document that may hold schemas.
    fn any(&mut self, value: &'v Value, at: &str) {
        match value {
            Value::Object(members) => {
                if let Some(schema) = members.get("schema") {
                    self.examples(members, schema, at);
                }
                for (key, value) in members {
                    let at = pointer_join(at, key);
                    match key.as_str() {
                        "schema" => self.schema(value, &at),
                        "schemas" if at == "/components/schemas" => {
                            for (name, schema) in value.as_object().into_iter().flatten() {
                                self.schema(schema, &pointer_join(&at, name));
                            }
                        }
                        "example" | "examples" => {}
                        key if key.starts_with("x-") => {}
                        _ => self.any(value, &at),
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.any(item, &format!("{at}/{index}"));
                }
            }
            _ => {}
        }
    }

    /// The examples of a parameter, a header field or a body; those that are elsewhere are not fetched.
    fn examples(&mut self, holder: &'v Map<String, Value>, schema: &'v Value, at: &str) {
        if !self.kinds.examples {
            return;
        }
        if let Some(example) = holder.get("example") {
            self.push(example, schema, pointer_join(at, "example"));
        }
        for (name, example) in holder.get("examples").and_then(Value::as_object).into_iter().flatten() {
            if let Some(value) = example.get("value") {
                let at = pointer_join(&pointer_join(at, "examples"), name);
                self.push(value, schema, pointer_join(&at, "value"));
            }
        }
    }

    fn schema(&mut self, schema: &'v Value, at: &str) {
        let Some(members) = schema.as_object() else { return };
        if self.kinds.examples {
            if let Some(example) = members.get("example") {
                self.push(example, schema, pointer_join(at, "example"));
            }
            for (index, example) in
                members.get("examples").and_then(Value::as_array).into_iter().flatten().enumerate()
            {
                self.push(example, schema, format!("{at}/examples/{index}"));
            }
        }
        if let Some(default) = members.get("default").filter(|_| self.kinds.defaults) {
            self.push(default, schema, pointer_join(at, "default"));
        }
        for (key, value) in members {
            let at = pointer_join(at, key);
            match value {
                value if SCHEMA.contains(&key.as_str()) => self.schema(value, &at),
                Value::Array(list) if LIST.contains(&key.as_str()) => {
                    for (index, one) in list.iter().enumerate() {
                        self.schema(one, &format!("{at}/{index}"));
                    }
                }
                Value::Object(named) if NAMED.contains(&key.as_str()) => {
                    for (name, one) in named {
                        self.schema(one, &pointer_join(&at, name));
                    }
                }
                _ => {}
            }
        }
    }

    fn push(&mut self, value: &Value, schema: &'v Value, at: String) {
        if self.values.len() >= MOST {
            return;
        }
        let mut faults: Vec<Fault> = Vec::new();
        let schema = self.converter.schema(schema, &at, &mut faults);
        if faults.is_empty() {
            self.values.push(StatedValue { at: at.into(), value: value.clone(), schema });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn examples_and_defaults_are_found_with_their_places() {
        let document = json!({
            "openapi": "3.0.3",
            "paths": {"/a": {
                "parameters": [{"name": "n", "in": "query", "example": 1, "schema": {"type": "integer", "default": 2}}],
                "post": {
                    "requestBody": {"content": {"application/json": {
                        "schema": {"$ref": "#/components/schemas/A"}, "examples": {"x": {"value": {}}, "y": {"externalValue": "u"}}}}},
                    "responses": {"200": {"headers": {"X": {"schema": {"type": "string"}, "example": "h"}},
                        "content": {"text/plain": {"example": "no schema"}}}},
                },
            }},
            "components": {
                "schemas": {"A": {"type": "object", "properties": {
                    "schema": {"type": "string", "example": "s"}, "list": {"type": "array", "items": {"default": 3}},
                }}, "Lost": {"$ref": "#/nowhere", "example": 4}},
                "examples": {"kept": {"value": 5}},
            },
            "x-mine": {"schema": {"example": 6}},
        });
        let found = |examples, defaults| {
            let stated = stated(&document, StatedKinds { examples, defaults });
            stated.values.into_iter().map(|value| value.at.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            found(true, false),
            [
                "/paths/~1a/parameters/0/example",
                "/paths/~1a/post/requestBody/content/application~1json/examples/x/value",
                "/paths/~1a/post/responses/200/headers/X/example",
                "/components/schemas/A/properties/schema/example",
            ]
        );
        assert_eq!(
            found(false, true),
            ["/paths/~1a/parameters/0/schema/default", "/components/schemas/A/properties/list/items/default"]
        );
        assert!(found(false, false).is_empty());
    }
}
