//! Which fields are selected of an object, by the type that it is of, and with which arguments.

use std::collections::HashSet;

use apollo_compiler::ExecutableDocument;
use apollo_compiler::ast::{DirectiveList, Value as Written};
use apollo_compiler::collections::IndexMap;
use apollo_compiler::executable::{Field, Selection, SelectionSet};
use serde_json::{Map, Value};

use crate::schema::Schema;

pub(super) type Fields<'d> = IndexMap<&'d str, Vec<&'d Field>>;

/// What fields are collected by.
#[derive(Clone, Copy)]
pub(super) struct Collector<'d> {
    pub(super) schema: &'d Schema,
    pub(super) document: &'d ExecutableDocument,
    pub(super) variables: &'d Map<String, Value>,
}

impl<'d> Collector<'d> {
    /// The fields of an object of this type, by the names that the answer has for them.
    pub(super) fn fields(&self, kind: &str, sets: &[&'d SelectionSet]) -> Fields<'d> {
        let (mut fields, mut seen) = (Fields::default(), HashSet::new());
        for set in sets {
            self.add(kind, set, &mut seen, &mut fields);
        }
        fields
    }

    fn add(&self, kind: &str, set: &'d SelectionSet, seen: &mut HashSet<&'d str>, fields: &mut Fields<'d>) {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) if self.includes(&field.directives) => {
                    fields.entry(field.response_key().as_str()).or_default().push(field);
                }
                Selection::InlineFragment(fragment)
                    if self.includes(&fragment.directives)
                        && fragment.type_condition.as_ref().is_none_or(|on| self.is(kind, on)) =>
                {
                    self.add(kind, &fragment.selection_set, seen, fields);
                }
                Selection::FragmentSpread(spread) if self.includes(&spread.directives) => {
                    if !seen.insert(spread.fragment_name.as_str()) {
                        continue;
                    }
                    let Some(fragment) = self.document.fragments.get(&spread.fragment_name) else { continue };
                    if self.is(kind, fragment.type_condition()) {
                        self.add(kind, &fragment.selection_set, seen, fields);
                    }
                }
                _ => {}
            }
        }
    }

    fn is(&self, kind: &str, condition: &str) -> bool {
        kind == condition || self.schema.valid.is_subtype(condition, kind)
    }

    /// By `@skip` and `@include`.
    pub(super) fn includes(&self, directives: &DirectiveList) -> bool {
        let says = |directive: &str| {
            let argument = directives.get(directive)?.specified_argument_by_name("if")?;
            self.value(argument).as_bool()
        };
        says("skip") != Some(true) && says("include") != Some(false)
    }

    /// The arguments of a field, with those that the schema has for want of others.
    pub(super) fn arguments(&self, field: &Field) -> Map<String, Value> {
        let mut arguments = Map::new();
        for defined in &field.definition.arguments {
            let written = field.specified_argument_by_name(&defined.name);
            let value = match written.map(|written| &**written) {
                Some(Written::Variable(name)) if !self.variables.contains_key(name.as_str()) => None,
                Some(written) => Some(self.value(written)),
                None => None,
            };
            let value = value.or_else(|| defined.default_value.as_ref().map(|usual| self.value(usual)));
            if let Some(value) = value {
                arguments.insert(defined.name.to_string(), value);
            }
        }
        arguments
    }

    /// As deep as the parser lets values be.
    fn value(&self, written: &Written) -> Value {
        match written {
            Written::Null => Value::Null,
            Written::Enum(name) => name.as_str().into(),
            Written::Variable(name) => self.variables.get(name.as_str()).cloned().unwrap_or_default(),
            Written::String(text) => text.as_str().into(),
            Written::Boolean(value) => (*value).into(),
            Written::Int(number) => serde_json::from_str(number.as_str()).unwrap_or_default(),
            Written::Float(number) => serde_json::from_str(number.as_str()).unwrap_or_default(),
            Written::List(items) => items.iter().map(|item| self.value(item)).collect(),
            Written::Object(members) => {
                let members = members.iter().map(|(name, value)| (name.to_string(), self.value(value)));
                Value::Object(members.collect())
            }
        }
    }
}
