//! How much work a schema makes of one value. Schemas that look at the same value (`allOf` and its like, and what `$ref` leads
//! to) multiply: a document of a few kilobytes can stand for more of them than there is time for, when it is compiled and each
//! time it is asked.

use std::collections::HashMap;

use serde_json::Value;

/// Schemas that may look at one value. Large documents of everyday have a few hundred.
const MOST: u64 = 10_000;
/// Schemas in one another, by being written there or by reference.
const DEEPEST: usize = 256;

/// What a fault says of a schema that asks too much.
pub(super) fn told() -> String {
    format!(
        "the schema is put together of more than {MOST} others that look at the same value (`allOf`, `anyOf`, `oneOf`, `$ref`)"
    )
}

/// Of schemas that refer to the same others, each of which is counted once.
pub(super) struct Efforts<'v> {
    /// Where references lead, whatever stands before their `#`.
    known: &'v Value,
    /// By the address of a schema. 1 while it is being counted: one that leads into itself counts once.
    counted: HashMap<*const Value, u64>,
}

impl<'v> Efforts<'v> {
    pub(super) fn new(known: &'v Value) -> Self {
        Self { known, counted: HashMap::new() }
    }

    /// The place of a schema that asks too much of a value, below `schema`.
    pub(super) fn too_much(&mut self, schema: &'v Value) -> Option<String> {
        let mut place = String::new();
        self.is_too_much(schema, &mut place, 0).then_some(place)
    }

    /// Looks at all there is. Leaves the place where it is too much.
    fn is_too_much(&mut self, value: &'v Value, place: &mut String, depth: usize) -> bool {
        let length = place.len();
        let mut look = |name: &str, value: &'v Value| {
            place.push('/');
            place.push_str(&name.replace('~', "~0").replace('/', "~1"));
            let found = self.is_too_much(value, place, depth + 1);
            if !found {
                place.truncate(length);
            }
            found
        };
        let within = match value {
            _ if depth > DEEPEST => false,
            Value::Object(members) => members.iter().any(|(name, value)| look(name, value)),
            Value::Array(items) => items.iter().enumerate().any(|(at, item)| look(&at.to_string(), item)),
            _ => false,
        };
        within || self.count(value, 0) > MOST
    }

    /// How many schemas look at a value that this one looks at.
    fn count(&mut self, schema: &'v Value, depth: usize) -> u64 {
        let Value::Object(members) = schema else { return 1 };
        if depth > DEEPEST {
            return u64::MAX;
        }
        if let Some(counted) = self.counted.get(&std::ptr::from_ref(schema)) {
            return *counted;
        }
        self.counted.insert(schema, 1);
        let mut sum = 1_u64;
        for (name, value) in members {
            let more = match (&**name, value) {
                ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => self.count_all(all.iter(), depth),
                ("dependentSchemas", Value::Object(all)) => self.count_all(all.values(), depth),
                ("not" | "if" | "then" | "else", one) => self.count(one, depth + 1),
                ("$ref", Value::String(to)) => self.lead(to).map_or(0, |one| self.count(one, depth + 1)),
                _ => 0,
            };
            sum = sum.saturating_add(more);
        }
        self.counted.insert(schema, sum);
        sum
    }

    fn count_all(&mut self, all: impl Iterator<Item = &'v Value>, depth: usize) -> u64 {
        all.fold(0, |sum, one| sum.saturating_add(self.count(one, depth + 1)))
    }

    fn lead(&self, reference: &str) -> Option<&'v Value> {
        self.known.pointer(reference.split_once('#')?.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn too_much(schema: &Value) -> Option<String> {
        Efforts::new(schema).too_much(schema)
    }

    /// Schemas each of which is ten times the next, so many in a row.
    fn tower(levels: usize) -> Value {
        let mut all = serde_json::Map::new();
        for level in 0..levels {
            let next = json!({"$ref": format!("#/$defs/{}", level + 1)});
            all.insert(level.to_string(), json!({"allOf": vec![next; 10]}));
        }
        all.insert(levels.to_string(), json!({"type": "string"}));
        json!({"$ref": "#/$defs/0", "$defs": all})
    }

    #[test]
    fn schemas_that_multiply_are_found() {
        assert_eq!(too_much(&tower(3)), None);
        assert_eq!(too_much(&tower(17)).as_deref(), Some("/$defs/0/allOf/0"));
        assert_eq!(too_much(&json!({"properties": {"a/b": tower(0)}})), None);
        let deep = json!({"items": {"oneOf": [true, {"$ref": "#/$defs/0"}]}, "$defs": tower(5)["$defs"]});
        assert!(too_much(&deep).is_some());
    }

    #[test]
    fn schemas_that_lead_into_themselves_are_no_more_than_they_are() {
        let pet = json!({"$defs": {
            "pet": {"oneOf": [{"$ref": "#/$defs/cat"}, {"$ref": "#/$defs/dog"}]},
            "cat": {"allOf": [{"$ref": "#/$defs/pet"}, {"properties": {"friend": {"$ref": "#/$defs/pet"}}}]},
            "dog": {"allOf": [{"$ref": "#/$defs/pet"}]},
        }});
        assert_eq!(too_much(&pet), None);
        let chain: serde_json::Map<String, Value> =
            (0..5000).map(|at| (at.to_string(), json!({"$ref": format!("#/$defs/{}", at + 1)}))).collect();
        let chain = json!({"$defs": chain});
        assert!(too_much(&chain).is_some(), "nobody follows so far");
    }
}
