//! Where the fields of a graph come from.

use std::collections::HashMap;

use apollo_compiler::ast::OperationType;
use serde_json::Value;

use super::template::{Name, Template};
use crate::schema::Schema;
use crate::socket::Protocol;

/// Sources of fields, and where in an answer the value of a field is.
#[derive(Debug, Default)]
pub struct Plan {
    /// In the order of the definition.
    pub sources: Vec<Source>,
    /// By type and field.
    pub mappings: HashMap<(String, String), Mapping>,
    /// Sent with every call; a source's own come first.
    pub headers: Vec<(String, Template)>,
}

/// A source.
#[derive(Debug)]
pub struct Source {
    /// Its name, for errors.
    pub name: String,
    /// Types and fields that it is asked for.
    pub roots: Vec<(String, String)>,
    /// Whole.
    pub url: Template,
    /// Upper case.
    pub method: String,
    /// Names and values of fields.
    pub headers: Vec<(String, Template)>,
    /// What its answers are, where they do not say so.
    pub types: TypeNames,
    /// How it is asked.
    pub kind: SourceKind,
    /// How it is asked for events, where it is asked in GraphQL.
    pub asking: Asking,
}

/// The types of objects that a source asked by a URL answers without `__typename`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypeNames {
    /// Of every answer.
    pub usual: Option<String>,
    /// By status, which is no failure then.
    pub by_status: Vec<(u16, String)>,
}

impl TypeNames {
    /// The type that answers of a status are of by it.
    pub(super) fn of_status(&self, status: u16) -> Option<&str> {
        self.by_status.iter().find(|(known, _)| *known == status).map(|(_, name)| &**name)
    }

    /// Says of an object, or of those in a list, which type it is of, unless it does so itself.
    pub(super) fn tell(&self, status: u16, answer: &mut Value) {
        let Some(name) = self.of_status(status).or(self.usual.as_deref()) else { return };
        let tell = |value: &mut Value| {
            if let Value::Object(members) = value {
                members.entry("__typename").or_insert_with(|| name.into());
            }
        };
        match answer {
            Value::Array(items) => items.iter_mut().for_each(tell),
            value => tell(value),
        }
    }
}

/// How events are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// Over a WebSocket; in whichever protocol the source chooses, where none is named.
    Socket(Option<Protocol>),
    /// By a request that is answered with events.
    Events {
        /// It is sent by POST, and not by GET.
        post: bool,
    },
}

impl Default for Asking {
    fn default() -> Self {
        Self::Socket(None)
    }
}

/// How a source is asked.
#[derive(Debug)]
pub enum SourceKind {
    /// By a URL and a body.
    Rest {
        /// Pairs for the query string.
        query: Vec<(String, Template)>,
        /// Sent, where there is one.
        body: Option<Template>,
    },
    /// In GraphQL, for what the client selects.
    Graph,
    /// It is not asked: it sends events, each of which is an answer.
    Events,
    /// In GraphQL, for what the definition says.
    Operation {
        /// A document.
        operation: String,
        /// Texts in it are templates.
        variables: Vec<(String, Variable)>,
    },
}

/// The value of a variable.
#[derive(Debug)]
pub enum Variable {
    /// Always this.
    Fixed(Value),
    /// Made for each call.
    Made(Template),
}

/// Where in an answer the value of a field is.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    /// Names on the way; none and no `whole` = the name of the field.
    pub path: Vec<String>,
    /// Without names on the way it is the answer itself.
    pub whole: bool,
}

impl Plan {
    pub(super) fn check(&self, schema: &Schema) -> Result<(), String> {
        let mut seen: HashMap<(&str, &str), &str> = HashMap::new();
        for source in &self.sources {
            for (kind, field) in &source.roots {
                let root = schema.valid.root_operation(OperationType::Subscription);
                let of_events = root.is_some_and(|root| root.as_str() == kind);
                let fault = match source.kind {
                    SourceKind::Rest { .. } if of_events => {
                        Some("is a subscription, which needs a source that sends events")
                    }
                    SourceKind::Events if !of_events => {
                        Some("is no subscription, and the source only sends events")
                    }
                    _ => None,
                };
                if let Some(what) = fault {
                    return Err(format!(
                        "the source `{}` is for `{kind}.{field}`, which {what}",
                        source.name
                    ));
                }
                // There it is asked for by name, and what is in its value by what the client selects.
                let path = self.mapping(kind, field).map(|mapping| &*mapping.path).unwrap_or_default();
                if matches!(source.kind, SourceKind::Graph) && !matches!(path, [] | [_]) {
                    return Err(format!(
                        "the path of `{kind}.{field}` must be the name of one field: `{}` is asked in GraphQL",
                        source.name
                    ));
                }
                if !schema.has(kind, field) {
                    return Err(format!(
                        "the source `{}` is for `{kind}.{field}`, which the schema does not have",
                        source.name
                    ));
                }
                if let Some(other) = seen.insert((kind, field), &source.name) {
                    return Err(format!("`{kind}.{field}` has two sources: `{other}` and `{}`", source.name));
                }
            }
        }
        match self.mappings.keys().find(|(kind, field)| !schema.has(kind, field)) {
            Some((kind, field)) => {
                Err(format!("`field_configs` names `{kind}.{field}`, which the schema does not have"))
            }
            None => Ok(()),
        }
    }

    /// The source of a field, if it has one of its own.
    pub(super) fn source(&self, kind: &str, field: &str) -> Option<&Source> {
        let is = |(known, of): &(String, String)| known == kind && of == field;
        self.sources.iter().find(|source| source.roots.iter().any(is))
    }

    /// What a field is called at a source that is asked in GraphQL, where it is called otherwise than in the schema.
    pub(super) fn name_there(&self, kind: &str, field: &str) -> Option<&str> {
        let mapping = self.mapping(kind, field)?;
        match &*mapping.path {
            [name] if name != field && is_name(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn mapping(&self, kind: &str, field: &str) -> Option<&Mapping> {
        // Few definitions have any.
        if self.mappings.is_empty() {
            return None;
        }
        self.mappings.get(&(kind.to_owned(), field.to_owned()))
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Source {
    fn templates(&self) -> impl Iterator<Item = &Template> {
        let kind: Box<dyn Iterator<Item = &Template> + '_> = match &self.kind {
            SourceKind::Rest { query, body } => Box::new(query.iter().map(|(_, text)| text).chain(body)),
            SourceKind::Graph | SourceKind::Events => Box::new(std::iter::empty()),
            SourceKind::Operation { variables, .. } => {
                Box::new(variables.iter().filter_map(|(_, value)| match value {
                    Variable::Made(text) => Some(text),
                    Variable::Fixed(_) => None,
                }))
            }
        };
        std::iter::once(&self.url).chain(self.headers.iter().map(|(_, text)| text)).chain(kind)
    }

    /// The fields of the object around it that it has to know.
    pub(super) fn needs(&self) -> impl Iterator<Item = &str> {
        self.templates().flat_map(Template::names).filter_map(|name| match name {
            Name::Object(parts) => parts.first().map(|first| &**first),
            _ => None,
        })
    }
}
