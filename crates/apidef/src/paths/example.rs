//! Values made from schemas of an OpenAPI document (contract 3.6).

use crate::oas::resolve;
use crate::section::Section;
use serde_json::{Map, Value, json};

/// How deep a value may be that is made.
const DEEPEST: usize = 16;
/// How many values it may be made of.
const MOST: usize = 10_000;

/// A value as a schema asks for it.
pub(crate) fn example<'v>(root: &Section<'v>, schema: &'v Value) -> Value {
    Maker { root, left: MOST }.make(schema, 0)
}

struct Maker<'s, 'v> {
    root: &'s Section<'v>,
    left: usize,
}

impl<'v> Maker<'_, 'v> {
    fn make(&mut self, schema: &'v Value, depth: usize) -> Value {
        let resolved = resolve(self.root, schema);
        if depth > DEEPEST || self.left == 0 {
            return Value::Null;
        }
        self.left -= 1;
        let Some(Value::Object(schema)) = resolved else { return Value::Null };
        let first = |key: &str| schema.get(key).and_then(Value::as_array).and_then(|list| list.first());
        let given = ["example", "default", "const"].iter().find_map(|key| schema.get(*key));
        if let Some(value) = given.or(first("examples")).or(first("enum")) {
            return value.clone();
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            return self.all(schema, parts, depth);
        }
        if let Some(one) = first("oneOf").or(first("anyOf")) {
            return self.make(one, depth + 1);
        }
        match kind(schema) {
            "object" => Value::Object(self.object(schema, depth)),
            "array" => match schema.get("items") {
                Some(items) => json!([self.make(items, depth + 1)]),
                None => json!([]),
            },
            "string" => json!("string"),
            "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(0)),
            "boolean" => json!(true),
            _ => Value::Null,
        }
    }

    fn object(&mut self, schema: &'v Map<String, Value>, depth: usize) -> Map<String, Value> {
        let mut object = Map::new();
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if property.get("writeOnly") != Some(&Value::Bool(true)) {
                object.insert(name.clone(), self.make(property, depth + 1));
            }
        }
        object
    }

    fn all(&mut self, schema: &'v Map<String, Value>, parts: &'v [Value], depth: usize) -> Value {
        let mut whole = self.object(schema, depth);
        for part in parts {
            match self.make(part, depth + 1) {
                Value::Object(more) => whole.extend(more),
                // All of something that is no object is that.
                other if parts.len() == 1 => return other,
                _ => {}
            }
        }
        Value::Object(whole)
    }
}

/// The type of a schema, the first of several; what its keys tell where it has none.
fn kind(schema: &Map<String, Value>) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema.contains_key("properties") => "object",
        _ if schema.contains_key("items") => "array",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c3_6_row_3_values_are_made_from_schemas() {
        let document = json!({"components": {"schemas": {
            "Pet": {"type": "object", "properties": {
                "id": {"type": "integer", "minimum": 1},
                "name": {"type": "string", "example": "Rex"},
                "kind": {"enum": ["dog", "cat"]},
                "tags": {"type": "array", "items": {"type": "string"}},
                "secret": {"type": "string", "writeOnly": true},
                "good": {"type": ["null", "boolean"]},
            }},
            "Both": {"allOf": [{"$ref": "#/components/schemas/Pet"}, {"properties": {"more": {"default": 7}}}]},
            "Node": {"properties": {"next": {"$ref": "#/components/schemas/Node"}}},
            "Wide": {"type": "object", "properties": {
                "a": {"$ref": "#/components/schemas/Wide"}, "b": {"$ref": "#/components/schemas/Wide"},
            }},
            "a/b c": {"type": "string"},
            "Round": {"$ref": "#/components/schemas/Round"},
        }}});
        let mut faults = Vec::new();
        let root = Section::root(&document, &mut faults);
        let pet = json!({"id": 1, "name": "Rex", "kind": "dog", "tags": ["string"], "good": true});
        let mut both = pet.clone();
        both["more"] = json!(7);
        for (schema, value) in [
            (json!({"$ref": "#/components/schemas/Pet"}), pet),
            (json!({"$ref": "#/components/schemas/Both"}), both),
            (json!({"$ref": "#/components/schemas/a~1b%20c"}), json!("string")),
            (json!({"$ref": "#/components/schemas/Round"}), json!(null)),
            (json!({"$ref": "other.json"}), json!(null)),
            (json!({"oneOf": [{"type": "boolean"}, {"type": "string"}]}), json!(true)),
            (json!({"examples": ["x"]}), json!("x")),
            (json!(true), json!(null)),
        ] {
            let schema: &'static Value = Box::leak(Box::new(schema));
            let document: &'static Value = Box::leak(Box::new(document.clone()));
            let root = Section::root(document, &mut Vec::new());
            assert_eq!(example(&root, schema), value, "{schema}");
        }
        // What leads to itself ends, and what doubles with every step, too.
        for name in ["Node", "Wide"] {
            let schema = document.pointer(&format!("/components/schemas/{name}")).unwrap();
            assert!(example(&root, schema).to_string().len() < 20 * MOST);
        }
    }
}
