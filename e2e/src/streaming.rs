//! Definitions of event APIs, to be changed further.

use serde_json::{Value, json};

use crate::{Reply, curl};

/// A keyless event API that listens on `/<id>/` and runs these streams (name to configuration).
pub fn events(id: &str, streams: Value) -> Value {
    json!({
        "openapi": "3.0.3",
        "info": {"title": id, "version": "1"},
        "paths": {},
        "x-tyk-api-gateway": {
            "info": {"id": id, "orgId": "org", "name": id, "state": {"active": true}},
            "server": {"listenPath": {"value": format!("/{id}/"), "strip": true}},
        },
        "x-tyk-streaming": {"streams": streams},
    })
}

/// Asks for an auth token in `Authorization`.
pub fn guarded(mut api: Value) -> Value {
    api["components"] = json!({
        "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "Authorization"}}
    });
    api["security"] = json!([{"token": []}]);
    api["x-tyk-api-gateway"]["server"]["authentication"] =
        json!({"enabled": true, "securitySchemes": {"token": {"enabled": true}}});
    api
}

/// Server-sent events on `/sse`, nothing else, and these fields on top.
pub fn sse_output(more: Value) -> Value {
    let mut output =
        json!({"path": "", "ws_path": "", "stream_path": "/sse", "stream_format": "event_source"});
    for (name, value) in more.as_object().unwrap() {
        output[name] = value.clone();
    }
    json!({"http_server": output})
}

/// From POSTs on `/post` to server-sent events on `/sse`.
pub fn post_to_sse(more: Value) -> Value {
    json!({"input": {"http_server": {"path": "/post", "ws_path": ""}}, "output": sse_output(more)})
}

/// POSTs a text by curl, with more arguments for it.
pub async fn post(url: &str, body: &str, arguments: &[&str]) -> Reply {
    let mut all = vec!["--data-binary", body];
    all.extend_from_slice(arguments);
    all.push(url);
    curl(&all).await
}
