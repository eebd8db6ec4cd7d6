//! Subscriptions whose events are asked of a source (contract 10): parts of supergraphs, and GraphQL sources of graphs out of
//! several. The servers are real, and speak all three protocols.

use std::time::Duration;

use e2e::definition::{keyed, keyless, session};
use e2e::streaming::{events, post};
use e2e::{Gate, GraphqlServer, Reply, Socket, Sse, tools};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

const PRODUCTS: &str = "type Query { top(first: Int = 3): [Product!] } type Product @key(fields: \"upc\") { upc: String! name: String price: Int }";
const REVIEWS: &str = "
    extend type Query { latest: Review }
    type Subscription { reviewed(from: Int = 1): Review told(name: String!): String ever: Review refused: Review }
    extend type Product @key(fields: \"upc\") { upc: String! @external reviews: [Review!] }
    type Review { id: ID! body: String product: Product broken: String }
";
const PROTOCOLS: [(&str, &str, &str); 2] =
    [("graphql-transport-ws", "subscribe", "next"), ("graphql-ws", "start", "data")];

struct World {
    products: GraphqlServer,
    reviews: GraphqlServer,
}

impl World {
    async fn start() -> Self {
        Self {
            products: GraphqlServer::part("products").await,
            reviews: GraphqlServer::part("reviews").await,
        }
    }

    /// `told`: how the part that sends events is asked for them.
    fn graph(&self, mut api: Value, told: Value) -> Value {
        let mut reviews = json!({"name": "reviews", "url": self.reviews.url("/"), "sdl": REVIEWS,
            "headers": {"X-Part": "reviews", "X-Who": "{{.request.headers.X-Who}}"}});
        for (name, value) in told.as_object().unwrap() {
            reviews[name] = value.clone();
        }
        let products = json!({"name": "products", "url": self.products.url("/"), "sdl": PRODUCTS});
        api["graphql"] = json!({"enabled": true, "execution_mode": "supergraph", "version": "2", "schema": "",
            "supergraph": {"subgraphs": [products, reviews], "merged_sdl": "", "global_headers": {"X-All": "1"}}});
        api
    }
}

async fn next(socket: &mut Socket) -> Value {
    match socket.next().await {
        Some(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
        Some(Message::Close(close)) => json!({"closed": close.map(|close| u16::from(close.code))}),
        other => json!({"other": format!("{other:?}")}),
    }
}

/// A WebSocket that has been let in.
async fn connected(gate: &Gate, path: &str, protocol: &str, more: &[(&str, &str)]) -> Socket {
    let mut fields = vec![("sec-websocket-protocol", protocol)];
    fields.extend(more);
    let mut socket = Socket::open(gate.port(), path, &fields).await.unwrap();
    socket.send(json!({"type": "connection_init"}).to_string()).await;
    assert_eq!(next(&mut socket).await["type"], "connection_ack");
    socket
}

async fn begin(socket: &mut Socket, start: &str, id: &str, query: &str, variables: Value) {
    let payload = json!({"query": query, "variables": variables});
    socket.send(json!({"id": id, "type": start, "payload": payload}).to_string()).await;
}

/// Waits until a server has so many subscriptions under way.
async fn until_streams(server: &GraphqlServer, count: u64) {
    let looked = async {
        while server.streams().await != count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looked).await.expect("as many subscriptions as expected");
}

fn protocols() -> [(&'static str, Value); 5] {
    [
        ("any", json!({})),
        ("old", json!({"subscription_type": "graphql-ws"})),
        ("new", json!({"subscription_type": "graphql-transport-ws"})),
        ("get", json!({"subscription_type": "sse"})),
        ("post", json!({"subscription_type": "sse", "sse_use_post": true})),
    ]
}

#[tokio::test]
async fn c10_row_7_parts_send_events_and_others_complete_them() {
    let world = World::start().await;
    let mut setup = Gate::setup().conf(json!({"http_server_options": {"enable_websockets": true}}));
    for (id, told) in protocols() {
        setup = setup.api(world.graph(keyless(id, ""), told));
    }
    let gate = setup.start().await;
    let query = "subscription ($from: Int) { event: reviewed(from: $from) { body product { name } } }";
    let expected = [("bad", "Table"), ("fine", "Chair")]
        .map(|(body, name)| json!({"data": {"event": {"body": body, "product": {"name": name}}}}));
    for (api, _) in protocols() {
        for (protocol, start, data) in PROTOCOLS {
            let what = format!("{api} {protocol}");
            let mut socket = connected(&gate, &format!("/{api}/"), protocol, &[("x-who", "me")]).await;
            let before = world.products.hits().await;
            begin(&mut socket, start, "1", query, json!({"from": 2})).await;
            for answer in &expected {
                let told = next(&mut socket).await;
                assert_eq!(told, json!({"id": "1", "type": data, "payload": answer}), "{what}");
            }
            assert_eq!(next(&mut socket).await, json!({"id": "1", "type": "complete"}), "{what}");
            // What is asked is one, too: one call for each event.
            assert_eq!(world.products.hits().await - before - 1, 2, "{what}");
            for (name, value) in [("X-Part", "reviews"), ("X-All", "1"), ("X-Who", "me")] {
                let query = format!("subscription {{ told(name: \"{name}\") }}");
                begin(&mut socket, start, "2", &query, json!({})).await;
                assert_eq!(next(&mut socket).await["payload"], json!({"data": {"told": value}}), "{what}");
                assert_eq!(next(&mut socket).await["type"], "complete", "{what}");
            }
            // What fails in an event, and what the part refuses.
            begin(&mut socket, start, "3", "subscription { reviewed(from: 3) { id broken } }", json!({}))
                .await;
            let told = next(&mut socket).await;
            assert_eq!(
                told["payload"]["data"]["reviewed"],
                json!({"id": "3", "broken": null}),
                "{what}: {told}"
            );
            let error = json!([{"message": "it broke", "path": ["reviewed", "broken"]}]);
            assert_eq!(told["payload"]["errors"], error, "{what}");
            assert_eq!(next(&mut socket).await["type"], "complete", "{what}");
            begin(&mut socket, start, "4", "subscription { refused { id } }", json!({})).await;
            let told = next(&mut socket).await;
            assert_eq!(told["payload"]["data"], json!({"refused": null}), "{what}: {told}");
            assert_eq!(told["payload"]["errors"][0]["message"], "not today", "{what}: {told}");
            assert_eq!(next(&mut socket).await["type"], "complete", "{what}");
            // Queries go over the same connection.
            begin(&mut socket, start, "5", "{ latest { product { name } } }", json!({})).await;
            let latest = json!({"data": {"latest": {"product": {"name": "Chair"}}}});
            assert_eq!(next(&mut socket).await["payload"], latest, "{what}");
        }
        let path = format!("/{api}/?query=subscription%7Breviewed(from:2)%7Bbody%20product%7Bname%7D%7D%7D");
        let mut events = Sse::open(gate.port(), &path, &[]).await;
        for (body, name) in [("bad", "Table"), ("fine", "Chair")] {
            let told: Value = serde_json::from_str(&events.next_data().await.unwrap()).unwrap();
            let event = json!({"data": {"reviewed": {"body": body, "product": {"name": name}}}});
            assert_eq!(told, event, "{api}");
        }
        assert_eq!(events.next_data().await.as_deref(), Some(""), "{api}: it is complete");
    }
    until_streams(&world.reviews, 0).await;
}

#[tokio::test]
async fn c10_a_source_is_left_with_its_client() {
    let world = World::start().await;
    let mut setup = Gate::setup().conf(json!({"http_server_options": {"enable_websockets": true}}));
    for (id, told) in protocols() {
        setup = setup.api(world.graph(keyed(id, ""), told));
    }
    let gate = setup.start().await;
    let query = "subscription { ever { body } }";
    let event = json!({"data": {"ever": {"body": "fine"}}});
    for (api, _) in protocols() {
        let admin = gate.admin();
        let key = admin.key(&session(&[api])).await;
        let fields = [("authorization", &*key)];
        let path = format!("/{api}/");
        let mut socket = connected(&gate, &path, "graphql-transport-ws", &fields).await;
        for id in ["1", "2"] {
            begin(&mut socket, "subscribe", id, query, json!({})).await;
            assert_eq!(next(&mut socket).await["payload"], event, "{api}");
        }
        until_streams(&world.reviews, 2).await;
        // The client has enough of one of them.
        socket.send(json!({"id": "1", "type": "complete"}).to_string()).await;
        until_streams(&world.reviews, 1).await;
        let field = format!("Authorization: {key}");
        let path = format!("/{api}/?query=subscription%7Bever%7Bbody%7D%7D");
        let mut events = Sse::open(gate.port(), &path, &[&field]).await;
        assert_eq!(events.next_data().await.as_deref(), Some(&*event.to_string()), "{api}");
        until_streams(&world.reviews, 2).await;
        assert_eq!(admin.delete(&format!("/keys/{key}")).await.status, 200, "{api}");
        assert_eq!(next(&mut socket).await, json!({"closed": 1008}), "{api}");
        until_streams(&world.reviews, 0).await;
    }
}

#[tokio::test]
async fn c10_sources_that_are_away_or_ask_within_the_gate() {
    let world = World::start().await;
    let away = json!({"url": "http://127.0.0.1:1/", "subscription_type": "graphql-ws"});
    let mut part = keyless("part", &world.reviews.url("/"));
    part["graphql"] = json!({"enabled": true, "execution_mode": "subgraph", "subgraph": {"sdl": REVIEWS}});
    let gate = Gate::setup()
        .conf(json!({"http_server_options": {"enable_websockets": true}}))
        .api(world.graph(keyless("away", ""), away))
        .api(world.graph(keyless("inner", ""), json!({"url": "tyk://part/"})))
        .api(part)
        .start()
        .await;
    for (protocol, start, data) in PROTOCOLS {
        let mut socket = connected(&gate, "/away/", protocol, &[]).await;
        begin(&mut socket, start, "1", "subscription { ever { id } }", json!({})).await;
        let told = next(&mut socket).await;
        assert_eq!(
            (&told["type"], &told["payload"]["data"]),
            (&json!(data), &json!({"ever": null})),
            "{told}"
        );
        let error = &told["payload"]["errors"][0];
        assert_eq!(error["path"], json!(["ever"]), "{told}");
        assert!(error["message"].as_str().unwrap().starts_with("the part `reviews` failed: "), "{told}");
        assert_eq!(next(&mut socket).await["type"], "complete");
        // An API of the gate is asked for events by a request, whatever it is said to speak.
        let mut socket = connected(&gate, "/inner/", protocol, &[]).await;
        let query = "subscription { reviewed(from: 3) { body product { name } } }";
        begin(&mut socket, start, "1", query, json!({})).await;
        let event = json!({"data": {"reviewed": {"body": "fine", "product": {"name": "Chair"}}}});
        assert_eq!(next(&mut socket).await["payload"], event);
        assert_eq!(next(&mut socket).await["type"], "complete");
    }
    let plain = ask(&gate, "/inner/", "subscription { ever { id } }").await;
    assert_eq!(plain.status, 406, "{plain:?}");
}

async fn ask(gate: &Gate, path: &str, query: &str) -> Reply {
    let body = json!({"query": query}).to_string();
    gate.get(path, &["-H", "Content-Type: application/json", "-d", &body]).await
}

#[tokio::test]
async fn c10_sources_of_graphs_send_events_and_others_complete_them() {
    let server = GraphqlServer::start().await;
    let schema =
        "type Query { version: String } type Subscription { count(to: Int!): Int named(to: Int!): Number }
        type Number { value: Int hero: Hero } type Hero { name: String }";
    let mut setup = Gate::setup().conf(json!({"http_server_options": {"enable_websockets": true}}));
    for (id, told) in protocols() {
        let mut asked = json!({"url": server.url("/")});
        let mut written = json!({"url": server.url("/"), "has_operation": true,
            "operation": "subscription ($to: Int!) { count(to: $to) }", "variables": {"to": "{{.arguments.to}}"}});
        for (name, value) in told.as_object().unwrap() {
            asked[name] = value.clone();
            written[name] = value.clone();
        }
        let hero = json!({"url": server.url("/"), "has_operation": true,
            "operation": "query ($id: ID!) { hero(id: $id) { name } }", "variables": {"id": "{{.object.count}}"}});
        let mut api = keyless(id, "");
        api["graphql"] = json!({"enabled": true, "execution_mode": "executionEngine", "version": "2", "schema": schema,
        "engine": {"data_sources": [
            {"kind": "GraphQL", "name": "counts", "root_fields": [{"type": "Subscription", "fields": ["count"]}],
                "config": asked},
            {"kind": "GraphQL", "name": "numbers", "root_fields": [{"type": "Subscription", "fields": ["named"]}],
                "config": written},
            {"kind": "GraphQL", "name": "heroes", "root_fields": [{"type": "Number", "fields": ["hero"]}],
                "config": hero},
        ], "field_configs": [
            {"type_name": "Subscription", "field_name": "named", "disable_default_mapping": true},
            {"type_name": "Number", "field_name": "value", "path": ["count"]},
        ]}});
        setup = setup.api(api);
    }
    let gate = setup.start().await;
    for (api, _) in protocols() {
        for (protocol, start, _) in PROTOCOLS {
            let what = format!("{api} {protocol}");
            let mut socket = connected(&gate, &format!("/{api}/"), protocol, &[]).await;
            begin(&mut socket, start, "1", "subscription { n: count(to: 2) }", json!({})).await;
            for number in 1..=2 {
                assert_eq!(next(&mut socket).await["payload"], json!({"data": {"n": number}}), "{what}");
            }
            assert_eq!(next(&mut socket).await["type"], "complete", "{what}");
            let query = "subscription { named(to: 2) { value hero { name } } }";
            begin(&mut socket, start, "2", query, json!({})).await;
            for (number, name) in [(1, "Ada"), (2, "Bob")] {
                let event = json!({"data": {"named": {"value": number, "hero": {"name": name}}}});
                assert_eq!(next(&mut socket).await["payload"], event, "{what}");
            }
            assert_eq!(next(&mut socket).await["type"], "complete", "{what}");
        }
    }
}

#[tokio::test]
async fn c10_consumers_share_a_topic_as_it_is_written() {
    let broker = tools::service("kafka");
    let topic = format!("e2e-graph-shared-{}", std::process::id());
    let producing = json!({
        "input": {"http_server": {"path": "/post", "ws_path": "", "timeout": "20s"}},
        "output": {"kafka": {"addresses": [broker], "topic": topic,
            "custom_topic_creation": {"enabled": true, "partitions": 1, "replication_factor": 1}}},
    });
    let graph = |id: &str, more: Value| {
        let mut config =
            json!({"broker_addresses": [broker], "topics": [topic], "group_id": format!("{topic}-{id}")});
        for (name, value) in more.as_object().unwrap() {
            config[name] = value.clone();
        }
        let mut api = keyless(id, "");
        api["graphql"] = json!({"enabled": true, "execution_mode": "executionEngine", "version": "2",
            "schema": "type Query { version: String } type Subscription { ordered: Order } type Order { n: Int }",
            "engine": {"data_sources": [{"kind": "Kafka", "name": id, "config": config,
                "root_fields": [{"type": "Subscription", "fields": ["ordered"]}]}],
            "field_configs": [{"type_name": "Subscription", "field_name": "ordered", "disable_default_mapping": true}]}});
        api
    };
    let ways = [
        ("range", json!({"balance_strategy": "BalanceStrategyRange", "isolation_level": "ReadCommitted"})),
        (
            "sticky",
            json!({"balance_strategy": "BalanceStrategySticky", "isolation_level": "ReadUncommitted"}),
        ),
        ("turns", json!({"balance_strategy": "BalanceStrategyRoundRobin", "kafka_version": "V2_8_0_0"})),
    ];
    let mut setup = Gate::setup().oas(events("in", json!({"s": producing})));
    for (id, more) in &ways {
        setup = setup.api(graph(id, more.clone()));
    }
    let gate = setup.start().await;
    let mut subscribed = Vec::new();
    for (id, _) in &ways {
        let path = format!("/{id}/?query=subscription%7Bordered%7Bn%7D%7D");
        subscribed.push(Sse::open(gate.port(), &path, &[]).await);
    }
    assert_eq!(post(&gate.url("/in/post"), "{\"n\": 7}", &[]).await.status, 200);
    for (events, (id, _)) in subscribed.iter_mut().zip(&ways) {
        let event: Value = serde_json::from_str(&events.next_data().await.unwrap()).unwrap();
        assert_eq!(event, json!({"data": {"ordered": {"n": 7}}}), "{id}");
    }
    let bad = graph("bad", json!({"balance_strategy": "Fair"}));
    let refused = gate.admin().post("/apis", &bad).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    let at = &refused.json()["errors"][0]["pointer"];
    assert_eq!(*at, json!("/graphql/engine/data_sources/0/config/balance_strategy"), "{refused:?}");
}

#[tokio::test]
async fn c10_a_new_group_may_begin_at_the_end_of_a_topic() {
    let broker = tools::service("kafka");
    let topic = format!("e2e-graph-latest-{}", std::process::id());
    let producing = json!({
        "input": {"http_server": {"path": "/post", "ws_path": "", "timeout": "20s"}},
        "output": {"kafka": {"addresses": [broker], "topic": topic,
            "custom_topic_creation": {"enabled": true, "partitions": 1, "replication_factor": 1}}},
    });
    let gate = Gate::setup().oas(events("in", json!({"s": producing}))).start().await;
    let post = async |text: &str| post(&gate.url("/in/post"), text, &[]).await.status;
    assert_eq!(post("{\"n\": 1}").await, 200, "what was there before");
    let config = json!({"broker_addresses": [broker], "topics": [topic], "group_id": topic, "start_consuming_latest": true});
    let mut api = keyless("latest", "");
    api["graphql"] = json!({"enabled": true, "execution_mode": "executionEngine", "version": "2",
        "schema": "type Query { version: String } type Subscription { ordered: Order } type Order { n: Int }",
        "engine": {"data_sources": [{"kind": "Kafka", "name": "orders", "config": config,
            "root_fields": [{"type": "Subscription", "fields": ["ordered"]}]}],
        "field_configs": [{"type_name": "Subscription", "field_name": "ordered", "disable_default_mapping": true}]}});
    assert_eq!(gate.admin().post("/apis", &api).await.status, 200);
    gate.admin().reload().await;
    let mut subscribed = Sse::open(gate.port(), "/latest/?query=subscription%7Bordered%7Bn%7D%7D", &[]).await;
    // The end of the topic is where it is when the group has been joined: what is told before that is not heard.
    let mut first = std::pin::pin!(subscribed.next_data());
    let event = loop {
        assert_eq!(post("{\"n\": 2}").await, 200);
        if let Ok(event) = tokio::time::timeout(Duration::from_millis(500), &mut first).await {
            break event.unwrap();
        }
    };
    let event: Value = serde_json::from_str(&event).unwrap();
    assert_eq!(event, json!({"data": {"ordered": {"n": 2}}}));
}
