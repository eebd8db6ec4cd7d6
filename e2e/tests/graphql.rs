//! GraphQL in front of a real server (contract 10): what is let through, what is refused and how, over HTTP, events and
//! WebSockets.

use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use e2e::definition::{keyed, keyless, oas, session};
use e2e::streaming::events;
use e2e::{Gate, GraphqlServer, Reply, Socket, Sse, Upstream, tools};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// The schema of the server.
const SDL: &str = "
    type Query { hero(id: ID! = 1): Person people(first: Int): [Person!]! echo(text: String): String
        header(name: String!): String fails: String }
    type Mutation { rename(id: ID!, name: String!): Person }
    type Subscription { count(to: Int!): Int }
    type Person { id: ID! name: String secret: String friends: [Person!] }
";

fn graph(mut api: Value) -> Value {
    api["graphql"] = json!({"enabled": true, "execution_mode": "proxyOnly", "version": "2", "schema": SDL});
    api
}

async fn ask(gate: &Gate, path: &str, body: &Value, more: &[&str]) -> Reply {
    let body = body.to_string();
    let mut arguments = vec!["-H", "Content-Type: application/json", "-d", &body];
    arguments.extend(more);
    gate.get(path, &arguments).await
}

fn error(reply: &Reply) -> String {
    reply.json()["errors"][0]["message"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn c10_rows_2_3_4_14_what_holds_goes_through_and_nothing_else() {
    let server = GraphqlServer::start().await;
    let mut described = oas("o", &server.url("/o"));
    described["x-sluicegate"] = json!({"graphql": {"enabled": true, "schema": SDL, "limits": {"depth": 2}}});
    let gate = Gate::setup().api(graph(keyless("g", &server.url("/graphql")))).oas(described).start().await;
    let reply = ask(&gate, "/g/", &json!({"query": "{ hero { name } }"}), &[]).await;
    assert_eq!((reply.status, reply.json()["data"].clone()), (200, json!({"hero": {"name": "Ada"}})));
    assert_eq!(reply.json()["extensions"]["path"], "/graphql");
    let named = json!({"query": "query A { echo } query B($t: String) { echo(text: $t) }", "operationName": "B", "variables": {"t": "x"}});
    assert_eq!(ask(&gate, "/g/", &named, &[]).await.json()["data"], json!({"echo": "x"}));
    let rename = json!({"query": "mutation { rename(id: 2, name: \"x\") { name } }"});
    assert_eq!(ask(&gate, "/g/", &rename, &[]).await.json()["data"]["rename"]["name"], "x");
    // Errors of the server are its own.
    let failed = ask(&gate, "/g/", &json!({"query": "{ fails }"}), &[]).await;
    assert_eq!((failed.status, error(&failed)), (200, "it went wrong".into()));
    let by_get = gate.get("/g/?query=%7B+echo(text:%22a%22)+%7D", &[]).await;
    assert_eq!(
        (by_get.json()["data"].clone(), by_get.json()["extensions"]["method"].clone()),
        (json!({"echo": "a"}), json!("GET"))
    );
    let hits = server.hits().await;
    for (body, status, told) in [
        (r#"{"query": "{ none }"}"#, 400, "none"),
        (r#"{"query": "{ hero { name "}"#, 400, "syntax error"),
        (r#"{"query": "query A { echo } query B { echo }"}"#, 400, "operation"),
        (r#"{"query": "{ echo(text: 7) }"}"#, 400, "String"),
    ] {
        let reply = gate.get("/g/", &["-H", "Content-Type: application/json", "-d", body]).await;
        assert_eq!(reply.status, status, "{body}: {reply:?}");
        assert_eq!(reply.header("content-type").as_deref(), Some("application/json"), "{body}");
        assert!(error(&reply).contains(told), "{body}: {reply:?}");
        assert!(
            reply.json()["errors"][0]["locations"].is_array() && reply.json().get("data").is_none(),
            "{body}"
        );
    }
    for (arguments, status, told) in [
        (&["-d", ""][..], 400, "the provided request is empty"),
        (&["-d", "{}"], 400, "the provided request is empty"),
        (&["-d", "{"], 400, "the request cannot be read"),
        (&["-d", r#"[{"query": "{ echo }"}]"#], 400, "several requests at once"),
        (&[], 400, "the provided request is empty"),
        (&["-X", "PUT", "-d", r#"{"query": "{ echo }"}"#], 405, "POST or GET"),
        (&["-X", "OPTIONS"], 405, "options passthrough not allowed"),
    ] {
        let reply = gate.get("/g/", arguments).await;
        assert_eq!(reply.status, status, "{arguments:?}: {reply:?}");
        assert!(reply.json()["error"].as_str().unwrap().contains(told), "{arguments:?}: {reply:?}");
    }
    let by_get = gate.get("/g/?query=mutation%7Brename(id:1,name:%22x%22)%7Bid%7D%7D", &[]).await;
    assert_eq!(by_get.status, 405, "{by_get:?}");
    // The schema is the gate's own matter.
    let schema = ask(&gate, "/g/", &json!({"query": "{ __type(name: \"Person\") { kind } }"}), &[]).await;
    assert_eq!(schema.json(), json!({"data": {"__type": {"kind": "OBJECT"}}}));
    let deep = ask(&gate, "/o/", &json!({"query": "{ hero { friends { name } } }"}), &[]).await;
    assert_eq!((deep.status, deep.json()["error"].clone()), (403, json!("depth limit exceeded")));
    assert_eq!(server.hits().await, hits + 1, "nothing that is refused reaches the server");
    assert_eq!(ask(&gate, "/o/", &json!({"query": "{ hero { name } }"}), &[]).await.status, 200);
}

#[tokio::test]
async fn c10_rows_8_and_9_rights_of_keys() {
    let server = GraphqlServer::start().await;
    let mut closed = graph(keyless("c", &server.url("")));
    closed["graphql"]["introspection"] = json!({"disabled": true});
    let gate = Gate::setup().api(graph(keyed("g", &server.url("")))).api(closed).start().await;
    let with = |rights: Value| {
        let mut session = session(&["g"]);
        for (name, value) in rights.as_object().unwrap() {
            session["access_rights"]["g"][name] = value.clone();
        }
        session
    };
    let (schema, secret) = ("{ __schema { types { name } } }", "{ hero { secret } }");
    let restricted = "field: secret is restricted on type: Person";
    let rows = [
        (json!({}), secret, 200, ""),
        (json!({"restricted_types": [{"name": "Person", "fields": ["secret"]}]}), secret, 400, restricted),
        (
            json!({"restricted_types": [{"name": "Person", "fields": ["secret"]}]}),
            "{ hero { name } }",
            200,
            "",
        ),
        (json!({"allowed_types": [{"name": "Query", "fields": ["echo"]}]}), "{ echo }", 200, ""),
        (json!({"allowed_types": [{"name": "Query", "fields": ["hero"]}]}), secret, 400, restricted),
        (json!({"disable_introspection": true}), schema, 403, "introspection is disabled"),
        (json!({}), schema, 200, ""),
        (json!({"limit": {"max_query_depth": 1}}), secret, 403, "depth limit exceeded"),
        (json!({"limit": {"max_query_depth": 1}}), schema, 200, ""),
        (
            json!({"limit": {"max_query_depth": 1}, "field_access_rights": [{"type_name": "Query", "field_name": "hero", "limits": {"max_query_depth": 1}}]}),
            secret,
            200,
            "",
        ),
    ];
    for (rights, query, status, told) in rows {
        let key = gate.admin().key(&with(rights.clone())).await;
        let field = format!("Authorization: {key}");
        let reply = ask(&gate, "/g/", &json!({"query": query}), &["-H", &field]).await;
        assert_eq!(reply.status, status, "{rights} {query}: {reply:?}");
        assert!(reply.text().contains(told), "{rights} {query}: {reply:?}");
    }
    assert_eq!(ask(&gate, "/g/", &json!({"query": "{ echo }"}), &[]).await.status, 401);
    let reply = ask(&gate, "/c/", &json!({"query": schema}), &[]).await;
    assert_eq!((reply.status, reply.json()["error"].clone()), (403, json!("introspection is disabled")));
}

#[tokio::test]
async fn c10_row_4_headers_towards_the_server() {
    let server = GraphqlServer::start().await;
    let mut api = graph(keyless("g", &server.url("")));
    api["enable_context_vars"] = json!(true);
    api["graphql"]["proxy"] = json!({
        "auth_headers": {"X-Auth": "secret"},
        "request_headers": {"X-Set": "of $tyk_context.headers_X_Who", "X-Both": "set"},
        "request_headers_rewrite": {"X-Gone": {"value": "", "remove": true}, "X-New": {"value": "new", "remove": false}, "X-Both": {"value": "rewritten"}},
    });
    let mut firm = api.clone();
    (firm["api_id"], firm["proxy"]["listen_path"]) = (json!("f"), json!("/f/"));
    firm["graphql"]["proxy"]["features"] = json!({"use_immutable_headers": true});
    let gate = Gate::setup().api(api).api(firm).start().await;
    for (path, name, value) in [
        ("/g/", "X-Auth", json!("secret")),
        ("/g/", "X-Set", json!("of me")),
        ("/g/", "X-Gone", Value::Null),
        ("/g/", "X-New", json!("new")),
        ("/g/", "X-Both", json!("rewritten")),
        ("/f/", "X-Both", json!("set")),
        ("/g/", "X-Own", json!("mine")),
    ] {
        let query = json!({"query": "query ($n: String!) { header(name: $n) }", "variables": {"n": name}});
        let fields = ["-H", "X-Who: me", "-H", "X-Gone: 1", "-H", "X-New: old", "-H", "X-Own: mine"];
        assert_eq!(ask(&gate, path, &query, &fields).await.json()["data"]["header"], value, "{path} {name}");
    }
}

#[tokio::test]
async fn c2_5_row_17_paths_stand_for_operations() {
    let (server, upstream) = (GraphqlServer::start().await, Upstream::start().await);
    let operations = json!([
        {"path": "/heroes/{id}", "method": "GET", "operation": "query ($id: ID!) { hero(id: $id) { name secret } }", "variables": {"id": "$path.id"}},
        {"path": "/first/{n}", "method": "GET", "operation": "query ($n: Int) { people(first: $n) { name } }", "variables": {"n": "$path.n"}},
        {"path": "/whoami", "method": "GET", "operation": "query ($t: String) { echo(text: $t) }", "variables": {"t": "$tyk_context.headers_X_Who"}},
    ]);
    let with = |mut api: Value| {
        api["enable_context_vars"] = json!(true);
        api["version_data"]["versions"]["Default"]["extended_paths"] = json!({"persist_graphql": operations});
        api
    };
    let plain = with(keyless("p", &server.url("/graphql")));
    let guarded = graph(with(keyed("g", &server.url(""))));
    let seen = with(keyless("u", &upstream.url("/base")));
    let gate = Gate::setup().api(plain).api(guarded).api(seen).start().await;
    assert_eq!(gate.get("/p/heroes/2", &[]).await.json()["data"]["hero"]["name"], "Bob");
    assert_eq!(gate.get("/p/first/1", &[]).await.json()["data"]["people"], json!([{"name": "Ada"}]));
    assert_eq!(gate.get("/p/whoami", &["-H", "X-Who: me"]).await.json()["data"]["echo"], "me");
    let seen = gate.get("/u/heroes/a%20b?x=1", &[]).await.json();
    assert_eq!((seen["method"].clone(), seen["path"].clone()), (json!("POST"), json!("/base")));
    let body: Value = serde_json::from_str(seen["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["variables"], json!({"id": "a b"}));
    // What a key may not ask for it may not ask for by a path, either.
    let mut closed = session(&["g"]);
    closed["access_rights"]["g"]["restricted_types"] = json!([{"name": "Person", "fields": ["secret"]}]);
    let (open, closed) = (gate.admin().key(&session(&["g"])).await, gate.admin().key(&closed).await);
    let call = async |key: &str| gate.get("/g/heroes/2", &["-H", &format!("Authorization: {key}")]).await;
    assert_eq!(call(&open).await.json()["data"]["hero"]["secret"], "s2");
    assert_eq!(call(&closed).await.status, 400);
}

async fn next(socket: &mut Socket) -> Value {
    match socket.next().await {
        Some(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
        Some(Message::Close(close)) => json!({"closed": close.map(|close| u16::from(close.code))}),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn c10_row_7_subscriptions_over_websockets() {
    let server = GraphqlServer::start().await;
    let mut setup = Gate::setup();
    for (id, protocol) in [("same", ""), ("old", "graphql-ws"), ("new", "graphql-transport-ws")] {
        let mut api = graph(keyless(id, &server.url("")));
        api["graphql"]["proxy"] = json!({"subscription_type": protocol});
        api["graphql"]["introspection"] = json!({"disabled": true});
        setup = setup.api(api);
    }
    let gate = setup.conf(json!({"http_server_options": {"enable_websockets": true}})).start().await;
    for api in ["same", "old", "new"] {
        for (protocol, start, data) in
            [("graphql-transport-ws", "subscribe", "next"), ("graphql-ws", "start", "data")]
        {
            let what = format!("{api} {protocol}");
            let offer = format!("other, {protocol}");
            let fields =
                [("sec-websocket-protocol", &*offer), ("sec-websocket-extensions", "permessage-deflate")];
            let mut socket = Socket::open(gate.port(), &format!("/{api}/"), &fields).await.expect(&what);
            socket.send(json!({"type": "connection_init"}).to_string()).await;
            assert_eq!(next(&mut socket).await["type"], "connection_ack", "{what}");
            let begin = |id: &str, query: &str| {
                json!({"id": id, "type": start, "payload": {"query": query}}).to_string()
            };
            for refused in ["subscription { none }", "{ __schema { types { name } } }", "{ hero"] {
                socket.send(begin("bad", refused)).await;
                let mut told = next(&mut socket).await;
                while told["type"] == "ka" {
                    told = next(&mut socket).await;
                }
                assert_eq!(
                    (told["id"].clone(), told["type"].clone()),
                    (json!("bad"), json!("error")),
                    "{what}"
                );
                assert_eq!(told["payload"].is_array(), protocol == "graphql-transport-ws", "{what}: {told}");
            }
            socket.send(begin("1", "subscription { count(to: 3) }")).await;
            for number in 1..=3 {
                let told = next(&mut socket).await;
                assert_eq!(
                    told,
                    json!({"id": "1", "type": data, "payload": {"data": {"count": number}}}),
                    "{what}"
                );
            }
            assert_eq!(next(&mut socket).await, json!({"id": "1", "type": "complete"}), "{what}");
            // An operation in the words of another protocol is no way around the checks.
            socket
                .send(json!({"id": "2", "type": "begin", "payload": {"query": "{ echo }"}}).to_string())
                .await;
            assert_eq!(next(&mut socket).await, json!({"closed": 4400}), "{what}");
        }
    }
    assert_eq!(Socket::open(gate.port(), "/same/", &[]).await.err(), Some(400));
    assert_eq!(
        Socket::open(gate.port(), "/same/", &[("sec-websocket-protocol", "mqtt")]).await.err(),
        Some(400)
    );
}

#[tokio::test]
async fn c10_row_7_websockets_that_are_off_and_rights_on_those_that_are_on() {
    let server = GraphqlServer::start().await;
    let off = json!({"http_server_options": {"enable_websockets": false}});
    let off = Gate::setup().conf(off).api(graph(keyless("g", &server.url("")))).start().await;
    let offer = [("sec-websocket-protocol", "graphql-transport-ws")];
    assert_eq!(Socket::open(off.port(), "/g/", &offer).await.err(), Some(422));
    let on = json!({"http_server_options": {"enable_websockets": true}});
    let gate = Gate::setup().conf(on).api(graph(keyed("g", &server.url("")))).start().await;
    let mut session = session(&["g"]);
    session["access_rights"]["g"]["restricted_types"] =
        json!([{"name": "Subscription", "fields": ["count"]}]);
    let key = gate.admin().key(&session).await;
    let fields = [offer[0], ("authorization", &*key)];
    let mut socket = Socket::open(gate.port(), "/g/", &fields).await.unwrap();
    socket.send(json!({"type": "connection_init"}).to_string()).await;
    assert_eq!(next(&mut socket).await["type"], "connection_ack");
    let begin =
        json!({"id": "1", "type": "subscribe", "payload": {"query": "subscription { count(to: 1) }"}});
    socket.send(begin.to_string()).await;
    let told = next(&mut socket).await;
    assert_eq!(told["payload"][0]["message"], "field: count is restricted on type: Subscription");
    assert_eq!(Socket::open(gate.port(), "/g/", &offer).await.err(), Some(401));
}

#[tokio::test]
async fn c10_row_7_upstreams_that_send_events_stand_behind_websockets() {
    let server = GraphqlServer::start().await;
    let mut setup = Gate::setup();
    for (id, post) in [("get", false), ("post", true)] {
        let mut api = graph(keyed(id, &server.url("")));
        api["graphql"]["proxy"] = json!({"subscription_type": "sse", "sse_use_post": post});
        setup = setup.api(api);
    }
    let gate = setup.start().await;
    let key = gate.admin().key(&session(&["get", "post"])).await;
    for (path, protocol, start, data) in [
        ("/get/", "graphql-transport-ws", "subscribe", "next"),
        ("/get/", "graphql-ws", "start", "data"),
        ("/post/", "graphql-transport-ws", "subscribe", "next"),
    ] {
        let what = format!("{path} {protocol}");
        let begin = |id: &str, query: &str, variables: Value| {
            let payload = json!({"query": query, "variables": variables});
            json!({"id": id, "type": start, "payload": payload}).to_string()
        };
        // It goes on while others begin and end.
        let mut socket = begun(&gate, path, protocol, "subscription { count(to: 0) }", &key).await;
        let query = "subscription ($to: Int!) { count(to: $to) }";
        socket.send(begin("2", query, json!({"to": 2}))).await;
        for number in 1..=2 {
            let told = next(&mut socket).await;
            let expected = json!({"id": "2", "type": data, "payload": {"data": {"count": number}}});
            assert_eq!(told, expected, "{what}");
        }
        assert_eq!(next(&mut socket).await, json!({"id": "2", "type": "complete"}), "{what}");
        socket.send(begin("3", "{ hero(id: 3) { name } }", json!({}))).await;
        let told = next(&mut socket).await;
        assert_eq!(told["payload"]["data"]["hero"]["name"], "Cy", "{what}: {told}");
        assert_eq!(told["payload"]["extensions"]["method"], "POST", "{what}: {told}");
        assert_eq!(next(&mut socket).await, json!({"id": "3", "type": "complete"}), "{what}");
        socket.send(begin("4", "subscription { none }", json!({}))).await;
        assert_eq!(next(&mut socket).await["type"], "error", "{what}");
        let hits = server.hits().await;
        socket.send(begin("5", "subscription { count(to: 1) }", json!({}))).await;
        assert_eq!(next(&mut socket).await["id"], "5", "{what}");
        assert_eq!(next(&mut socket).await["type"], "complete", "{what}");
        assert_eq!(server.hits().await, hits + 2, "{what}: each operation is one request");
    }
    let mut socket = begun(&gate, "/get/", "graphql-ws", "subscription { count(to: 0) }", &key).await;
    assert_eq!(gate.admin().delete(&format!("/keys/{key}")).await.status, 200);
    assert_eq!(closed(&mut socket).await, 1008);
}

#[tokio::test]
async fn c10_subscriptions_by_events() {
    let server = GraphqlServer::start().await;
    let gate = Gate::setup().api(graph(keyless("g", &server.url("")))).start().await;
    let path = "/g/?query=subscription%7Bcount(to:2)%7D";
    let mut events = Sse::open(gate.port(), path, &["accept: text/event-stream"]).await;
    for number in 1..=2 {
        let data = events.next_data().await.unwrap();
        assert_eq!(serde_json::from_str::<Value>(&data).unwrap(), json!({"data": {"count": number}}));
    }
    let refused = gate.get("/g/?query=subscription%7Bnone%7D", &["-H", "Accept: text/event-stream"]).await;
    assert_eq!(refused.status, 400);
}

/// A subscription over a WebSocket that has begun.
async fn begun(gate: &Gate, path: &str, protocol: &str, query: &str, key: &str) -> Socket {
    let fields = [("sec-websocket-protocol", protocol), ("authorization", key)];
    let mut socket = Socket::open(gate.port(), path, &fields).await.unwrap();
    socket.send(json!({"type": "connection_init"}).to_string()).await;
    assert_eq!(next(&mut socket).await["type"], "connection_ack");
    let kind = if protocol == "graphql-ws" { "start" } else { "subscribe" };
    socket.send(json!({"id": "1", "type": kind, "payload": {"query": query}}).to_string()).await;
    let mut told = next(&mut socket).await;
    while told["type"] == "ka" {
        told = next(&mut socket).await;
    }
    assert_eq!(told["id"], "1", "{told}");
    socket
}

/// What closes a WebSocket, whatever comes before.
async fn closed(socket: &mut Socket) -> Value {
    loop {
        let told = next(socket).await;
        if told.get("closed").is_some() {
            return told["closed"].clone();
        }
    }
}

#[tokio::test]
async fn c10_subscriptions_end_with_what_their_key_may() {
    let server = GraphqlServer::start().await;
    let generate = json!({"generate": {"mapping": "root.n = counter()", "interval": "20ms"}});
    let source = json!({"kind": "Stream", "name": "numbers", "config": {"input": generate},
        "root_fields": [{"type": "Subscription", "fields": ["ordered"]}]});
    let mut engine = keyed("e", "");
    engine["graphql"] = fed("e", source, &server)["graphql"].clone();
    let gate = Gate::setup().api(graph(keyed("g", &server.url("")))).api(engine).start().await;
    let admin = gate.admin();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let both = session(&["g", "e"]);
    let mut expiring = both.clone();
    expiring["expires"] = json!(now + 6);
    let mut narrowed = both.clone();
    for (api, field) in [("g", "count"), ("e", "ordered")] {
        narrowed["access_rights"][api]["restricted_types"] =
            json!([{"name": "Subscription", "fields": [field]}]);
    }
    let (count, ordered) = ("subscription { count(to: 0) }", "subscription { ordered { n } }");
    for (what, session, change) in [
        ("deleted", &both, None),
        ("no right", &both, Some(session(&["other"]))),
        ("no right to the field", &both, Some(narrowed)),
        ("expired", &expiring, Some(Value::Null)),
    ] {
        let key = admin.key(session).await;
        let mut sockets = [
            begun(&gate, "/g/", "graphql-transport-ws", count, &key).await,
            begun(&gate, "/g/", "graphql-ws", count, &key).await,
            begun(&gate, "/e/", "graphql-transport-ws", ordered, &key).await,
        ];
        let field = format!("authorization: {key}");
        let mut streams = Vec::new();
        for path in ["/g/?query=subscription%7Bcount(to:0)%7D", "/e/?query=subscription%7Bordered%7Bn%7D%7D"]
        {
            let mut events = Sse::open(gate.port(), path, &[&field, "connection: close"]).await;
            assert!(events.next_data().await.is_some(), "{what} {path}");
            streams.push(events);
        }
        // Others stay.
        let other = admin.key(&both).await;
        let mut stays = begun(&gate, "/e/", "graphql-transport-ws", ordered, &other).await;
        let began = match &change {
            None => {
                let began = Instant::now();
                assert_eq!(admin.delete(&format!("/keys/{key}")).await.status, 200, "{what}");
                began
            }
            Some(Value::Null) => {
                let ends = UNIX_EPOCH + Duration::from_secs(now + 6);
                Instant::now() + ends.duration_since(SystemTime::now()).expect("the key has not expired yet")
            }
            Some(change) => {
                let began = Instant::now();
                assert_eq!(admin.put(&format!("/keys/{key}"), change).await.status, 200, "{what}");
                began
            }
        };
        for socket in &mut sockets {
            assert_eq!(closed(socket).await, 1008, "{what}");
        }
        for events in &mut streams {
            let mut last = String::new();
            while let Some(line) = events.next_line().await {
                last.push_str(&line);
            }
            assert!(last.contains(": closing: the key may not receive this any more"), "{what}: {last}");
        }
        let took = Instant::now().saturating_duration_since(began);
        assert!(took < Duration::from_millis(1500), "{what}: {took:?}");
        assert_eq!(next(&mut stays).await["id"], "1", "{what}");
    }
}

#[tokio::test]
async fn c10_row_10_the_playground_needs_no_key_and_nothing_from_elsewhere() {
    let server = GraphqlServer::start().await;
    let mut api = graph(keyed("g", &server.url("")));
    api["graphql"]["playground"] = json!({"enabled": true, "path": "/try/it"});
    let gate = Gate::setup().api(api).api(graph(keyless("none", &server.url("")))).start().await;
    let page = gate.get("/g/try/it", &[]).await;
    assert_eq!(
        (page.status, page.header("content-type").as_deref()),
        (200, Some("text/html; charset=utf-8"))
    );
    assert!(page.text().contains("src=\"/g/try/it/playground.js\" data-api=\"/g/\""), "{}", page.text());
    let script = gate.get("/g/try/it/playground.js", &[]).await;
    assert_eq!(script.header("content-type").as_deref(), Some("text/javascript; charset=utf-8"));
    for text in [page.text(), script.text()] {
        assert!(!text.contains("http://") && !text.contains("https://"), "{text}");
    }
    assert_eq!(gate.get("/g/", &["-d", "{\"query\":\"{echo}\"}"]).await.status, 401);
    assert_eq!(gate.get("/g/try/it/other", &[]).await.status, 401);
    assert_eq!(gate.get("/none/playground", &[]).await.status, 400);
}

#[tokio::test]
async fn hostile_queries_cost_only_their_sender() {
    let server = GraphqlServer::start().await;
    let gate = Gate::setup().api(graph(keyless("g", &server.url("")))).start().await;
    let mut doubled = String::from("{ hero { ...F0 } }");
    for n in 0..60 {
        let m = n + 1;
        let _ = write!(
            doubled,
            " fragment F{n} on Person {{ a: friends {{ ...F{m} }} b: friends {{ ...F{m} }} }}"
        );
    }
    doubled.push_str(" fragment F60 on Person { id }");
    let aliases: String = (0..2_000).fold(String::new(), |mut text, n| {
        let _ = write!(text, " a{n}: echo");
        text
    });
    let hostile = [
        format!("{{ hero {}{{ id }}{} }}", "{ friends ".repeat(20_000), "}".repeat(20_000)),
        doubled,
        format!("{{ {aliases} }}"),
        "{ hero { ...F } } fragment F on Person { friends { ...F } }".to_owned(),
        format!("{{ {} }}", "echo ".repeat(100_000)),
        "{".repeat(200_000),
    ];
    let hits = server.hits().await;
    for query in &hostile {
        gate.write("hostile.json", &json!({"query": query}).to_string());
        let file = format!("@{}", gate.dir().join("hostile.json").display());
        let (begun, bad) =
            (Instant::now(), ["-H", "Content-Type: application/json", "--data-binary", &*file]);
        let body = json!({"query": "{ echo(text: \"x\") }"});
        // Somebody else asks at the same time.
        let (bad, good) = tokio::join!(gate.get("/g/", &bad), ask(&gate, "/g/", &body, &[]));
        assert_eq!(bad.status, 400, "{}: {bad:?}", &query[..60]);
        assert_eq!(good.status, 200, "{good:?}");
        assert!(begun.elapsed().as_secs() < 10, "{}", &query[..60]);
    }
    assert_eq!(server.hits().await, hits + 1 + hostile.len() as u64);
}

#[tokio::test]
async fn the_example_does_what_its_first_lines_say() {
    let server = GraphqlServer::start().await;
    let text = include_str!("../../examples/graphql/heroes.json");
    let mut api: Value = serde_json::from_str(text).unwrap();
    api["proxy"]["target_url"] = json!(server.url("/"));
    let gate = Gate::setup().api(api).start().await;
    assert_eq!(gate.get("/heroes/playground", &[]).await.status, 200);
    let mut reader = session(&["heroes"]);
    reader["access_rights"]["heroes"]["restricted_types"] = json!([{"name": "Person", "fields": ["secret"]}]);
    let key = format!("Authorization: {}", gate.admin().key(&reader).await);
    let asked = ask(&gate, "/heroes/", &json!({"query": "{ hero(id: 2) { name } }"}), &["-H", &key]).await;
    assert_eq!(asked.json()["data"]["hero"]["name"], "Bob");
    let refused = ask(&gate, "/heroes/", &json!({"query": "{ hero { secret } }"}), &["-H", &key]).await;
    assert_eq!(refused.status, 400);
    let deep = ask(
        &gate,
        "/heroes/",
        &json!({"query": "{ hero { friends { friends { friends { friends { name } } } } } }"}),
        &["-H", &key],
    )
    .await;
    assert_eq!(deep.status, 403);
    assert_eq!(gate.get("/heroes/by-id/3", &["-H", &key]).await.json()["data"]["hero"]["name"], "Cy");
}

/// A graph out of a REST server, a GraphQL server and another API of the gate.
fn joined(id: &str, rest: &Upstream, server: &GraphqlServer) -> Value {
    let mut api = keyless(id, "");
    api["graphql"] = json!({
        "enabled": true, "execution_mode": "executionEngine", "version": "2",
        "schema": "type Query { order(id: ID!): Order hero(id: ID! = 1): Person broken: String inner(q: String): Inner }
            type Order { method: String path: String buyer: Person } type Person { id: ID! name: String order: Order }
            type Inner { path: String headers: Headers } type Headers { inside: [String] }",
        "engine": {
            "field_configs": [
                {"type_name": "Query", "field_name": "order", "disable_default_mapping": true, "path": [""]},
                {"type_name": "Query", "field_name": "inner", "disable_default_mapping": true},
                {"type_name": "Person", "field_name": "order", "disable_default_mapping": true},
                {"type_name": "Order", "field_name": "buyer", "path": ["hero"]},
                {"type_name": "Headers", "field_name": "inside", "path": ["x-inside"]},
            ],
            "data_sources": [
                {"kind": "REST", "name": "orders", "root_fields": [{"type": "Query", "fields": ["order"]}],
                    "config": {"url": rest.url("/orders/{{.arguments.id}}"), "method": "GET"}},
                {"kind": "REST", "name": "order of", "root_fields": [{"type": "Person", "fields": ["order"]}],
                    "config": {"url": rest.url("/of/{{.object.id}}"), "method": "PUT", "body": "{}"}},
                {"kind": "REST", "name": "broken", "root_fields": [{"type": "Query", "fields": ["broken"]}],
                    "config": {"url": rest.url("/status/503")}},
                {"kind": "REST", "name": "inner", "root_fields": [{"type": "Query", "fields": ["inner"]}],
                    "config": {"url": "tyk://inside/x", "query": [{"name": "q", "value": "{{.arguments.q}}"}],
                        "headers": {"X-Inside": "{{.request.headers.X-Who}}"}}},
                {"kind": "GraphQL", "name": "heroes", "root_fields": [{"type": "Query", "fields": ["hero"]}],
                    "config": {"url": server.url("/graphql")}},
                {"kind": "GraphQL", "name": "buyers", "root_fields": [{"type": "Order", "fields": ["buyer"]}],
                    "config": {"url": server.url("/graphql"), "has_operation": true,
                        "operation": "query ($id: ID!) { hero(id: $id) { id name } }", "variables": {"id": "3"}}},
            ],
        },
    });
    api
}

#[tokio::test]
async fn c10_row_5_a_graph_out_of_several_sources() {
    let (server, rest) = (GraphqlServer::start().await, Upstream::start().await);
    let mut inside = keyless("inside", &rest.url("/in"));
    inside["internal"] = json!(true);
    let gate = Gate::setup().api(joined("g", &rest, &server)).api(inside).start().await;
    let query = "query ($id: ID!) { order(id: $id) { at: path buyer { name } } hero(id: 2) { name order { method path } } }";
    let reply = ask(&gate, "/g/", &json!({"query": query, "variables": {"id": "a/b"}}), &[]).await;
    assert_eq!(
        reply.json(),
        json!({"data": {
            "order": {"at": "/orders/a%2Fb", "buyer": {"name": "Cy"}},
            "hero": {"name": "Bob", "order": {"method": "PUT", "path": "/of/2"}},
        }})
    );
    let inner = json!({"query": "{ inner(q: \"a&b\") { path headers { inside } } }"});
    let reply = ask(&gate, "/g/", &inner, &["-H", "X-Who: me"]).await;
    assert_eq!(
        reply.json()["data"]["inner"],
        json!({"path": "/in/x?q=a%26b", "headers": {"inside": ["me"]}})
    );
    // A source that fails is its own field's matter.
    let partly = ask(&gate, "/g/", &json!({"query": "{ broken hero { name } }"}), &[]).await;
    assert_eq!(
        (partly.status, partly.json()["data"].clone()),
        (200, json!({"broken": null, "hero": {"name": "Ada"}}))
    );
    assert_eq!(partly.json()["errors"][0]["path"], json!(["broken"]));
    assert_eq!(error(&partly), "the source `broken` failed: it answers 503");
    // The same call is made once.
    let hits = rest.hits();
    let same = "{ a: order(id: 1) { path } b: order(id: 1) { method } c: order(id: 2) { path } }";
    assert_eq!(ask(&gate, "/g/", &json!({"query": same}), &[]).await.status, 200);
    assert_eq!(rest.hits(), hits + 2);
    assert_eq!(ask(&gate, "/g/", &json!({"query": "{ none }"}), &[]).await.status, 400);
    let schema =
        ask(&gate, "/g/", &json!({"query": "{ __type(name: \"Order\") { fields { name } } }"}), &[]).await;
    assert_eq!(schema.json()["data"]["__type"]["fields"][2]["name"], "buyer");
}

/// A graph with its sources as version 1 has them: servers, an API of the gate, and fields without a source.
fn joined_as_version_1(id: &str, version: Value, rest: &Upstream, server: &GraphqlServer) -> Value {
    let mut api = keyless(id, "");
    let field = |kind: &str, name: &str, mapping: Value, source: &str, config: Value| {
        json!({"type_name": kind, "field_name": name, "mapping": mapping,
            "data_source": {"kind": source, "data_source_config": config}})
    };
    let whole = json!({"disabled": true, "path": ""});
    let usual = json!({"disabled": false, "path": ""});
    let at = |path: &str| json!({"disabled": false, "path": path});
    let body = "{\"n\": {{.arguments.n}}, \"who\": \"{{.request.headers.X-Who}}\"}";
    api["graphql"] = json!({
        "enabled": true, "execution_mode": "executionEngine", "version": version,
        "schema": "type Query { order(id: ID!): Order person(id: ID!): Person method: String found(s: Int): Found inner: Order }
            type Mutation { buy(n: Int): Order }
            type Order { method: String path: String body: String inside: [String] headers: Headers }
            type Headers { inside: [String] } type Gone { path: String } union Found = Order | Gone
            type Person { id: ID! called: String order: Order }",
        "type_field_configurations": [
            field("Query", "order", whole.clone(), "HTTPJSONDataSource", json!({
                "url": rest.url("/orders/{{ .arguments.id }}"), "method": "GET", "body": "", "default_type_name": "Order",
                "headers": [{"key": "X-Inside", "value": "{{ .request.headers.X-Who }}"}],
                "status_code_type_name_mappings": [{"status_code": 200, "type_name": ""}]})),
            field("Query", "person", at("hero"), "GraphQLDataSource", json!({"url": server.url("/graphql"), "method": "POST"})),
            field("Query", "method", usual, "HTTPJSONDataSource", json!({"url": rest.url("/m")})),
            field("Query", "found", whole.clone(), "HTTPJSONDataSource", json!({
                "url": rest.url("/found?status={{.arguments.s}}"), "default_type_name": "Order",
                "status_code_type_name_mappings": [{"status_code": 404, "type_name": "Gone"}]})),
            field("Query", "inner", whole.clone(), "TykRESTDataSource", json!({"url": "tyk://inside/x", "method": "GET"})),
            field("Mutation", "buy", whole.clone(), "HTTPJSONDataSource", json!({"url": rest.url("/buy"), "method": "POST", "body": body})),
            field("Person", "order", whole, "HTTPJSONDataSource", json!({"url": rest.url("/of/{{.object.id}}"), "method": "PUT"})),
            {"type_name": "Person", "field_name": "called", "mapping": at("name")},
            {"type_name": "Order", "field_name": "inside", "mapping": at("headers.x-inside")},
        ],
        "engine": {"field_configs": [], "data_sources": []},
    });
    api
}

#[tokio::test]
async fn c10_row_1_a_graph_with_its_sources_as_version_1_has_them() {
    let (server, rest) = (GraphqlServer::start().await, Upstream::start().await);
    let mut inside = keyless("inside", &rest.url("/in"));
    inside["internal"] = json!(true);
    let gate = Gate::setup()
        .api(joined_as_version_1("g", json!("1"), &rest, &server))
        .api(joined_as_version_1("none", json!(""), &rest, &server))
        .api(inside)
        .start()
        .await;
    for path in ["/g/", "/none/"] {
        let query = "query ($id: ID!) { order(id: $id) { path inside } person(id: 2) { id called order { method path } } method inner { path } }";
        let query = json!({"query": query, "variables": {"id": "a/b"}});
        assert_eq!(
            ask(&gate, path, &query, &["-H", "X-Who: me"]).await.json(),
            json!({"data": {
                "order": {"path": "/orders/a%2Fb", "inside": ["me"]},
                "person": {"id": "2", "called": "Bob", "order": {"method": "PUT", "path": "/of/2"}},
                "method": "GET",
                "inner": {"path": "/in/x"},
            }})
        );
        let buy = json!({"query": "mutation { buy(n: 3) { method body } }"});
        let bought = ask(&gate, path, &buy, &["-H", "X-Who: a\"b"]).await;
        let body = "{\"n\": 3, \"who\": \"a\\\"b\"}";
        assert_eq!(bought.json(), json!({"data": {"buy": {"method": "POST", "body": body}}}));
        // The status says which type an answer is of, and one that does is no failure.
        for (status, found) in [
            (200, json!({"__typename": "Order", "method": "GET"})),
            (404, json!({"__typename": "Gone", "path": "/found?status=404"})),
        ] {
            let query = format!(
                "{{ found(s: {status}) {{ __typename ... on Order {{ method }} ... on Gone {{ path }} }} }}"
            );
            let reply = ask(&gate, path, &json!({"query": query}), &[]).await;
            assert_eq!(reply.json()["data"]["found"], found, "{reply:?}");
        }
        let failed = ask(&gate, path, &json!({"query": "{ found(s: 503) { __typename } }"}), &[]).await;
        assert_eq!(error(&failed), "the source `Query.found` failed: it answers 503");
    }
    // Of a later version they would be no sources at all.
    let refused = gate.admin().post("/apis", &joined_as_version_1("late", json!("2"), &rest, &server)).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.text().contains("type_field_configurations"), "{refused:?}");
}

#[tokio::test]
async fn graphs_that_ask_each_other_in_a_circle_come_to_an_end() {
    let mut api = keyless("g", "");
    api["graphql"] = json!({
        "enabled": true, "execution_mode": "executionEngine", "schema": "type Query { again: Int }",
        "engine": {"data_sources": [{"kind": "GraphQL", "name": "self", "root_fields": [{"type": "Query", "fields": ["again"]}],
            "config": {"url": "tyk://g/"}}]},
    });
    let gate = Gate::setup().api(api).start().await;
    let reply = ask(&gate, "/g/", &json!({"query": "{ again }"}), &[]).await;
    assert!(error(&reply).contains("in a circle"), "{reply:?}");
}

/// A graph whose subscriptions are fed by streams.
fn fed(id: &str, source: Value, server: &GraphqlServer) -> Value {
    let mut api = keyless(id, "");
    api["graphql"] = json!({
        "enabled": true, "execution_mode": "executionEngine",
        "schema": "type Query { hero(id: ID! = 1): Person } type Person { id: ID! name: String }
            type Subscription { ordered: Order } type Order { n: Int hero: Person }",
        "engine": {
            "field_configs": [
                {"type_name": "Subscription", "field_name": "ordered", "disable_default_mapping": true},
            ],
            "data_sources": [
                source,
                {"kind": "GraphQL", "name": "heroes", "root_fields": [{"type": "Query", "fields": ["hero"]}],
                    "config": {"url": server.url("/graphql")}},
                {"kind": "GraphQL", "name": "hero of", "root_fields": [{"type": "Order", "fields": ["hero"]}],
                    "config": {"url": server.url("/graphql"), "has_operation": true,
                        "operation": "query ($id: ID!) { hero(id: $id) { id name } }",
                        "variables": {"id": "{{.object.by}}"}}},
            ],
        },
    });
    api
}

#[tokio::test]
async fn c10_row_5_a_topic_feeds_subscriptions() {
    let (server, broker) = (GraphqlServer::start().await, tools::service("kafka"));
    let topic = format!("e2e-graphql-{}", std::process::id());
    let kafka = json!({"kind": "Kafka", "name": "orders", "root_fields": [{"type": "Subscription", "fields": ["ordered"]}],
        "config": {"broker_addresses": [broker], "topics": [topic], "group_id": format!("{topic}-g"), "client_id": "graph"}});
    let producing = json!({
        "input": {"http_server": {"path": "/post", "ws_path": "", "timeout": "20s"}},
        "output": {"kafka": {"addresses": [broker], "topic": topic,
            "custom_topic_creation": {"enabled": true, "partitions": 1, "replication_factor": 1}}},
    });
    let gate =
        Gate::setup().oas(events("in", json!({"s": producing}))).api(fed("g", kafka, &server)).start().await;
    let mut by_events = Sse::open(gate.port(), "/g/?query=subscription%7Bordered%7Bn%7D%7D", &[]).await;
    assert_eq!(by_events.status, 200, "{:?}", by_events.head);
    for (protocol, start, data) in
        [("graphql-transport-ws", "subscribe", "next"), ("graphql-ws", "start", "data")]
    {
        let mut socket =
            Socket::open(gate.port(), "/g/", &[("sec-websocket-protocol", protocol)]).await.unwrap();
        socket.send(json!({"type": "connection_init"}).to_string()).await;
        assert_eq!(next(&mut socket).await["type"], "connection_ack");
        let begin =
            |id: &str, query: &str| json!({"id": id, "type": start, "payload": {"query": query}}).to_string();
        // Queries go over the same connection, and tell that what was begun before them has begun.
        socket.send(begin("1", "subscription { ordered { n hero { name } } }")).await;
        socket.send(begin("2", "{ hero(id: 3) { name } }")).await;
        let told = next(&mut socket).await;
        assert_eq!(told, json!({"id": "2", "type": data, "payload": {"data": {"hero": {"name": "Cy"}}}}));
        assert_eq!(next(&mut socket).await, json!({"id": "2", "type": "complete"}));
        socket.send(begin("3", "subscription { none }")).await;
        assert_eq!(next(&mut socket).await["type"], "error");
        let posted = gate.get("/in/post", &["-d", r#"{"n": 7, "by": 2}"#]).await;
        assert_eq!(posted.status, 200, "{posted:?}");
        let told = next(&mut socket).await;
        let expected = json!({"data": {"ordered": {"n": 7, "hero": {"name": "Bob"}}}});
        assert_eq!(told, json!({"id": "1", "type": data, "payload": expected}), "{protocol}");
        let event: Value = serde_json::from_str(&by_events.next_data().await.unwrap()).unwrap();
        assert_eq!(event, json!({"data": {"ordered": {"n": 7}}}));
        socket.send(json!({"id": "4", "type": "begin"}).to_string()).await;
        assert_eq!(next(&mut socket).await, json!({"closed": 4400}));
    }
    let plain = ask(&gate, "/g/", &json!({"query": "subscription { ordered { n } }"}), &[]).await;
    assert_eq!(plain.status, 406, "{plain:?}");
}

#[tokio::test]
async fn any_input_of_a_stream_feeds_subscriptions_and_one_that_cannot_be_is_refused() {
    let server = GraphqlServer::start().await;
    let stream = |input: Value| {
        json!({"kind": "Stream", "name": "numbers", "root_fields": [{"type": "Subscription", "fields": ["ordered"]}],
            "config": {"input": input, "processors": [{"mapping": "root = this\nroot.n = this.n * 10"}]}})
    };
    let input = json!({"generate": {"mapping": "root.n = counter()", "interval": "20ms"}});
    let gate = Gate::setup().api(fed("g", stream(input), &server)).start().await;
    let mut by_events = Sse::open(gate.port(), "/g/?query=subscription%7Bordered%7Bn%7D%7D", &[]).await;
    let mut last = 0;
    for _ in 0..3 {
        let event: Value = serde_json::from_str(&by_events.next_data().await.unwrap()).unwrap();
        let n = event["data"]["ordered"]["n"].as_i64().unwrap();
        assert!(n > last && n % 10 == 0, "{event}");
        last = n;
    }
    let bad = fed("bad", stream(json!({"generate": {"mapping": "root = "}})), &server);
    let reply = gate.admin().post("/apis", &bad).await;
    assert!(reply.status >= 400 && reply.text().contains("mapping"), "{reply:?}");
}
