//! What bodies look like: a schema of each shape.

use serde_json::{Map, Value, json};

use super::super::endpoints::{Shape, all};

/// Where the schema of a shape is.
pub(super) fn reference(shape: Shape) -> Value {
    json!({"$ref": format!("#/components/schemas/{shape:?}")})
}

/// The schemas of all shapes that are in use.
pub(super) fn schemas() -> Value {
    let used = all().flat_map(|endpoint| {
        let replies = endpoint.replies.iter().map(|(_, shape)| *shape);
        replies.chain(endpoint.takes)
    });
    let mut schemas = Map::new();
    for shape in used.chain([Shape::Refused, Shape::Certificate]) {
        schemas.insert(format!("{shape:?}"), schema(shape));
    }
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
        Shape::Anything => json!({}),
        Shape::OasFile => json!({"type": "string", "format": "binary"}),
        Shape::Lines => text(),
        Shape::Certificates => object(json!({"certs": list_of(json!({
            "anyOf": [text(), reference(Shape::Certificate)],
        }))})),
        Shape::Certificate => {
            let mut schema = object(json!({"id": text(), "has_private": {"type": "boolean"}}));
            for (name, member) in [
                ("fingerprint", text()),
                ("dns_names", list_of(text())),
                ("not_before", text()),
                ("not_after", text()),
                ("is_ca", json!({"type": "boolean"})),
            ] {
                schema["properties"][name] = member;
            }
            schema
        }
        Shape::CertificateDetails => json!({
            "anyOf": [reference(Shape::Certificate), list_of(reference(Shape::Certificate))],
        }),
        Shape::CertificateAdded => object(json!({"id": text(), "status": one("ok"), "message": text()})),
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
        Shape::PluginTest => json!({
            "type": "object",
            "required": ["code", "hook_type"],
            "properties": {
                "code": text(),
                "hook_type": {"type": "string", "enum": ["pre", "post", "post_key_auth", "auth_check", "response"]},
                "org_id": text(), "api_id": text(), "request": {"type": "object"}, "response": {"type": "object"},
                "session": {"type": "object"}, "config_data": {"type": "object"},
            },
        }),
        Shape::PluginTested => {
            // Objects, or null where there is nothing to tell.
            let something = || json!({});
            let mut tested = object(json!({
                "logs": list_of(text()), "request_before": {"type": "object"}, "execution_ms": {"type": "number"},
            }));
            for name in ["request_after", "response_before", "response_after", "session_after", "error"] {
                tested["properties"][name] = something();
            }
            tested
        }
        Shape::PluginTestRefused => object(json!({"error": text()})),
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
                "policy_id": text(), "description": text(), "meta_data": {}, "public": {"type": "boolean"},
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
        Shape::Averages => json!({"type": "object", "additionalProperties": {"type": "number"}}),
        Shape::Records => list_of(json!({"type": "object"})),
    }
}
