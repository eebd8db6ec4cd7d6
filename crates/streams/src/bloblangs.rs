//! Bloblang in configuration: parse faults with their place inside the text.

use bloblang::{Environment, Mapping, ParseError, Template};
use document::Fault;

/// A fault with its place inside the text of its value.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) fault: Fault,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) length: u32,
}

/// Parses a mapping or query.
pub(crate) fn mapping(environment: &Environment, text: &str, pointer: &str) -> Result<Mapping, Vec<Placed>> {
    Mapping::parse(environment, text).map_err(|faults| place(faults, pointer))
}

/// Parses an interpolated text.
pub(crate) fn template(
    environment: &Environment,
    text: &str,
    pointer: &str,
) -> Result<Template, Vec<Placed>> {
    Template::parse(environment, text).map_err(|faults| place(faults, pointer))
}

/// The first of some faults.
pub(crate) fn first(faults: Vec<Placed>) -> Fault {
    let first = faults.into_iter().next().map(|placed| placed.fault);
    first.unwrap_or_else(|| Fault::error("", "the mapping does not parse"))
}

fn place(faults: Vec<ParseError>, pointer: &str) -> Vec<Placed> {
    (faults.into_iter())
        .map(|ParseError { line, column, length, message, hint, imported, .. }| {
            let file = imported.map_or_else(String::new, |place| {
                format!("{}, line {} column {}: ", place.file, place.line, place.column)
            });
            let message = format!("bloblang, line {line} column {column}: {file}{message}");
            let fault = Fault::error(pointer, message);
            Placed { fault: Fault { hint, ..fault }, line, column, length }
        })
        .collect()
}
