//! Values made from schemas of an OpenAPI document (contract 3.6).

use super::texts;
use crate::oas::resolve;
use crate::section::Section;
use serde_json::{Map, Number, Value, json};

/// How deep a value may be that is made.
const DEEPEST: usize = 16;
/// How many values it may be made of; long texts count as several.
const MOST: usize = 10_000;
/// How many items of a list are made, where a schema asks for more than one.
const MOST_ITEMS: u64 = 100;

/// A value as a schema asks for it.
pub(crate) fn example<'v>(root: &Section<'v>, schema: &'v Value) -> Value {
    let make = |strict| Maker { root, left: MOST, strict }.make(schema, 0);
    make(true).or_else(|| make(false)).unwrap_or_default()
}

struct Maker<'s, 'v> {
    root: &'s Section<'v>,
    left: usize,
    /// Rather nothing than something that lacks what has to be there.
    strict: bool,
}

impl<'v> Maker<'_, 'v> {
    /// `None` where no more is made.
    fn make(&mut self, schema: &'v Value, depth: usize) -> Option<Value> {
        let resolved = resolve(self.root, schema);
        if depth > DEEPEST || self.left == 0 {
            return None;
        }
        self.left -= 1;
        let Some(Value::Object(schema)) = resolved else { return Some(Value::Null) };
        let list = |key: &str| schema.get(key).and_then(Value::as_array).filter(|list| !list.is_empty());
        let first = |key: &str| list(key).and_then(|list| list.first());
        let given = ["example", "default", "const"].iter().find_map(|key| schema.get(*key));
        if let Some(value) = given.or(first("examples")).or(first("enum")) {
            return Some(value.clone());
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            return self.all(schema, parts, depth);
        }
        if let Some(ways) = list("oneOf").or(list("anyOf")) {
            return ways.iter().find_map(|way| self.make(way, depth + 1));
        }
        match kind(schema) {
            "object" => self.object(schema, depth).map(Value::Object),
            "array" => self.array(schema, depth),
            "string" => {
                self.left = self.left.saturating_sub(texts::shortest(schema));
                Some(texts::text(schema).into())
            }
            "integer" => Some(number(schema, true)),
            "number" => Some(number(schema, false)),
            "boolean" => Some(json!(true)),
            _ => Some(Value::Null),
        }
    }

    fn object(&mut self, schema: &'v Map<String, Value>, depth: usize) -> Option<Map<String, Value>> {
        let required = schema.get("required").and_then(Value::as_array);
        let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|known| known == name));
        let mut object = Map::new();
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if property.get("writeOnly") == Some(&Value::Bool(true)) {
                continue;
            }
            // What leads to itself without end is left out, where it need not be there.
            match self.make(property, depth + 1) {
                Some(made) => drop(object.insert(name.clone(), made)),
                None if !is_required(name) => {}
                None if self.strict => return None,
                None => drop(object.insert(name.clone(), Value::Null)),
            }
        }
        Some(object)
    }

    fn array(&mut self, schema: &'v Map<String, Value>, depth: usize) -> Option<Value> {
        let count = |key: &str| schema.get(key).and_then(Value::as_u64);
        let Some(items) = schema.get("items") else { return Some(json!([])) };
        let least = count("minItems").unwrap_or(0).min(MOST_ITEMS);
        let wanted = least.max(1).min(count("maxItems").unwrap_or(1).max(least));
        let made: Vec<Value> = (0..wanted).map_while(|_| self.make(items, depth + 1)).collect();
        let lacks = (made.len() as u64) < least;
        (!(lacks && self.strict)).then_some(Value::Array(made))
    }

    fn all(&mut self, schema: &'v Map<String, Value>, parts: &'v [Value], depth: usize) -> Option<Value> {
        let mut whole = self.object(schema, depth)?;
        for part in parts {
            match self.make(part, depth + 1) {
                Some(Value::Object(more)) => whole.extend(more),
                // All of something that is no object is that.
                Some(other) if parts.len() == 1 => return Some(other),
                None if self.strict => return None,
                _ => {}
            }
        }
        Some(Value::Object(whole))
    }
}

/// The number nearest to 0 from above that a schema takes, as far as that is easily found.
fn number(schema: &Map<String, Value>, whole: bool) -> Value {
    // Older documents say of a limit that it is excluded, later ones have one of its own.
    let limit = |usual: &str, excluded: &str| match (schema.get(usual), schema.get(excluded)) {
        (_, Some(Value::Number(limit))) => limit.as_f64().map(|limit| (limit, true)),
        (Some(Value::Number(limit)), more) => limit.as_f64().map(|limit| (limit, more == Some(&json!(true)))),
        _ => None,
    };
    let (low, high) = (limit("minimum", "exclusiveMinimum"), limit("maximum", "exclusiveMaximum"));
    let multiple = schema.get("multipleOf").and_then(Value::as_f64).filter(|multiple| *multiple > 0.0);
    let step = multiple.or(whole.then_some(1.0));
    let made = match (low, high, step) {
        // As it is written, however many digits it has.
        (Some((low, false)), _, _) if multiple.is_none() && (!whole || low.fract() == 0.0) => {
            return schema.get("minimum").cloned().unwrap_or_else(|| json!(low));
        }
        (Some((low, excluded)), _, Some(step)) => {
            let next = (low / step).ceil() * step;
            if excluded && next <= low { next + step } else { next }
        }
        (Some((low, _)), Some((high, _)), None) => f64::midpoint(low, high),
        (Some((low, _)), None, None) => low + 1.0,
        (None, Some((high, excluded)), step) if high < 0.0 || (excluded && high <= 0.0) => {
            let step = step.unwrap_or(1.0);
            let next = (high / step).floor() * step;
            if excluded && next >= high { next - step } else { next }
        }
        (None, _, _) => 0.0,
    };
    let is_whole = made.fract() == 0.0 && made.abs() < 9e15;
    let made = if is_whole { Some(Number::from(made as i64)) } else { Number::from_f64(made) };
    made.map_or(Value::Null, Value::Number)
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
        _ if ["pattern", "format", "minLength", "maxLength"].iter().any(|key| schema.contains_key(*key)) => {
            "string"
        }
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
            "Endless": {"type": "object", "required": ["next"], "properties": {
                "next": {"$ref": "#/components/schemas/Endless"}, "id": {"type": "integer"},
            }},
            // Each has to have a name; at some depth there are no more.
            "Tree": {"type": "object", "required": ["name", "inner"], "properties": {
                "name": {"type": "string"},
                "inner": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
                "other": {"anyOf": [{"$ref": "#/components/schemas/Endless"}, {"type": "null"}]},
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
            (json!({"format": "ipv4"}), json!("192.0.2.1")),
            (json!({"type": "integer", "minimum": 1.5}), json!(2)),
            (
                json!({"type": "integer", "minimum": 9_007_199_254_740_993_u64}),
                json!(9_007_199_254_740_993_u64),
            ),
            (json!({"type": "integer", "exclusiveMinimum": 3}), json!(4)),
            (json!({"type": "integer", "minimum": 3, "exclusiveMinimum": true, "multipleOf": 5}), json!(5)),
            (json!({"type": "number", "minimum": 0.25}), json!(0.25)),
            (json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1}), json!(0.5)),
            (json!({"type": "number", "maximum": -0.5}), json!(-1)),
            (json!({"type": "integer", "exclusiveMaximum": 0}), json!(-1)),
            (json!({"type": "array", "items": {"type": "integer"}, "minItems": 3}), json!([0, 0, 0])),
            (json!({"type": "array", "items": {"type": "integer"}, "maxItems": 0}), json!([])),
            (json!(true), json!(null)),
        ] {
            let schema: &'static Value = Box::leak(Box::new(schema));
            let document: &'static Value = Box::leak(Box::new(document.clone()));
            let root = Section::root(document, &mut Vec::new());
            assert_eq!(example(&root, schema), value, "{schema}");
        }
        // What leads to itself ends, and what doubles with every step, too; where it cannot end well as well.
        for name in ["Node", "Wide", "Endless"] {
            let schema = document.pointer(&format!("/components/schemas/{name}")).unwrap();
            assert!(example(&root, schema).to_string().len() < 20 * MOST);
        }
        let made = example(&root, document.pointer("/components/schemas/Tree").unwrap());
        let (mut tree, mut levels) = (&made, 0);
        while let Some(inner) = tree.pointer("/inner/0") {
            assert_eq!((&tree["name"], &tree["other"]), (&json!("string"), &Value::Null));
            (tree, levels) = (inner, levels + 1);
        }
        assert!((3..=DEEPEST).contains(&levels) && tree["name"] == "string", "{made}");
    }
}
