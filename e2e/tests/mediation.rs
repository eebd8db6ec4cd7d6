//! Rows of the contract about what happens to requests and answers between client and backend, where one test is enough for
//! each.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use e2e::definition::{keyless, oas, session};
use e2e::streaming::{events, post, post_to_sse};
use e2e::{Collector, Gate, Reply, Spoken, Upstream, curl, until};
use serde_json::{Value, json};

fn with(mut api: Value, more: Value) -> Value {
    api.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api
}

fn error(reply: &Reply) -> (u16, String) {
    let told: Value = serde_json::from_str(reply.text()).unwrap_or_default();
    (reply.status, told["error"].as_str().unwrap_or_default().to_owned())
}

/// All records, once there is one of this path.
async fn records(gate: &Gate, path: &str) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    until(&format!("a record of {path}"), async || {
        let reply = gate.admin().get("/records?limit=1000").await;
        all = serde_json::from_slice(&reply.body).unwrap_or_default();
        all.iter().any(|record| record["path"] == path)
    })
    .await;
    all
}

fn of<'a>(records: &'a [Value], path: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["path"] == path).collect()
}

#[tokio::test]
async fn c3_2_row_20_documents_switch_on_whole_records_traces_of_guards_and_batches() {
    let (collector, upstream) = (Collector::start().await, Upstream::start().await);
    let switched = |id: &str, enabled: bool| {
        let mut api = oas(id, &upstream.url(""));
        for name in ["detailedActivityLogs", "detailedTracing", "batchProcessing"] {
            api["x-tyk-api-gateway"]["server"][name] = json!({"enabled": enabled});
        }
        api["x-tyk-api-gateway"]["middleware"]["global"]["requestSizeLimit"] =
            json!({"enabled": true, "value": 100_000});
        api
    };
    let traces = json!({"enabled": true, "endpoint": collector.grpc(), "span_processor_type": "simple"});
    let gate = Gate::setup()
        .conf(json!({"enable_analytics": true, "opentelemetry": {"traces": traces}}))
        .oas(switched("on", true))
        .oas(switched("off", false))
        .start()
        .await;
    for (id, on) in [("on", true), ("off", false)] {
        let path = format!("/{id}/x");
        let reply = gate.get(&path, &[]).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let spans = collector.trace(&reply.header("x-tyk-trace-id").unwrap()).await;
        let guards = spans.iter().filter(|span| span.kind == 1).count();
        assert_eq!(guards > 0, on, "{spans:#?}");

        let batch = json!({"requests": [{"method": "GET", "relative_url": "in-batch"}]}).to_string();
        let reply = gate.get(&format!("/{id}/tyk/batch/"), &["-d", &batch]).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        // Where there are no batches, that is a path of the upstream like any other.
        let told = reply.json();
        let answer = if on { &told[0]["relative_url"] } else { &told["path"] };
        assert_eq!(answer, if on { "in-batch" } else { "/tyk/batch/" }, "{told}");

        let all = records(&gate, &path).await;
        let record = of(&all, &path)[0];
        let raw = |name: &str| BASE64_STANDARD.decode(record[name].as_str().unwrap_or_default()).unwrap();
        assert_eq!(raw("raw_request").starts_with(format!("GET {path} ").as_bytes()), on, "{record}");
        assert_eq!(raw("raw_response").starts_with(b"HTTP/1.1 200 "), on, "{record}");
    }
}

#[tokio::test]
async fn c3_5_row_3_several_values_of_a_field_are_one() {
    let upstream = Upstream::start().await;
    let mut api = oas("api", &upstream.url(""));
    let of_three = json!({"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 3});
    api["paths"] = json!({"/x": {"get": {"operationId": "x", "parameters": [
        {"name": "X-Ids", "in": "header", "required": true, "schema": of_three},
    ]}}});
    api["x-tyk-api-gateway"]["middleware"] =
        json!({"operations": {"x": {"validateRequest": {"enabled": true}}}});
    let gate = Gate::setup().oas(api).start().await;
    for (fields, status) in [
        (&["1,2,3"][..], 200),
        (&["1", "2", "3"], 200),
        (&["1, 2", "3"], 200),
        (&["1"], 422),
        (&["1", "2"], 422),
        (&["1", "2", "3", "4"], 422),
        // No value of several goes unseen.
        (&["1", "2", "x"], 422),
        (&["x", "2", "3"], 422),
    ] {
        let fields: Vec<String> = fields.iter().map(|value| format!("X-Ids: {value}")).collect();
        let arguments: Vec<&str> = fields.iter().flat_map(|field| ["-H", field.as_str()]).collect();
        let reply = gate.get("/api/x", &arguments).await;
        assert_eq!(reply.status, status, "{fields:?}: {}", reply.text());
        if status == 200 {
            let sent = reply.json()["headers"]["x-ids"].as_array().unwrap().len();
            assert_eq!(sent, fields.len(), "the upstream gets them as they came");
        }
    }
}

/// An API with an answer that is written down, one out of an example, and one of its upstream.
fn mocking(upstream: &Upstream) -> Value {
    let mut api = oas("api", &upstream.url(""));
    api["paths"] = json!({
        "/fixed": {"get": {"operationId": "fixed"}},
        "/example": {"get": {"operationId": "example", "responses": {"200": {"description": "", "content":
            {"application/json": {"example": {"name": "ann"}}}}}}},
        "/real": {"get": {"operationId": "real"}},
    });
    let body = BASE64_STANDARD.encode("{\"hello\": \"{{ .name }}\"}");
    let changed = json!({
        "transformResponseBody": {"enabled": true, "format": "json", "body": body},
        "transformResponseHeaders": {"enabled": true, "add": [{"name": "X-Path", "value": "1"}], "remove": ["X-Gone"]},
    });
    let fixed = json!({"enabled": true, "code": 201, "body": "{\"name\": \"bob\"}",
        "headers": [{"name": "X-Gone", "value": "1"}, {"name": "Content-Type", "value": "application/json"}]});
    let example = json!({"enabled": true, "fromOASExamples": {"enabled": true}});
    api["x-tyk-api-gateway"]["middleware"] = json!({
        "global": {"transformResponseHeaders": {"enabled": true, "add": [{"name": "X-All", "value": "2"}]}},
        "operations": {
            "fixed": with(changed.clone(), json!({"mockResponse": fixed})),
            "example": with(changed, json!({"mockResponse": example})),
        },
    });
    api
}

#[tokio::test]
async fn c3_6_row_6_examples_are_changed_as_answers_are() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().oas(mocking(&upstream)).start().await;
    for (path, status, name) in [("/api/fixed", 201, "bob"), ("/api/example", 200, "ann")] {
        let reply = gate.get(path, &[]).await;
        assert_eq!((reply.status, reply.json()), (status, json!({"hello": name})), "{path}: {reply:?}");
        let field = |name: &str| reply.header(name);
        assert_eq!(
            (field("x-path").as_deref(), field("x-all").as_deref(), field("x-gone")),
            (Some("1"), Some("2"), None),
            "{path}"
        );
    }
    assert_eq!(upstream.hits(), 0);
}

#[tokio::test]
async fn c3_6_row_7_records_of_examples_are_tagged_as_cached() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().conf(json!({"enable_analytics": true})).oas(mocking(&upstream)).start().await;
    for (path, status, tags) in [
        ("/api/fixed", 201, json!(["cached-response"])),
        ("/api/example", 200, json!(["cached-response"])),
        ("/api/real", 200, Value::Null),
    ] {
        assert_eq!(gate.get(path, &[]).await.status, status, "{path}");
        let all = records(&gate, path).await;
        let [record] = of(&all, path)[..] else { panic!("{all:#?}") };
        let empty = record["tags"].as_array().is_none_or(Vec::is_empty);
        assert_eq!((&record["status"], empty), (&json!(status), tags.is_null()), "{record}");
        assert!(tags.is_null() || record["tags"] == tags, "{record}");
    }
}

#[tokio::test]
async fn c3_7_row_8_the_media_type_of_a_definition_means_nothing() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().start().await;
    let send = async |method: &str, path: &str, kind: &str, body: &Value| {
        let (secret, kind) =
            (format!("x-tyk-authorization: {}", Gate::SECRET), format!("content-type: {kind}"));
        let (url, body) = (gate.url(&format!("/tyk{path}")), body.to_string());
        curl(&["-X", method, "-H", &secret, "-H", &kind, "--data-binary", &body, &url]).await
    };
    let kinds = ["application/vnd.tyk.streams.oas", "application/json", "text/plain"];
    for (number, kind) in kinds.into_iter().enumerate() {
        let stream = format!("s{number}");
        let document = events(&stream, json!({"s": post_to_sse(json!({}))}));
        let reply = send("POST", "/apis/oas", kind, &document).await;
        assert_eq!((reply.status, &reply.json()["action"]), (200, &json!("added")), "{kind}: {reply:?}");
        // It is there, whether anybody listens or not.
        let posted = post(&gate.url(&format!("/{stream}/post")), "x", &["-m", "10"]).await;
        assert!([200, 408].contains(&posted.status), "{kind}: {posted:?}");
        // A document without streams is none the less one, and one that is wrong is refused in the same words.
        let plain = format!("p{number}");
        let reply = send("POST", "/apis/oas", kind, &oas(&plain, &upstream.url(""))).await;
        assert_eq!(reply.status, 200, "{kind}: {reply:?}");
        assert_eq!(gate.get(&format!("/{plain}/x"), &[]).await.status, 200);
        let mut wrong = document;
        wrong["x-tyk-streaming"]["streams"]["s"]["input"] = json!({"no_such_input": {}});
        let reply = send("PUT", &format!("/apis/oas/{stream}"), kind, &wrong).await;
        assert_eq!(reply.status, 400, "{kind}: {reply:?}");
        assert!(reply.text().contains("no_such_input"), "{kind}: {reply:?}");
    }
}

/// An API that speaks MCP, guarded by an auth token.
fn guarded_mcp(id: &str, target: &str, middleware: Value) -> Value {
    let mut api = oas(id, target);
    api["x-tyk-api-gateway"]["middleware"] = middleware;
    api["x-sluicegate"] = json!({"mcp": {"enabled": true}});
    api["components"] =
        json!({"securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "Authorization"}}});
    api["security"] = json!([{"token": []}]);
    api["x-tyk-api-gateway"]["server"]["authentication"] =
        json!({"enabled": true, "securitySchemes": {"token": {"enabled": true}}});
    api
}

/// A server that answers every call.
async fn mcp_server() -> Spoken {
    Spoken::start(|_| (200, r#"{"jsonrpc":"2.0","id":7,"result":{"content":[]}}"#.to_owned())).await
}

/// Sends a call; tells the status, and the code of the error.
async fn call(gate: &Gate, api: &str, body: &Value, fields: &[String]) -> (u16, i64, Reply) {
    let body = body.to_string();
    let mut arguments = vec!["-H", "Content-Type: application/json", "-d", &body];
    arguments.extend(fields.iter().flat_map(|field| ["-H", field.as_str()]));
    let reply = gate.get(&format!("/{api}/mcp"), &arguments).await;
    let told: Value = serde_json::from_str(reply.text()).unwrap_or_default();
    (reply.status, told["error"]["code"].as_i64().unwrap_or_default(), reply)
}

#[tokio::test]
async fn c4_4_row_23_completions_need_the_right_to_what_they_complete() {
    let server = mcp_server().await;
    let block = json!({"block": {"enabled": true}});
    let middleware = json!({"mcpPrompts": {"closed": block}, "mcpResources": {"a://closed/*": block}});
    let gate = Gate::setup().oas(guarded_mcp("m", &server.url(""), middleware)).start().await;
    let mut rights = session(&["m"]);
    rights["access_rights"]["m"]["mcp_access_rights"] = json!({"prompts": {"blocked": ["secret"]}, "resources": {"allowed": ["a://open/.*", "a://closed/.*"]}});
    let key = [format!("Authorization: {}", gate.admin().key(&rights).await)];
    for (reference, status, code) in [
        (json!({"type": "ref/prompt", "name": "open"}), 200, 0),
        (json!({"type": "ref/prompt", "name": "closed"}), 403, -32002),
        (json!({"type": "ref/prompt", "name": "secret"}), 403, -32002),
        // What is not of its type says nothing.
        (json!({"type": "ref/prompt", "name": "secret", "uri": "a://open/x"}), 403, -32002),
        (json!({"type": "ref/resource", "uri": "a://open/{name}"}), 200, 0),
        (json!({"type": "ref/resource", "uri": "a://open/../closed/{name}"}), 403, -32002),
        (json!({"type": "ref/resource", "uri": "a://closed/{name}"}), 403, -32002),
        (json!({"type": "ref/resource", "uri": "a://other/{name}"}), 403, -32002),
        (json!({"type": "ref/other", "name": "open"}), 400, -32602),
        (json!({"name": "open"}), 400, -32602),
        (Value::Null, 400, -32602),
    ] {
        let params = json!({"ref": reference, "argument": {"name": "n", "value": ""}});
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": "completion/complete", "params": params});
        let before = server.asked().len();
        let (seen, told, reply) = call(&gate, "m", &body, &key).await;
        assert_eq!((seen, told), (status, code), "{body}: {reply:?}");
        assert_eq!(server.asked().len() - before, usize::from(status == 200), "{body}");
    }
}

#[tokio::test]
async fn c4_4_row_2_fields_that_say_something_else_than_the_call_are_refused() {
    let server = mcp_server().await;
    let gate = Gate::setup().oas(guarded_mcp("m", &server.url(""), json!({}))).start().await;
    let key = format!("Authorization: {}", gate.admin().key(&session(&["m"])).await);
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "get",
        "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}});
    let recent = "MCP-Protocol-Version: 2026-07-28";
    for (fields, told) in [
        (&[recent, "Mcp-Method: tools/call", "Mcp-Name: get"][..], None),
        (&[recent, "Mcp-Method: tools/call", "mcp-name: =?base64?Z2V0?="], None),
        (&["MCP-Protocol-Version: 2025-11-25"], None),
        (&[], None),
        (&[recent, "Mcp-Name: get"], Some("Header mismatch: Mcp-Method header is missing")),
        (&[recent, "Mcp-Method: tools/call"], Some("Header mismatch: Mcp-Name header is missing")),
        (
            &[recent, "Mcp-Method: tools/call", "Mcp-Name: set"],
            Some("Header mismatch: Mcp-Name header value 'set' does not match body value 'get'"),
        ),
        (
            &[recent, "Mcp-Method: tools/call", "Mcp-Name: get", "Mcp-Name: get"],
            Some("Header mismatch: Mcp-Name header is malformed"),
        ),
        (
            &["Mcp-Method: tools/list"],
            Some(
                "Header mismatch: Mcp-Method header value 'tools/list' does not match body value 'tools/call'",
            ),
        ),
    ] {
        let mut all = vec![key.clone()];
        all.extend(fields.iter().map(|field| (*field).to_owned()));
        let before = server.asked().len();
        let (status, _, reply) = call(&gate, "m", &body, &all).await;
        assert_eq!(server.asked().len() - before, usize::from(told.is_none()), "{fields:?}: {reply:?}");
        match told {
            None => {
                assert_eq!(status, 200, "{fields:?}: {reply:?}");
                let asked = server.asked().pop().unwrap_or_default().to_lowercase();
                let passed = fields.iter().all(|field| asked.contains(&field.to_lowercase()));
                assert!(passed, "the server is told the same: {asked}");
            }
            Some(message) => {
                let error = json!({"jsonrpc": "2.0", "id": 7, "error": {"code": -32020, "message": message}});
                assert_eq!((status, reply.json()), (400, error), "{fields:?}");
            }
        }
    }
}

#[tokio::test]
async fn c4_4_row_15_calls_of_mcp_through_another_api_are_held_to_both() {
    let server = mcp_server().await;
    let blocked = json!({"block": {"enabled": true}});
    let mut inner = guarded_mcp("inner", &server.url(""), json!({"mcpTools": {"inside": blocked}}));
    inner["x-tyk-api-gateway"]["info"]["state"]["internal"] = json!(true);
    let mut outer = oas("outer", "tyk://inner");
    outer["x-tyk-api-gateway"]["middleware"] = json!({"mcpTools": {"outside": blocked}});
    let gate = Gate::setup().oas(outer).api(keyless("plain", "tyk://inner")).oas(inner).start().await;
    let mut rights = session(&["inner"]);
    rights["access_rights"]["inner"]["mcp_access_rights"] = json!({"tools": {"blocked": ["secret"]}});
    let key = gate.admin().key(&rights).await;
    let key = key.as_str();
    for (api, key, tool, status, code) in [
        // Whoever asks the inner one says who is calling, to it alone.
        ("outer", "", "free", 401, -32001),
        ("outer", "nonsense", "free", 403, -32002),
        ("outer", key, "free", 200, 0),
        ("outer", key, "outside", 403, -32002),
        ("outer", key, "inside", 403, -32002),
        ("outer", key, "secret", 403, -32002),
        // Through an API of HTTP, which reads no calls, to the one that does.
        ("plain", key, "outside", 200, 0),
        ("plain", key, "inside", 403, -32002),
        ("plain", key, "secret", 403, -32002),
        ("plain", "", "free", 401, -32001),
    ] {
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool}});
        let fields: Vec<String> =
            if key.is_empty() { Vec::new() } else { vec![format!("Authorization: {key}")] };
        let before = server.asked().len();
        let (seen, told, reply) = call(&gate, api, &body, &fields).await;
        assert_eq!((seen, told), (status, code), "{api} {tool} with `{key}`: {reply:?}");
        assert_eq!(server.asked().len() - before, usize::from(status == 200), "{api} {tool}");
    }
}

#[tokio::test]
async fn c4_6_row_11_a_body_of_nothing_is_none() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyless("api", &upstream.url(""))).start().await;
    for http in ["--http1.1", "--http2-prior-knowledge"] {
        for (method, length) in [
            ("GET", None),
            ("DELETE", None),
            ("OPTIONS", None),
            ("POST", Some("0")),
            ("PUT", Some("0")),
            ("PATCH", Some("0")),
        ] {
            let reply = gate.get("/api/x", &[http, "-X", method, "-d", ""]).await;
            assert_eq!(reply.status, 200, "{method}: {reply:?}");
            let echo = reply.json();
            let sent = echo["headers"]["content-length"][0].as_str();
            assert_eq!((&echo["body"], sent), (&json!(""), length), "{method} {http}: {echo}");
            assert!(echo["headers"].get("transfer-encoding").is_none(), "{method} {http}: {echo}");
        }
    }
    // What is more than nothing stays what it is.
    let reply = gate.get("/api/x", &["-X", "GET", "-d", "1"]).await;
    assert_eq!(
        (&reply.json()["body"], &reply.json()["headers"]["content-length"]),
        (&json!("1"), &json!(["1"]))
    );
}

#[tokio::test]
async fn c8_4_row_2_what_a_classic_definition_answers_itself_leaves_no_record() {
    let upstream = Upstream::start().await;
    let mut api = keyless("api", &upstream.url(""));
    api["version_data"]["versions"]["Default"]["extended_paths"] = json!({
        "mock_response": [{"path": "/mock", "method": "GET", "code": 202, "body": "mocked", "headers": {"X-Mock": "1"}}],
        "white_list": [
            {"path": "/reply", "method_actions":
                {"GET": {"action": "reply", "code": 203, "data": "replied", "headers": {}}}},
            {"path": "/real", "method_actions": {"GET": {"action": "no_action", "code": 200, "data": "", "headers": {}}}},
        ],
    });
    let gate = Gate::setup().conf(json!({"enable_analytics": true})).api(api).start().await;
    for (path, status, text) in [("/api/mock", 202, "mocked"), ("/api/reply", 203, "replied")] {
        let reply = gate.get(path, &[]).await;
        assert_eq!((reply.status, reply.text()), (status, text), "{path}");
    }
    assert_eq!((gate.get("/api/real", &[]).await.status, upstream.hits()), (200, 1));
    // It came last, and so do records.
    let all = records(&gate, "/api/real").await;
    assert_eq!(all.len(), 1, "{all:#?}");
}

#[tokio::test]
async fn c10_row_12_failures_inside_are_those_of_the_gate() {
    let sdl = "type Query { name: String }";
    let graph = |id: &str, target: &str, more: Value| {
        let mut api = keyless(id, target);
        api["graphql"] = with(json!({"enabled": true, "version": "2", "schema": sdl}), more);
        api
    };
    let source = json!({"kind": "REST", "name": "s", "internal": false, "config": {"url": "http://127.0.0.1:1/", "method": "GET"},
        "root_fields": [{"type": "Query", "fields": ["name"]}]});
    let engine = json!({"execution_mode": "executionEngine", "engine": {"data_sources": [source], "field_configs": []}});
    let mut asked_nothing = graph("engine", "", engine);
    asked_nothing["CORS"] = json!({"enable": true, "options_passthrough": true, "allowed_origins": ["*"]});
    let gate = Gate::setup()
        .api(graph("proxy", "http://127.0.0.1:1/", json!({"execution_mode": "proxyOnly"})))
        .api(asked_nothing)
        .start()
        .await;
    let query = json!({"query": "{ name }"}).to_string();
    let fields = ["-H", "Content-Type: application/json", "-d", &query];
    // A server that is away is told as with any upstream, and not as an error of the query.
    let reply = gate.get("/proxy/", &fields).await;
    assert_eq!(error(&reply), (500, "There was a problem proxying the request".to_owned()));
    // What no guard has read cannot be carried out.
    let preflight =
        ["-X", "OPTIONS", "-H", "Origin: http://page", "-H", "Access-Control-Request-Method: POST"];
    let reply = gate.get("/engine/", &preflight).await;
    assert_eq!(error(&reply), (500, "there was a problem proxying the request".to_owned()));
    // A source that is away is its field's matter.
    let reply = gate.get("/engine/", &fields).await;
    assert_eq!((reply.status, &reply.json()["data"]), (200, &json!({"name": null})));
    assert_eq!(reply.json()["errors"][0]["path"], json!(["name"]));
}
