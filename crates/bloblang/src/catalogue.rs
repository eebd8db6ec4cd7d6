//! What functions and methods there are, for tools that complete and explain.

use crate::compile::signature;
use crate::table::{Example, Spec, all_functions, all_methods};

/// One function or method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Whether it is a method, written behind a value and a dot.
    pub is_method: bool,
    /// Name and parameters: `split(delimiter)`.
    pub signature: String,
    /// What it does, in a sentence or two.
    pub summary: &'static str,
    /// Mappings with a message and what becomes of it.
    pub examples: Vec<(&'static str, &'static str, &'static str)>,
}

/// Every function, then every method.
pub fn catalogue() -> Vec<Entry> {
    let entry = |spec: &'static Spec, is_method| Entry {
        name: spec.name,
        is_method,
        signature: signature(spec).trim_matches('`').to_owned(),
        summary: spec.summary,
        examples: spec
            .examples
            .iter()
            .map(|Example(mapping, input, output)| (*mapping, *input, *output))
            .collect(),
    };
    let functions = all_functions().map(|spec| entry(spec, false));
    functions.chain(all_methods().map(|spec| entry(spec, true))).collect()
}
