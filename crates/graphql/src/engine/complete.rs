//! Completes what has been gathered by the rules of the language, and answers questions about the schema beside it.

use apollo_compiler::ExecutableDocument;
use apollo_compiler::executable::Operation;
use apollo_compiler::request::RequestError;
use apollo_compiler::resolvers::{Execution, FieldError, ObjectValue, ResolveInfo, ResolvedValue};
use apollo_compiler::response::JsonMap;
use apollo_compiler::validation::Valid;
use serde_json::Value;

use super::gather::Node;
use crate::schema::Schema;

pub(super) fn complete(
    schema: &Schema,
    document: &Valid<ExecutableDocument>,
    operation: &Operation,
    variables: &Valid<JsonMap>,
    root: &Node,
) -> Result<Value, RequestError> {
    let Node::Object { kind, fields } = root else { return Ok(Value::Null) };
    let response = Execution::new(&schema.valid, document)
        .operation(operation)
        .implementers_map(&schema.implementers)
        .coerced_variable_values(variables)
        .enable_schema_introspection(true)
        .execute_sync(&Gathered { kind, fields })?;
    let mut answer = serde_json::to_value(&response).unwrap_or_default();
    for error in answer.get_mut("errors").and_then(Value::as_array_mut).into_iter().flatten() {
        // The words of sources are told as they are.
        let message = error["message"].as_str().and_then(|message| message.strip_prefix("resolver error: "));
        if let Some(message) = message.map(str::to_owned) {
            error["message"] = message.into();
        }
    }
    Ok(answer)
}

struct Gathered<'n> {
    kind: &'n str,
    fields: &'n std::collections::HashMap<String, Result<Node, String>>,
}

impl ObjectValue for Gathered<'_> {
    fn type_name(&self) -> &str {
        self.kind
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Result<ResolvedValue<'a>, FieldError> {
        let key = info.field_selections().first().map(|field| field.response_key().as_str());
        match key.and_then(|key| self.fields.get(key)) {
            Some(gathered) => resolved(gathered),
            None => Ok(ResolvedValue::null()),
        }
    }
}

fn resolved(gathered: &Result<Node, String>) -> Result<ResolvedValue<'_>, FieldError> {
    match gathered {
        Err(message) => Err(FieldError { message: message.clone() }),
        Ok(Node::Leaf(value)) => Ok(ResolvedValue::Leaf(value.clone().into())),
        Ok(Node::List(items)) => Ok(ResolvedValue::List(Box::new(items.iter().map(resolved)))),
        Ok(Node::Object { kind, fields }) => Ok(ResolvedValue::object(Gathered { kind, fields })),
    }
}
