//! Paths that scripts answer (contract 8.5), and batches of requests (contract 4.6).

use e2e::definition::{keyed, keyless, oas, session};
use e2e::{Gate, Upstream, until};
use serde_json::{Value, json};

fn code(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// A classic definition with functions.
fn with_virtual(mut api: Value, entries: Value) -> Value {
    api["version_data"] = json!({"not_versioned": true, "versions": {"Default": {
        "name": "Default", "use_extended_paths": true, "extended_paths": {"virtual": entries},
    }}});
    api
}

const TELL: &str = "
function tell(request, session, config) {
    var body = {
        method: request.Method, body: request.Body, q: request.Params.q, header: request.Headers['X-Asked'],
        api: config.APIID, data: config.config_data, meta: session.meta_data, shared: typeof shared,
    };
    return TykJsResponse({Body: JSON.stringify(body), Headers: {'X-Made': 'yes', 'Content-Type': 'application/json'}, Code: 201},
        session.meta_data);
}";

#[tokio::test]
async fn c8_5_rows_1_to_5_functions_answer_in_the_place_of_the_backend() {
    let upstream = Upstream::start().await;
    let mut api = with_virtual(
        keyless("api", &upstream.url("")),
        json!([
            {"path": "/tell", "method": "POST", "response_function_name": "tell", "function_source_type": "file",
                "function_source_uri": "middleware/tell.js"},
            {"path": "/loop", "method": "GET", "response_function_name": "loop", "function_source_type": "blob",
                "function_source_uri": code("function loop() { return TykJsResponse({Body: '', Headers: {Location: 'tyk://self/after?x=1'}, Code: 302}, {}) }")},
            {"path": "/fail", "method": "GET", "response_function_name": "fail", "function_source_type": "blob",
                "function_source_uri": code("function fail() { throw new Error('inside') }")},
            {"path": "/else", "method": "GET", "response_function_name": "otherwise", "function_source_type": "blob",
                "function_source_uri": code("function otherwise() { return 'no answer' }"), "proxy_on_error": true},
            {"path": "/away", "method": "GET", "response_function_name": "away", "function_source_type": "blob",
                "function_source_uri": code("function away() { return TykJsResponse({Headers: {Location: 'http://elsewhere/'}, Code: 301}, {}) }")},
            {"path": "/ever", "method": "GET", "response_function_name": "ever", "function_source_type": "blob",
                "function_source_uri": code("function ever() { for (;;) {} }")},
        ]),
    );
    api["config_data"] = json!({"k": "v"});
    api["version_data"]["versions"]["Default"]["extended_paths"]["transform_response_headers"] = json!([{"path": "/tell", "method": "POST", "delete_headers": ["X-Made"], "add_headers": {"X-After": "1"}}]);
    let gate = Gate::setup()
        .conf(json!({"enable_jsvm": true, "jsvm_timeout": 1, "tyk_js_path": "all.js"}))
        .file("middleware/tell.js", TELL)
        .file("all.js", "var shared = 1;")
        .api(api)
        .start()
        .await;
    let told = gate.get("/api/tell?q=1&q=2", &["-H", "x-asked: me", "--data", "text"]).await;
    assert_eq!(
        (told.status, told.header("x-made"), told.header("x-after").as_deref()),
        (201, None, Some("1")),
        "{told:?}"
    );
    assert_eq!(told.header("server").as_deref(), Some("tyk"));
    let body = told.json();
    assert_eq!(
        (&body["method"], &body["body"], &body["q"]),
        (&json!("POST"), &json!("text"), &json!(["1", "2"]))
    );
    assert_eq!(
        (&body["header"], &body["api"], &body["data"]),
        (&json!(["me"]), &json!("api"), &json!({"k": "v"}))
    );
    assert_eq!(body["shared"], "number", "what is loaded for all scripts is there");
    assert_eq!(upstream.hits(), 0);

    let looped = gate.get("/api/loop", &[]).await;
    assert_eq!((looped.status, &looped.json()["path"]), (200, &json!("/after?x=1")), "{looped:?}");
    for path in ["/api/fail", "/api/ever"] {
        let failed = gate.get(path, &[]).await;
        assert_eq!(failed.status, 500, "{path}");
        assert_eq!(
            failed.json()["error"],
            "Error during virtual endpoint execution. Contact Administrator for more details."
        );
    }
    assert_eq!(gate.get("/api/else", &[]).await.json()["path"], "/else");
    let away = gate.get("/api/away", &[]).await;
    assert_eq!((away.status, away.header("location").as_deref()), (301, Some("http://elsewhere/")));
    assert_eq!(
        gate.get("/api/tell", &[]).await.json()["path"],
        "/tell",
        "of another method the backend answers"
    );
}

#[tokio::test]
async fn c8_5_row_1_functions_see_sessions_and_change_their_data() {
    let upstream = Upstream::start().await;
    let source = "function count(request, session, config) {
        session.meta_data.n = (session.meta_data.n || 0) + 1;
        return TykJsResponse({Body: String(session.meta_data.n), Headers: {}, Code: 200}, session.meta_data);
    }";
    let mut api = oas("api", &upstream.url(""));
    api["paths"] = json!({"/count": {"get": {"operationId": "count"}}});
    api["components"] =
        json!({"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "Authorization"}}});
    api["security"] = json!([{"key": []}]);
    api["x-tyk-api-gateway"]["server"]["authentication"] = json!({"enabled": true, "securitySchemes": {"key": {"enabled": true, "header": {"enabled": true, "name": "Authorization"}}}});
    api["x-tyk-api-gateway"]["middleware"] = json!({"operations": {"count": {"virtualEndpoint": {
        "enabled": true, "functionName": "count", "body": code(source), "requireSession": true,
    }}}});
    let gate = Gate::setup().conf(json!({"enable_jsvm": true})).oas(api).start().await;
    let key = gate.admin().key(&session(&["api"])).await;
    let header = format!("authorization: {key}");
    for count in ["1", "2", "3"] {
        let reply = gate.get("/api/count", &["-H", &header]).await;
        assert_eq!((reply.status, reply.text()), (200, count), "{reply:?}");
    }
    assert_eq!(gate.get("/api/count", &[]).await.status, 401, "keys are asked for first");
    let stored = gate.admin().get(&format!("/keys/{key}")).await.json();
    assert_eq!(stored["meta_data"]["n"], 3);
}

#[tokio::test]
async fn functions_come_from_bundles_and_are_refused_where_they_cannot_run() {
    let dir = std::env::temp_dir().join(format!("sluicegate-virtuals-{}", std::process::id()));
    let folder = dir.join("code");
    std::fs::create_dir_all(&folder).unwrap();
    let script =
        "function made() { return TykJsResponse({Body: 'of the bundle', Headers: {}, Code: 200}, {}) }";
    let manifest = json!({"file_list": ["made.js"], "custom_middleware": {"driver": "javascript"}});
    std::fs::write(folder.join("made.js"), script).unwrap();
    std::fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
    let packed = dir.join("made.zip");
    let done = std::process::Command::new(e2e::binary())
        .args(["plugin", "bundle", folder.to_str().unwrap(), "-o", packed.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let gate = Gate::setup()
        .conf(json!({
            "enable_jsvm": true, "enable_bundle_downloader": true, "disable_virtual_path_blobs": true,
            "bundle_base_url": format!("file://{}", dir.display()),
        }))
        .start()
        .await;
    let entry = |source: &str, kind: &str| {
        json!([{"path": "/made", "method": "GET", "response_function_name": "made", "function_source_type": kind,
            "function_source_uri": source}])
    };
    let mut bundled = with_virtual(keyless("bundled", "http://127.0.0.1:1"), entry("made.js", "file"));
    bundled["custom_middleware_bundle"] = json!("made.zip");
    let reply = gate.admin().post("/apis", &bundled).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(gate.get("/bundled/made", &[]).await.text(), "of the bundle");
    for (entries, told) in [
        (entry(&code(script), "blob"), "disable_virtual_path_blobs"),
        (entry("gone.js", "file"), "cannot be read"),
        (entry("../../etc/passwd", "file"), "leads out of the folder"),
    ] {
        let reply =
            gate.admin().post("/apis", &with_virtual(keyless("bad", "http://127.0.0.1:1"), entries)).await;
        assert_eq!(reply.status, 400, "{told}: {}", reply.text());
        assert!(reply.text().contains(told), "{told}: {}", reply.text());
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

fn batches(mut api: Value) -> Value {
    api["enable_batch_request_support"] = json!(true);
    api
}

#[tokio::test]
async fn c4_6_row_26_a_batch_is_several_requests_each_with_its_own_key_and_limits() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(batches(keyed("api", &upstream.url("")))).start().await;
    let mut limited = session(&["api"]);
    (limited["rate"], limited["per"]) = (json!(2), json!(60));
    let key = gate.admin().key(&limited).await;
    let unit = |url: &str, key: &str| json!({"method": "POST", "headers": {"Authorization": key, "X-Own": url, "Content-Length": "9999"}, "body": "text", "relative_url": url});
    for suppressed in [true, false] {
        let own = gate.admin().key(&limited).await;
        let batch = json!({"suppress_parallel_execution": suppressed, "requests": [
            unit("slow/200?n=1", &own), unit("/two", "wrong"), unit("three", &own), unit("four", &own),
            unit("status/204", ""), {"relative_url": "tyk/batch/", "headers": {"Authorization": key}},
        ]});
        let reply = gate.get("/api/tyk/batch/", &["--data", &batch.to_string()]).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let replies = reply.json();
        let codes: Vec<u64> =
            replies.as_array().unwrap().iter().map(|one| one["code"].as_u64().unwrap()).collect();
        assert_eq!(codes[1], 403);
        assert_eq!(codes[4], 401);
        assert_eq!(codes[5], 200, "a batch inside of a batch is a request like any other");
        let of_key = [codes[0], codes[2], codes[3]];
        assert_eq!(of_key.iter().filter(|code| **code == 429).count(), 1, "{codes:?}");
        let answered = replies.as_array().unwrap().iter().find(|one| one["code"] == 200).unwrap();
        let echo: Value = serde_json::from_str(answered["body"].as_str().unwrap()).unwrap();
        assert_eq!((&echo["method"], &echo["body"]), (&json!("POST"), &json!("text")));
        assert_eq!(echo["headers"]["x-own"][0], answered["relative_url"]);
        assert_eq!(answered["headers"]["Content-Type"].as_array().unwrap().len(), 1, "{answered}");
    }
    let slash = gate.get("/api/tyk/batch", &["--data", r#"{"requests": []}"#]).await;
    assert_eq!((slash.status, slash.text()), (200, "[]"));
    assert_eq!(gate.get("/api/tyk/batch/", &[]).await.status, 200);
}

#[tokio::test]
async fn c4_6_row_26_batches_are_bounded_and_stay_below_their_api() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .api(batches(keyless("api", &upstream.url(""))))
        .api(keyless("other", &upstream.url("")))
        .start()
        .await;
    let many = vec![json!({"relative_url": "x"}); 101];
    let malformed = "Batch request malformed";
    let creation = "Batch request creation failed , request structure malformed";
    for (batch, message) in [
        ("{".to_owned(), malformed),
        ("7".to_owned(), malformed),
        (json!({"requests": [{"relative_url": "../other/x"}]}).to_string(), creation),
        (json!({"requests": [{"relative_url": "a/%2e%2e/%2e%2e/other"}]}).to_string(), creation),
        (json!({"requests": [{"relative_url": "x", "method": "G ET"}]}).to_string(), creation),
        (json!({"requests": [{"relative_url": "x", "headers": {"a": "b\nc"}}]}).to_string(), creation),
        (json!({"requests": many}).to_string(), "a batch has no more than 100 requests"),
    ] {
        let reply = gate.get("/api/tyk/batch/", &["--data", &batch]).await;
        let told = json!({"status": "error", "message": message});
        assert_eq!((reply.status, reply.json()), (400, told), "{batch:.60}");
    }
    assert_eq!(upstream.hits(), 0);
    // What has no end, or is cut, is a unit of its own; the others are answered.
    let batch =
        json!({"requests": [{"relative_url": "sse"}, {"relative_url": "cut"}, {"relative_url": "fine"}]});
    let replies = gate.get("/api/tyk/batch/", &["--data", &batch.to_string()]).await.json();
    let codes: Vec<&Value> = replies.as_array().unwrap().iter().map(|one| &one["code"]).collect();
    assert_eq!(codes, [0, 0, 200], "{replies}");
    assert_eq!(
        gate.get("/other/tyk/batch/", &["--data", "{}"]).await.json()["path"],
        "/tyk/batch/",
        "it is off there"
    );
}

#[tokio::test]
async fn c9_2_row_7_scripts_send_batches() {
    let upstream = Upstream::start().await;
    let source = format!(
        "function all(request, session, config) {{
            var replies = JSON.parse(TykBatchRequest(JSON.stringify({{requests: [
                {{method: 'GET', headers: {{'X-N': '1'}}, body: '', relative_url: 'inner?x=1'}},
                {{method: 'PUT', headers: {{}}, body: 'b', relative_url: '{}'}},
            ], suppress_parallel_execution: true}})));
            var told = replies.map(function (one) {{ return [one.code, JSON.parse(one.body).path, JSON.parse(one.body).method] }});
            return TykJsResponse({{Body: JSON.stringify(told), Headers: {{}}, Code: 200}}, {{}});
        }}",
        upstream.url("/outer")
    );
    let api = with_virtual(
        keyless("api", &upstream.url("/base")),
        json!([{"path": "/all", "method": "GET", "response_function_name": "all", "function_source_type": "blob",
            "function_source_uri": code(&source)}]),
    );
    let gate = Gate::setup().conf(json!({"enable_jsvm": true})).api(api).start().await;
    let reply = gate.get("/api/all", &[]).await;
    assert_eq!(reply.status, 200, "{} {}", reply.text(), gate.log());
    assert_eq!(reply.json(), json!([[200, "/base/inner?x=1", "GET"], [200, "/outer", "PUT"]]));
    until("the record of the inner request is written", || async { upstream.hits() == 2 }).await;
}
