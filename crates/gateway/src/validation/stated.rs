//! Examples and defaults of an OpenAPI document, held to their own schemas where the gate is asked to (contract 1.3
//! `oas_config`, 3.1).

use apidef::{Stated, StatedKinds};
use document::Fault;
use serde_json::Value;

use super::schemas::Schemas;

/// What does not fit, each with its place.
pub(crate) fn check(document: &Value, kinds: StatedKinds) -> Vec<Fault> {
    let Stated { schemas: known, values } = apidef::stated(document, kinds);
    let mut schemas = match Schemas::new(&known) {
        Ok(schemas) => schemas,
        Err(fault) => return vec![fault],
    };
    let asked: Vec<_> = values
        .into_iter()
        .map(|stated| (schemas.add(&stated.schema, &stated.at, "the schema of this value"), stated))
        .collect();
    if let Err(fault) = schemas.finish() {
        return vec![fault];
    }
    let misfits = asked.into_iter().filter_map(|(asked, stated)| {
        let told = asked.violations(stated.value)?;
        let what = if stated.at.ends_with("/default") { "default" } else { "example" };
        Some(Fault::error(&*stated.at, format!("this {what} does not fit its schema: {told}")))
    });
    misfits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn c1_3_examples_and_defaults_that_do_not_fit_are_told_where_they_stand() {
        let document = json!({
            "openapi": "3.0.3",
            "paths": {"/a": {"get": {"parameters": [
                {"name": "n", "in": "query", "example": "x", "schema": {"type": "integer", "default": "y"}},
                {"name": "m", "in": "query", "example": 1, "schema": {"type": "integer", "default": 2}},
            ]}}},
            "components": {"schemas": {
                "A": {"type": "object", "required": ["n"], "properties": {"n": {"$ref": "#/components/schemas/N"}}, "example": {"n": null}},
                "N": {"type": "string", "nullable": true, "default": 7},
                "B": {"allOf": [{"$ref": "#/components/schemas/A"}], "example": {}},
            }},
        });
        let told = |examples, defaults| {
            let faults = check(&document, StatedKinds { examples, defaults });
            faults.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>()
        };
        let examples = ["/paths/~1a/get/parameters/0/example", "/components/schemas/B/example"];
        let defaults = ["/paths/~1a/get/parameters/0/schema/default", "/components/schemas/N/default"];
        assert_eq!(told(true, false), examples);
        assert_eq!(told(false, true), defaults);
        assert_eq!(told(true, true).len(), 4);
        assert!(told(false, false).is_empty());
    }
}
