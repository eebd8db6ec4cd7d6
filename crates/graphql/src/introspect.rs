//! Answers to questions about the schema itself.

use apollo_compiler::introspection::{check_max_depth, partial_execute};
use apollo_compiler::request::{RequestError, coerce_variable_values};
use apollo_compiler::response::JsonMap;
use serde_json::{Map, Value};

use crate::check::{Checked, Checker};
use crate::error::Problem;

impl Checker {
    /// Answers an operation that asks for nothing but the schema.
    pub fn introspect(&self, checked: &Checked, variables: &Map<String, Value>) -> Result<Value, Problem> {
        // Each may stand for the whole schema; what tools ask has some hundred.
        if checked.cost().fields > 1000 {
            return Err(Problem::one("the operation asks for the schema too often: ask for less at once"));
        }
        let document = &checked.document.valid;
        let told =
            |error: RequestError| Problem::list(std::iter::once(error.to_graphql_error(&document.sources)));
        let operation = document.operations.get(checked.name.as_deref()).map_err(told)?;
        check_max_depth(document, operation).map_err(told)?;
        let schema = self.schema();
        let variables = coerce_variable_values(&schema.valid, operation, &map(variables)).map_err(told)?;
        let response = partial_execute(&schema.valid, &schema.implementers, document, operation, &variables)
            .map_err(told)?;
        serde_json::to_value(&response).map_err(|error| Problem::one(error.to_string()))
    }
}

/// Values as the compiler has them.
pub(crate) fn map(values: &Map<String, Value>) -> JsonMap {
    values.iter().map(|(name, value)| (name.as_str().into(), value.clone().into())).collect()
}
