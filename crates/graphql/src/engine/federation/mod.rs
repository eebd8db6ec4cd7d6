//! Supergraphs (federation, first version; contract 10): graphs out of parts that know each other's entities. An operation is
//! asked of the parts that own the fields at its root; then, again and again, what is still missing of the objects that are at
//! hand is asked of those that own that, the same of many objects at once.

mod batch;
mod merge;
mod part;
mod print;
mod run;
mod tree;

use apollo_compiler::ast::Document;

pub use part::Part;
pub(super) use run::Run;

use self::part::{Compiled, Needed};
use super::plan::Plan;
use super::template::Template;
use crate::schema::Schema;

/// How often what one field needs may need others in turn.
const DEEPEST: usize = 5;

/// The parts of a graph.
#[derive(Debug)]
pub struct Federation {
    parts: Vec<Compiled>,
    /// Sent with every call; a part's own come first.
    headers: Vec<(String, Template)>,
    /// Each object is asked for by a call of its own.
    alone: bool,
    /// No source but the parts.
    none: Plan,
}

/// The schema that parts make together; why they make none.
pub fn merged(parts: &[(&str, &str)]) -> Result<String, String> {
    let mut documents = Vec::with_capacity(parts.len());
    for (name, sdl) in parts {
        documents.push((*name, parse(name, sdl)?));
    }
    let documents: Vec<(&str, &Document)> =
        documents.iter().map(|(name, document)| (*name, document)).collect();
    merge::merge(&documents)
}

fn parse(name: &str, sdl: &str) -> Result<Document, String> {
    Document::parse(sdl, name).map_err(|invalid| {
        let first = invalid.errors.iter().next().map(|error| {
            let at = error.line_column_range().map(|range| range.start);
            let place = at.map_or(String::new(), |at| format!(" (line {}, column {})", at.line, at.column));
            format!("{}{place}", error.to_json().message)
        });
        format!("the schema of the part `{name}` cannot be used: {}", first.unwrap_or_default())
    })
}

impl Federation {
    /// Of parts, each field of the schema having one that gives it; else what is wrong.
    pub fn new(
        schema: &Schema,
        parts: Vec<Part>,
        headers: Vec<(String, Template)>,
        alone: bool,
    ) -> Result<Self, String> {
        let mut compiled = Vec::with_capacity(parts.len());
        for part in parts {
            let document = parse(&part.name, &part.sdl)?;
            compiled.push(Compiled::new(part, &document)?);
        }
        let all = Self { parts: compiled, headers, alone, none: Plan::default() };
        for (name, kind) in &schema.valid.types {
            let apollo_compiler::schema::ExtendedType::Object(kind) = kind else { continue };
            let missing =
                |field: &&apollo_compiler::Name| !all.parts.iter().any(|part| part.owns(name, field));
            if let Some(field) = kind.fields.keys().filter(|_| !name.starts_with("__")).find(missing) {
                return Err(format!("no part gives `{name}.{field}`"));
            }
        }
        Ok(all)
    }

    /// The part that owns a field at the root.
    fn of_root(&self, kind: &str, field: &str) -> Option<usize> {
        self.parts.iter().position(|part| part.owns(kind, field))
    }

    /// Who else can be asked for a field of an object that a part sent, and by which key: one that the part knows, rather.
    fn elsewhere(&self, from: usize, kind: &str, field: &str) -> Option<(usize, &[Needed])> {
        let here = self.parts.get(from)?;
        let known = |key: &&Vec<Needed>| key.iter().all(|needed| here.resolves(kind, &needed.name));
        let mut first = None;
        for (index, part) in self.parts.iter().enumerate() {
            let Some(keys) = part.keys.get(kind).filter(|_| part.owns(kind, field)) else { continue };
            if let Some(key) = keys.iter().find(known) {
                return Some((index, key));
            }
            first = first.or_else(|| keys.first().map(|key| (index, &**key)));
        }
        first
    }

    /// What has to be known of an object for that: the key, and what the field requires.
    fn needs(&self, from: usize, kind: &str, field: &str) -> Vec<&Needed> {
        let Some((to, key)) = self.elsewhere(from, kind, field) else { return Vec::new() };
        let requires = self.parts[to].has(kind, field).map(|has| &*has.requires).unwrap_or_default();
        key.iter().chain(requires).collect()
    }

    /// What of it the part itself is asked for, so that the rest can be asked for elsewhere.
    fn asked_along<'f>(
        &'f self,
        from: usize,
        kind: &str,
        field: &str,
        deep: usize,
        into: &mut Vec<&'f Needed>,
    ) {
        for needed in self.needs(from, kind, field) {
            if into.contains(&needed) {
                continue;
            }
            if self.parts[from].resolves(kind, &needed.name) {
                into.push(needed);
            } else if deep < DEEPEST {
                self.asked_along(from, kind, &needed.name, deep + 1, into);
            }
        }
    }
}
