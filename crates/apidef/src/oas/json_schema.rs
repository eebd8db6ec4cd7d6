//! Schemas of OpenAPI documents as JSON schemas of one version (2020-12), with what their references lead to. Versions 3.0
//! and 3.1 of OpenAPI write them differently; what is said of values is the same afterwards.

use super::references::{follow, pointed, resolve};
use crate::section::Section;
use document::{Fault, pointer_join};
use serde_json::{Map, Value, json};

/// Where references lead: the document with what they lead to, in `$defs`.
pub const SCHEMAS: &str = "urn:schemas";

/// Which way a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// In requests: nothing of it is `readOnly`.
    Request,
    /// In answers: nothing of it is `writeOnly`.
    Answer,
    /// In both, or in none.
    Both,
}

/// Keywords whose value is a schema, …
pub(crate) const SCHEMA: [&str; 11] = [
    "items",
    "additionalProperties",
    "not",
    "contains",
    "propertyNames",
    "if",
    "then",
    "else",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
];
/// … a list of schemas, …
pub(crate) const LIST: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// … schemas by name, …
pub(crate) const NAMED: [&str; 3] = ["properties", "patternProperties", "dependentSchemas"];
/// … and something else that counts. The others say nothing of values.
const PLAIN: [&str; 20] = [
    "type",
    "enum",
    "const",
    "required",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "minContains",
    "maxContains",
    "dependentRequired",
];
/// Keywords that OpenAPI 3.0 does not know, so that they say nothing there.
pub(crate) const NEWER: [&str; 14] = [
    "const",
    "contains",
    "propertyNames",
    "if",
    "then",
    "else",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
    "prefixItems",
    "patternProperties",
    "dependentSchemas",
    "minContains",
    "dependentRequired",
];

/// Turns schemas of one document into JSON schemas, and gathers what they refer to.
pub(crate) struct Converter<'s, 'v> {
    root: &'s Section<'v>,
    old: bool,
    side: Side,
    /// By the pointer that leads to it in the document.
    known: Map<String, Value>,
    /// What is referred to and not converted yet.
    left: Vec<(String, &'v Value)>,
}

impl<'s, 'v> Converter<'s, 'v> {
    pub(crate) fn new(root: &'s Section<'v>, side: Side) -> Self {
        let version = root.get("openapi").and_then(Value::as_str).unwrap_or_default();
        let old = !version.starts_with("3.1");
        Self { root, old, side, known: Map::new(), left: Vec::new() }
    }

    /// One schema of the document; `at` is where it stands.
    pub(crate) fn schema(&mut self, schema: &'v Value, at: &str, faults: &mut Vec<Fault>) -> Value {
        let converted = self.convert(schema, at, faults);
        // One after the other: a chain of references may be longer than what a stack holds.
        while let Some((pointer, schema)) = self.left.pop() {
            let converted = self.convert(schema, &pointer, faults);
            self.known.insert(pointer, converted);
        }
        converted
    }

    /// What the references of all schemas lead to.
    pub(crate) fn finish(self) -> Value {
        json!({"$defs": self.known})
    }

    fn convert(&mut self, schema: &'v Value, at: &str, faults: &mut Vec<Fault>) -> Value {
        let Value::Object(schema) = schema else {
            if !schema.is_boolean() {
                faults.push(Fault::error(at, "a schema must be an object"));
            }
            return schema.clone();
        };
        let reference = schema.get("$ref").or_else(|| schema.get("$dynamicRef")).and_then(Value::as_str);
        let reference = reference.map(|reference| self.reference(reference, at, faults));
        if let Some(reference) = reference.clone().filter(|_| self.old) {
            return json!({"$ref": reference});
        }
        let mut made = Map::new();
        for (key, value) in schema {
            let (key, place) = (&**key, pointer_join(at, key));
            if self.old && NEWER.contains(&key) {
                continue;
            }
            let value = match value {
                value if PLAIN.contains(&key) => value.clone(),
                value if SCHEMA.contains(&key) => self.convert(value, &place, faults),
                Value::Array(list) if LIST.contains(&key) => {
                    let list = list.iter().enumerate();
                    list.map(|(at, one)| self.convert(one, &format!("{place}/{at}"), faults)).collect()
                }
                Value::Object(named) if NAMED.contains(&key) => {
                    let named = named.iter().map(|(name, one)| {
                        (name.clone(), self.convert(one, &pointer_join(&place, name), faults))
                    });
                    Value::Object(named.collect())
                }
                value if LIST.contains(&key) || NAMED.contains(&key) => value.clone(),
                _ => continue,
            };
            made.insert(key.to_owned(), value);
        }
        if let Some(reference) = reference {
            made.insert("$ref".to_owned(), reference.into());
        }
        self.directions(schema, &mut made);
        if self.old {
            old_limits(&mut made);
        }
        formats(schema, &mut made);
        self.chosen_by_name(schema, &mut made, at, faults);
        match self.old && schema.get("nullable") == Some(&Value::Bool(true)) {
            true => nullable(made),
            false => Value::Object(made),
        }
    }

    /// The reference as it leads into the gathered document.
    fn reference(&mut self, reference: &str, at: &str, faults: &mut Vec<Fault>) -> String {
        let found = pointed(reference).zip(follow(self.root, reference));
        let Some((pointer, target)) = found else {
            let text = match reference.starts_with('#') {
                true => format!("`{reference}` leads nowhere in this document"),
                false => format!("`{reference}` is in another document, and none is fetched"),
            };
            let fault = Fault::error(pointer_join(at, "$ref"), text);
            faults.push(fault.hint("put what is meant into `components.schemas`, and refer to it there"));
            return format!("{SCHEMAS}#/$defs/none");
        };
        if !self.known.contains_key(&pointer) {
            // It is known from now on, so that what leads back to itself ends.
            self.known.insert(pointer.clone(), Value::Bool(true));
            self.left.push((pointer.clone(), target));
        }
        format!("{SCHEMAS}#/$defs/{}", escaped(&pointer))
    }

    /// What goes the other way only is not asked for, and may not be sent.
    fn directions(&self, schema: &Map<String, Value>, made: &mut Map<String, Value>) {
        let flag = match self.side {
            Side::Request => "readOnly",
            Side::Answer => "writeOnly",
            Side::Both => return,
        };
        let properties = schema.get("properties").and_then(Value::as_object);
        let other_way: Vec<&String> = properties
            .into_iter()
            .flatten()
            .filter(|(_, property)| {
                let property = resolve(self.root, property);
                property.and_then(|property| property.get(flag)) == Some(&Value::Bool(true))
            })
            .map(|(name, _)| name)
            .collect();
        for name in other_way {
            if let Some(properties) = made.get_mut("properties").and_then(Value::as_object_mut) {
                properties.insert(name.clone(), Value::Bool(false));
            }
            if let Some(required) = made.get_mut("required").and_then(Value::as_array_mut) {
                required.retain(|one| one.as_str() != Some(name));
            }
        }
    }

    /// With a `discriminator`, one property tells which of several schemas counts.
    fn chosen_by_name(
        &mut self,
        schema: &'v Map<String, Value>,
        made: &mut Map<String, Value>,
        at: &str,
        faults: &mut Vec<Fault>,
    ) {
        let property = schema.get("discriminator").and_then(|by| by.get("propertyName")?.as_str());
        let (Some(property), Some(key)) =
            (property, ["oneOf", "anyOf"].into_iter().find(|key| schema.contains_key(*key)))
        else {
            return;
        };
        let members = schema.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mapping = schema.get("discriminator").and_then(|by| by.get("mapping")?.as_object());
        let mut named: Vec<(String, String)> = Vec::new();
        for (name, reference) in mapping.into_iter().flatten() {
            let Some(reference) = reference.as_str() else { continue };
            let reference = match reference.contains(['/', '#']) {
                true => reference.to_owned(),
                false => format!("#/components/schemas/{reference}"),
            };
            named.push((name.clone(), self.reference(&reference, at, faults)));
        }
        let mapped = named.len();
        for member in members {
            let Some(reference) = member.get("$ref").and_then(Value::as_str) else { return };
            let name = reference.rsplit('/').next().unwrap_or(reference).to_owned();
            let reference = self.reference(reference, at, faults);
            // One that is mapped is named so and not otherwise.
            if named[..mapped].iter().all(|(_, known)| *known != reference) {
                named.push((name, reference));
            }
        }
        let names: Vec<&String> = named.iter().map(|(name, _)| name).collect();
        let mut parts = vec![json!({"required": [property], "properties": {property: {"enum": names}}})];
        parts.extend(named.iter().map(|(name, reference)| {
            json!({
                "if": {"required": [property], "properties": {property: {"const": name}}},
                "then": {"$ref": reference},
            })
        }));
        let otherwise = made.remove(key).unwrap_or_default();
        let choice = json!({"if": {"type": "object"}, "then": {"allOf": parts}, "else": {key: otherwise}});
        and(made, choice);
    }
}

/// One more thing that has to hold.
fn and(made: &mut Map<String, Value>, other: Value) {
    let all = made.entry("allOf").or_insert_with(|| json!([]));
    if let Some(all) = all.as_array_mut() {
        all.push(other);
    }
}

/// A pointer as one part of another one, in a URL.
fn escaped(pointer: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in pointer.replace('~', "~0").replace('/', "~1").bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// In OpenAPI 3.0 these say of the limits beside them that they are excluded.
pub(crate) fn old_limits(made: &mut Map<String, Value>) {
    for (limit, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        match made.get(exclusive) {
            Some(Value::Bool(true)) => {
                match made.remove(limit) {
                    Some(value) => made.insert(exclusive.to_owned(), value),
                    None => made.remove(exclusive),
                };
            }
            Some(Value::Bool(false)) => {
                made.remove(exclusive);
            }
            _ => {}
        }
    }
}

/// Formats that count (contract 3.5); the others are told for people.
fn formats(schema: &Map<String, Value>, made: &mut Map<String, Value>) {
    match schema.get("format").and_then(Value::as_str) {
        Some(format @ ("date" | "date-time")) => {
            made.insert("format".to_owned(), format.into());
        }
        Some("byte") => and(made, json!({"pattern": "^[a-zA-Z0-9+/_-]*=*$"})),
        Some("int32") => and(made, json!({"minimum": i32::MIN, "maximum": i32::MAX})),
        Some("int64") => and(made, json!({"minimum": i64::MIN, "maximum": i64::MAX})),
        _ => {}
    }
}

/// In OpenAPI 3.0 `null` is no type but a flag.
fn nullable(mut made: Map<String, Value>) -> Value {
    let is_composed = LIST.iter().any(|key| made.contains_key(*key)) || made.contains_key("not");
    match made.get("type") {
        Some(Value::String(kind)) if !is_composed => {
            let kinds = json!([kind, "null"]);
            made.insert("type".to_owned(), kinds);
            if let Some(values) = made.get_mut("enum").and_then(Value::as_array_mut)
                && !values.contains(&Value::Null)
            {
                values.push(Value::Null);
            }
            Value::Object(made)
        }
        _ => json!({"anyOf": [{"type": "null"}, made]}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(version: &str, side: Side, schema: Value) -> (Value, Value, Vec<String>) {
        let document = json!({"openapi": version, "components": {"schemas": {
            "Node": {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}}},
            "Cat": {"type": "object"}, "Dog": {"type": "object"},
            "Made": {"type": "string", "readOnly": true},
        }}, "s": schema});
        let document: &'static Value = Box::leak(Box::new(document));
        let mut faults = Vec::new();
        let root = Section::root(document, &mut faults);
        let mut converter = Converter::new(&root, side);
        let made = converter.schema(&document["s"], "/s", &mut faults);
        (made, converter.finish(), faults.into_iter().map(|fault| fault.pointer).collect())
    }

    #[test]
    fn both_versions_say_the_same_afterwards() {
        let node = "urn:schemas#/$defs/~1components~1schemas~1Node";
        for (version, schema, expected) in [
            (
                "3.0.3",
                json!({"type": "string", "nullable": true, "enum": ["a"]}),
                json!({"type": ["string", "null"], "enum": ["a", null]}),
            ),
            (
                "3.1.0",
                json!({"type": ["string", "null"], "nullable": true}),
                json!({"type": ["string", "null"]}),
            ),
            (
                "3.0.3",
                json!({"minimum": 1, "exclusiveMinimum": true, "maximum": 5, "exclusiveMaximum": false}),
                json!({"exclusiveMinimum": 1, "maximum": 5}),
            ),
            ("3.1.0", json!({"exclusiveMinimum": 1, "const": 2}), json!({"exclusiveMinimum": 1, "const": 2})),
            ("3.0.3", json!({"const": 2, "example": 1, "title": "x"}), json!({})),
            (
                "3.0.3",
                json!({"$ref": "#/components/schemas/Node", "maxProperties": 1}),
                json!({"$ref": node}),
            ),
            (
                "3.1.0",
                json!({"$ref": "#/components/schemas/Node", "maxProperties": 1}),
                json!({"$ref": node, "maxProperties": 1}),
            ),
            (
                "3.0.3",
                json!({"nullable": true, "allOf": [{"$ref": "#/components/schemas/Node"}]}),
                json!({"anyOf": [{"type": "null"}, {"allOf": [{"$ref": node}]}]}),
            ),
            (
                "3.0.3",
                json!({"type": "integer", "format": "int32"}),
                json!({"type": "integer", "allOf": [{"minimum": i32::MIN, "maximum": i32::MAX}]}),
            ),
            ("3.0.3", json!({"type": "string", "format": "email"}), json!({"type": "string"})),
            ("3.1.0", json!({"format": "date", "$id": "x", "$anchor": "y"}), json!({"format": "date"})),
        ] {
            let (made, _, faults) = converted(version, Side::Request, schema.clone());
            assert_eq!(made, expected, "{version} {schema}");
            assert!(faults.is_empty(), "{schema}: {faults:?}");
        }
    }

    #[test]
    fn references_are_gathered_and_end() {
        let schema = json!({"items": {"$ref": "#/components/schemas/Node"}});
        let (_, known, _) = converted("3.0.3", Side::Request, schema);
        let names: Vec<&String> = known["$defs"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["/components/schemas/Node"]);
        for reference in ["#/components/schemas/Gone", "other.json#/x", "http://h/x", "#anchor"] {
            let (_, _, faults) = converted("3.0.3", Side::Request, json!({"not": {"$ref": reference}}));
            assert_eq!(faults, ["/s/not/$ref"], "{reference}");
        }
    }

    #[test]
    fn what_goes_the_other_way_is_left_out() {
        let schema = json!({
            "required": ["id", "made", "secret"],
            "properties": {
                "id": {"type": "integer"},
                "made": {"$ref": "#/components/schemas/Made"},
                "secret": {"writeOnly": true},
            },
        });
        for (side, required, none) in [
            (Side::Request, json!(["id", "secret"]), "made"),
            (Side::Answer, json!(["id", "made"]), "secret"),
        ] {
            let (made, ..) = converted("3.0.3", side, schema.clone());
            assert_eq!(
                (&made["required"], &made["properties"][none]),
                (&required, &json!(false)),
                "{side:?}"
            );
        }
    }

    #[test]
    fn one_property_tells_which_schema_counts() {
        let schema = json!({
            "oneOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}],
            "discriminator": {"propertyName": "kind", "mapping": {"miaow": "Cat"}},
        });
        let (made, ..) = converted("3.0.3", Side::Request, schema);
        let parts = &made["allOf"][0]["then"]["allOf"];
        assert_eq!(parts[0]["properties"]["kind"]["enum"], json!(["miaow", "Dog"]));
        assert_eq!(parts[1]["then"]["$ref"], "urn:schemas#/$defs/~1components~1schemas~1Cat");
        assert!(made["allOf"][0]["else"]["oneOf"].is_array());
    }
}
