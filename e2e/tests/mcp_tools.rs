//! Tools that are made of a REST API of the same gate (`x-tyk-mcp-server`): listed and used by a client that is not ours, guarded
//! as all calls of MCP are, and following the API that they are made of (contract 3.1, 4.4 row 15, 7.3).

use e2e::definition::{keyless, oas, session};
use e2e::{Gate, Reply, Upstream, mcp_client, until};
use serde_json::{Value, json};

/// A REST API of orders.
fn orders(id: &str, target: &str) -> Value {
    let mut api = oas(id, target);
    api["components"] = json!({"schemas": {
        "Order": {
            "type": "object",
            "required": ["id", "sku"],
            "properties": {
                "id": {"type": "string", "readOnly": true},
                "sku": {"type": "string", "description": "What is ordered."},
                "lines": {"type": "array", "items": {"$ref": "#/components/schemas/Line"}},
            },
        },
        "Line": {"type": "object", "required": ["count"], "properties": {"count": {"type": "integer", "minimum": 1}}},
    }});
    let id_in_path = json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string"}});
    let json_answer = json!({"200": {"description": "ok", "content": {"application/json": {"schema": {"type": "object"}}}}});
    api["paths"] = json!({
        "/orders": {
            "get": {
                "operationId": "listOrders",
                "summary": "All orders.",
                "parameters": [
                    {"name": "status", "in": "query", "schema": {"type": "integer"}},
                    {"name": "tag", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
                    {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                    {"name": "seen", "in": "cookie", "schema": {"type": "string"}},
                ],
                "responses": json_answer,
            },
            "post": {
                "operationId": "createOrder",
                "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}},
                "responses": json_answer,
            },
        },
        "/orders/{id}": {
            "parameters": [id_in_path],
            "get": {"operationId": "getOrder", "description": "One order.", "responses": json_answer},
            "delete": {"responses": {"204": {"description": "gone"}}},
        },
    });
    api
}

/// An API of MCP whose tools are made of another one.
fn tools_of(id: &str, source: &str, entries: Value) -> Value {
    let mut api = oas(id, &format!("tyk://{source}/mcp"));
    api["x-tyk-mcp-server"] = json!({"primitives": entries});
    api
}

/// The same, guarded by an auth token.
fn guarded(mut api: Value) -> Value {
    api["components"]["securitySchemes"] =
        json!({"token": {"type": "apiKey", "in": "header", "name": "Authorization"}});
    api["security"] = json!([{"token": []}]);
    api["x-tyk-api-gateway"]["server"]["authentication"] =
        json!({"enabled": true, "securitySchemes": {"token": {"enabled": true}}});
    api
}

async fn ask(gate: &Gate, api: &str, fields: &[&str], method: &str, params: Value) -> Reply {
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string();
    let mut arguments = vec!["-H", "content-type: application/json", "--data-binary", &body];
    for field in fields {
        arguments.extend(["-H", field]);
    }
    gate.get(&format!("/{api}/mcp"), &arguments).await
}

/// The result of a use of a tool.
async fn used(gate: &Gate, api: &str, tool: &str, arguments: Value) -> Value {
    let reply = ask(gate, api, &[], "tools/call", json!({"name": tool, "arguments": arguments})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let mut told = reply.json();
    assert!(told["result"].is_object(), "{told}");
    told["result"].take()
}

/// What reached the server behind the API, as the result of a tool tells it.
fn reached(result: &Value) -> Value {
    assert_eq!(result["isError"], false, "{result}");
    serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap()
}

fn failed(result: &Value) -> &str {
    assert_eq!(result["isError"], true, "{result}");
    result["content"][0]["text"].as_str().unwrap()
}

/// The names of the tools that are listed.
async fn listed(gate: &Gate, api: &str) -> Vec<String> {
    let told = ask(gate, api, &[], "tools/list", json!({})).await.json();
    let tools = told["result"]["tools"].as_array().unwrap_or_else(|| panic!("{told}"));
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_client_of_the_protocol_uses_a_rest_api() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .oas(orders("orders", &upstream.url("/shop")))
        .oas(tools_of(
            "agents",
            "orders",
            json!([
                {
                    "source": {"operationId": "getOrder"},
                    "name": "get_order",
                    "description": "Look one up.",
                    "parameters": [{"param": "id", "name": "order_id", "description": "Which."}],
                    "annotations": {"title": "Order"},
                },
            ]),
        ))
        .start()
        .await;
    let url = format!("http://127.0.0.1:{}/agents/mcp", gate.port());
    let calls = [
        r#"get_order={"order_id":"a b"}"#,
        r#"createOrder={"sku":"x","lines":[{"count":2}]}"#,
        r#"listOrders={"status":404}"#,
        r#"createOrder={"lines":[{"count":0}]}"#,
        "nothing",
    ];
    let seen = mcp_client(&url, "", &calls).await;
    assert_eq!(
        seen["tools"],
        json!(["listOrders", "createOrder", "get_order", "delete_orders_id"]),
        "{seen}"
    );
    assert_eq!(seen["capabilities"]["tools"], json!({}), "{seen}");
    let of = |name: &str| {
        seen["listed"].as_array().unwrap().iter().find(|tool| tool["name"] == name).unwrap().clone()
    };
    assert_eq!(
        of("get_order"),
        json!({
            "name": "get_order",
            "description": "Look one up.",
            "inputSchema": {
                "type": "object",
                "properties": {"order_id": {"type": "string", "description": "Which."}},
                "required": ["order_id"],
                "additionalProperties": false,
            },
            "annotations": {"title": "Order", "readOnlyHint": true},
        })
    );
    assert_eq!(
        of("createOrder")["inputSchema"],
        json!({
            "type": "object",
            "properties": {
                "sku": {"type": "string", "description": "What is ordered."},
                "lines": {"type": "array", "items": {"type": "object", "required": ["count"], "properties": {"count": {"type": "integer", "minimum": 1}}}},
            },
            "required": ["sku"],
            "additionalProperties": false,
        })
    );
    let results = seen["results"].as_array().unwrap();
    let got = reached(&results[0]);
    assert_eq!((&got["method"], &got["path"]), (&json!("GET"), &json!("/shop/orders/a%20b")));
    assert_eq!(results[0]["structuredContent"], got);
    let created = reached(&results[1]);
    assert_eq!((&created["method"], &created["path"]), (&json!("POST"), &json!("/shop/orders")));
    assert_eq!(created["body"], r#"{"sku":"x","lines":[{"count":2}]}"#);
    assert_eq!(created["headers"]["content-type"], json!(["application/json"]));
    assert!(failed(&results[2]).starts_with("HTTP 404 Not Found\n\n{"), "{seen}");
    assert!(failed(&results[3]).contains("sku"), "{seen}");
    assert!(results[4].as_str().unwrap().contains("Unknown tool: nothing"), "{seen}");
}

#[tokio::test]
async fn arguments_reach_nothing_but_their_places() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .oas(orders("orders", &upstream.url("")))
        .oas(tools_of("agents", "orders", json!([])))
        .start()
        .await;
    let all = json!({"status": 200, "tag": ["a&b=c", "d"], "X-Trace": "t", "seen": "1; admin=1"});
    let got = reached(&used(&gate, "agents", "listOrders", all).await);
    assert_eq!(got["path"], "/orders?status=200&tag=a%26b%3Dc&tag=d");
    assert_eq!(
        (&got["headers"]["x-trace"], &got["headers"]["cookie"]),
        (&json!(["t"]), &json!(["seen=1%3B%20admin%3D1"]))
    );
    let before = upstream.hits();
    for (tool, arguments, why) in [
        ("getOrder", json!({"id": ".."}), "an argument would lead to another path"),
        ("getOrder", json!({"id": "../orders"}), "an argument would lead to another path"),
        ("getOrder", json!({"id": "a/../../b"}), "an argument would lead to another path"),
        ("getOrder", json!({"id": "a\\..\\b"}), "an argument would lead to another path"),
        ("getOrder", json!({"id": "a/b"}), "an argument would lead to another path"),
        ("getOrder", json!({"id": "a%252fb"}), "an argument would lead to another path"),
        ("getOrder", json!({"id": ""}), "the argument `id` is empty"),
        ("getOrder", json!({}), "the argument `id` is missing"),
        (
            "getOrder",
            json!({"id": 7}),
            "the arguments do not fit: id: Invalid type. Expected: string, given: integer",
        ),
        ("getOrder", json!({"id": "1", "admin": true}), "there is no argument `admin`"),
        (
            "listOrders",
            json!({"X-Trace": "a\r\nX-Admin: 1"}),
            "the argument `X-Trace` holds characters that have no place in a header",
        ),
    ] {
        assert_eq!(failed(&used(&gate, "agents", tool, arguments.clone()).await), why, "{arguments}");
    }
    assert_eq!(upstream.hits(), before, "nothing of it came through");
    let odd = ask(&gate, "agents", &[], "tools/call", json!({"name": "getOrder", "arguments": [1]})).await;
    assert_eq!((odd.status, &odd.json()["error"]["code"]), (200, &json!(-32602)), "{odd:?}");
}

#[tokio::test]
async fn the_gate_answers_what_a_server_would() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .oas(orders("orders", &upstream.url("")))
        .oas(tools_of("agents", "orders", json!([])))
        .start()
        .await;
    let begin = ask(&gate, "agents", &[], "initialize", json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}})).await;
    assert_eq!(begin.json()["result"]["protocolVersion"], "2025-06-18", "{begin:?}");
    assert_eq!(begin.json()["result"]["serverInfo"]["name"], "agents");
    assert_eq!(begin.header("mcp-session-id"), None);
    assert_eq!(ask(&gate, "agents", &[], "ping", json!({})).await.json()["result"], json!({}));
    let none = ask(&gate, "agents", &[], "resources/list", json!({})).await;
    assert_eq!((none.status, &none.json()["error"]["code"]), (200, &json!(-32601)), "{none:?}");
    let told = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    let told = gate.get("/agents/mcp", &["-H", "content-type: application/json", "-d", &told]).await;
    assert_eq!((told.status, told.text()), (202, ""));
    for method in ["GET", "DELETE"] {
        let reply = gate.get("/agents/mcp", &["-X", method]).await;
        assert_eq!((reply.status, reply.header("allow").as_deref()), (405, Some("POST")), "{reply:?}");
    }
    let other = ask(&gate, "agents", &["MCP-Protocol-Version: 2024-01-01"], "ping", json!({})).await;
    assert_eq!((other.status, &other.json()["error"]["code"]), (400, &json!(-32022)), "{other:?}");
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "ping"}).to_string();
    let elsewhere = gate.get("/agents/other", &["-H", "content-type: application/json", "-d", &body]).await;
    assert_eq!(
        (elsewhere.status, &elsewhere.json()["error"]["code"]),
        (404, &json!(-32601)),
        "{elsewhere:?}"
    );
    assert_eq!(upstream.hits(), 0);
}

#[tokio::test]
async fn c4_4_row_15_the_guards_of_both_apis_hold_and_callers_are_asked_once() {
    let upstream = Upstream::start().await;
    // Its own callers need a key; tools do not, and all else of its chain counts for them.
    let mut source = guarded(orders("orders", &upstream.url("")));
    let on = json!({"enabled": true});
    source["x-tyk-api-gateway"]["middleware"] = json!({"operations": {
        "createOrder": {"rateLimit": {"enabled": true, "rate": 1, "per": "1m"}},
        "getOrder": {"transformRequestHeaders": {"enabled": true, "add": [{"name": "X-Of-Source", "value": "1"}]}},
        "stock": {"internal": on},
    }});
    source["paths"]["/stock"] = json!({"get": {"operationId": "stock", "responses": {}}});
    let mut proxy = guarded(tools_of("agents", "orders", json!([])));
    proxy["x-tyk-api-gateway"]["middleware"] = json!({
        "global": {"transformRequestHeaders": {"enabled": true, "add": [{"name": "X-Of-Proxy", "value": "2"}]}},
        "mcpTools": {"delete_orders_id": {"block": on}},
    });
    let gate = Gate::setup().oas(source).oas(proxy).start().await;
    assert_eq!(ask(&gate, "agents", &[], "tools/list", json!({})).await.status, 401);
    let mut narrow = session(&["agents"]);
    narrow["access_rights"]["agents"]["mcp_access_rights"] = json!({"tools": {"blocked": ["create.*"]}});
    let narrow = gate.admin().key(&narrow).await;
    let wide = gate.admin().key(&session(&["agents"])).await;
    let names = async |key: &str| {
        let field = format!("Authorization: {key}");
        let told = ask(&gate, "agents", &[&field], "tools/list", json!({})).await.json();
        let tools = told["result"]["tools"].as_array().unwrap_or_else(|| panic!("{told}")).clone();
        tools.into_iter().map(|tool| tool["name"].clone()).collect::<Vec<Value>>()
    };
    assert_eq!(names(&narrow).await, [json!("listOrders"), json!("getOrder")]);
    assert_eq!(names(&wide).await, [json!("listOrders"), json!("createOrder"), json!("getOrder")]);
    let call = async |key: &str, tool: &str, arguments: Value| {
        let key = format!("Authorization: {key}");
        let fields = [&*key, "X-Of-Client: 3", "X-Of-Proxy: 9"];
        ask(&gate, "agents", &fields, "tools/call", json!({"name": tool, "arguments": arguments})).await
    };
    let refused = call(&narrow, "createOrder", json!({"sku": "x"})).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (403, &json!(-32002)), "{refused:?}");
    let refused = call(&wide, "delete_orders_id", json!({"id": "1"})).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (403, &json!(-32002)), "{refused:?}");
    let got = reached(&call(&narrow, "getOrder", json!({"id": "1"})).await.json()["result"]);
    assert_eq!(got["headers"]["x-of-source"], json!(["1"]), "{got}");
    // What the chain of the proxy puts there goes on, and nothing of the client's.
    assert_eq!(got["headers"]["x-of-proxy"], json!(["2"]), "{got}");
    assert!(got["headers"]["authorization"].is_null() && got["headers"]["x-of-client"].is_null(), "{got}");
    assert_eq!(call(&wide, "createOrder", json!({"sku": "x"})).await.json()["result"]["isError"], false);
    let limited = call(&wide, "createOrder", json!({"sku": "x"})).await;
    assert!(failed(&limited.json()["result"]).starts_with("HTTP 429 Too Many Requests"), "{limited:?}");
    // The API's own callers are asked as before.
    assert_eq!(gate.get("/orders/orders", &["-X", "POST", "-d", "{}"]).await.status, 401);
}

/// What is said where an argument is the name of something else.
const ELSEWHERE: &str = "an argument would lead to another path";

#[tokio::test]
async fn no_tool_reaches_another_operation() {
    let upstream = Upstream::start().await;
    let on = json!({"enabled": true});
    let id = json!([{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}]);
    let operation = |name: &str, parameters: &Value| json!({"get": {"operationId": name, "parameters": parameters, "responses": {}}});
    let mut source = guarded(orders("orders", &upstream.url("")));
    for (path, name, parameters) in [
        ("/orders/export", "exportOrders", &json!([])),
        ("/orders/{id}/audit", "auditOrder", &id),
        (
            "/files/{id}",
            "getFile",
            &json!([{"name": "id", "in": "path", "required": true, "allowReserved": true}]),
        ),
        ("/files/all/secret", "secretFile", &json!([])),
        ("/tyk/{id}", "getTyk", &id),
    ] {
        source["paths"][path] = operation(name, parameters);
    }
    source["x-tyk-api-gateway"]["middleware"] = json!({"operations": {"exportOrders": {"internal": on}}});
    let allowed = |ids: &[&str]| -> Value {
        ids.iter().map(|id| json!({"source": {"operationId": id}, "allow": true})).collect::<Vec<_>>().into()
    };
    let gate = Gate::setup()
        .oas(source)
        .oas(tools_of("agents", "orders", allowed(&["getOrder", "getFile", "getTyk"])))
        .oas(tools_of("inner", "orders", allowed(&["exportOrders", "auditOrder"])))
        .start()
        .await;
    let before = upstream.hits();
    for (tool, id) in [
        // What the API has for the gate alone …
        ("getOrder", "export"),
        ("getOrder", "EXPORT"),
        ("getOrder", "%65xport"),
        ("getOrder", "export;x=1"),
        // … what is no tool here, or one that a caller may be barred from …
        ("getOrder", "7/audit"),
        ("getOrder", "7%2Faudit"),
        ("getOrder", "7\\audit"),
        ("getFile", "all/secret"),
        ("getFile", "all%2Fsecret"),
        ("getOrder", ";"),
        // … and what the gate answers itself.
        ("getTyk", "rate-limits"),
    ] {
        assert_eq!(failed(&used(&gate, "agents", tool, json!({"id": id})).await), ELSEWHERE, "{tool} {id}");
    }
    assert_eq!(upstream.hits(), before, "nothing of it came through");
    for (api, tool, arguments, path) in [
        ("agents", "getOrder", json!({"id": "7"}), "/orders/7"),
        ("agents", "getOrder", json!({"id": "expo"}), "/orders/expo"),
        ("agents", "getFile", json!({"id": "a/b"}), "/files/a%2Fb"),
        ("agents", "getTyk", json!({"id": "limits"}), "/tyk/limits"),
        ("inner", "auditOrder", json!({"id": "expo"}), "/orders/expo/audit"),
        ("inner", "exportOrders", json!({}), "/orders/export"),
    ] {
        assert_eq!(reached(&used(&gate, api, tool, arguments).await)["path"], path, "{tool}");
    }
}

#[tokio::test]
async fn nothing_of_the_clients_goes_on_beside_arguments() {
    let upstream = Upstream::start().await;
    let mut proxy = guarded(tools_of("agents", "orders", json!([])));
    proxy["components"]["securitySchemes"]["token"] =
        json!({"type": "apiKey", "in": "cookie", "name": "session"});
    proxy["x-tyk-api-gateway"]["server"]["authentication"]["stripAuthorizationData"] = json!(true);
    proxy["x-tyk-api-gateway"]["middleware"] = json!({
        "global": {"transformRequestHeaders": {"enabled": true, "add": [{"name": "X-Role", "value": "agent"}]}},
    });
    let gate = Gate::setup().oas(orders("orders", &upstream.url(""))).oas(proxy).start().await;
    let key = gate.admin().key(&session(&["agents"])).await;
    let cookies = format!("Cookie: other=1; session={key}; admin=yes");
    let call = json!({"name": "getOrder", "arguments": {"id": "1"}});
    // What the client says, too, is still what the chain has put there.
    let reply = ask(&gate, "agents", &[&cookies, "X-Role: agent", "X-Other: 1"], "tools/call", call).await;
    let headers = reached(&reply.json()["result"])["headers"].take();
    assert!(headers["cookie"].is_null() && headers["x-other"].is_null(), "{headers}");
    assert_eq!(headers["x-role"], json!(["agent"]), "{headers}");
}

#[tokio::test]
async fn arguments_of_the_callers_choice_are_none_that_something_is_said_of() {
    let upstream = Upstream::start().await;
    let mut source = orders("orders", &upstream.url(""));
    source["components"]["schemas"]["Order"]["additionalProperties"] = json!(true);
    source["components"]["schemas"]["Order"]["properties"]["sku"]["maxLength"] = json!(3);
    let entry = json!({"source": {"operationId": "createOrder"}, "parameters": [{"param": "sku", "name": "article"}]});
    let gate = Gate::setup().oas(source).oas(tools_of("agents", "orders", json!([entry]))).start().await;
    for name in ["sku", "SKU", "Article", "id", "Id"] {
        let mut arguments = json!({"article": "a"});
        arguments[name] = json!("much longer");
        let told = used(&gate, "agents", "createOrder", arguments).await;
        assert_eq!(failed(&told), format!("there is no argument `{name}`"));
    }
    // Numbers are those that were written.
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"createOrder","arguments":
        {"article":"a","weight":12345678901234567890123,"share":0.12345678901234567890}}}"#;
    let reply =
        gate.get("/agents/mcp", &["-H", "content-type: application/json", "--data-binary", body]).await;
    assert_eq!(
        reached(&reply.json()["result"])["body"],
        r#"{"sku":"a","weight":12345678901234567890123,"share":0.12345678901234567890}"#
    );
    let twice = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"createOrder","arguments":{"article":"a"},"arguments":{}}}"#;
    let reply =
        gate.get("/agents/mcp", &["-H", "content-type: application/json", "--data-binary", twice]).await;
    assert_eq!(reply.json()["error"]["code"], -32602, "{reply:?}");
}

#[tokio::test]
async fn one_name_is_another_tool_in_another_api() {
    let upstream = Upstream::start().await;
    let named =
        |operation: &str| json!([{"source": {"operationId": operation}, "allow": true, "name": "fetch"}]);
    let gate = Gate::setup()
        .oas(orders("orders", &upstream.url("")))
        .oas(tools_of("one", "orders", named("getOrder")))
        .oas(tools_of("all", "orders", named("listOrders")))
        .start()
        .await;
    assert_eq!(listed(&gate, "one").await, ["fetch"]);
    assert_eq!(listed(&gate, "all").await, ["fetch"]);
    for _ in 0..2 {
        let one = reached(&used(&gate, "one", "fetch", json!({"id": "7"})).await);
        let all = reached(&used(&gate, "all", "fetch", json!({"tag": ["x"]})).await);
        assert_eq!((&one["path"], &all["path"]), (&json!("/orders/7"), &json!("/orders?tag=x")));
    }
    assert_eq!(failed(&used(&gate, "all", "fetch", json!({"id": "7"})).await), "there is no argument `id`");
}

#[tokio::test]
async fn c4_4_row_10_a_tool_counts_once_for_its_organisation() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .conf(json!({"enforce_org_quotas": true}))
        .oas(orders("orders", &upstream.url("")))
        .oas(tools_of("agents", "orders", json!([])))
        .start()
        .await;
    let organisation = json!({"org_id": "org", "quota_max": 2, "quota_renewal_rate": 3600});
    assert_eq!(gate.admin().post("/org/keys/org", &organisation).await.status, 200);
    for id in ["1", "2"] {
        assert_eq!(reached(&used(&gate, "agents", "getOrder", json!({"id": id})).await)["method"], "GET");
    }
    let params = json!({"name": "getOrder", "arguments": {"id": "3"}});
    let third = ask(&gate, "agents", &[], "tools/call", params).await;
    assert_eq!((third.status, &third.json()["error"]["code"]), (403, &json!(-32005)), "{third:?}");
    assert_eq!(upstream.hits(), 2);
}

#[tokio::test]
async fn c4_6_a_tool_that_takes_too_long_is_recorded_as_late_on_both_sides() {
    let upstream = Upstream::start().await;
    let mut source = orders("orders", &upstream.url(""));
    source["paths"] = json!({"/slow/{ms}": {"get": {
        "operationId": "wait",
        "parameters": [{"name": "ms", "in": "path", "required": true, "schema": {"type": "integer"}}],
        "responses": {},
    }}});
    let mut proxy = tools_of("agents", "orders", json!([]));
    proxy["x-tyk-api-gateway"]["middleware"] =
        json!({"mcpTools": {"wait": {"enforceTimeout": {"enabled": true, "duration": "100ms"}}}});
    let gate = Gate::setup().conf(json!({"enable_analytics": true})).oas(source).oas(proxy).start().await;
    let params = json!({"name": "wait", "arguments": {"ms": 60000}});
    let reply = ask(&gate, "agents", &[], "tools/call", params).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (504, &json!(-32004)), "{reply:?}");
    for api in ["agents", "orders"] {
        let of_api = async || {
            let records = gate.admin().get("/records?limit=20").await.json();
            let all = records.as_array().cloned().unwrap_or_default();
            all.into_iter().find(|record| record["api_id"] == api)
        };
        until("it is recorded", async || of_api().await.is_some()).await;
        let record = of_api().await.unwrap();
        assert_eq!((&record["status"], &record["response_flag"]), (&json!(504), &json!("URT")), "{record}");
    }
}

#[tokio::test]
async fn what_leads_to_a_path_stays_when_the_path_goes() {
    let upstream = Upstream::start().await;
    let mut source = orders("orders", &upstream.url(""));
    source["paths"]["/mcp"] = json!({"post": {"responses": {}}});
    let mut proxy = oas("agents", "tyk://orders/mcp");
    proxy["x-sluicegate"] = json!({"mcp": {"enabled": true}});
    let gate = Gate::setup().oas(source.clone()).oas(proxy).start().await;
    let path = async || {
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": "ping"}).to_string();
        let reply = gate.get("/agents/", &["-H", "content-type: application/json", "-d", &body]).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["path"].clone()
    };
    let before = path().await;
    assert!(before.as_str().is_some_and(|path| path.starts_with("/mcp")), "{before}");
    // Now its address could be that of tools, and two arguments have one name.
    source["paths"].as_object_mut().unwrap().remove("/mcp");
    source["paths"]["/orders/{id}"]["put"] = json!({
        "operationId": "putOrder",
        "requestBody": {"content": {"application/json": {"schema": {"type": "object", "properties": {"id": {"type": "string"}}}}}},
        "responses": {},
    });
    let reply = gate.admin().put("/apis/oas/orders", &source).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let told = reply.json();
    assert_eq!(
        told["warnings"],
        json!([
            "the API `agents` goes on as it was: duplicate exposed parameter name \"id\" of PUT /orders/{id}"
        ]),
        "{told}"
    );
    assert_eq!(path().await, before);
    gate.admin().reload().await;
    assert_eq!(path().await, before);
    // Whoever changes nothing for anybody is told nothing.
    source["paths"]["/orders/{id}"].as_object_mut().unwrap().remove("put");
    source["paths"]["/mcp"] = json!({"post": {"responses": {}}});
    let reply = gate.admin().put("/apis/oas/orders", &source).await;
    assert_eq!((reply.status, &reply.json()["warnings"]), (200, &Value::Null), "{reply:?}");
}

#[tokio::test]
async fn answers_are_what_is_told_of_them() {
    let upstream = Upstream::start().await;
    let mut source = orders("orders", &upstream.url(""));
    let schema =
        json!({"type": "object", "required": ["method"], "properties": {"method": {"type": "string"}}});
    source["paths"]["/orders/{id}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"] =
        schema;
    source["x-tyk-api-gateway"]["middleware"] = json!({"operations": {"getOrder": {"validateResponse": {"enabled": true}, "transformResponseHeaders": {
        "enabled": true, "add": [{"name": "Content-Type", "value": "text/plain"}],
    }}}});
    let gate = Gate::setup().oas(source).oas(tools_of("agents", "orders", json!([]))).start().await;
    let told = ask(&gate, "agents", &[], "tools/list", json!({})).await.json();
    let tools = told["result"]["tools"].as_array().unwrap();
    let tool = tools.iter().find(|tool| tool["name"] == "getOrder").unwrap();
    assert_eq!(tool["outputSchema"]["required"], json!(["method"]), "{tool}");
    let result = used(&gate, "agents", "getOrder", json!({"id": "1"})).await;
    assert_eq!(result["structuredContent"]["method"], "GET", "{result}");
}

#[tokio::test]
async fn one_api_is_cut_into_several_and_followed() {
    let upstream = Upstream::start().await;
    let entries = json!([
        {"source": {"operationId": "getOrder"}, "name": "get_order", "allow": true},
        {"source": {"method": "delete", "path": "/orders/{id}"}, "name": "cancel_order"},
    ]);
    let gate = Gate::setup()
        .oas(orders("orders", &upstream.url("")))
        .oas(tools_of("reading", "orders", entries))
        .oas(tools_of("all", "orders", json!([])))
        .start()
        .await;
    assert_eq!(listed(&gate, "reading").await, ["get_order"]);
    assert_eq!(listed(&gate, "all").await, ["listOrders", "createOrder", "getOrder", "delete_orders_id"]);
    let cancelled =
        ask(&gate, "reading", &[], "tools/call", json!({"name": "cancel_order", "arguments": {"id": "1"}}))
            .await;
    assert_eq!(cancelled.json()["error"]["message"], "Unknown tool: cancel_order");
    // Another operation comes, and a parameter is called otherwise.
    let mut changed = orders("orders", &upstream.url("/new"));
    changed["paths"]["/stock"] =
        json!({"get": {"operationId": "stock", "responses": {"200": {"description": "ok"}}}});
    let put = async |document: &Value| {
        gate.admin().call("PUT", "/apis/oas/orders", Some(&document.to_string())).await
    };
    assert_eq!(put(&changed).await.status, 200);
    assert_eq!(
        listed(&gate, "all").await,
        ["listOrders", "createOrder", "getOrder", "delete_orders_id", "stock"]
    );
    assert_eq!(listed(&gate, "reading").await, ["get_order"]);
    let got = reached(&used(&gate, "reading", "get_order", json!({"id": "1"})).await);
    assert_eq!(got["path"], "/new/orders/1");
    // What is named goes away: that is told, and the tools stay as they were.
    changed["paths"]["/orders/{id}"].as_object_mut().unwrap().remove("get");
    assert_eq!(put(&changed).await.status, 200);
    assert_eq!(listed(&gate, "all").await, ["listOrders", "createOrder", "delete_orders_id", "stock"]);
    assert_eq!(listed(&gate, "reading").await, ["get_order"]);
    until("the fault is told", async || {
        gate.log().contains("the API `orders` has no operation with the id `getOrder`")
    })
    .await;
}

#[tokio::test]
async fn c3_1_row_2_what_is_wrong_with_tools_is_told_at_its_place() {
    let upstream = Upstream::start().await;
    let mut with_path = orders("taken", &upstream.url(""));
    with_path["paths"]["/mcp"] = json!({"get": {"responses": {}}});
    let gate = Gate::setup()
        .oas(orders("orders", &upstream.url("")))
        .oas(with_path)
        .api(keyless("classic", &upstream.url("")))
        .start()
        .await;
    let admin = gate.admin();
    let entries = "/x-tyk-mcp-server/primitives";
    let url = "/x-tyk-api-gateway/upstream/url";
    let one = |entry: Value| tools_of("agents", "orders", json!([entry]));
    let mut remote = tools_of("agents", "orders", json!([]));
    remote["x-tyk-api-gateway"]["upstream"]["url"] = json!("http://127.0.0.1:1");
    for (document, pointer, message) in [
        (
            remote,
            "/x-tyk-mcp-server".to_owned(),
            "x-tyk-mcp-server is valid only for MCP proxies targeting a REST-as-MCP adapter",
        ),
        (
            tools_of("agents", "nobody", json!([])),
            url.to_owned(),
            "there is no API `nobody` that tools could be made of",
        ),
        (
            tools_of("agents", "classic", json!([])),
            url.to_owned(),
            "REST-as-MCP sources must be Tyk OAS APIs",
        ),
        (
            tools_of("agents", "taken", json!([])),
            url.to_owned(),
            "the API `taken` has a path `/mcp` itself, which this is the address of",
        ),
        (
            one(json!({"source": {"operationId": "getOrders"}})),
            format!("{entries}/0/source/operationId"),
            "the API `orders` has no operation with the id `getOrders`",
        ),
        (
            one(json!({"source": {"method": "PUT", "path": "/orders"}})),
            format!("{entries}/0/source"),
            "the API `orders` has no operation PUT /orders",
        ),
        (
            one(json!({"source": {}})),
            format!("{entries}/0/source"),
            "which operation of the API is this about?",
        ),
        (
            one(json!({"source": {"operationId": "getOrder"}, "name": "get order"})),
            format!("{entries}/0/name"),
            "`get order` is no name of a tool: a tool has a name of 1 to 128 letters, digits, `_`, `-` and `.`",
        ),
        (
            one(json!({"source": {"operationId": "getOrder"}, "name": "listOrders"})),
            format!("{entries}/0"),
            "duplicate tool name \"listOrders\", of GET /orders/{id}",
        ),
        (
            one(json!({"source": {"operationId": "getOrder"}, "parameters": [{"param": "ids"}]})),
            format!("{entries}/0/parameters/0/param"),
            "GET /orders/{id} has no parameter `ids`",
        ),
    ] {
        let reply = admin.call("POST", "/mcps", Some(&document.to_string())).await;
        assert_eq!(reply.status, 400, "{message}: {reply:?}");
        let told = reply.json();
        let first = &told["errors"][0];
        assert_eq!(
            (first["pointer"].as_str(), first["message"].as_str()),
            (Some(&*pointer), Some(message)),
            "{told}"
        );
    }
    // With the other address it is clear what is meant.
    let mut apart = tools_of("agents", "taken", json!([]));
    apart["x-tyk-api-gateway"]["upstream"]["url"] = json!("tyk://taken__mcp-server");
    assert_eq!(admin.call("POST", "/mcps", Some(&apart.to_string())).await.status, 200);
    assert!(listed(&gate, "agents").await.contains(&"get_mcp".to_owned()));
    // It is kept as it was written.
    let kept = admin.call("GET", "/mcps/agents", None).await.json();
    assert_eq!(kept["x-tyk-mcp-server"], json!({"primitives": []}));
}

#[tokio::test]
async fn c7_3_row_7_an_api_stays_that_tools_are_made_of() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().oas(orders("orders", &upstream.url(""))).start().await;
    let admin = gate.admin();
    let entry = json!({"source": {"operationId": "getOrder"}, "name": "get_order", "allow": true});
    let document = tools_of("agents", "orders", json!([entry])).to_string();
    let tried = admin.call("POST", "/mcps?dryRun=true&expand=true", Some(&document)).await.json();
    let told = &tried["x-tyk-mcp-server"]["primitives"][0];
    assert_eq!(told["inputSchema"]["required"], json!(["id"]), "{tried}");
    assert_eq!(told["parameterLocations"], json!({"id": "path"}));
    assert_eq!(admin.call("POST", "/mcps", Some(&document)).await.status, 200);
    let kept = admin.call("GET", "/mcps/agents", None).await.json();
    assert_eq!(kept["x-tyk-mcp-server"]["primitives"], json!([entry]));
    let expanded = admin.call("GET", "/mcps/agents?expand=true", None).await.json();
    assert_eq!(expanded["x-tyk-mcp-server"]["primitives"][0]["parameterSourceNames"], json!({"id": "id"}));
    let refused = admin.delete("/apis/oas/orders").await;
    assert_eq!(refused.status, 409, "{refused:?}");
    assert_eq!(refused.json()["message"], "API is referenced by paired MCP proxies: agents");
    assert_eq!(admin.delete("/mcps/agents").await.status, 200);
    assert_eq!(admin.delete("/apis/oas/orders").await.status, 200);
}
