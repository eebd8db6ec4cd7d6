//! Schemas: a flat list of types that refer to each other by place, so that recursive ones are no special case.

use std::collections::HashMap;

use bloblang::{Text, Value};
use serde_json::Value as Json;

use super::logical::Logical;
use super::names::{FullName, is_name};

/// Types of one schema and those it refers to.
const MAX_TYPES: usize = 10_000;
/// JSON texts nest no deeper anyway.
const MAX_NESTING: usize = 120;

/// The place of a type in its schema.
pub(super) type Id = usize;

/// A parsed schema.
#[derive(Debug, Clone)]
pub struct Schema {
    pub(super) types: Vec<Type>,
    pub(super) root: Id,
    pub(super) fingerprint: u64,
    /// What types mean beyond what they are, where we know it.
    pub(super) logical: HashMap<Id, Logical>,
}

#[derive(Debug, Clone)]
pub(super) enum Type {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed { name: Text, size: usize },
    Enum { name: Text, symbols: Vec<Text>, default: Option<usize> },
    Array(Id),
    Map(Id),
    Union(Vec<Branch>),
    Record { name: Text, fields: Vec<Field> },
}

#[derive(Debug, Clone)]
pub(super) struct Branch {
    /// What a value of it is called in JSON.
    pub(super) name: Text,
    /// What goavro calls it when it has a logical type; understood, never written.
    pub(super) logical: Option<Text>,
    pub(super) id: Id,
}

#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: Text,
    pub(super) id: Id,
    pub(super) default: Option<Value>,
}

impl Schema {
    /// Parses a schema.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Schema, String> {
        Schema::parse_with(text, &[])
    }

    /// Parses a schema whose names may stand for types of the `references`, each of which may name those before it.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn parse_with(text: &str, references: &[&str]) -> Result<Schema, String> {
        let mut parser = Parser { types: Vec::new(), names: HashMap::new(), logical: HashMap::new() };
        for reference in references {
            parser.text(reference)?;
        }
        let root = parser.text(text)?;
        let mut schema = Schema { types: parser.types, root, fingerprint: 0, logical: parser.logical };
        schema.fingerprint = super::canonical::fingerprint(&schema);
        Ok(schema)
    }

    /// The CRC-64-AVRO fingerprint of the schema's canonical form.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub(super) fn get(&self, id: Id) -> &Type {
        &self.types[id]
    }
}

struct Parser {
    types: Vec<Type>,
    names: HashMap<Text, Id>,
    logical: HashMap<Id, Logical>,
}

impl Parser {
    fn text(&mut self, text: &str) -> Result<Id, String> {
        let json: Json = serde_json::from_str(text)
            // A bare name is a schema, too, and is often written without its quotes.
            .or_else(|error| if is_name(text.trim()) { Ok(Json::from(text.trim())) } else { Err(error) })
            .map_err(|error| {
                format!("the schema is not JSON: line {} column {}", error.line(), error.column())
            })?;
        self.schema(&json, "", 0)
    }

    fn add(&mut self, made: Type) -> Result<Id, String> {
        if self.types.len() >= MAX_TYPES {
            return Err(format!("a schema holds at most {MAX_TYPES} types"));
        }
        self.types.push(made);
        Ok(self.types.len() - 1)
    }

    fn define(&mut self, name: &FullName, made: Type) -> Result<Id, String> {
        let id = self.add(made)?;
        if self.names.insert(name.full.clone(), id).is_some() {
            return Err(format!("the type `{}` is defined twice", name.full));
        }
        Ok(id)
    }

    fn schema(&mut self, json: &Json, namespace: &str, depth: usize) -> Result<Id, String> {
        if depth > MAX_NESTING {
            return Err("the schema is nested too deeply".to_owned());
        }
        match json {
            Json::String(name) => self.named(name, namespace),
            Json::Array(branches) => self.union(branches, namespace, depth),
            Json::Object(object) => match object.get("type") {
                Some(Json::String(kind)) => self.complex(kind, json, namespace, depth),
                Some(inner) => self.schema(inner, namespace, depth + 1),
                None => Err("a schema object needs a `type`".to_owned()),
            },
            _ => Err("a schema is a name, an object or a list of schemas".to_owned()),
        }
    }

    fn named(&mut self, name: &str, namespace: &str) -> Result<Id, String> {
        if let Some(primitive) = primitive(name) {
            return self.add(primitive);
        }
        let full = FullName::of(name, None, namespace)?;
        let found = self.names.get(&full.full).or_else(|| self.names.get(name));
        found
            .copied()
            .ok_or_else(|| format!("there is no type `{}`; a type is defined before it is named", full.full))
    }

    fn complex(&mut self, kind: &str, json: &Json, namespace: &str, depth: usize) -> Result<Id, String> {
        let inner = |key: &str| json.get(key).ok_or_else(|| format!("a type `{kind}` needs `{key}`"));
        match kind {
            "array" => {
                let items = self.schema(inner("items")?, namespace, depth + 1)?;
                self.add(Type::Array(items))
            }
            "map" => {
                let values = self.schema(inner("values")?, namespace, depth + 1)?;
                self.add(Type::Map(values))
            }
            "record" | "error" => self.record(json, namespace, depth),
            "enum" => self.enumeration(json, namespace),
            "fixed" => {
                let name = FullName::defined(json, namespace)?;
                let size = inner("size")?.as_u64().and_then(|size| usize::try_from(size).ok());
                let size =
                    size.ok_or_else(|| format!("the size of `{}` must be a whole number", name.full))?;
                let id = self.define(&name, Type::Fixed { name: name.full.clone(), size })?;
                self.meaning(json, id);
                Ok(id)
            }
            other => {
                let id = self.named(other, namespace)?;
                // A primitive has an entry for each place where it is written; a name stands for a type told elsewhere.
                if primitive(other).is_some() {
                    self.meaning(json, id);
                }
                Ok(id)
            }
        }
    }

    /// Keeps the logical type of a type; one that does not suit it is ignored, as the specification wants.
    fn meaning(&mut self, json: &Json, id: Id) {
        if let Some(logical) = Logical::of(json, &self.types[id]) {
            self.logical.insert(id, logical);
        }
    }

    fn record(&mut self, json: &Json, namespace: &str, depth: usize) -> Result<Id, String> {
        let name = FullName::defined(json, namespace)?;
        // Defined before its fields are read: they may name it.
        let id = self.define(&name, Type::Record { name: name.full.clone(), fields: Vec::new() })?;
        let list = json.get("fields").and_then(Json::as_array);
        let list = list.ok_or_else(|| format!("the record `{}` needs a list of `fields`", name.full))?;
        let mut made: Vec<Field> = Vec::with_capacity(list.len());
        for field in list {
            let Some(label) = field.get("name").and_then(Json::as_str).filter(|label| is_name(label)) else {
                return Err(format!("a field of `{}` has no proper name", name.full));
            };
            if made.iter().any(|field| field.name == label) {
                return Err(format!("`{}` has two fields `{label}`", name.full));
            }
            let inner = field.get("type").ok_or_else(|| format!("the field `{label}` needs a `type`"))?;
            let id = self
                .schema(inner, name.namespace(), depth + 1)
                .map_err(|fault| format!("field `{label}` of `{}`: {fault}", name.full))?;
            let default = field.get("default").cloned().map(Value::from);
            made.push(Field { name: label.into(), id, default });
        }
        self.types[id] = Type::Record { name: name.full, fields: made };
        Ok(id)
    }

    fn enumeration(&mut self, json: &Json, namespace: &str) -> Result<Id, String> {
        let name = FullName::defined(json, namespace)?;
        let list = json.get("symbols").and_then(Json::as_array);
        let list = list.ok_or_else(|| format!("the enum `{}` needs a list of `symbols`", name.full))?;
        let mut symbols: Vec<Text> = Vec::with_capacity(list.len());
        for symbol in list {
            let symbol = symbol.as_str().filter(|symbol| is_name(symbol));
            let symbol = symbol.ok_or_else(|| format!("a symbol of `{}` is not a name", name.full))?;
            if symbols.iter().any(|known| known == symbol) {
                return Err(format!("`{}` has the symbol `{symbol}` twice", name.full));
            }
            symbols.push(symbol.into());
        }
        let default = json.get("default").and_then(Json::as_str);
        let default = default.and_then(|default| symbols.iter().position(|symbol| symbol == default));
        self.define(&name, Type::Enum { name: name.full.clone(), symbols, default })
    }

    fn union(&mut self, list: &[Json], namespace: &str, depth: usize) -> Result<Id, String> {
        let mut branches: Vec<Branch> = Vec::with_capacity(list.len());
        for json in list {
            let id = self.schema(json, namespace, depth + 1)?;
            let name = match &self.types[id] {
                Type::Union(_) => return Err("a union holds no union directly".to_owned()),
                other => name_of(other),
            };
            if branches.iter().any(|branch| branch.name == name) {
                return Err(format!("a union has two branches `{name}`"));
            }
            let logical = json.get("logicalType").and_then(Json::as_str);
            let logical = logical.map(|logical| Text::from(format!("{name}.{logical}")));
            branches.push(Branch { name, logical, id });
        }
        self.add(Type::Union(branches))
    }
}

fn primitive(name: &str) -> Option<Type> {
    Some(match name {
        "null" => Type::Null,
        "boolean" => Type::Boolean,
        "int" => Type::Int,
        "long" => Type::Long,
        "float" => Type::Float,
        "double" => Type::Double,
        "bytes" => Type::Bytes,
        "string" => Type::String,
        _ => return None,
    })
}

/// What a type is called in a union and in faults.
pub(super) fn name_of(of: &Type) -> Text {
    match of {
        Type::Null => "null".into(),
        Type::Boolean => "boolean".into(),
        Type::Int => "int".into(),
        Type::Long => "long".into(),
        Type::Float => "float".into(),
        Type::Double => "double".into(),
        Type::Bytes => "bytes".into(),
        Type::String => "string".into(),
        Type::Array(_) => "array".into(),
        Type::Map(_) => "map".into(),
        Type::Union(_) => "union".into(),
        Type::Fixed { name, .. } | Type::Enum { name, .. } | Type::Record { name, .. } => name.clone(),
    }
}
