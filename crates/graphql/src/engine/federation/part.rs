//! The parts of a supergraph (federation, first version): what each of them can be asked for, and by what it knows entities.

use std::collections::{HashMap, HashSet};

use apollo_compiler::ast::{Definition, DirectiveList, Document, FieldDefinition};
use serde_json::{Map, Value};

use crate::engine::plan::Asking;
use crate::engine::query::OWN;
use crate::engine::template::Template;

/// A graph that is a part of a larger one.
#[derive(Debug)]
pub struct Part {
    /// For errors.
    pub name: String,
    /// In the definition language, as the part tells it of itself.
    pub sdl: String,
    /// Whole.
    pub url: Template,
    /// Names and values of fields.
    pub headers: Vec<(String, Template)>,
    /// How it is asked for events.
    pub asking: Asking,
}

/// A field that an entity is known by, or that another field needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Needed {
    pub(super) name: String,
    pub(super) below: Vec<Self>,
}

/// What a part says of one field.
#[derive(Debug, Default)]
pub(super) struct Has {
    external: bool,
    pub(super) requires: Vec<Needed>,
    pub(super) provides: Vec<Needed>,
}

/// What a part can be asked for.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) name: String,
    pub(super) url: Template,
    pub(super) headers: Vec<(String, Template)>,
    pub(super) asking: Asking,
    fields: HashMap<(String, String), Has>,
    pub(super) keys: HashMap<String, Vec<Vec<Needed>>>,
    types: HashSet<String>,
}

impl Compiled {
    pub(super) fn new(part: Part, document: &Document) -> Result<Self, String> {
        let mut compiled = Self {
            name: part.name,
            url: part.url,
            headers: part.headers,
            asking: part.asking,
            fields: HashMap::new(),
            keys: HashMap::new(),
            types: HashSet::new(),
        };
        for definition in &document.definitions {
            if let Some(name) = definition.name() {
                compiled.types.insert(name.to_string());
            }
            let (kind, directives, fields) = match definition {
                Definition::ObjectTypeDefinition(kind) => (&kind.name, &kind.directives, &kind.fields),
                Definition::ObjectTypeExtension(kind) => (&kind.name, &kind.directives, &kind.fields),
                Definition::InterfaceTypeDefinition(kind) => (&kind.name, &kind.directives, &kind.fields),
                Definition::InterfaceTypeExtension(kind) => (&kind.name, &kind.directives, &kind.fields),
                _ => continue,
            };
            let place = || format!("`{kind}` of the part `{}`", compiled.name);
            for key in directives.get_all("key") {
                let text = key.specified_argument_by_name("fields").and_then(|text| text.as_str());
                let key =
                    needed(text.unwrap_or_default()).map_err(|why| format!("@key of {}: {why}", place()))?;
                compiled.keys.entry(kind.to_string()).or_default().push(key);
            }
            for field in fields {
                let has = Has::of(field).map_err(|why| format!("`{}` of {}: {why}", field.name, place()))?;
                compiled.fields.insert((kind.to_string(), field.name.to_string()), has);
            }
        }
        Ok(compiled)
    }

    pub(super) fn has(&self, kind: &str, field: &str) -> Option<&Has> {
        self.fields.get(&(kind.to_owned(), field.to_owned()))
    }

    /// Whether it is the one that gives a field.
    pub(super) fn owns(&self, kind: &str, field: &str) -> bool {
        self.has(kind, field).is_some_and(|has| !has.external)
    }

    /// Whether it can be asked for a field of an object that it sent.
    pub(super) fn resolves(&self, kind: &str, field: &str) -> bool {
        let of_key = || {
            let keys = self.keys.get(kind).into_iter().flatten().flatten();
            keys.into_iter().any(|needed| needed.name == field)
        };
        self.has(kind, field).is_some_and(|has| (!has.external && has.requires.is_empty()) || of_key())
    }

    pub(super) fn knows(&self, kind: &str) -> bool {
        self.types.contains(kind)
    }
}

impl Has {
    fn of(field: &FieldDefinition) -> Result<Self, String> {
        let set = |name: &str| -> Result<Vec<Needed>, String> {
            let text = argument(&field.directives, name);
            text.map_or_else(|| Ok(Vec::new()), |text| needed(text).map_err(|why| format!("@{name}: {why}")))
        };
        Ok(Self {
            external: field.directives.has("external"),
            requires: set("requires")?,
            provides: set("provides")?,
        })
    }
}

fn argument<'d>(directives: &'d DirectiveList, name: &str) -> Option<&'d str> {
    directives.get(name)?.specified_argument_by_name("fields")?.as_str()
}

/// Fields as `@key` has them: `id organization { id }`.
pub(super) fn needed(text: &str) -> Result<Vec<Needed>, String> {
    const DEEPEST: usize = 20;
    let mut open: Vec<Vec<Needed>> = vec![Vec::new()];
    let spaced = text.replace('{', " { ").replace('}', " } ").replace(',', " ");
    for word in spaced.split_whitespace() {
        let wrong = || format!("`{text}` is no set of fields");
        match word {
            "{" if open.last().is_some_and(|set| !set.is_empty()) && open.len() < DEEPEST => {
                open.push(Vec::new())
            }
            "}" if open.len() > 1 => {
                let below = open.pop().unwrap_or_default();
                if below.is_empty() {
                    return Err(wrong());
                }
                open.last_mut().and_then(|set| set.last_mut()).ok_or_else(wrong)?.below = below;
            }
            name if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => {
                let field = Needed { name: name.to_owned(), below: Vec::new() };
                open.last_mut().ok_or_else(wrong)?.push(field);
            }
            _ => return Err(wrong()),
        }
    }
    match (open.pop(), open.is_empty()) {
        (Some(set), true) if !set.is_empty() => Ok(set),
        _ => Err(format!("`{text}` is no set of fields")),
    }
}

/// A set as a selection, the first names called otherwise so that no name of a client is the same.
pub(super) fn print(needed: &[Needed], own: bool, out: &mut String) {
    for field in needed {
        out.push(' ');
        if own {
            out.push_str(OWN);
            out.push_str(&field.name);
            out.push_str(": ");
        }
        out.push_str(&field.name);
        if !field.below.is_empty() {
            out.push_str(" {");
            print(&field.below, false, out);
            out.push_str(" }");
        }
    }
}

/// What an object has of a set: nothing more, since it may have been asked for by several.
pub(super) fn pick(value: &Value, needed: &[Needed]) -> Value {
    match value {
        _ if needed.is_empty() => value.clone(),
        Value::Array(items) => items.iter().map(|item| pick(item, needed)).collect(),
        Value::Object(members) => {
            let has = needed.iter().filter_map(|field| {
                Some((field.name.clone(), pick(members.get(&field.name)?, &field.below)))
            });
            Value::Object(has.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}
