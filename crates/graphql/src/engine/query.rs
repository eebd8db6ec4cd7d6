//! The query to a source that is asked in GraphQL: what the client selects of a field, without what other sources have, and
//! with what these have to know.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use apollo_compiler::ast::{OperationType, Value as Written};
use apollo_compiler::executable::{Field, Operation, Selection, SelectionSet};
use serde_json::{Map, Value, json};

use super::collect::Collector;
use super::plan::Plan;

/// What our own fields in answers are called, so that no name of a client is the same.
pub(super) const OWN: &str = "sluicegate_";
pub(super) const OWN_TYPE: &str = "sluicegate_typename";

/// Text of a query, at most: fragments are put in wherever they are spread.
const LONGEST: usize = 1 << 20;

pub(super) struct Printer<'d> {
    pub(super) plan: &'d Plan,
    pub(super) collector: Collector<'d>,
    pub(super) operation: &'d Operation,
    pub(super) out: String,
    variables: BTreeSet<&'d str>,
}

impl<'d> Printer<'d> {
    pub(super) fn new(plan: &'d Plan, collector: Collector<'d>, operation: &'d Operation) -> Self {
        Self { plan, collector, operation, out: String::new(), variables: BTreeSet::new() }
    }

    /// The body of a request for these fields, which are one in the answer.
    pub(super) fn body(mut self, kind: &str, fields: &[&'d Field]) -> Result<String, String> {
        let Some(first) = fields.first() else { return Err("nothing is asked for".to_owned()) };
        // What the answer calls it is its name in the schema.
        if self.plan.name_there(kind, &first.name).is_some() {
            let _ = write!(self.out, " {}:", first.name);
        }
        self.head(kind, first);
        let sets: Vec<&SelectionSet> = fields.iter().map(|field| &field.selection_set).collect();
        self.selections(&sets);
        let schema = &self.collector.schema.valid;
        let of = |operation| schema.root_operation(operation).is_some_and(|root| root.as_str() == kind);
        let verb = match () {
            () if of(OperationType::Mutation) => "mutation",
            () if of(OperationType::Subscription) => "subscription",
            () => "query",
        };
        self.request(verb, None)
    }

    pub(super) fn is_too_long(&self) -> bool {
        self.out.len() > LONGEST
    }

    /// The body of a request for what has been printed. `more`: a variable of our own, declared, and its value.
    pub(super) fn request(self, verb: &str, more: Option<(String, (&str, Value))>) -> Result<String, String> {
        if self.is_too_long() {
            return Err("the query to the source is too long: ask for less at once".to_owned());
        }
        let (mut declared, mut values) = (String::new(), Map::new());
        if let Some((own, (name, value))) = more {
            declared = own;
            values.insert(name.to_owned(), value);
        }
        for variable in &self.operation.variables {
            if !self.variables.contains(variable.name.as_str()) {
                continue;
            }
            let _ = write!(
                declared,
                "{}${}: {}",
                if declared.is_empty() { "" } else { ", " },
                variable.name,
                variable.ty
            );
            if let Some(value) = self.collector.variables.get(variable.name.as_str()) {
                values.insert(variable.name.to_string(), value.clone());
            }
        }
        let declared = if declared.is_empty() { declared } else { format!("({declared})") };
        let query = format!("{verb}{declared} {{ {} }}", self.out.trim());
        Ok(json!({"query": query, "variables": Value::Object(values)}).to_string())
    }

    /// The name and arguments of a field of a type.
    pub(super) fn head(&mut self, kind: &str, field: &'d Field) {
        let name = self.plan.name_there(kind, &field.name).unwrap_or(&field.name);
        let _ = write!(self.out, " {name}");
        if field.arguments.is_empty() {
            return;
        }
        for (index, argument) in field.arguments.iter().enumerate() {
            let mark = if index == 0 { "(" } else { ", " };
            let _ = write!(self.out, "{mark}{}: {}", argument.name, argument.value.serialize().no_indent());
            self.note(&argument.value);
        }
        self.out.push(')');
    }

    fn note(&mut self, value: &'d Written) {
        match value {
            Written::Variable(name) => {
                self.variables.insert(name);
            }
            Written::List(items) => items.iter().for_each(|item| self.note(item)),
            Written::Object(members) => members.iter().for_each(|(_, member)| self.note(member)),
            _ => {}
        }
    }

    fn selections(&mut self, sets: &[&'d SelectionSet]) {
        let sets: Vec<&&SelectionSet> = sets.iter().filter(|set| !set.selections.is_empty()).collect();
        if sets.is_empty() {
            return;
        }
        self.out.push_str(" {");
        // Which type it is has to be known of an abstract one, and something has to be asked for in any case.
        let _ = write!(self.out, " {OWN_TYPE}: __typename");
        for set in sets {
            self.set(set);
        }
        self.out.push_str(" }");
    }

    fn set(&mut self, set: &'d SelectionSet) {
        for selection in &set.selections {
            if self.out.len() > LONGEST {
                return;
            }
            match selection {
                Selection::Field(field) if self.collector.includes(&field.directives) => {
                    if field.name.starts_with("__") {
                        continue;
                    }
                    if let Some(other) = self.plan.source(&set.ty, &field.name) {
                        let needs: BTreeSet<&str> = other.needs().collect();
                        for name in needs {
                            let _ = write!(self.out, " {OWN}{name}: {name}");
                        }
                        continue;
                    }
                    if field.alias.is_some() || self.plan.name_there(&set.ty, &field.name).is_some() {
                        let _ = write!(self.out, " {}:", field.response_key());
                    }
                    self.head(&set.ty, field);
                    self.selections(&[&field.selection_set]);
                }
                Selection::InlineFragment(fragment) if self.collector.includes(&fragment.directives) => {
                    self.fragment(&fragment.selection_set);
                }
                Selection::FragmentSpread(spread) if self.collector.includes(&spread.directives) => {
                    let document = self.collector.document;
                    if let Some(fragment) = document.fragments.get(&spread.fragment_name) {
                        self.fragment(&fragment.selection_set);
                    }
                }
                _ => {}
            }
        }
    }

    fn fragment(&mut self, set: &'d SelectionSet) {
        let _ = write!(self.out, " ... on {} {{ {OWN_TYPE}: __typename", set.ty);
        self.set(set);
        self.out.push_str(" }");
    }
}
