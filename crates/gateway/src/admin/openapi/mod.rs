//! The admin API as an OpenAPI document, written from the table that routes it; the page of its documentation, too.

#[cfg(test)]
mod page;
mod schemas;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use self::schemas::{reference, schemas};
use super::endpoints::{Endpoint, Holds, Shape, all, parameter_name};

/// Statuses that every endpoint may answer, beside those of its row.
const ALWAYS: [u16; 4] = [403, 413, 500, 503];

/// The document that `GET /tyk/openapi.json` answers.
pub(super) static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

fn document() -> Value {
    let mut paths = Map::new();
    for endpoint in all() {
        let path = paths.entry(format!("/tyk{}", endpoint.path)).or_insert_with(|| json!({}));
        path[endpoint.method.as_str().to_ascii_lowercase()] = operation(endpoint);
    }
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "Sluicegate admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Definitions, keys and policies of a running gate. Written from the table that routes it.",
        },
        "servers": [{"url": "/"}],
        "security": [{"secret": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "secret": {"type": "apiKey", "in": "header", "name": "x-tyk-authorization"},
            },
            "schemas": schemas(),
        },
    })
}

fn operation(endpoint: &Endpoint) -> Value {
    let of_path = endpoint.path.split('/').filter_map(parameter_name).map(|name| {
        json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}})
    });
    let of_query = endpoint.parameters.iter().map(|parameter| {
        json!({
            "name": parameter.name, "in": "query", "description": parameter.summary,
            "schema": holds(parameter.holds),
        })
    });
    let mut responses = Map::new();
    for (status, shape) in endpoint.replies {
        responses.insert(status.to_string(), reply(*status, *shape));
    }
    // A parameter that must be this or that may be something else.
    let picky = endpoint.parameters.iter().any(|parameter| !matches!(parameter.holds, Holds::Text));
    for status in ALWAYS.into_iter().chain(picky.then_some(400)) {
        responses.entry(status.to_string()).or_insert_with(|| reply(status, Shape::Refused));
    }
    let mut operation = json!({
        "operationId": operation_id(endpoint),
        "summary": endpoint.summary,
        "parameters": of_path.chain(of_query).collect::<Vec<_>>(),
        "responses": responses,
    });
    if let Some(shape) = endpoint.takes {
        let content: Map<String, Value> = taken(shape)
            .iter()
            .map(|media| ((*media).to_owned(), json!({"schema": reference(shape)})))
            .collect();
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    operation
}

/// How a body may be written.
fn taken(shape: Shape) -> &'static [&'static str] {
    match shape {
        Shape::Pem => &["text/plain"],
        Shape::AuthorizeForm | Shape::RevokeForm | Shape::RevokeAllForm => {
            &["application/x-www-form-urlencoded"]
        }
        _ => &["application/json"],
    }
}

/// How an answer is written.
fn media(shape: Shape) -> &'static str {
    match shape {
        Shape::OasFile => "application/octet-stream",
        Shape::Lines => "text/plain",
        _ => "application/json",
    }
}

/// The name of the action; where two paths lead to one, with what tells them apart, in letters and digits only.
fn operation_id(endpoint: &Endpoint) -> String {
    let camel = |name: &str, first_is_upper: bool| {
        let mut letters = name.chars();
        let first = letters.next().map(|first| {
            if first_is_upper { first.to_ascii_uppercase() } else { first.to_ascii_lowercase() }
        });
        first.into_iter().chain(letters).collect::<String>()
    };
    let mut name = camel(&format!("{:?}", endpoint.action), false);
    let first = all().find(|other| other.action == endpoint.action).map(|first| first.path);
    if first != Some(endpoint.path) {
        let words = endpoint.path.split(|letter: char| !letter.is_ascii_alphanumeric());
        name.push_str("At");
        words.for_each(|word| name.push_str(&camel(word, true)));
    }
    name
}

fn holds(holds: Holds) -> Value {
    match holds {
        Holds::Text => json!({"type": "string"}),
        Holds::Flag => json!({"type": "string", "enum": ["1", "true", "0", "false"]}),
        Holds::Number => json!({"type": "integer", "minimum": 0}),
        Holds::OneOf(values) => json!({"type": "string", "enum": values}),
    }
}

fn reply(status: u16, shape: Shape) -> Value {
    json!({"description": meaning(status), "content": {media(shape): {"schema": reference(shape)}}})
}

fn meaning(status: u16) -> &'static str {
    match status {
        200 => "Done.",
        400 => "The request is at fault; `errors` says where.",
        401 => "Who asks has not proved who it is.",
        403 => "The secret, or a certificate that is sent or needed, is missing or wrong.",
        404 => "There is no such thing.",
        405 => "There is no body.",
        409 => "It belongs to something else.",
        413 => "The body is larger than 16 MiB.",
        422 => "A parameter is missing.",
        500 => "It could not be done.",
        501 => "It is not supported.",
        503 => "Something that it needs is away.",
        504 => "It took too long.",
        _ => "Something else.",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own() {
        let document = document();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let text = document.to_string();
        for name in text.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(schemas.contains_key(name), "{name} is not defined");
        }
        let mut names = HashSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let name = operation["operationId"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{method} {path}: {name} is there twice");
                assert!(name.chars().all(|letter| letter.is_ascii_alphanumeric()), "{name}");
                for parameter in operation["parameters"].as_array().unwrap() {
                    let place = parameter["in"].as_str().unwrap();
                    let name = parameter["name"].as_str().unwrap();
                    assert!(place == "query" || path.contains(&format!("{{{name}}}")), "{path}: {name}");
                }
            }
        }
        assert_eq!(names.len(), all().count());
    }
}
