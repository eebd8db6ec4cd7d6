//! Definitions (contract 2.8, 3.4, 7.3, 8.1).

use serde_json::{Value, json};

use super::{Admin, Reply, api, oas};

fn modified(key: &str, action: &str) -> Value {
    json!({"key": key, "status": "ok", "action": action})
}

/// A document as it is stored: with the address of its API.
fn served(document: &Value) -> Value {
    let mut document = document.clone();
    let path = &document["x-tyk-api-gateway"]["server"]["listenPath"]["value"];
    document["servers"] = json!([{"url": path}]);
    document
}

#[tokio::test]
async fn c7_3_rows_3_to_6_classic_definitions() {
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
        ])
        .await;
    let told = admin.get("/apis/a").await.json();
    assert_eq!(
        (&told["auth_configs"]["authToken"]["auth_header_name"], &told["proxy"]["listen_path"]),
        (&json!("Authorization"), &json!("/a/"))
    );
    let mut nameless = a.clone();
    nameless.as_object_mut().unwrap().remove("api_id");
    let key = admin.post("/apis", &nameless).await.json()["key"].as_str().unwrap().to_owned();
    assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
    let all = admin.get("/apis?include_types=mcp").await.json();
    assert_eq!(all.as_array().unwrap().len(), 3);
    assert_eq!(admin.get("/apis/o").await.json()["is_oas"], true, "in classic form");
}

#[tokio::test]
async fn c2_row_3_what_is_given_back_holds_every_key_and_can_be_given_again() {
    let admin = Admin::plain().await;
    let given = json!({"api_id": "a", "name": "a", "use_keyless": true, "tags": ["eu"], "unknown": {"kept": [1]},
        "proxy": {"listen_path": "/a/", "target_url": "http://127.0.0.1:1"},
        "version_data": {"not_versioned": true, "versions": {"Default": {"name": "Default"}}}});
    admin.add("/apis", &given).await;
    admin.add("/apis/oas", &oas("o")).await;
    let all = admin.get("/apis").await.json();
    for id in ["a", "o"] {
        let told = admin.get(&format!("/apis/{id}")).await.json();
        assert!(all.as_array().unwrap().contains(&told), "the list holds the same");
        for (pointer, empty) in [
            ("/slug", json!("")),
            ("/use_basic_auth", json!(false)),
            ("/allowed_ips", json!([])),
            ("/session_lifetime", json!(0)),
            ("/auth_configs", json!({})),
            ("/proxy/target_list", json!([])),
            ("/proxy/transport/ssl_min_version", json!(0)),
            ("/CORS/allowed_origins", json!([])),
            ("/cache_options/cache_response_codes", json!([])),
            ("/definition/versions", json!({})),
            ("/custom_middleware/pre", json!([])),
            ("/event_handlers/events", json!({})),
        ] {
            assert_eq!(told.pointer(pointer), Some(&empty), "{id}{pointer}");
        }
        let versions = told["version_data"]["versions"].as_object().unwrap();
        assert!(!versions.is_empty() && versions.values().all(|one| one["global_size_limit"] == 0), "{told}");
    }
    let told = admin.get("/apis/a").await.json();
    assert_eq!(
        (&told["tags"], &told["unknown"], &told["name"]),
        (&json!(["eu"]), &json!({"kept": [1]}), &json!("a"))
    );
    assert_eq!(admin.put("/apis/a", &told).await.json(), modified("a", "modified"));
    assert_eq!(admin.get("/apis/a").await.json(), told);
}

#[tokio::test]
async fn c7_3_oas_definitions() {
    let admin = Admin::plain().await;
    admin.add("/apis", &api("c")).await;
    let o = oas("o");
    let served = served(&o);
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
            ("GET", "/apis/oas/o", "", 200, served.clone()),
            ("GET", "/apis/oas/none", "", 404, json!("API not found")),
            ("GET", "/apis/oas/c", "", 400, json!(classic)),
            ("GET", "/apis/oas", "", 200, json!([served])),
            ("PUT", "/apis/oas/none", &o.to_string(), 404, json!("API not found")),
            ("PUT", "/apis/oas/c", &o.to_string(), 400, json!(stored)),
            ("PUT", "/apis/oas/o", &other.to_string(), 400, json!(mismatch)),
            ("PUT", "/apis/oas/o", &o.to_string(), 200, modified("o", "modified")),
            ("PATCH", "/apis/oas/none", &plain, 404, json!("API not found")),
            ("PATCH", "/apis/oas/c", &plain, 400, json!(stored)),
            ("PATCH", "/apis/oas/o", "{nonsense", 400, json!("request malformed")),
            (
                "PATCH",
                "/apis/oas/o?allowList=perhaps",
                &plain,
                400,
                json!("the parameter allowList must be true or false"),
            ),
            ("DELETE", "/apis/oas/o", "", 200, modified("o", "deleted")),
            ("DELETE", "/apis/oas/o", "", 404, json!("API not found")),
        ])
        .await;
}

#[tokio::test]
async fn c7_3_row_15_exports() {
    let admin = Admin::plain().await;
    let mut limited = oas("o");
    limited["x-sluicegate"] = json!({"concurrency": {"requests": 7}});
    admin.add("/apis/oas", &limited).await;
    admin.add("/apis", &api("c")).await;
    assert_eq!(admin.get("/apis/oas/o").await.json(), served(&limited));
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

#[tokio::test]
async fn c3_1_row_10_patches_change_what_they_bring() {
    let admin = Admin::plain().await;
    let mut document = oas("o");
    document["servers"] = json!([{"url": "http://mine"}]);
    admin.add("/apis/oas", &document).await;
    let plain =
        json!({"openapi": "3.0.3", "info": {"title": "new", "version": "2"}, "paths": {"/x": {"get": {}}}});
    let reply = admin.call("PATCH", "/apis/oas/o?listenPath=/moved/", &plain.to_string()).await;
    assert_eq!(reply.json(), modified("o", "modified"), "{reply:?}");
    let patched = admin.get("/apis/oas/o").await.json();
    let servers = json!([{"url": "/moved/"}, {"url": "http://mine"}]);
    assert_eq!((&patched["info"]["title"], &patched["servers"]), (&json!("new"), &servers));
    let extension = &patched["x-tyk-api-gateway"];
    assert_eq!(extension["upstream"], document["x-tyk-api-gateway"]["upstream"]);
    assert_eq!(extension["server"]["listenPath"], json!({"value": "/moved/", "strip": true}));

    // Who writes the same again without addresses changes nothing.
    let mut same = patched.clone();
    same["servers"] = json!([{"url": "http://mine"}]);
    let before = admin.get("/apis/oas/o").await.text;
    assert_eq!(admin.call("PUT", "/apis/oas/o", &same.to_string()).await.status, 200);
    assert_eq!(admin.get("/apis/oas/o").await.text, before);

    // A body with the gateway's part replaces it.
    let mut whole = oas("o");
    whole["x-tyk-api-gateway"]["upstream"]["url"] = json!("http://127.0.0.1:2");
    assert_eq!(admin.call("PATCH", "/apis/oas/o", &whole.to_string()).await.status, 200);
    let patched = admin.get("/apis/oas/o").await.json();
    assert_eq!(patched["x-tyk-api-gateway"]["upstream"]["url"], "http://127.0.0.1:2");
}

#[tokio::test]
async fn c3_4_rows_2_and_8_imports() {
    let admin = Admin::plain().await;
    let plain = json!({
        "openapi": "3.0.3", "info": {"title": "Pets", "version": "1"}, "paths": {},
        "servers": [{"url": "http://127.0.0.1:1/v1"}],
    });
    let mut nowhere = plain.clone();
    nowhere["servers"] = json!([]);
    admin
        .table(&[
            ("POST", "/apis/oas/import", "{nonsense", 400, json!("request malformed")),
            (
                "POST",
                "/apis/oas/import",
                &oas("o").to_string(),
                400,
                json!("the import payload should not contain x-tyk-api-gateway"),
            ),
            (
                "POST",
                "/apis/oas/import?apiID=pets&listenPath=/pets/",
                &plain.to_string(),
                200,
                modified("pets", "added"),
            ),
            (
                "POST",
                "/apis/oas/import?new_version_name=v2&base_api_id=none",
                &plain.to_string(),
                400,
                json!("none is not a valid Base API version"),
            ),
        ])
        .await;
    let imported = admin.get("/apis/oas/pets").await.json();
    assert_eq!(imported["x-tyk-api-gateway"]["upstream"]["url"], "http://127.0.0.1:1/v1");
    for (query, body, begin) in [
        ("", &nowhere, "The ‘servers’ object is empty in your OAS."),
        ("?upstreamURL=nowhere", &plain, "The manually configured upstream URL is not valid."),
        ("?authentication=true", &plain, "The ‘security’ object is empty in your OAS."),
    ] {
        let reply = admin.post(&format!("/apis/oas/import{query}"), body).await;
        assert_eq!(reply.status, 400, "{reply:?}");
        assert!(reply.json()["message"].as_str().unwrap().starts_with(begin), "{reply:?}");
    }
    let unnamed = admin.post("/apis/oas/import?listenPath=/other/", &plain).await;
    assert_eq!(unnamed.json()["key"].as_str().unwrap().len(), 32, "{unnamed:?}");
}

#[tokio::test]
async fn c7_3_row_46_schemas() {
    let admin = Admin::plain().await;
    for version in ["", "?oasVersion=3.0", "?oasVersion=3.1"] {
        let reply = admin.get(&format!("/schema{version}")).await.json();
        assert_eq!((&reply["status"], &reply["message"]), (&json!("Success"), &json!("")));
        assert!(reply["schema"]["properties"]["x-tyk-api-gateway"].is_object());
    }
    let reply = admin.get("/schema?oasVersion=2.0").await;
    assert_eq!((reply.status, &reply.json()["status"]), (404, &json!("Failed")));
    assert!(reply.json()["message"].is_string());
}

fn entry(id: &str, name: &str, default: bool) -> Value {
    json!({
        "id": id, "name": id, "versionName": name, "internal": false, "expirationDate": "",
        "isDefaultVersion": default,
    })
}

#[tokio::test]
async fn c7_3_versions_of_both_formats() {
    type Make = fn(&str) -> Value;
    for (path, make) in [("/apis", api as Make), ("/apis/oas", oas as Make)] {
        let admin = Admin::plain().await;
        admin.add(path, &make("base")).await;
        let child = make("two").to_string();
        let at = |query: &str| format!("{path}?{query}");
        admin
            .table(&[
                ("POST", &at("base_api_id=base"), &child, 422, json!("The new version name is required")),
                (
                    "POST",
                    &at("base_api_id=none&new_version_name=v2"),
                    &child,
                    400,
                    json!("none is not a valid Base API version"),
                ),
                (
                    "POST",
                    &at("base_api_id=base&new_version_name=v2"),
                    &child,
                    400,
                    json!("you need to provide a version name for the new Base API: base"),
                ),
                ("GET", &format!("{path}/two"), "", 404, json!("API not found")),
                ("GET", "/apis/none/versions", "", 404, json!("API not found")),
                (
                    "GET",
                    "/apis/base/versions",
                    "",
                    200,
                    json!({"status": "success", "apis": [entry("base", "", true)]}),
                ),
                (
                    "POST",
                    &at("base_api_id=base&base_api_version_name=v1&new_version_name=v2"),
                    &child,
                    200,
                    modified("two", "added"),
                ),
                (
                    "POST",
                    &at("base_api_id=base&new_version_name=a3&set_default=true"),
                    &make("three").to_string(),
                    200,
                    modified("three", "added"),
                ),
            ])
            .await;
        let listed = |apis: Value| json!({"status": "success", "apis": apis});
        let all = json!([entry("base", "v1", false), entry("three", "a3", true), entry("two", "v2", false)]);
        admin
            .table(&[
                ("GET", "/apis/base/versions", "", 200, listed(all.clone())),
                ("GET", "/apis/oas/base/versions", "", 200, listed(all.clone())),
                ("GET", "/apis/two/versions", "", 200, listed(all.clone())),
                ("GET", "/apis/base/versions?accessType=external", "", 200, listed(all)),
                ("GET", "/apis/base/versions?accessType=internal", "", 200, listed(json!([]))),
                (
                    "GET",
                    "/apis/base/versions?searchText=V2",
                    "",
                    200,
                    listed(json!([entry("two", "v2", false)])),
                ),
            ])
            .await;
        let base = |reply: &Reply| reply.header("x-tyk-base-api-id").map(str::to_owned);
        assert_eq!(base(&admin.get(&format!("{path}/two")).await).as_deref(), Some("base"));
        assert_eq!(base(&admin.get(&format!("{path}/base")).await), None);

        assert_eq!(admin.delete(&format!("{path}/three")).await.json(), modified("three", "deleted"));
        let left = json!([entry("base", "v1", true), entry("two", "v2", false)]);
        admin.table(&[("GET", "/apis/base/versions", "", 200, listed(left))]).await;
        let definition = admin.get("/apis/base").await.json()["definition"].clone();
        assert_eq!(definition["versions"], json!({"v2": "two"}), "the link is gone from the base");
    }
}

#[tokio::test]
async fn c7_3_row_47_a_debug_run_exposes_nothing() {
    let admin = Admin::plain().await;
    admin
        .table(&[
            ("POST", "/debug", "{nonsense", 400, json!("Request malformed")),
            ("POST", "/debug", "{}", 400, json!("Spec field is missing")),
            ("POST", "/debug", r#"{"spec":null,"request":{}}"#, 400, json!("Spec field is missing")),
            ("POST", "/debug", r#"{"spec":{}}"#, 400, json!("Request field is missing")),
        ])
        .await;
    let request =
        json!({"method": "POST", "path": "/x?a=1", "body": "hello", "headers": {"X-One": ["1", "2"]}});
    let reply = admin.post("/debug", &json!({"spec": api("a"), "request": request})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let report = reply.json();
    assert_eq!(report["message"], "ok");
    let shown = report["response"].as_str().unwrap();
    assert!(
        shown.starts_with("====== Request ======\nPOST /x?a=1 HTTP/1.1\r\nx-one: 1\r\nx-one: 2\r\n"),
        "{shown}"
    );
    let answer = "\r\n\r\nhello\n====== Response ======\nHTTP/1.1 401 Unauthorized\r\nx-generator: tyk.io\r\ncontent-type: application/json\r\n";
    assert!(shown.contains(answer), "{shown}");
    assert!(shown.ends_with("\"error\": \"Authorization field missing\"\n}"), "{shown}");
    for line in report["logs"].as_str().unwrap().lines() {
        assert!(serde_json::from_str::<Value>(line).unwrap().is_object(), "{line}");
    }
    assert_eq!(admin.get("/apis").await.json(), json!([]), "nothing stays");

    let reply = admin.post("/debug", &json!({"oas": oas("o"), "request": {"path": "/o/x"}})).await;
    let shown = reply.json()["response"].as_str().unwrap().to_owned();
    assert!(shown.contains("HTTP/1.1 50"), "the upstream is not there: {shown}");

    let mut broken = api("a");
    broken["proxy"]["target_url"] = json!("nowhere");
    let reply = admin.post("/debug", &json!({"spec": broken, "request": {}})).await;
    assert_eq!(reply.status, 400);
    let report = reply.json();
    assert_eq!((&report["message"], &report["response"]), (&json!("error"), &json!("")));
    assert!(report["logs"].as_str().unwrap().contains("/proxy/target_url"), "{report}");
    for request in [json!({"method": "B AD"}), json!({"path": "/ x"}), json!({"headers": {"a b": ["c"]}})] {
        let reply = admin.post("/debug", &json!({"spec": api("a"), "request": request})).await;
        assert_eq!((reply.status, &reply.json()["message"]), (400, &json!("error")), "{request}");
    }
}
