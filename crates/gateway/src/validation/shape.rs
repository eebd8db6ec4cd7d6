//! What the texts of parameters and forms may stand for, as far as their schemas tell.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use crate::query;

/// How deep a schema is looked into, and at how many of its parts.
const DEEPEST: usize = 12;
const MOST: usize = 2000;

/// The types of values that a schema lets pass, and of their parts.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Shape {
    kinds: u8,
    items: Option<Box<Shape>>,
    properties: BTreeMap<Box<str>, Shape>,
    rest: Option<Box<Shape>>,
    /// It lets pass some values of its type only.
    picky: bool,
}

const TEXT: u8 = 1;
const INTEGER: u8 = 2;
const NUMBER: u8 = 4;
const BOOLEAN: u8 = 8;
const ARRAY: u8 = 16;
const OBJECT: u8 = 32;
const NULL: u8 = 64;

const KINDS: [(&str, u8); 7] = [
    ("string", TEXT),
    ("integer", INTEGER),
    ("number", NUMBER),
    ("boolean", BOOLEAN),
    ("array", ARRAY),
    ("object", OBJECT),
    ("null", NULL),
];

impl Shape {
    /// Of a schema; `known` is the document that its references lead into.
    pub(crate) fn of(schema: &Value, known: &Value) -> Self {
        let mut shape = Self::default();
        Reader { known, left: MOST }.read(schema, 0, &mut shape);
        shape
    }

    pub(crate) fn is_array(&self) -> bool {
        self.kinds & ARRAY != 0
    }

    pub(crate) fn is_object(&self) -> bool {
        self.kinds & OBJECT != 0
    }

    /// Whether a text may be meant as it stands, beside what else it may be.
    pub(crate) fn is_text_as_well(&self) -> bool {
        self.kinds & TEXT != 0 && self.kinds & (INTEGER | NUMBER | BOOLEAN | ARRAY | OBJECT) != 0
    }

    /// How much it tells of a text: of paths that are alike, the one that tells most comes first (contract 3.1, "Path
    /// overlap").
    pub(crate) fn strictness(&self) -> u8 {
        match (self.kinds & TEXT == 0 && self.kinds != 0, self.picky) {
            (true, _) => 2,
            (false, true) => 1,
            (false, false) => 0,
        }
    }

    /// The names of its parts that are known.
    pub(crate) fn properties(&self) -> impl Iterator<Item = &str> {
        self.properties.keys().map(|name| &**name)
    }

    /// Whether there may be parts of other names.
    pub(crate) fn is_open(&self) -> bool {
        self.rest.is_some()
    }

    pub(crate) fn property(&self, name: &str) -> &Self {
        self.properties.get(name).or(self.rest.as_deref()).unwrap_or(&ANY)
    }

    pub(crate) fn items(&self) -> &Self {
        self.items.as_deref().unwrap_or(&ANY)
    }

    /// What a text stands for.
    ///
    /// # Errors
    /// What it cannot stand for.
    pub(crate) fn value(&self, text: &str) -> Result<Value, &'static str> {
        let is = |kind: u8| self.kinds & kind != 0;
        if is(BOOLEAN) && matches!(text, "true" | "false") {
            return Ok(Value::Bool(text == "true"));
        }
        if is(INTEGER | NUMBER)
            && let Some(number) = number(text, is(NUMBER))
        {
            return Ok(Value::Number(number));
        }
        if is(NULL) && (text.is_empty() || text == "null") {
            return Ok(Value::Null);
        }
        if is(TEXT | ARRAY | OBJECT) || self.kinds & !NULL == 0 {
            return Ok(Value::String(text.to_owned()));
        }
        Err(match () {
            () if is(NUMBER) => "an invalid number",
            () if is(INTEGER) => "an invalid integer",
            () => "an invalid boolean",
        })
    }

    /// An array of texts.
    ///
    /// # Errors
    /// Which of them is none of its items.
    pub(crate) fn array<T: AsRef<str>>(&self, texts: &[T]) -> Result<Value, String> {
        let items = self.items();
        texts.iter().map(|text| items.value(text.as_ref()).map_err(|why| told(text.as_ref(), why))).collect()
    }

    /// An object of names and texts.
    ///
    /// # Errors
    /// Which of them is none of its parts.
    pub(crate) fn object<T: AsRef<str>>(&self, pairs: &[(T, T)]) -> Result<Value, String> {
        let mut texts: Map<String, Value> = Map::new();
        let mut several: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, text) in pairs {
            several.entry(name.as_ref()).or_default().push(text.as_ref());
        }
        for (name, all) in several {
            let shape = self.property(name);
            if shape.kinds != 0
                && !shape.is_array()
                && let Some(other) = all.iter().find(|text| **text != all[0])
            {
                return Err(told(other, "it is there with different values"));
            }
            let value = match (shape.is_array(), all.first()) {
                (true, _) => shape.array(&all)?,
                (false, first) => {
                    let text = first.copied().unwrap_or_default();
                    shape.value(text).map_err(|why| told(text, why))?
                }
            };
            texts.insert(name.to_owned(), value);
        }
        Ok(Value::Object(texts))
    }
}

/// What says nothing.
static ANY: Shape = Shape { kinds: 0, items: None, properties: BTreeMap::new(), rest: None, picky: false };

/// What a client is told of a text.
pub(crate) fn told(text: &str, why: &str) -> String {
    const LONGEST: usize = 64;
    let end = (0..=text.len().min(LONGEST)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let more = if end < text.len() { "…" } else { "" };
    format!("value {}{more}: {why}: invalid syntax", &text[..end])
}

fn number(text: &str, may_be_broken: bool) -> Option<Number> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    if let Ok(whole) = text.parse::<u64>() {
        return Some(whole.into());
    }
    // What Rust takes for numbers beyond these (`inf`, `nan`) is none in JSON.
    text.parse::<f64>().ok().filter(|_| may_be_broken).and_then(Number::from_f64)
}

struct Reader<'k> {
    known: &'k Value,
    left: usize,
}

impl<'k> Reader<'k> {
    fn read(&mut self, schema: &Value, depth: usize, into: &mut Shape) {
        if depth > DEEPEST || self.left == 0 {
            return;
        }
        self.left -= 1;
        let Some(schema) = schema.as_object() else { return };
        let known: &'k Value = self.known;
        if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|to| target(known, to)) {
            self.read(target, depth + 1, into);
        }
        let kind = |name: &str| KINDS.iter().find(|(known, _)| *known == name).map_or(0, |(_, kind)| *kind);
        match schema.get("type") {
            Some(Value::String(name)) => into.kinds |= kind(name),
            Some(Value::Array(names)) => {
                into.kinds |= names.iter().filter_map(Value::as_str).fold(0, |all, name| all | kind(name));
            }
            _ => {
                let values = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
                into.kinds |= values.chain(schema.get("const")).fold(0, |all, value| all | kind_of(value));
            }
        }
        into.picky |= ["enum", "const", "pattern", "format", "minLength", "maxLength"]
            .iter()
            .any(|key| schema.contains_key(*key));
        if let Some(items) = schema.get("items") {
            self.read(items, depth + 1, into.items.get_or_insert_default());
        }
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let known = into.properties.entry(name.as_str().into()).or_default();
            self.read(property, depth + 1, known);
        }
        if let Some(rest @ Value::Object(_)) = schema.get("additionalProperties") {
            self.read(rest, depth + 1, into.rest.get_or_insert_default());
        }
        for key in ["allOf", "anyOf", "oneOf"] {
            for part in schema.get(key).and_then(Value::as_array).into_iter().flatten() {
                self.read(part, depth + 1, into);
            }
        }
        for part in ["then", "else"].iter().filter_map(|key| schema.get(*key)) {
            self.read(part, depth + 1, into);
        }
    }
}

/// What a reference leads to.
fn target<'k>(known: &'k Value, reference: &str) -> Option<&'k Value> {
    let pointer = reference.strip_prefix(apidef::SCHEMAS)?.strip_prefix('#')?;
    known.pointer(&query::decode_path(pointer))
}

fn kind_of(value: &Value) -> u8 {
    match value {
        Value::Null => NULL,
        Value::Bool(_) => BOOLEAN,
        Value::Number(number) if number.is_f64() => NUMBER,
        Value::Number(_) => INTEGER,
        Value::String(_) => TEXT,
        Value::Array(_) => ARRAY,
        Value::Object(_) => OBJECT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_stand_for_what_their_schema_says() {
        let known = json!({"$defs": {"/components/schemas/A b": {"type": "integer"}, "loop": {
            "properties": {"next": {"$ref": "urn:schemas#/$defs/loop"}},
        }}});
        for (schema, text, value) in [
            (json!({"type": "integer"}), "7", Ok(json!(7))),
            (json!({"type": "integer"}), "7.5", Err("an invalid integer")),
            (json!({"type": "integer"}), "", Err("an invalid integer")),
            (json!({"type": "number"}), "7.5", Ok(json!(7.5))),
            (json!({"type": "number"}), "nan", Err("an invalid number")),
            (json!({"type": "number"}), "18446744073709551615", Ok(json!(u64::MAX))),
            (json!({"type": "boolean"}), "true", Ok(json!(true))),
            (json!({"type": "boolean"}), "1", Err("an invalid boolean")),
            (json!({"type": ["integer", "null"]}), "", Ok(json!(null))),
            (json!({"type": ["integer", "string"]}), "x", Ok(json!("x"))),
            (json!({"type": "string"}), "7", Ok(json!("7"))),
            (json!({}), "7", Ok(json!("7"))),
            (json!({"enum": [1, 2]}), "2", Ok(json!(2))),
            (json!({"$ref": "urn:schemas#/$defs/~1components~1schemas~1A%20b"}), "8", Ok(json!(8))),
            (json!({"allOf": [{"type": "integer"}]}), "8", Ok(json!(8))),
        ] {
            assert_eq!(Shape::of(&schema, &known).value(text), value, "{schema} {text}");
        }
        let ends = Shape::of(&json!({"$ref": "urn:schemas#/$defs/loop"}), &known);
        assert_eq!(ends.properties().collect::<Vec<_>>(), ["next"]);
        let shape = Shape::of(
            &json!({"type": "object", "properties": {
                "a": {"type": "array", "items": {"type": "integer"}}, "b": {"type": "boolean"},
            }}),
            &known,
        );
        let pairs = [("a", "1"), ("b", "true"), ("a", "2"), ("c", "3")];
        assert_eq!(shape.object(&pairs).unwrap(), json!({"a": [1, 2], "b": true, "c": "3"}));
        assert!(shape.object(&[("b", "true"), ("b", "x")]).is_err(), "upstreams differ in which counts");
        assert_eq!(shape.object(&[("b", "true"), ("b", "true")]).unwrap(), json!({"b": true}));
        assert_eq!(shape.object(&[("a", "x")]).unwrap_err(), "value x: an invalid integer: invalid syntax");
    }
}
