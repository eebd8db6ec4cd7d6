//! What an operation costs whoever carries it out: how deep it goes, and how many fields it selects when its fragments stand
//! where they are spread. Each fragment is walked once, however often it is spread.

use std::collections::HashMap;

use apollo_compiler::ExecutableDocument;
use apollo_compiler::executable::{Operation, Selection, SelectionSet};

/// What an operation costs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cost {
    /// Levels of fields: `{ a { b } }` is 2 deep.
    pub depth: u64,
    /// Fields in all.
    pub fields: u64,
    /// What it asks for at its root.
    pub roots: Vec<RootField>,
}

/// One field at the root of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootField {
    /// Its name.
    pub name: String,
    /// Levels of fields below it.
    pub below: u64,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    depth: u64,
    fields: u64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.depth = self.depth.max(other.depth);
        self.fields = self.fields.saturating_add(other.fields);
    }
}

struct Walk<'d> {
    document: &'d ExecutableDocument,
    known: HashMap<&'d str, Sum>,
    roots: Vec<RootField>,
}

/// Of a document that holds: no fragment spreads itself.
pub(crate) fn cost(document: &ExecutableDocument, operation: &Operation, most: u64) -> Cost {
    let mut walk = Walk { document, known: HashMap::new(), roots: Vec::new() };
    let sum = walk.set(&operation.selection_set);
    // What is refused for its size is not walked: below it, all roots together are no more than its fields.
    if sum.fields <= most {
        walk.roots_of(&operation.selection_set, 0);
    }
    Cost { depth: sum.depth, fields: sum.fields, roots: walk.roots }
}

impl<'d> Walk<'d> {
    fn set(&mut self, set: &'d SelectionSet) -> Sum {
        let mut sum = Sum::default();
        for selection in &set.selections {
            let one = match selection {
                Selection::Field(field) => {
                    let below = self.set(&field.selection_set);
                    Sum { depth: below.depth + 1, fields: below.fields.saturating_add(1) }
                }
                Selection::InlineFragment(fragment) => self.set(&fragment.selection_set),
                Selection::FragmentSpread(spread) => self.fragment(&spread.fragment_name),
            };
            sum.add(one);
        }
        sum
    }

    fn fragment(&mut self, name: &'d str) -> Sum {
        if let Some(known) = self.known.get(name) {
            return *known;
        }
        let document = self.document;
        let Some(fragment) = document.fragments.get(name) else { return Sum::default() };
        let sum = self.set(&fragment.selection_set);
        self.known.insert(name, sum);
        sum
    }

    /// Takes note of the fields at the root.
    fn roots_of(&mut self, set: &'d SelectionSet, nested: usize) {
        // As deep as fragments of a document that may pass are nested in each other.
        const DEEPEST: usize = 10_000;
        for selection in &set.selections {
            if nested > DEEPEST {
                return;
            }
            match selection {
                Selection::Field(field) => {
                    let below = self.set(&field.selection_set).depth;
                    self.roots.push(RootField { name: field.name.to_string(), below });
                }
                Selection::InlineFragment(fragment) => self.roots_of(&fragment.selection_set, nested + 1),
                Selection::FragmentSpread(spread) => {
                    let document = self.document;
                    if let Some(fragment) = document.fragments.get(&spread.fragment_name) {
                        self.roots_of(&fragment.selection_set, nested + 1);
                    }
                }
            }
        }
    }
}
