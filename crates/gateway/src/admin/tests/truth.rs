//! What the gate answers is what its OpenAPI document says.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::Reply;
use crate::admin::endpoints::{self, Found};
use crate::admin::openapi::DOCUMENT;
use crate::query;

/// Schemas of OpenAPI 3.0 as JSON schemas: `nullable` is not known there.
static SCHEMAS: LazyLock<Value> = LazyLock::new(|| {
    let mut schemas = DOCUMENT["components"]["schemas"].clone();
    for schema in schemas.as_object_mut().unwrap().values_mut() {
        if schema["nullable"] == true {
            *schema = json!({"anyOf": [schema.take(), {"type": "null"}]});
        }
    }
    schemas
});

/// Holds an answer to what the document promises of its path and method.
pub(super) fn check(method: &str, target: &str, reply: &Reply) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some(below) = path.strip_prefix("/tyk/") else { return };
    let segments: Vec<_> = below.trim_end_matches('/').split('/').map(query::decode_path).collect();
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let Found::Endpoint(endpoint, _) = endpoints::find(&method.parse().unwrap(), &segments) else { return };
    let about = format!("{method} {target}");
    let operation = &DOCUMENT["paths"][format!("/tyk{}", endpoint.path)][method.to_lowercase()];
    for (name, _) in query::pairs(query) {
        let mut parameters = operation["parameters"].as_array().unwrap().iter();
        assert!(
            parameters.any(|parameter| parameter["name"] == *name && parameter["in"] == "query"),
            "{about}: {name} is not in the document"
        );
    }
    let response = &operation["responses"][reply.status.to_string()];
    assert!(response.is_object(), "{about}: the document does not know status {}: {reply:?}", reply.status);
    let sent = reply.header("content-type").unwrap_or_default();
    let media = sent.split(';').next().unwrap_or_default();
    let schema = &response["content"][media]["schema"];
    assert!(schema.is_object(), "{about}: the document does not know {sent} with status {}", reply.status);
    if media == "application/json" {
        let mut schema = schema.clone();
        schema["components"] = json!({"schemas": *SCHEMAS});
        let validator = jsonschema::validator_for(&schema).unwrap();
        let body = reply.json();
        let faults: Vec<String> =
            validator.iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(faults.is_empty(), "{about}: {faults:?}: {reply:?}");
    }
}

#[tokio::test]
async fn parameters_are_held_to_what_they_may_be() {
    let admin = super::Admin::plain().await;
    for (target, must) in [
        ("/reload?block=perhaps", "block must be true or false"),
        ("/keys/k?hashed=yes", "hashed must be true or false"),
        ("/records?limit=many", "limit must be a whole number"),
        ("/apis/oas/export?mode=private", "mode must be public"),
        ("/apis/a/versions?accessType=some", "accessType must be internal or external"),
    ] {
        let reply = admin.get(target).await;
        assert_eq!(reply.status, 400, "{target}: {reply:?}");
        assert_eq!(reply.json()["message"], format!("the parameter {must}"), "{target}");
    }
    assert_eq!(admin.get("/reload?block=").await.status, 200, "what is empty is not given");
}
