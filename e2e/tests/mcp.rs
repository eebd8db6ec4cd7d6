//! APIs that speak MCP, in front of a server and for a client that are not ours: calls told apart by their bodies, guarded by
//! method and by tool, resource and prompt, lists cut down to what a caller may use (contract 2.1, 3.2, 4.1, 4.4 rows 1, 2, 15
//! and 23, 4.5, 6.1, 7.3).

use e2e::definition::{keyed, keyless, oas, session};
use e2e::issuer::Issuer;
use e2e::tokens::{now, policy};
use e2e::{Gate, McpServer, Reply, Sse, Wire, mcp_client, until};
use serde_json::{Value, json};

/// An API that speaks MCP; what its `middleware` says.
fn mcp(id: &str, server: &McpServer, middleware: Value) -> Value {
    let mut api = oas(id, &server.url());
    api["x-tyk-api-gateway"]["middleware"] = middleware;
    api["x-sluicegate"] = json!({"mcp": {"enabled": true}});
    api
}

/// The same, guarded by an auth token.
fn guarded(id: &str, server: &McpServer, middleware: Value) -> Value {
    let mut api = mcp(id, server, middleware);
    api["components"] =
        json!({"securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "Authorization"}}});
    api["security"] = json!([{"token": []}]);
    api["x-tyk-api-gateway"]["server"]["authentication"] =
        json!({"enabled": true, "securitySchemes": {"token": {"enabled": true}}});
    api
}

fn call(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
}

fn tool(name: &str) -> Value {
    call("tools/call", json!({"name": name, "arguments": {}}))
}

fn resource(uri: &str) -> Value {
    call("resources/read", json!({"uri": uri}))
}

/// Listens to the changes of resources, as of MCP 2026-07-28.
fn listen(uris: &[&str]) -> Value {
    call("subscriptions/listen", json!({"notifications": {"resourceSubscriptions": uris}}))
}

fn prompt(name: &str) -> Value {
    call("prompts/get", json!({"name": name}))
}

/// Sends a body as a client of MCP does.
async fn send(gate: &Gate, api: &str, key: &str, body: &str) -> Reply {
    let authorization = format!("authorization: {key}");
    let fields = [
        "-H",
        "content-type: application/json",
        "-H",
        "accept: application/json, text/event-stream",
        "-H",
        &authorization,
        "--data-binary",
        body,
    ];
    gate.get(&format!("/{api}/mcp"), &fields).await
}

async fn ask(gate: &Gate, api: &str, key: &str, body: &Value) -> Reply {
    send(gate, api, key, &body.to_string()).await
}

/// The message of an answer, whether it came as JSON or as an event.
fn message(reply: &Reply) -> Value {
    let text = reply.text();
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or(text);
    serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {reply:?}"))
}

/// What a list holds.
fn names(reply: &Reply, list: &str, named: &str) -> Vec<String> {
    let message = message(reply);
    let items = message["result"][list].as_array().unwrap_or_else(|| panic!("no list: {reply:?}"));
    items.iter().map(|item| item[named].as_str().unwrap().to_owned()).collect()
}

/// The refusal of a call (contract 4.1).
fn assert_refused(reply: &Reply, status: u16, code: i64, text: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(
        reply.json(),
        json!({"jsonrpc": "2.0", "id": 7, "error": {"code": code, "message": text, "data": {"http_code": status}}}),
    );
    assert_eq!(reply.header("content-type").as_deref(), Some("application/json"));
}

#[tokio::test]
async fn c4_4_row_2_what_is_no_call_is_told_so() {
    let server = McpServer::json().await;
    let gate = Gate::setup().oas(mcp("m", &server, json!({}))).start().await;
    for (body, code, text, id) in [
        ("{", -32700, "parse error", json!(null)),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32700, "parse error", json!(null)),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600, "invalid request", json!(1)),
        (r#"{"jsonrpc":"2.0","id":"a"}"#, -32600, "invalid request", json!("a")),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#,
            -32600,
            "invalid request",
            json!(null),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#,
            -32602,
            "missing required params object",
            json!(1),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{}}"#,
            -32602,
            "missing required parameter: uri",
            json!(1),
        ),
    ] {
        let reply = send(&gate, "m", "", body).await;
        assert_eq!(reply.status, 400, "{body}: {reply:?}");
        assert!(reply.text().ends_with("}\n"), "{reply:?}");
        let expected = json!({"jsonrpc": "2.0", "error": {"code": code, "message": text}, "id": id});
        assert_eq!(reply.json(), expected, "{body}");
    }
    let ping = call("ping", json!({})).to_string();
    let large = call("x", json!({"text": "x".repeat(1 << 20)})).to_string();
    let file = gate.dir().join("large");
    std::fs::write(&file, large).unwrap();
    let large = format!("@{}", file.display());
    for arguments in [
        &["-H", "content-type: text/plain", "-d", &ping][..],
        &["-H", "content-type: application/json", "-H", "content-encoding: gzip", "-d", &ping],
        &["-H", "content-type: application/json; charset=utf-16", "-d", &ping],
        &["-H", "content-type: application/json", "--data-binary", &large],
        &["-X", "GET", "-H", "content-type: application/json", "-d", &ping],
    ] {
        let reply = gate.get("/m/mcp", arguments).await;
        assert_eq!((reply.status, reply.json()["error"]["code"].as_i64()), (400, Some(-32600)), "{reply:?}");
    }
    let put = gate.get("/m/mcp", &["-X", "PUT", "-H", "content-type: application/json", "-d", &ping]).await;
    assert_eq!(put.status, 405, "{put:?}");
    assert_eq!(server.seen().await, Vec::<Value>::new(), "nothing of it came through");
}

#[tokio::test]
async fn c4_4_row_2_calls_and_answers_go_through_as_they_are() {
    for server in [McpServer::json().await, McpServer::events().await] {
        let gate = Gate::setup().oas(mcp("m", &server, json!({}))).start().await;
        let reply = ask(&gate, "m", "", &tool("get_users")).await;
        assert_eq!(message(&reply)["result"]["content"][0]["text"], "Ada, Bob", "{reply:?}");
        let told = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(ask(&gate, "m", "", &told).await.status, 202);
        // Who listens, who leaves, and who answers what the server has asked.
        let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
        assert_eq!(ask(&gate, "m", "", &answer).await.status, 202);
        assert_eq!(gate.get("/m/seen", &[]).await.status, 200);
        let tools = names(&ask(&gate, "m", "", &call("tools/list", json!({}))).await, "tools", "name");
        assert_eq!(tools, ["get_users", "get_posts", "echo", "admin_reset"]);
    }
}

#[tokio::test]
async fn c3_2_row_51_definitions_open_and_close_calls() {
    let (server, events) = (McpServer::json().await, McpServer::events().await);
    let on = json!({"enabled": true});
    let middleware = json!({
        "operations": {"prompts/getPOST": {"block": on}},
        "mcpTools": {
            "get_users": {"allow": on}, "echo": {"allow": on, "block": on}, "get_posts": {"allow": {"enabled": false}},
        },
        "mcpResources": {"weather://stations/*": {"allow": on}, "weather://stations/paris": {"block": on}},
    });
    let listed = json!({
        "operations": {
            "tools/listPOST": {"allow": on}, "json-rpc-method:pingPOST": {"allow": on}, "initializePOST": {"allow": on},
        },
    });
    let gate = Gate::setup()
        .oas(mcp("json", &server, middleware.clone()))
        .oas(mcp("events", &events, middleware))
        .oas(mcp("few", &server, listed))
        .start()
        .await;
    let (closed, unlisted) =
        ("Requested endpoint is forbidden", "access to this resource has been disallowed");
    for api in ["json", "events"] {
        for (body, refused) in [
            (tool("get_users"), None),
            (tool("echo"), Some(closed)),
            (tool("get_posts"), Some(unlisted)),
            (tool("Get_users"), Some(unlisted)),
            (tool("get_users2"), Some(unlisted)),
            (resource("weather://stations/london"), None),
            (resource("weather://stations/paris"), Some(closed)),
            (resource("weather://stations/../secret"), Some(closed)),
            (resource("internal://secret"), Some(unlisted)),
            (listen(&["weather://stations/london", "weather://stations/paris"]), Some(closed)),
            (listen(&["internal://secret"]), Some(unlisted)),
            (prompt("summary"), Some(closed)),
            (call("ping", json!({})), None),
        ] {
            let reply = ask(&gate, api, "", &body).await;
            match refused {
                None => assert!(message(&reply)["result"].is_object(), "{api} {body}: {reply:?}"),
                Some(text) => assert_refused(&reply, 403, -32002, text),
            }
        }
        // What cannot be used is not told either (contract 4.5).
        let list = async |method: &str, list: &str, named: &str| {
            names(&ask(&gate, api, "", &call(method, json!({}))).await, list, named)
        };
        assert_eq!(list("tools/list", "tools", "name").await, ["get_users"], "{api}");
        assert_eq!(list("resources/list", "resources", "uri").await, ["weather://stations/london"], "{api}");
        let templates = list("resources/templates/list", "resourceTemplates", "uriTemplate").await;
        assert_eq!(templates, Vec::<String>::new(), "{api}");
        assert_eq!(list("prompts/list", "prompts", "name").await, ["summary", "alert"], "{api}");
        let begin = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
        let begun = message(&ask(&gate, api, "", &call("initialize", begin)).await);
        let capabilities = begun["result"]["capabilities"].as_object().unwrap_or_else(|| panic!("{begun}"));
        assert!(capabilities.contains_key("tools") && !capabilities.contains_key("prompts"), "{begun}");
    }
    assert_eq!((server.calls("tools/call").await, server.calls("prompts/get").await), (1, 0));
    // Where methods are listed, no other is open.
    for (body, open) in [
        (call("tools/list", json!({})), true),
        (call("ping", json!({})), true),
        (tool("get_users"), false),
        (call("x/y", json!({})), false),
    ] {
        let reply = ask(&gate, "few", "", &body).await;
        if open {
            assert!(message(&reply)["result"].is_object(), "{body}: {reply:?}");
        } else {
            assert_refused(&reply, 403, -32002, "Access to this operation has been disallowed");
        }
    }
}

#[tokio::test]
async fn c3_2_row_51_calls_have_what_paths_have() {
    let server = McpServer::json().await;
    let add = |name: &str, value: &str| json!({"enabled": true, "add": [{"name": name, "value": value}]});
    let gate = Gate::setup()
        .oas(guarded(
            "m",
            &server,
            json!({
                "global": {"transformRequestHeaders": add("X-All", "1")},
                "operations": {"tools/callPOST": {
                    "transformRequestHeaders": add("X-Method", "2"),
                    "transformResponseHeaders": add("X-Of", "method"),
                }},
                "mcpTools": {
                    "get_users": {
                        "transformRequestHeaders": add("X-Tool", "3"),
                        "transformResponseHeaders": add("X-Tool-Of", "tool"),
                        "ignoreAuthentication": {"enabled": true},
                    },
                    "echo": {
                        "requestSizeLimit": {"enabled": true, "value": 150},
                        "ignoreAuthentication": {"enabled": true},
                    },
                },
            }),
        ))
        .start()
        .await;
    let reply = ask(&gate, "m", "", &tool("get_users")).await;
    assert_eq!(message(&reply)["result"]["content"][0]["text"], "Ada, Bob", "open to everybody: {reply:?}");
    assert_eq!(
        (reply.header("x-of").as_deref(), reply.header("x-tool-of").as_deref()),
        (Some("method"), Some("tool"))
    );
    let seen = server.seen().await;
    let fields = &seen[0]["fields"];
    assert_eq!(
        (&fields["x-all"], &fields["x-method"], &fields["x-tool"]),
        (&json!("1"), &json!("2"), &json!("3")),
        "{seen:?}"
    );
    assert_refused(
        &ask(&gate, "m", "", &tool("get_posts")).await,
        401,
        -32001,
        "Authorization field missing",
    );
    assert_refused(
        &ask(&gate, "m", "nonsense", &tool("get_posts")).await,
        403,
        -32002,
        "Access to this API has been disallowed",
    );
    let say = |text: &str| call("tools/call", json!({"name": "echo", "arguments": {"text": text}}));
    assert_eq!(message(&ask(&gate, "m", "", &say("hi")).await)["result"]["content"][0]["text"], "hi");
    assert_refused(&ask(&gate, "m", "", &say(&"x".repeat(200))).await, 400, -32600, "Request is too large");
}

#[tokio::test]
async fn c4_4_row_23_rights_of_sessions_and_policies() {
    for server in [McpServer::json().await, McpServer::events().await] {
        let right = |more: Value| {
            let mut session = session(&["m"]);
            let right = session["access_rights"]["m"].as_object_mut().unwrap();
            right.extend(more.as_object().unwrap().clone());
            session
        };
        let of_policy =
            |id: &str, more: Value| policy(id, &[], json!({"access_rights": right(more)["access_rights"]}));
        let gate = Gate::setup()
            .oas(guarded("m", &server, json!({})))
            .policy(of_policy("readers", json!({"mcp_access_rights": {"tools": {"allowed": ["get_.*"]}}})))
            .policy(of_policy(
                "others",
                json!({
                    "mcp_access_rights": {
                        "tools": {"allowed": ["echo"], "blocked": ["get_posts"]},
                        "resources": {"blocked": ["internal://.*"]},
                        "prompts": {"allowed": ["summary"]},
                    },
                    "json_rpc_methods_access_rights": {"blocked": ["completion/complete", "logging/.*"]},
                }),
            ))
            .start()
            .await;
        let admin = gate.admin();
        let free = admin.key(&right(json!({}))).await;
        let own = admin
            .key(&right(json!({"json_rpc_methods_access_rights": {"allowed": ["tools/list", "tools/call"]}})))
            .await;
        let both = admin.key(&json!({"org_id": "org", "apply_policies": ["readers", "others"]})).await;
        for (key, body, refused) in [
            (&free, tool("admin_reset"), None),
            (&own, tool("admin_reset"), None),
            (&own, prompt("summary"), Some("method 'prompts/get' is not available")),
            (&both, tool("get_users"), None),
            (&both, call("tools/call", json!({"name": "echo", "arguments": {"text": "x"}})), None),
            (&both, tool("get_posts"), Some("tool 'get_posts' is not available")),
            (&both, tool("admin_reset"), Some("tool 'admin_reset' is not available")),
            (&both, resource("weather://stations/paris"), None),
            (&both, resource("internal://secret"), Some("resource 'internal://secret' is not available")),
            (&both, prompt("alert"), Some("prompt 'alert' is not available")),
            (
                &both,
                listen(&["weather://stations/paris", "internal://secret"]),
                Some("resource 'internal://secret' is not available"),
            ),
            (&both, call("logging/setLevel", json!({})), Some("method 'logging/setLevel' is not available")),
        ] {
            let reply = ask(&gate, "m", key, &body).await;
            match refused {
                None => assert!(message(&reply)["result"].is_object(), "{body}: {reply:?}"),
                Some(text) => assert_refused(&reply, 403, -32002, text),
            }
        }
        let list = async |key: &str, method: &str, list: &str, named: &str| {
            names(&ask(&gate, "m", key, &call(method, json!({}))).await, list, named)
        };
        let all = ["get_users", "get_posts", "echo", "admin_reset"];
        assert_eq!(list(&free, "tools/list", "tools", "name").await, all);
        assert_eq!(list(&own, "tools/list", "tools", "name").await, all);
        assert_eq!(list(&both, "tools/list", "tools", "name").await, ["get_users", "echo"]);
        assert_eq!(
            list(&both, "resources/list", "resources", "uri").await,
            ["weather://stations/london", "weather://stations/paris"]
        );
        assert_eq!(list(&both, "prompts/list", "prompts", "name").await, ["summary"]);
    }
}

#[tokio::test]
async fn c4_4_row_23_a_client_of_the_protocol_sees_what_its_key_opens() {
    let server = McpServer::stateful().await;
    let gate = Gate::setup().oas(guarded("m", &server, json!({}))).start().await;
    let mut narrow = session(&["m"]);
    narrow["access_rights"]["m"]["mcp_access_rights"] =
        json!({"tools": {"allowed": ["get_users"]}, "resources": {"blocked": ["internal://.*"]}});
    narrow["access_rights"]["m"]["json_rpc_methods_access_rights"] = json!({"blocked": ["prompts/get"]});
    let (narrow, wide) = (gate.admin().key(&narrow).await, gate.admin().key(&session(&["m"])).await);
    let url = gate.url("/m/mcp");
    let seen = mcp_client(&url, &narrow, &["get_users", "admin_reset"]).await;
    assert_eq!(seen["tools"], json!(["get_users"]), "{seen}");
    assert_eq!(seen["resources"], json!(["weather://stations/london", "weather://stations/paris"]));
    assert_eq!(seen["calls"]["get_users"], "Ada, Bob");
    assert!(
        seen["calls"]["admin_reset"].as_str().unwrap().contains("tool 'admin_reset' is not available"),
        "{seen}"
    );
    assert!(seen["capabilities"]["prompts"].is_null() && seen["capabilities"]["tools"].is_object(), "{seen}");
    let seen = mcp_client(&url, &wide, &["admin_reset"]).await;
    assert_eq!(seen["tools"], json!(["get_users", "get_posts", "echo", "admin_reset"]));
    assert_eq!(seen["calls"]["admin_reset"], "all gone");
    assert!(seen["capabilities"]["prompts"].is_object(), "{seen}");
}

#[tokio::test]
async fn c4_5_row_1_whoever_listens_is_told_no_more_than_by_asking() {
    // A server that tells a list again to who comes back (MCP, "Resumability and Redelivery").
    const LIST: &str = r#"{"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"a"},{"name":"b"}]}}"#;
    let upstream = Wire::start(|mut line| async move {
        let Some(head) = line.head().await else { return };
        assert!(head.to_lowercase().contains("accept-encoding: identity"), "{head}");
        let events = format!(": hello\n\nid: 1\ndata: {LIST}\n\ndata: {{\"method\":\"x\"}}\n\n");
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        line.say(head.as_bytes()).await;
        // In pieces that end anywhere.
        for piece in events.as_bytes().chunks(11) {
            line.say(format!("{:x}\r\n", piece.len()).as_bytes()).await;
            line.say(piece).await;
            line.say(b"\r\n").await;
        }
        line.closed().await;
    })
    .await;
    let mut api = oas("m", &upstream.url());
    api["x-tyk-api-gateway"]["middleware"] = json!({"mcpTools": {"b": {"block": {"enabled": true}}}});
    let gate = Gate::setup().oas(api).start().await;
    let mut events = Sse::open(gate.port(), "/m/mcp", &["Accept-Encoding: gzip"]).await;
    let told = events.next_data().await.unwrap();
    assert_eq!(told, LIST.replace(r#",{"name":"b"}"#, ""));
    assert_eq!(events.next_data().await.as_deref(), Some(r#"{"method":"x"}"#), "and goes on");
}

#[tokio::test]
async fn c6_1_row_31_calls_are_limited_by_method_and_by_what_they_are_for() {
    let server = McpServer::json().await;
    let rate = |rate: u32| json!({"enabled": true, "rate": rate, "per": "1m"});
    let gate = Gate::setup()
        .oas(guarded(
            "m",
            &server,
            json!({
                "operations": {"prompts/getPOST": {"rateLimit": rate(2)}},
                "mcpTools": {"get_posts": {"rateLimit": rate(3)}},
                "mcpResources": {"weather://*": {"rateLimit": rate(1)}},
            }),
        ))
        .start()
        .await;
    let mut limited = session(&["m"]);
    let limit = json!({"rate": 2, "per": 60});
    limited["access_rights"]["m"]["mcp_primitives"] = json!([{"type": "tool", "name": "get_users", "limit": limit}, {"type": "prompt", "name": "get_posts", "limit": limit}]);
    limited["access_rights"]["m"]["json_rpc_methods"] =
        json!([{"name": "ping", "limit": {"rate": 1, "per": 60}}]);
    let (one, other) = (gate.admin().key(&limited).await, gate.admin().key(&limited).await);
    let (of_key, of_api) = ("Rate Limit Exceeded", "API Rate Limit Exceeded");
    for (key, body, refused) in [
        // Each key has its own count of a tool …
        (&one, tool("get_users"), None),
        (&one, tool("get_users"), None),
        (&one, tool("get_users"), Some(of_key)),
        (&other, tool("get_users"), None),
        (&one, call("ping", json!({})), None),
        (&one, call("ping", json!({})), Some(of_key)),
        // … and the API one for all.
        (&one, tool("get_posts"), None),
        (&other, tool("get_posts"), None),
        (&one, tool("get_posts"), None),
        (&other, tool("get_posts"), Some(of_api)),
        (&one, prompt("summary"), None),
        (&one, prompt("alert"), None),
        (&other, prompt("summary"), Some(of_api)),
        (&one, resource("weather://stations/london"), None),
        (&one, resource("weather://stations/paris"), Some(of_api)),
        (&one, resource("internal://secret"), None),
    ] {
        let reply = ask(&gate, "m", key, &body).await;
        match refused {
            None => assert!(message(&reply)["result"].is_object(), "{body}: {reply:?}"),
            Some(text) => assert_refused(&reply, 429, -32003, text),
        }
    }
}

#[tokio::test]
async fn c4_1_row_6_refusals_of_calls_are_errors_of_json_rpc() {
    let server = McpServer::json().await;
    let mut away = mcp("away", &server, json!({}));
    away["x-tyk-api-gateway"]["upstream"]["url"] = json!("http://127.0.0.1:1");
    let mut elsewhere = mcp("elsewhere", &server, json!({}));
    elsewhere["x-tyk-api-gateway"]["server"]["ipAccessControl"] =
        json!({"enabled": true, "allow": ["192.0.2.1"]});
    let gate = Gate::setup().oas(away).oas(elsewhere).oas(guarded("m", &server, json!({}))).start().await;
    assert_refused(
        &ask(&gate, "away", "", &tool("echo")).await,
        500,
        -32603,
        "There was a problem proxying the request",
    );
    assert_refused(
        &ask(&gate, "elsewhere", "", &tool("echo")).await,
        403,
        -32006,
        "access from this IP has been disallowed",
    );
    let mut spent = session(&["m"]);
    (spent["quota_max"], spent["quota_renewal_rate"]) = (json!(1), json!(60));
    let key = gate.admin().key(&spent).await;
    assert_eq!(ask(&gate, "m", &key, &tool("get_users")).await.status, 200);
    assert_refused(&ask(&gate, "m", &key, &tool("get_users")).await, 403, -32005, "Quota exceeded");
    // Who does not call is told as everywhere else.
    let listening = gate.get("/m/mcp", &[]).await;
    assert_eq!((listening.status, &listening.json()["error"]), (401, &json!("Authorization field missing")));
}

#[tokio::test]
async fn c4_4_row_24_tools_ask_for_scopes() {
    let (server, issuer) = (McpServer::json().await, Issuer::start().await);
    let mut api = mcp(
        "m",
        &server,
        json!({"mcpTools": {
            "get_users": {"security": [{"idp": ["users:read"]}], "scopeCheck": {"enabled": true}},
            "get_posts": {"security": [{"idp": ["posts:read"]}]},
        }}),
    );
    api["components"] = json!({"securitySchemes": {
        "jwt": {"type": "http", "scheme": "bearer"},
        "idp": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://i/t", "scopes": {}}}},
    }});
    api["security"] = json!([{"idp": []}]);
    api["x-tyk-api-gateway"]["server"]["authentication"] = json!({"enabled": true, "securitySchemes": {
        "jwt": {
            "enabled": true, "signingMethod": "ecdsa", "subjectClaims": ["sub"], "defaultPolicies": ["gold"],
            "jwksURIs": [{"url": issuer.url("/keys")}],
        },
        "idp": {"enabled": true, "scopeCheck": {"enabled": true}},
    }});
    let gate = Gate::setup().oas(api).policy(policy("gold", &["m"], json!({}))).start().await;
    let token = |scope: &str| {
        issuer.token(&json!({"iss": "https://i", "sub": "me", "exp": now() + 600, "scope": scope}))
    };
    for (scope, name, open) in
        [("users:read", "get_users", true), ("", "get_users", false), ("", "get_posts", true)]
    {
        let reply = ask(&gate, "m", &format!("Bearer {}", token(scope)), &tool(name)).await;
        if open {
            assert!(message(&reply)["result"].is_object(), "{scope} {name}: {reply:?}");
        } else {
            assert_eq!(
                (reply.status, &reply.json()["error"]),
                (403, &json!("insufficient_scope")),
                "{reply:?}"
            );
        }
    }
}

#[tokio::test]
async fn c4_4_row_14_metadata_of_the_resource_are_told_of_mcp_as_well() {
    let server = McpServer::json().await;
    let mut api = guarded("m", &server, json!({}));
    api["x-tyk-api-gateway"]["server"]["authentication"]["protectedResourceMetadata"] =
        json!({"enabled": true, "authorizationServers": ["https://i"], "scopesSupported": ["tools"]});
    let gate = Gate::setup().oas(api).start().await;
    let base = gate.url("/m");
    let path = "/m/.well-known/oauth-protected-resource";
    let document = gate.get(path, &[]).await;
    assert_eq!(
        (document.status, document.json()),
        (
            200,
            json!({"resource": base, "authorization_servers": ["https://i"], "scopes_supported": ["tools"]})
        )
    );
    let refused = ask(&gate, "m", "", &tool("get_users")).await;
    // curl sends an empty field as none.
    assert_refused(&refused, 401, -32001, "Authorization field missing");
    let place = format!("Bearer realm=\"tyk\", resource_metadata=\"{}\"", gate.url(path));
    assert_eq!(refused.header("www-authenticate"), Some(place));
}

#[tokio::test]
async fn c11_1_records_say_what_was_called() {
    let server = McpServer::json().await;
    let blocked = json!({"mcpTools": {"echo": {"block": {"enabled": true}}}});
    let gate = Gate::setup()
        .conf(json!({"enable_analytics": true, "access_logs": {"enabled": true}, "log_format": "json"}))
        .oas(mcp("m", &server, blocked))
        .start()
        .await;
    for (body, method, kind, name, error) in [
        (tool("get_users"), "tools/call", "tool", "get_users", json!(null)),
        (tool("echo"), "tools/call", "tool", "echo", json!(-32002)),
        (resource("internal://secret"), "resources/read", "resource", "internal://secret", json!(null)),
        (call("ping", json!({})), "ping", "", "", json!(null)),
    ] {
        ask(&gate, "m", "", &body).await;
        let field = |line: &Value, name: &str| {
            line.get(name).or_else(|| line["fields"].get(name)).cloned().unwrap_or_default()
        };
        let line = |log: &str| {
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let mut lines = lines.filter(|line| field(line, "mcp_method") == method);
            lines.find(|line| name.is_empty() || field(line, "mcp_primitive_name") == name)
        };
        until("the access log tells the call", async || line(&gate.log()).is_some()).await;
        let told = line(&gate.log()).unwrap();
        let kind_told = if kind.is_empty() { Value::Null } else { json!(kind) };
        assert_eq!(field(&told, "mcp_primitive_type"), kind_told, "{told}");
        assert_eq!(field(&told, "mcp_error_code"), error, "{told}");
        let stats =
            json!({"is_mcp": true, "jsonrpc_method": method, "primitive_type": kind, "primitive_name": name});
        let recorded = async || {
            let records = gate.admin().get("/records?limit=20").await.json();
            records.as_array().is_some_and(|all| all.iter().any(|record| record["mcp_stats"] == stats))
        };
        until("the record tells the call", recorded).await;
    }
}

#[tokio::test]
async fn c7_3_row_16_mcp_proxies_are_added_told_replaced_and_removed() {
    let server = McpServer::json().await;
    let gate = Gate::setup().api(keyless("rest", &server.url())).start().await;
    let admin = gate.admin();
    let document = oas("m", &server.url());
    for (path, body, status, text) in [
        ("/mcps", json!([]), 400, "request malformed"),
        ("/mcps", json!({"openapi": "3.0.3"}), 400, "the payload should contain x-tyk-api-gateway"),
    ] {
        let reply = admin.post(path, &body).await;
        assert_eq!((reply.status, &reply.json()["message"]), (status, &json!(text)), "{body}");
    }
    // Only tried, nothing is stored.
    let tried = admin.post("/mcps?dryRun=true", &document).await;
    assert_eq!((tried.status, &tried.json()["info"]), (200, &document["info"]), "{tried:?}");
    assert_eq!(admin.get("/mcps").await.json(), json!([]));

    let added = admin.post("/mcps", &document).await;
    assert_eq!((added.status, added.json()), (200, json!({"key": "m", "status": "ok", "action": "added"})));
    assert!(gate.dir().join("apps/m-mcp.json").exists() && !gate.dir().join("apps/m-oas.json").exists());
    let projection = std::fs::read_to_string(gate.dir().join("apps/m.json")).unwrap();
    let projection: Value = serde_json::from_str(&projection).unwrap();
    assert_eq!(
        (&projection["json_rpc_version"], &projection["application_protocol"], &projection["is_oas"]),
        (&json!("2.0"), &json!("mcp"), &json!(true))
    );
    assert_refused_by_reader(&gate).await;

    // Lists of others do not tell it unless they are asked to.
    let ids = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|api| api["api_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&admin.get("/apis").await.json()), ["rest"]);
    assert_eq!(ids(&admin.get("/apis?include_types=mcp").await.json()).len(), 2);
    assert_eq!(admin.get("/apis/oas").await.json(), json!([]));
    let all = admin.get("/mcps").await.json();
    assert_eq!((all.as_array().unwrap().len(), &all[0]["info"]["title"]), (1, &json!("m")));
    let told = admin.get("/mcps/m").await.json();
    assert_eq!(told["x-tyk-api-gateway"]["upstream"], document["x-tyk-api-gateway"]["upstream"]);
    for (id, text) in [("rest", "API is not an MCP Proxy"), ("none", "API not found")] {
        let path = format!("/mcps/{id}");
        for reply in [admin.get(&path).await, admin.put(&path, &document).await, admin.delete(&path).await] {
            assert_eq!((reply.status, &reply.json()["message"]), (404, &json!(text)), "{id}: {reply:?}");
        }
    }

    let mut other = document.clone();
    other["x-tyk-api-gateway"]["middleware"] =
        json!({"mcpTools": {"get_users": {"block": {"enabled": true}}}});
    let replaced = admin.put("/mcps/m", &other).await;
    assert_eq!(replaced.json(), json!({"key": "m", "status": "ok", "action": "modified"}));
    assert_refused(
        &ask(&gate, "m", "", &tool("get_users")).await,
        403,
        -32002,
        "Requested endpoint is forbidden",
    );
    other["x-tyk-api-gateway"]["info"]["id"] = json!("x");
    assert_eq!(admin.put("/mcps/m", &other).await.status, 400, "another id");
    // What is wrong is told where it stands.
    let mut faulty = document.clone();
    faulty["x-tyk-api-gateway"]["middleware"] = json!({"mcpTools": {"a": {"rateLimit": {"enabled": true, "rate": 1}}, "b": {"urlRewrite": {"enabled": true}}}});
    let refused = admin.post("/mcps", &faulty).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.text().contains("/x-tyk-api-gateway/middleware/mcpTools/a/rateLimit"), "{refused:?}");
    faulty = document.clone();
    faulty["x-tyk-mcp-server"] = json!({"primitives": [{"name": "a"}]});
    assert_eq!(admin.post("/mcps", &faulty).await.status, 400, "tools of another API are not made yet");

    // It is the same after a start.
    admin.reload().await;
    assert_refused(
        &ask(&gate, "m", "", &tool("get_users")).await,
        403,
        -32002,
        "Requested endpoint is forbidden",
    );
    let deleted = admin.delete("/mcps/m").await;
    assert_eq!(deleted.json(), json!({"key": "m", "status": "ok", "action": "deleted"}));
    assert_eq!(admin.get("/mcps").await.json(), json!([]));
    assert!(!gate.dir().join("apps/m-mcp.json").exists());
}

/// What speaks MCP takes nothing for a call that is none.
async fn assert_refused_by_reader(gate: &Gate) {
    let reply = send(gate, "m", "", "{").await;
    assert_eq!((reply.status, reply.json()["error"]["code"].as_i64()), (400, Some(-32700)), "{reply:?}");
}

#[tokio::test]
async fn c3_1_row_2_definitions_of_the_original_are_read_as_they_are() {
    let server = McpServer::json().await;
    // The original says what it speaks in the projection alone.
    let projection = json!({
        "api_id": "m", "is_oas": true, "name": "m", "proxy": {"listen_path": "/m/"},
        "json_rpc_version": "2.0", "application_protocol": "mcp",
    });
    let mut classic = keyless("classic", &server.url());
    (classic["json_rpc_version"], classic["application_protocol"]) = (json!("2.0"), json!("mcp"));
    classic["version_data"]["versions"]["Default"]["extended_paths"] =
        json!({"black_list": [{"path": "/mcp-tool:get_users", "method": "POST"}]});
    let gate = Gate::setup()
        .file("apps/m.json", &projection.to_string())
        .file("apps/m-mcp.json", &oas("m", &server.url()).to_string())
        .api(classic)
        .start()
        .await;
    assert_refused_by_reader(&gate).await;
    assert_eq!(gate.admin().get("/mcps").await.json().as_array().unwrap().len(), 1);
    assert_refused(
        &ask(&gate, "classic", "", &tool("get_users")).await,
        403,
        -32002,
        "Requested endpoint is forbidden",
    );
    assert_eq!(ask(&gate, "classic", "", &tool("get_posts")).await.status, 200);
}

#[tokio::test]
async fn c6_1_row_31_rights_fit_what_an_api_speaks() {
    let server = McpServer::json().await;
    let gate =
        Gate::setup().oas(guarded("m", &server, json!({}))).api(keyed("rest", &server.url())).start().await;
    let admin = gate.admin();
    let with = |api: &str, more: Value| {
        let mut session = session(&[api]);
        session["access_rights"][api].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        session
    };
    for (api, more, text) in [
        (
            "rest",
            json!({"mcp_access_rights": {"tools": {"allowed": ["a"]}}}),
            "MCP fields can only be configured on MCP Proxies, API \"rest\" is not an MCP Proxy",
        ),
        (
            "m",
            json!({"allowed_urls": [{"url": "/x", "methods": ["GET"]}]}),
            "HTTP/REST and GraphQL fields cannot be configured on MCP Proxies, API \"m\" is an MCP Proxy",
        ),
        (
            "m",
            json!({"mcp_primitives": [{"type": "thing", "name": "a", "limit": {"rate": 1, "per": 1}}]}),
            "invalid MCP primitive type \"thing\": must be one of tool, resource, prompt",
        ),
    ] {
        let wanted = with(api, more);
        let mut policy = wanted.clone();
        policy["id"] = json!("p");
        for reply in [admin.post("/keys", &wanted).await, admin.post("/policies", &policy).await] {
            assert_eq!((reply.status, &reply.json()["message"]), (400, &json!(text)), "{reply:?}");
        }
    }
    // What is said of calls is kept as it came.
    let rights = json!({
        "json_rpc_methods": [{"name": "ping", "limit": {"rate": 1, "per": 2}}],
        "json_rpc_methods_access_rights": {"allowed": ["m"], "blocked": ["n"]},
        "mcp_primitives": [{"type": "tool", "name": "t", "limit": {"rate": 1, "per": 2}}],
        "mcp_access_rights": {"tools": {"allowed": ["t"]}, "prompts": {"blocked": ["p"]}},
    });
    let key = admin.key(&with("m", rights.clone())).await;
    let told = admin.get(&format!("/keys/{key}")).await.json();
    for (field, value) in rights.as_object().unwrap() {
        assert_eq!(&told["access_rights"]["m"][field], value, "{field}");
    }
}
