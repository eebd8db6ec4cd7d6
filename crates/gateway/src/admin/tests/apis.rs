//! Definitions (contract 2.8, 3.4, 7.3, 8.1).

use serde_json::{Value, json};

use super::{Admin, api, oas};

fn modified(key: &str, action: &str) -> Value {
    json!({"key": key, "status": "ok", "action": action})
}

#[tokio::test]
async fn classic_definitions() {
    let admin = Admin::plain().await;
    let a = api("a");
    let mut unsafe_id = api("a");
    unsafe_id["api_id"] = json!("../evil");
    let mut closed = api("a");
    closed["auth_configs"]["authToken"] = json!({"disable_header": true});
    let mut twice = api("a");
    twice["version_data"]["versions"]["Default"]["global_enforce_timeout"] = json!("-1s");
    let mismatch = "Request APIID does not match that in Definition! For Update operations these must match.";
    let only_classic =
        "this API endpoint only supports Tyk Classic APIs; please use the appropriate Tyk OAS API endpoint";
    let timeout = "Validation of API Definition failed. Reason: invalid global timeout value.";
    let sources = "Validation of API Definition failed. Reason: all auth sources are disabled for authToken, \
                   at least one of header/cookie/query must be enabled.";
    admin.add("/apis/oas", &oas("o")).await;
    admin
        .table(&[
            ("POST", "/apis", "{nonsense", 400, json!("Request malformed")),
            ("POST", "/apis", "[]", 400, json!("Request malformed")),
            ("POST", "/apis", &unsafe_id.to_string(), 400, json!("Invalid API ID")),
            ("POST", "/apis", &closed.to_string(), 400, json!(sources)),
            ("POST", "/apis", &twice.to_string(), 400, json!(timeout)),
            ("POST", "/apis", &a.to_string(), 200, modified("a", "added")),
            ("POST", "/apis/whatever", &api("b").to_string(), 200, modified("b", "added")),
            ("GET", "/apis/none", "", 404, json!("API not found")),
            ("PUT", "/apis/none", &a.to_string(), 404, json!("API not found")),
            ("PUT", "/apis/b", &a.to_string(), 400, json!(mismatch)),
            ("PUT", "/apis/o", &a.to_string(), 400, json!(only_classic)),
            ("PUT", "/apis/a", &a.to_string(), 200, modified("a", "modified")),
            ("DELETE", "/apis/b", "", 200, modified("b", "deleted")),
            ("DELETE", "/apis/b", "", 404, json!("API not found")),
            ("GET", "/apis/a", "", 200, a.clone()),
        ])
        .await;
    let mut nameless = a.clone();
    nameless.as_object_mut().unwrap().remove("api_id");
    let key = admin.post("/apis", &nameless).await.json()["key"].as_str().unwrap().to_owned();
    assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
    let all = admin.get("/apis?include_types=mcp").await.json();
    assert_eq!(all.as_array().unwrap().len(), 3);
    assert_eq!(admin.get("/apis/o").await.json()["is_oas"], true, "in classic form");
}

#[tokio::test]
async fn oas_definitions() {
    let admin = Admin::plain().await;
    admin.add("/apis", &api("c")).await;
    let o = oas("o");
    let mut other = oas("o");
    other["x-tyk-api-gateway"]["info"]["id"] = json!("x");
    let plain = json!({"openapi": "3.0.3", "info": {"title": "x", "version": "1"}, "paths": {}}).to_string();
    let classic = "the requested API definition is in Tyk classic format, please use old api endpoint";
    let stored =
        "the supplied API definition is in OAS format, please use the Tyk classic format for this API";
    let mismatch = "Request APIID does not match that in Definition! For Update operations these must match.";
    admin
        .table(&[
            ("POST", "/apis/oas", "{nonsense", 400, json!("request malformed")),
            ("POST", "/apis/oas", &plain, 400, json!("the payload should contain x-tyk-api-gateway")),
            ("POST", "/apis/oas", &o.to_string(), 200, modified("o", "added")),
            ("GET", "/apis/oas/o", "", 200, o.clone()),
            ("GET", "/apis/oas/none", "", 404, json!("API not found")),
            ("GET", "/apis/oas/c", "", 400, json!(classic)),
            ("GET", "/apis/oas", "", 200, json!([o])),
            ("PUT", "/apis/oas/none", &o.to_string(), 404, json!("API not found")),
            ("PUT", "/apis/oas/c", &o.to_string(), 400, json!(stored)),
            ("PUT", "/apis/oas/o", &other.to_string(), 400, json!(mismatch)),
            ("PUT", "/apis/oas/o", &o.to_string(), 200, modified("o", "modified")),
            ("DELETE", "/apis/oas/o", "", 200, modified("o", "deleted")),
            ("DELETE", "/apis/oas/o", "", 404, json!("API not found")),
        ])
        .await;
}

#[tokio::test]
async fn exports() {
    let admin = Admin::plain().await;
    let mut limited = oas("o");
    limited["x-sluicegate"] = json!({"concurrency": {"requests": 7}});
    admin.add("/apis/oas", &limited).await;
    admin.add("/apis", &api("c")).await;
    assert_eq!(admin.get("/apis/oas/o").await.json(), limited);
    assert_eq!(admin.get("/apis/o").await.json()["x-sluicegate"]["concurrency"]["requests"], 7);
    for (path, name, holds) in [
        ("/apis/oas/export", "TykOasApiDef.json", true),
        ("/apis/oas/export?mode=public", "oas.json", false),
        ("/apis/oas/o/export", "TykOasApiDef-o.json", true),
        ("/apis/oas/o/export?mode=public", "oas-o.json", false),
    ] {
        let reply = admin.get(path).await;
        assert_eq!(reply.header("content-type"), Some("application/octet-stream"), "{path}");
        let disposition = format!("attachment;filename=\"{name}\"");
        assert_eq!(reply.header("content-disposition"), Some(disposition.as_str()));
        assert!(reply.text.contains("\n  "), "two spaces: {}", reply.text);
        assert_eq!(reply.text.contains("x-tyk-api-gateway"), holds, "{path}");
        assert_eq!(reply.text.contains("\"x-sluicegate\""), holds, "{path}");
        let json = reply.json();
        let document = if json.is_array() { &json[0] } else { &json };
        assert_eq!(document["info"]["title"], "o");
    }
    let classic = "the requested API definition is in Tyk classic format, please use old api endpoint";
    admin
        .table(&[
            ("GET", "/apis/oas/none/export", "", 404, json!("API not found")),
            ("GET", "/apis/oas/c/export", "", 400, json!(classic)),
        ])
        .await;
}
