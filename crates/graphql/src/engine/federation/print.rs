//! The queries to one part: what is selected, without what other parts have, and with what these have to know.

use std::fmt::Write as _;

use apollo_compiler::executable::{Field, Selection, SelectionSet};
use serde_json::{Value, json};

use super::Federation;
use super::part::{self, Needed};
use crate::engine::query::{OWN_TYPE, Printer};

/// The variable that entities are named by.
pub(super) const REPRESENTATIONS: &str = "sluicegate_representations";

pub(super) struct PartPrinter<'d> {
    pub(super) printer: Printer<'d>,
    pub(super) all: &'d Federation,
    pub(super) at: usize,
}

impl<'d> PartPrinter<'d> {
    /// The body of a request for fields at the root.
    pub(super) fn roots(
        mut self,
        verb: &str,
        kind: &str,
        fields: &[(&'d str, Vec<&'d Field>)],
    ) -> Result<String, String> {
        self.fields(kind, fields);
        self.printer.request(verb, None)
    }

    /// The body of a request for fields of entities.
    pub(super) fn entities(
        mut self,
        kind: &str,
        fields: &[(&'d str, Vec<&'d Field>)],
        needed: &[Needed],
        representations: Vec<Value>,
    ) -> Result<String, String> {
        let _ = write!(
            self.printer.out,
            " _entities(representations: ${REPRESENTATIONS}) {{ {OWN_TYPE}: __typename ... on {kind} {{"
        );
        self.fields(kind, fields);
        part::print(needed, true, &mut self.printer.out);
        self.printer.out.push_str(" } }");
        let more = (format!("${REPRESENTATIONS}: [_Any!]!"), (REPRESENTATIONS, json!(representations)));
        self.printer.request("query", Some(more))
    }

    fn fields(&mut self, kind: &str, fields: &[(&'d str, Vec<&'d Field>)]) {
        for (key, selected) in fields {
            let Some(first) = selected.first() else { continue };
            let _ = write!(self.printer.out, " {key}:");
            self.field(kind, first, &selected.iter().map(|field| &field.selection_set).collect::<Vec<_>>());
        }
    }

    fn field(&mut self, kind: &str, field: &'d Field, sets: &[&'d SelectionSet]) {
        self.printer.head(kind, field);
        if sets.iter().all(|set| set.selections.is_empty()) {
            return;
        }
        let all = self.all;
        let has = all.parts.get(self.at).and_then(|part| part.has(kind, &field.name));
        let provided = has.map(|has| &*has.provides).unwrap_or_default();
        self.below(sets, provided);
    }

    fn below(&mut self, sets: &[&'d SelectionSet], provided: &'d [Needed]) {
        // Which type it is has to be known of every object, to ask others for it.
        let _ = write!(self.printer.out, " {{ {OWN_TYPE}: __typename");
        for set in sets {
            self.set(&set.ty, set, provided);
        }
        self.printer.out.push_str(" }");
    }

    /// `kind`: the type that the set stands in, where that is another one.
    fn set(&mut self, kind: &str, set: &'d SelectionSet, provided: &'d [Needed]) {
        for selection in &set.selections {
            if self.printer.is_too_long() {
                return;
            }
            match selection {
                Selection::Field(field) if self.printer.collector.includes(&field.directives) => {
                    self.selected(kind, field, provided);
                }
                Selection::InlineFragment(fragment)
                    if self.printer.collector.includes(&fragment.directives) =>
                {
                    self.fragment(&fragment.selection_set, provided);
                }
                Selection::FragmentSpread(spread) if self.printer.collector.includes(&spread.directives) => {
                    let document = self.printer.collector.document;
                    if let Some(fragment) = document.fragments.get(&spread.fragment_name) {
                        self.fragment(&fragment.selection_set, provided);
                    }
                }
                _ => {}
            }
        }
    }

    fn selected(&mut self, kind: &str, field: &'d Field, provided: &'d [Needed]) {
        let all = self.all;
        let Some(here) = all.parts.get(self.at).filter(|_| !field.name.starts_with("__")) else { return };
        let given = provided.iter().find(|given| given.name == field.name.as_str());
        if here.resolves(kind, &field.name) || given.is_some() {
            let _ = write!(self.printer.out, " {}:", field.response_key());
            match given.filter(|given| !given.below.is_empty()) {
                Some(given) if !field.selection_set.selections.is_empty() => {
                    self.printer.head(kind, field);
                    self.below(&[&field.selection_set], &given.below);
                }
                _ => self.field(kind, field, &[&field.selection_set]),
            }
            return;
        }
        let schema = self.printer.collector.schema;
        if schema.valid.get_object(kind).is_some() {
            return self.along(kind, &field.name);
        }
        // Of an abstract type: any of those that it may be.
        let Some(kinds) = schema.implementers.get(kind).map(|of| &of.objects) else { return };
        for object in kinds.iter().filter(|object| here.knows(object)) {
            let _ = write!(self.printer.out, " ... on {object} {{ {OWN_TYPE}: __typename");
            if here.resolves(object, &field.name) {
                let _ = write!(self.printer.out, " {}:", field.response_key());
                self.field(object, field, &[&field.selection_set]);
            } else {
                self.along(object, &field.name);
            }
            self.printer.out.push_str(" }");
        }
    }

    fn along(&mut self, kind: &str, field: &str) {
        let mut needed = Vec::new();
        self.all.asked_along(self.at, kind, field, 0, &mut needed);
        for one in needed {
            part::print(std::slice::from_ref(one), true, &mut self.printer.out);
        }
    }

    fn fragment(&mut self, set: &'d SelectionSet, provided: &'d [Needed]) {
        let schema = self.printer.collector.schema;
        let Some(here) = self.all.parts.get(self.at) else { return };
        let mut on = |kind: &str| {
            let _ = write!(self.printer.out, " ... on {kind} {{ {OWN_TYPE}: __typename");
            self.set(kind, set, provided);
            self.printer.out.push_str(" }");
        };
        if here.knows(&set.ty) {
            return on(&set.ty);
        }
        // What the part has no name for, it may have kinds of.
        let kinds = schema.implementers.get(&set.ty).map(|of| &of.objects);
        for object in kinds.into_iter().flatten().filter(|object| here.knows(object)) {
            on(object);
        }
    }
}
