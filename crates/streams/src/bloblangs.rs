//! Bloblang in configuration: parse faults with their place inside the text.

use bloblang::{Environment, Mapping, ParseError, Template};
use document::Fault;

/// Parses a mapping or query.
pub(crate) fn mapping(environment: &Environment, text: &str, pointer: &str) -> Result<Mapping, Vec<Fault>> {
    Mapping::parse(environment, text).map_err(|faults| place(faults, pointer))
}

/// Parses an interpolated text.
pub(crate) fn template(environment: &Environment, text: &str, pointer: &str) -> Result<Template, Vec<Fault>> {
    Template::parse(environment, text).map_err(|faults| place(faults, pointer))
}

/// The first of some faults.
pub(crate) fn first(faults: Vec<Fault>) -> Fault {
    faults.into_iter().next().unwrap_or_else(|| Fault::error("", "the mapping does not parse"))
}

fn place(faults: Vec<ParseError>, pointer: &str) -> Vec<Fault> {
    (faults.into_iter())
        .map(|fault| {
            let text = format!("bloblang, line {} column {}: {}", fault.line, fault.column, fault.message);
            let placed = Fault::error(pointer, text);
            match fault.hint {
                Some(hint) => placed.hint(hint),
                None => placed,
            }
        })
        .collect()
}
