//! The admin API as an OpenAPI document, written from the table that routes it; the page of its documentation, too.

use serde_json::{Map, Value, json};

use super::endpoints::{ALL, Endpoint, Holds, Shape, parameter_name};

/// Replies that every endpoint has.
const ALWAYS: [(u16, Shape); 3] = [(403, Shape::Refused), (413, Shape::Refused), (503, Shape::Refused)];

/// The document that `GET /tyk/openapi.json` answers.
pub(super) fn document() -> Value {
    let mut paths = Map::new();
    for endpoint in ALL {
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
    for (status, shape) in endpoint.replies.iter().chain(&ALWAYS) {
        responses.insert(status.to_string(), reply(*status, *shape));
    }
    let mut operation = json!({
        "operationId": operation_id(endpoint),
        "summary": endpoint.summary,
        "parameters": of_path.chain(of_query).collect::<Vec<_>>(),
        "responses": responses,
    });
    if let Some(shape) = endpoint.takes {
        let media = match shape {
            Shape::Pem => "application/x-pem-file",
            Shape::AuthorizeForm | Shape::RevokeForm | Shape::RevokeAllForm => {
                "application/x-www-form-urlencoded"
            }
            _ => "application/json",
        };
        operation["requestBody"] =
            json!({"required": true, "content": {media: {"schema": reference(shape)}}});
    }
    operation
}

/// The name of the action; where two paths lead to one, with what tells them apart.
fn operation_id(endpoint: &Endpoint) -> String {
    let name = format!("{:?}", endpoint.action);
    let first = ALL.iter().find(|other| other.action == endpoint.action).map(|first| first.path);
    let mut letters = name.chars();
    let lower = letters.next().map(|first| first.to_ascii_lowercase());
    let name: String = lower.into_iter().chain(letters).collect();
    if first == Some(endpoint.path) { name } else { format!("{name}At{}", endpoint.path.replace('/', "-")) }
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
    let media = if shape == Shape::OasFile { "application/octet-stream" } else { "application/json" };
    let schema = if shape == Shape::OasFile {
        json!({"type": "string", "format": "binary"})
    } else {
        reference(shape)
    };
    json!({"description": meaning(status), "content": {media: {"schema": schema}}})
}

fn meaning(status: u16) -> &'static str {
    match status {
        200 => "Done.",
        400 => "The request is at fault; `errors` says where.",
        403 => "The secret is missing or wrong.",
        401 => "Who asks has not proved who it is.",
        404 => "There is no such thing.",
        405 => "There is no body.",
        413 => "The body is larger than 16 MiB.",
        422 => "A parameter is missing.",
        500 => "It could not be done.",
        501 => "It is not supported.",
        503 => "The store of keys cannot be reached.",
        504 => "It took too long.",
        _ => "Something else.",
    }
}

fn reference(shape: Shape) -> Value {
    json!({"$ref": format!("#/components/schemas/{shape:?}")})
}

fn schemas() -> Value {
    let used = ALL.iter().flat_map(|endpoint| {
        let replies = endpoint.replies.iter().map(|(_, shape)| *shape);
        replies.chain(endpoint.takes)
    });
    let mut schemas = Map::new();
    for shape in used.chain([Shape::Refused]) {
        schemas.insert(format!("{shape:?}"), schema(shape));
    }
    schemas.remove("OasFile");
    Value::Object(schemas)
}

fn list_of(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

/// An object with these required members and any others.
fn object(members: Value) -> Value {
    let required: Vec<&String> = members.as_object().into_iter().flat_map(Map::keys).collect();
    json!({"type": "object", "required": required, "properties": members})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn one(value: &str) -> Value {
    json!({"type": "string", "enum": [value]})
}

fn form(names: &[&str]) -> Value {
    let members: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), text())).collect();
    json!({"type": "object", "properties": members})
}

fn schema(shape: Shape) -> Value {
    let modified = || {
        let mut schema = object(json!({
            "key": text(), "status": one("ok"),
            "action": {"type": "string", "enum": ["added", "modified", "deleted", "updated"]},
        }));
        schema["properties"]["key_hash"] = text();
        schema
    };
    match shape {
        Shape::Done => object(json!({"status": one("ok"), "message": text()})),
        Shape::Refused => {
            let mut schema = object(json!({"status": one("error"), "message": text()}));
            schema["properties"]["errors"] = list_of(object(json!({"message": text()})));
            schema
        }
        Shape::Modified => modified(),
        Shape::ModifiedOrNull => {
            let mut schema = modified();
            schema["nullable"] = json!(true);
            schema
        }
        Shape::Reloaded => object(json!({
            "status": one("ok"), "message": text(), "generation": {"type": "integer"},
            "changed": {"type": "integer"}, "removed": {"type": "integer"},
        })),
        Shape::Api => json!({
            "type": "object",
            "properties": {
                "api_id": text(), "name": text(), "org_id": text(), "use_keyless": {"type": "boolean"},
                "proxy": {"type": "object"},
            },
        }),
        Shape::Apis => list_of(reference(Shape::Api)),
        Shape::Oas => object(json!({"openapi": text(), "info": {"type": "object"}})),
        Shape::OasList => list_of(json!({"type": "object"})),
        Shape::OasFile | Shape::Anything => json!({}),
        Shape::OpenApi | Shape::OasPatch => object(json!({"openapi": text(), "info": {"type": "object"}})),
        Shape::Versions => object(json!({
            "status": one("success"),
            "apis": list_of(object(json!({
                "id": text(), "name": text(), "versionName": text(), "internal": {"type": "boolean"},
                "expirationDate": text(), "isDefaultVersion": {"type": "boolean"},
            }))),
        })),
        Shape::DebugCall => object(json!({
            "request": {
                "type": "object",
                "properties": {
                    "method": text(), "path": text(), "body": text(),
                    "headers": {"type": "object", "additionalProperties": list_of(text())},
                },
            },
        })),
        Shape::DebugReport => object(
            json!({"message": {"type": "string", "enum": ["ok", "error"]}, "response": text(), "logs": text()}),
        ),
        Shape::Schema => {
            object(json!({"status": one("Success"), "message": text(), "schema": {"type": "object"}}))
        }
        Shape::SchemaRefused => object(json!({"status": one("Failed"), "message": text()})),
        Shape::DebugFailed => json!({"anyOf": [reference(Shape::Refused), reference(Shape::DebugReport)]}),
        Shape::Keys => object(json!({"keys": list_of(text())})),
        Shape::Session => json!({
            "type": "object",
            "properties": {
                "org_id": text(), "rate": {"type": "number"}, "per": {"type": "number"},
                "expires": {"type": "integer"}, "quota_max": {"type": "integer"},
                "quota_renewal_rate": {"type": "integer"}, "quota_remaining": {"type": "integer"},
                "quota_renews": {"type": "integer"}, "is_inactive": {"type": "boolean"},
                "apply_policies": list_of(text()), "tags": list_of(text()), "alias": text(),
                "meta_data": {"type": "object"}, "access_rights": {"type": "object", "additionalProperties": {"type": "object"}},
            },
        }),
        Shape::KeyPolicies => json!({
            "type": "object", "properties": {"policy": text(), "apply_policies": list_of(text())},
        }),
        Shape::Policy => json!({
            "type": "object",
            "properties": {
                "id": text(), "name": text(), "org_id": text(), "rate": {"type": "number"}, "per": {"type": "number"},
                "quota_max": {"type": "integer"}, "quota_renewal_rate": {"type": "integer"},
                "key_expires_in": {"type": "integer"}, "is_inactive": {"type": "boolean"}, "tags": list_of(text()),
                "access_rights": {"type": "object", "additionalProperties": {"type": "object"}},
                "partitions": {"type": "object"},
            },
        }),
        Shape::Pem => text(),
        Shape::OAuthClient => json!({
            "type": "object",
            "properties": {
                "client_id": text(), "secret": text(), "redirect_uri": text(), "api_id": text(),
                "policy_id": text(), "description": text(), "meta_data": {},
            },
        }),
        Shape::OAuthClients => list_of(reference(Shape::OAuthClient)),
        Shape::AuthorizeForm => form(&[
            "client_id",
            "response_type",
            "redirect_uri",
            "state",
            "scope",
            "key_rules",
            "code_challenge",
            "code_challenge_method",
            "api_id",
        ]),
        Shape::RevokeForm => form(&["token", "token_type_hint", "client_id", "org_id"]),
        Shape::RevokeAllForm => form(&["client_id", "client_secret", "org_id"]),
        Shape::Policies => list_of(reference(Shape::Policy)),
        Shape::Stream => json!({
            "type": "object",
            "properties": {"input": {"type": "object"}, "pipeline": {"type": "object"}, "output": {"type": "object"}},
        }),
        Shape::Streams => json!({"type": "object", "additionalProperties": object(json!({
            "active": {"type": "boolean"}, "uptime": {"type": "number"}, "uptime_str": text(),
        }))}),
        Shape::StreamComponents => object(json!({"components": list_of(json!({"type": "object"}))})),
        Shape::Records => list_of(json!({"type": "object"})),
    }
}

/// Markdown: every endpoint, what it does and what it answers.
#[cfg(test)]
fn page() -> String {
    use std::fmt::Write as _;
    let mut out = String::from("| Request | Does | Answers |\n|---|---|---|\n");
    for endpoint in ALL {
        let names: Vec<String> =
            endpoint.parameters.iter().map(|parameter| format!("`{}`", parameter.name)).collect();
        let parameters = if names.is_empty() { String::new() } else { format!("<br>{}", names.join(", ")) };
        let mut statuses: Vec<String> =
            endpoint.replies.iter().map(|(status, _)| status.to_string()).collect();
        statuses.dedup();
        let ours = if super::endpoints::FOREIGN.contains(&endpoint.action) { " (ours)" } else { "" };
        let _ = writeln!(
            out,
            "| `{} /tyk{}`{parameters} | {}{ours} | {} |",
            endpoint.method,
            endpoint.path,
            endpoint.summary,
            statuses.join(", ")
        );
    }
    out.push_str("\nWhat each parameter of a query does:\n\n| Parameter | Of | Does |\n|---|---|---|\n");
    // A name may mean different things in different places.
    let mut told: std::collections::BTreeMap<_, Vec<String>> = std::collections::BTreeMap::new();
    for endpoint in ALL {
        for parameter in endpoint.parameters {
            let of = told.entry((parameter.name, parameter.summary)).or_default();
            of.push(format!("`{} {}`", endpoint.method, endpoint.path));
        }
    }
    for ((name, summary), of) in told {
        let _ = writeln!(out, "| `{name}` | {} | {summary} |", of.join(", "));
    }
    out
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
                for parameter in operation["parameters"].as_array().unwrap() {
                    let place = parameter["in"].as_str().unwrap();
                    let name = parameter["name"].as_str().unwrap();
                    assert!(place == "query" || path.contains(&format!("{{{name}}}")), "{path}: {name}");
                }
            }
        }
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test may block")]
    fn page_lists_every_endpoint() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/admin-api.md");
        let written = std::fs::read_to_string(path).unwrap();
        let (begin, end) = ("<!-- endpoints: generated -->\n", "<!-- end of endpoints -->\n");
        let (before, rest) = written.split_once(begin).expect("the page has a place for its endpoints");
        let (_, after) = rest.split_once(end).expect("that place has an end");
        let wanted = format!("{before}{begin}\n{}\n{end}{after}", page());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, wanted).unwrap();
        } else {
            assert!(written == wanted, "docs/admin-api.md is stale; write it with `make docs`");
        }
    }
}
