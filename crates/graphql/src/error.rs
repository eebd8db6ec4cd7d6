//! Errors in the shape of the specification: `{"errors": [{"message", "locations", "path"}]}`.

use apollo_compiler::response::GraphQLError;
use apollo_compiler::validation::DiagnosticList;
use serde_json::{Value, json};

/// Most errors that are told of one document.
const MOST: usize = 20;

/// Why a request is not carried out.
#[derive(Debug, Clone, PartialEq)]
pub enum Problem {
    /// The document is not one of the schema, or asks for what the caller may not have: errors for its client.
    Errors(Value),
    /// It goes too deep for who asks.
    Depth,
    /// It asks for the schema, which it may not.
    Introspection,
}

impl Problem {
    pub(crate) fn one(message: impl Into<String>) -> Self {
        Self::Errors(answer_of(&message.into()))
    }

    pub(crate) fn of(errors: &DiagnosticList) -> Self {
        Self::list(errors.iter().take(MOST).map(|error| error.to_json()))
    }

    pub(crate) fn list(errors: impl Iterator<Item = GraphQLError>) -> Self {
        let told = |error: GraphQLError| {
            let places = error.locations.iter().map(|at| json!({"line": at.line, "column": at.column}));
            json!({"message": error.message, "locations": places.collect::<Vec<_>>(), "path": []})
        };
        Self::Errors(json!({"errors": errors.map(told).collect::<Vec<_>>()}))
    }
}

/// An answer that holds one error and nothing else.
pub fn answer_of(message: &str) -> Value {
    json!({"errors": [{"message": message, "locations": [], "path": []}]})
}
