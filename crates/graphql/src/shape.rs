//! What an operation asks for, in short, for who counts operations.

use std::collections::{BTreeMap, HashSet};

use apollo_compiler::ExecutableDocument;
use apollo_compiler::executable::{Operation, Selection, SelectionSet};

use crate::check::Kind;

/// What an operation asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// What it does.
    pub kind: Kind,
    /// Fields at its root, each once.
    pub roots: Vec<String>,
    /// Types below the root and the fields of them, each once.
    pub types: BTreeMap<String, Vec<String>>,
}

/// Of a document that holds: no fragment spreads itself. Each is walked once, however often it is spread.
pub(crate) fn shape(document: &ExecutableDocument, operation: &Operation, kind: Kind) -> Shape {
    let shape = Shape { kind, roots: Vec::new(), types: BTreeMap::new() };
    let mut walk = Walk { document, spread: HashSet::new(), shape };
    walk.set(&operation.selection_set, true);
    walk.shape
}

struct Walk<'d> {
    document: &'d ExecutableDocument,
    spread: HashSet<&'d str>,
    shape: Shape,
}

impl<'d> Walk<'d> {
    fn set(&mut self, set: &'d SelectionSet, root: bool) {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) if field.name.starts_with("__") => {}
                Selection::Field(field) => {
                    let fields = match root {
                        true => &mut self.shape.roots,
                        false => self.shape.types.entry(set.ty.to_string()).or_default(),
                    };
                    if !fields.iter().any(|known| *known == field.name.as_str()) {
                        fields.push(field.name.to_string());
                    }
                    self.set(&field.selection_set, false);
                }
                Selection::InlineFragment(fragment) => self.set(&fragment.selection_set, root),
                Selection::FragmentSpread(spread) => {
                    let document = self.document;
                    if self.spread.insert(&spread.fragment_name)
                        && let Some(fragment) = document.fragments.get(&spread.fragment_name)
                    {
                        self.set(&fragment.selection_set, root);
                    }
                }
            }
        }
    }
}
