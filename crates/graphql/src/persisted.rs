//! Operations that a definition holds, whose variables paths and requests fill in.

use apollo_compiler::ast::{Definition, Document};
use serde_json::Value;

/// The variables of the operations of a document, each with the name of its type; what is wrong, where it is no document.
pub fn variables_of(document: &str) -> Result<Vec<(String, String)>, String> {
    let document = Document::parse(document, "operation").map_err(|invalid| {
        let first = invalid.errors.iter().next().map(|error| error.to_json().message);
        first.unwrap_or_else(|| "it is no document".to_owned())
    })?;
    let mut variables = Vec::new();
    let mut operations = 0;
    for definition in &document.definitions {
        if let Definition::OperationDefinition(operation) = definition {
            operations += 1;
            let typed = operation
                .variables
                .iter()
                .map(|variable| (variable.name.to_string(), variable.ty.inner_named_type().to_string()));
            variables.extend(typed);
        }
    }
    if operations == 1 { Ok(variables) } else { Err("it must hold one operation".to_owned()) }
}

/// A text as a value of a type: numbers and truths of the language itself are no texts.
pub fn typed(text: &str, kind: &str) -> Value {
    let read = match kind {
        "Int" => text.parse::<i32>().ok().map(Value::from),
        "Float" => text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from),
        "Boolean" => text.parse::<bool>().ok().map(Value::from),
        _ => None,
    };
    read.unwrap_or_else(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn variables_have_types() {
        let named = variables_of("query A($id: ID!, $n: [Int!]) { a }").unwrap();
        assert_eq!(named, [("id".to_owned(), "ID".to_owned()), ("n".to_owned(), "Int".to_owned())]);
        for bad in ["", "{", "query A { a } query B { b }", "fragment F on A { a }"] {
            assert!(variables_of(bad).is_err(), "{bad}");
        }
        for (text, kind, value) in [
            ("7", "Int", json!(7)),
            ("7", "ID", json!("7")),
            ("7.5", "Float", json!(7.5)),
            ("NaN", "Float", json!("NaN")),
            ("true", "Boolean", json!(true)),
            ("x", "Int", json!("x")),
        ] {
            assert_eq!(typed(text, kind), value);
        }
    }
}
