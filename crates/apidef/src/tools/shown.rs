//! Schemas as callers of tools are shown them: JSON schemas of version 2020-12 that stand alone, with all that people and models
//! are told in them. What a reference leads to stands in its place; what leads back to itself, or is too much, is in `$defs`.

use crate::oas::{LIST, NAMED, NEWER, SCHEMA, follow, old_limits, pointed};
use crate::section::Section;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How many references stand in each other's place.
const DEEPEST: usize = 8;
/// Values of one tool that stand in the place of references; from then on these are kept.
const MOST: usize = 2000;

/// Members that say nothing to callers, or what others in the same place say.
const LEFT_OUT: [&str; 12] = [
    "$ref",
    "nullable",
    "discriminator",
    "xml",
    "externalDocs",
    "example",
    "readOnly",
    "writeOnly",
    "$id",
    "$schema",
    "$anchor",
    "$dynamicAnchor",
];

/// Shows the schemas of one tool.
pub(super) struct Shown<'s, 'v> {
    root: &'s Section<'v>,
    old: bool,
    /// What goes this way only is left out.
    other_way: &'static str,
    /// What references lead to that stay: by pointer, with the names that they have here.
    kept: BTreeMap<String, String>,
    left: Vec<String>,
    /// Values that stand in the place of references.
    placed: usize,
}

impl<'s, 'v> Shown<'s, 'v> {
    /// `other_way`: the flag of properties that go the other way.
    pub(super) fn new(root: &'s Section<'v>, other_way: &'static str) -> Self {
        let version = root.get("openapi").and_then(Value::as_str).unwrap_or_default();
        let old = !version.starts_with("3.1");
        Self { root, old, other_way, kept: BTreeMap::new(), left: Vec::new(), placed: 0 }
    }

    /// A schema as it is shown.
    pub(super) fn schema(&mut self, schema: &'v Value) -> Value {
        self.show(schema, &mut Vec::new())
    }

    /// What the references in all that was shown lead to.
    pub(super) fn finish(mut self) -> Option<Value> {
        let mut all = Map::new();
        while let Some(pointer) = self.left.pop() {
            let Some(target) = follow(self.root, &format!("#{pointer}")) else { continue };
            let name = self.kept.get(&pointer).cloned().unwrap_or_default();
            let shown = self.show(target, &mut vec![pointer]);
            all.insert(name, shown);
        }
        (!all.is_empty()).then_some(Value::Object(all))
    }

    /// `within`: the references whose places this stands in.
    fn show(&mut self, schema: &'v Value, within: &mut Vec<String>) -> Value {
        let Value::Object(members) = schema else {
            // Anything but a flag says nothing.
            return if schema.is_boolean() { schema.clone() } else { json!({}) };
        };
        if !within.is_empty() {
            self.placed += 1;
        }
        let reference = members.get("$ref").and_then(Value::as_str);
        let mut made = match reference.map(|reference| self.referred(reference, within)) {
            Some(Value::Object(target)) => target,
            Some(other) => return other,
            None => Map::new(),
        };
        if reference.is_some() && self.old {
            return Value::Object(made);
        }
        for (key, value) in members {
            let key = &**key;
            if LEFT_OUT.contains(&key) || key.starts_with("x-") || self.old && NEWER.contains(&key) {
                continue;
            }
            let shown = match value {
                value if SCHEMA.contains(&key) => self.show(value, within),
                Value::Array(list) if LIST.contains(&key) => {
                    list.iter().map(|one| self.show(one, within)).collect()
                }
                Value::Object(named) if NAMED.contains(&key) => {
                    let mut shown = Map::new();
                    for (name, one) in named {
                        if key != "properties" || !self.goes_other_way(one) {
                            shown.insert(name.clone(), self.show(one, within));
                        }
                    }
                    Value::Object(shown)
                }
                value => value.clone(),
            };
            made.insert(key.to_owned(), shown);
        }
        self.only_this_way(members, &mut made);
        if self.old {
            old_limits(&mut made);
            if members.get("nullable") == Some(&Value::Bool(true)) {
                return nullable(made);
            }
        }
        Value::Object(made)
    }

    /// What a reference leads to, or a reference to that.
    fn referred(&mut self, reference: &str, within: &mut Vec<String>) -> Value {
        let found = pointed(reference).and_then(|pointer| Some((follow(self.root, reference)?, pointer)));
        // Where it leads nowhere anything goes: what the API itself says of it counts.
        let Some((target, pointer)) = found else { return json!({}) };
        if within.len() >= DEEPEST
            || self.placed >= MOST
            || within.contains(&pointer)
            || self.kept.contains_key(&pointer)
        {
            return json!({"$ref": format!("#/$defs/{}", self.name_of(pointer))});
        }
        within.push(pointer);
        let shown = self.show(target, within);
        within.pop();
        shown
    }

    /// The name in `$defs` of what a pointer leads to.
    fn name_of(&mut self, pointer: String) -> String {
        if let Some(name) = self.kept.get(&pointer) {
            return name.clone();
        }
        let last = pointer.rsplit('/').next().unwrap_or_default();
        let plain: String =
            last.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
        let taken = |name: &str| self.kept.values().any(|other| other == name);
        let mut name = plain.clone();
        for count in 1u32.. {
            if !taken(&name) {
                break;
            }
            name = format!("{plain}_{count}");
        }
        self.kept.insert(pointer.clone(), name.clone());
        self.left.push(pointer);
        name
    }

    /// Whether a property is none of what goes this way.
    pub(super) fn goes_other_way(&self, property: &Value) -> bool {
        let target = property.get("$ref").and_then(Value::as_str).and_then(|to| follow(self.root, to));
        target.unwrap_or(property).get(self.other_way) == Some(&Value::Bool(true))
    }

    /// What goes the other way is not asked for either.
    fn only_this_way(&self, members: &Map<String, Value>, made: &mut Map<String, Value>) {
        let properties = members.get("properties").and_then(Value::as_object);
        let other_way = |name: &Value| {
            let property = name.as_str().and_then(|name| properties?.get(name));
            property.is_some_and(|property| self.goes_other_way(property))
        };
        let Some(Value::Array(required)) = made.get_mut("required") else { return };
        required.retain(|name| !other_way(name));
        // None is not allowed to stand there in the first versions of JSON Schema.
        if required.is_empty() {
            made.remove("required");
        }
    }
}

/// In OpenAPI 3.0 `null` is no type but a flag.
fn nullable(mut made: Map<String, Value>) -> Value {
    let simple = !["allOf", "anyOf", "oneOf", "not", "$ref"].iter().any(|key| made.contains_key(*key));
    match made.get("type") {
        Some(Value::String(kind)) if simple => {
            let kinds = json!([kind, "null"]);
            made.insert("type".to_owned(), kinds);
            if let Some(values) = made.get_mut("enum").and_then(Value::as_array_mut)
                && !values.contains(&Value::Null)
            {
                values.push(Value::Null);
            }
            Value::Object(made)
        }
        None if simple => Value::Object(made),
        _ => json!({"anyOf": [made, {"type": "null"}]}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(version: &str, schema: Value) -> (Value, Option<Value>) {
        let document = json!({"openapi": version, "s": schema, "components": {"schemas": {
            "Money": {"type": "object", "description": "So much.", "example": 1,
                "required": ["id", "amount"],
                "properties": {"id": {"type": "string", "readOnly": true}, "amount": {"type": "number", "minimum": 0, "exclusiveMinimum": true}}},
            "Node": {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}}},
            "a/Node": {"type": "array", "items": {"$ref": "#/components/schemas/a~1Node"}},
        }}});
        let document: &'static Value = Box::leak(Box::new(document));
        let root = Section { object: document.as_object(), pointer: String::new() };
        let mut all = Shown::new(&root, "readOnly");
        let made = all.schema(&document["s"]);
        (made, all.finish())
    }

    #[test]
    fn schemas_stand_alone() {
        let money = json!({"type": "object", "description": "So much.", "required": ["amount"],
            "properties": {"amount": {"type": "number", "exclusiveMinimum": 0}}});
        for (version, schema, expected) in [
            ("3.0.3", json!({"$ref": "#/components/schemas/Money", "description": "no"}), money.clone()),
            (
                "3.0.3",
                json!({"type": "array", "items": {"$ref": "#/components/schemas/Money"}, "x-own": 1, "default": []}),
                json!({"type": "array", "items": money, "default": []}),
            ),
            (
                "3.0.3",
                json!({"type": "string", "nullable": true, "enum": ["a"], "format": "date"}),
                json!({"type": ["string", "null"], "enum": ["a", null], "format": "date"}),
            ),
            (
                "3.1.0",
                json!({"$ref": "#/components/schemas/Money", "description": "Yes.", "exclusiveMinimum": 1}),
                json!({"type": "object", "description": "Yes.", "required": ["amount"], "exclusiveMinimum": 1,
                    "properties": {"amount": {"type": "number", "minimum": 0, "exclusiveMinimum": true}}}),
            ),
            ("3.0.3", json!({"$ref": "#/components/schemas/None"}), json!({})),
            ("3.0.3", json!({"$ref": "http://elsewhere/x"}), json!({})),
            ("3.0.3", json!({"items": 7}), json!({"items": {}})),
        ] {
            assert_eq!(shown(version, schema.clone()), (expected, None), "{schema}");
        }
    }

    #[test]
    fn what_leads_back_to_itself_is_referred_to() {
        let (made, kept) = shown(
            "3.0.3",
            json!({"anyOf": [{"$ref": "#/components/schemas/Node"}, {"$ref": "#/components/schemas/a~1Node"}]}),
        );
        assert_eq!(made["anyOf"][0]["properties"]["next"], json!({"$ref": "#/$defs/Node"}));
        assert_eq!(made["anyOf"][1]["items"], json!({"$ref": "#/$defs/a_1Node"}));
        let kept = kept.unwrap();
        assert_eq!(kept["Node"]["properties"]["next"], json!({"$ref": "#/$defs/Node"}));
        assert_eq!(kept["a_1Node"], json!({"type": "array", "items": {"$ref": "#/$defs/a_1Node"}}));
    }

    #[test]
    fn what_grows_without_end_is_kept_small() {
        let mut schemas = Map::new();
        for level in 0..40 {
            let next = json!({"$ref": format!("#/components/schemas/L{}", level + 1)});
            let properties: Map<String, Value> = (0..8).map(|at| (format!("p{at}"), next.clone())).collect();
            schemas.insert(format!("L{level}"), json!({"type": "object", "properties": properties}));
        }
        let document = json!({"openapi": "3.0.3", "components": {"schemas": schemas}});
        let root = Section { object: document.as_object(), pointer: String::new() };
        let mut all = Shown::new(&root, "readOnly");
        let made = all.schema(&document["components"]["schemas"]["L0"]);
        let kept = all.finish().unwrap();
        assert!(made.to_string().len() + kept.to_string().len() < 200_000);
    }
}
