//! Whatever a document and a request are: parameters and bodies are read and held to the document, or refused in words. What
//! a plain reading of numbers takes is taken, and nothing else.
#![no_main]

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

// Only what holds values to schemas: the rest of the gateway would make this target's build a hundred times longer.
#[allow(dead_code, reason = "the rest of the gateway uses what this target does not")]
#[path = "../../crates/gateway/src/query.rs"]
mod query;
#[allow(dead_code, reason = "the rest of the gateway uses what this target does not")]
#[path = "../../crates/gateway/src/validation"]
mod validation {
    /// As in the room itself.
    const MAX_PATTERN: usize = 1 << 20;

    pub mod content;
    mod effort;
    pub mod parameters;
    pub mod schemas;
    pub mod shape;
    pub mod told;
}

use validation::parameters::{Found, Given, read};
use validation::schemas::Schemas;

/// A document around a schema, so that most inputs get further than its frame.
fn document(schema: &Value, place: &str, style: Option<&str>, explode: bool) -> Value {
    let mut parameter = json!({"name": "p", "in": place, "explode": explode, "schema": schema});
    if let Some(style) = style {
        parameter["style"] = style.into();
    }
    json!({
        "openapi": if explode { "3.0.3" } else { "3.1.0" },
        "paths": {"/{p}": {"post": {
            "operationId": "o", "parameters": [parameter],
            "requestBody": {"content": {"*/*": {"schema": schema}}},
            "responses": {"200": {"content": {"*/*": {"schema": schema}}}},
        }}},
        "components": {"schemas": {"S": schema}},
        "x-tyk-api-gateway": {
            "info": {"id": "a", "name": "a"}, "upstream": {"url": "http://h/"}, "server": {"listenPath": {"value": "/a/"}},
            "middleware": {"operations": {"o": {"validateRequest": {"enabled": true}, "validateResponse": {"enabled": true}}}},
        },
    })
}

const PLACES: [&str; 4] = ["path", "query", "header", "cookie"];
const STYLES: [Option<&str>; 8] = [
    None,
    Some("simple"),
    Some("label"),
    Some("matrix"),
    Some("form"),
    Some("spaceDelimited"),
    Some("pipeDelimited"),
    Some("deepObject"),
];

fuzz_target!(|input: (&str, &str, &[u8], u8)| {
    let (schema, text, body, choice) = input;
    let Ok(schema) = serde_json::from_str::<Value>(schema) else { return };
    let place = PLACES[usize::from(choice & 3)];
    let style = STYLES[usize::from(choice >> 2 & 7)];
    let document = document(&schema, place, style, choice & 128 != 0);
    let Ok(definition) = apidef::Definition::parse_oas(&document.to_string()) else { return };
    let model = definition.api.paths.validation.as_deref().expect("it is switched on");
    let Ok(mut schemas) = Schemas::new(&model.request_schemas) else { return };
    let rules = model.operations[0].value.request.as_ref().expect("it is switched on");
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert("p", value.clone());
        headers.insert("cookie", value);
    }
    let path = [("p", text.to_owned())];
    let given = Given { path: &path, path_decoded: false, query: text, headers: &headers };
    let asked: Vec<_> =
        rules.parameters.iter().map(|parameter| schemas.add(&parameter.schema, "", "a parameter")).collect();
    let shapes: Vec<_> = rules.parameters.iter().map(|parameter| schemas.shape(&parameter.schema)).collect();
    let content = rules.body.as_ref().map(|rules| schemas.content(rules, "", "the body"));
    if schemas.finish().is_err() {
        return;
    }
    for ((parameter, asked), shape) in rules.parameters.iter().zip(&asked).zip(&shapes) {
        let found = read(parameter, shape, &given);
        if let Ok(Found::Values(values)) = &found {
            assert!(!values.is_empty());
            for value in values {
                let told = asked.violations(value.clone());
                assert!(told.is_none_or(|told| told.len() <= 2048 + 3));
            }
        }
        // A bare number in a path is read as everybody reads it.
        if schema == json!({"type": "integer"}) && place == "path" && matches!(style, None | Some("simple")) {
            let plain: Option<i128> = query::decode_path(text).parse().ok();
            let plain = plain.filter(|number| (i64::MIN.into()..=u64::MAX.into()).contains(number));
            assert_eq!(matches!(found, Ok(Found::Values(_))), plain.is_some(), "{text:?}");
        }
    }
    if let Some(content) = content {
        let body = Bytes::copy_from_slice(body);
        for kind in ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", text] {
            let _ = content.check(kind, &body);
        }
    }
});
