//! What records say of operations of GraphQL (contract 10 "Analytics", 11.1), and what clients are told of errors.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use e2e::definition::keyless;
use e2e::{Gate, GraphqlServer, Reply, Upstream, until};
use serde_json::{Value, json};

const SDL: &str = "
    type Query { hero(id: ID! = 1): Person people(first: Int): [Person!]! echo(text: String): String fails: String }
    type Mutation { rename(id: ID!, name: String!): Person }
    type Person { id: ID! name: String secret: String friends: [Person!] }
";

async fn ask(gate: &Gate, path: &str, body: &Value) -> Reply {
    gate.get(path, &["--compressed", "-H", "Content-Type: application/json", "-d", &body.to_string()]).await
}

/// The newest record of an API, once there are so many.
async fn record(gate: &Gate, api: &str, count: usize) -> Value {
    let mut found = Vec::new();
    until(&format!("{count} records of {api}"), async || {
        let reply = gate.admin().get("/records?limit=2000").await;
        let all: Vec<Value> = serde_json::from_slice(&reply.body).unwrap();
        found = all.into_iter().filter(|record| record["api_id"] == api).collect();
        found.len() == count
    })
    .await;
    found.remove(0)
}

fn decoded(record: &Value, name: &str) -> String {
    let text = BASE64_STANDARD.decode(record[name].as_str().unwrap_or_default()).unwrap();
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn c10_row_13_records_tell_what_was_asked_and_what_failed() {
    let server = GraphqlServer::start().await;
    let mut passed = keyless("passed", &server.url("/"));
    passed["graphql"] =
        json!({"enabled": true, "execution_mode": "proxyOnly", "version": "2", "schema": SDL});
    // What goes out packed is recorded as it was made.
    passed["x-sluicegate"] = json!({"compression": {"enabled": true, "smallest": 1}});
    let mut gathered = keyless("gathered", "");
    gathered["graphql"] = json!({"enabled": true, "execution_mode": "executionEngine", "version": "2", "schema": SDL,
    "engine": {"data_sources": [
        {"kind": "GraphQL", "name": "all", "config": {"url": server.url("/")}, "root_fields": [
            {"type": "Query", "fields": ["hero", "people", "echo", "fails"]}, {"type": "Mutation", "fields": ["rename"]}]},
    ]}});
    let plain = Upstream::start().await;
    let gate = Gate::setup()
        .conf(json!({"enable_analytics": true}))
        .api(passed)
        .api(gathered)
        .api(keyless("plain", &plain.url("")))
        .start()
        .await;
    let fragments =
        "query ($n: Int) { people(first: $n) { ...P friends { id } } one: hero { ...P } __typename }
        fragment P on Person { name called: name }";
    let rows = [
        (
            json!({"query": fragments, "variables": {"n": 1}}),
            200,
            json!({"operation_type": 1, "root_fields": ["people", "hero"], "types": {"Person": ["name", "friends", "id"]},
                "variables": "{\"n\":1}", "has_errors": false, "graph_errors": []}),
        ),
        (
            json!({"query": "mutation { rename(id: 2, name: \"x\") { name } }"}),
            200,
            json!({"operation_type": 2, "root_fields": ["rename"], "types": {"Person": ["name"]}, "variables": "",
                "has_errors": false, "graph_errors": []}),
        ),
        (
            json!({"query": "{ fails }"}),
            200,
            json!({"operation_type": 1, "root_fields": ["fails"], "types": {}, "variables": "", "has_errors": true,
                "graph_errors": ["it went wrong"]}),
        ),
    ];
    for api in ["passed", "gathered"] {
        for (index, (body, status, expected)) in rows.iter().enumerate() {
            let reply = ask(&gate, &format!("/{api}/"), body).await;
            assert_eq!(reply.status, *status);
            assert_eq!(reply.header("content-encoding").is_some(), api == "passed", "{reply:?}");
            let record = record(&gate, api, index + 1).await;
            let mut expected = expected.clone();
            expected["is_graphql"] = json!(true);
            assert_eq!(record["graphql_stats"], expected, "{api} {body}");
            assert_eq!(record["tags"], json!(["tyk-graph-analytics"]), "{api}");
            // They are always whole.
            let query = body["query"].as_str().unwrap().split_once('{').unwrap().1;
            let asked = decoded(&record, "raw_request");
            assert!(asked.starts_with("POST ") && asked.contains(&query[..8]), "{api}: {asked}");
            let answered = decoded(&record, "raw_response");
            assert!(
                answered.starts_with("HTTP/1.1 200") && answered.contains("\"data\""),
                "{api}: {answered}"
            );
        }
        assert_eq!(ask(&gate, &format!("/{api}/"), &json!({"query": "{ none }"})).await.status, 400);
        let refused = record(&gate, api, rows.len() + 1).await;
        let stats = &refused["graphql_stats"];
        assert_eq!(
            (&stats["operation_type"], &stats["has_errors"]),
            (&json!(0), &json!(true)),
            "{api}: {refused}"
        );
        assert!(stats["graph_errors"][0].as_str().unwrap().contains("none"), "{api}: {refused}");
    }
    assert_eq!(gate.get("/plain/", &[]).await.status, 200);
    let record = record(&gate, "plain", 1).await;
    assert!(record.get("graphql_stats").is_none() && record.get("raw_request").is_none(), "{record}");
}

#[tokio::test]
async fn c11_1_plugins_on_records_see_the_schema_and_the_operation() {
    let server = GraphqlServer::start().await;
    let mut api = keyless("g", &server.url("/"));
    api["graphql"] = json!({"enabled": true, "execution_mode": "proxyOnly", "version": "2", "schema": SDL});
    api["custom_middleware"] =
        json!({"driver": "javascript", "traffic_logs": {"name": "note", "path": "note.js"}});
    let code = "function note(record) {
        record.alias = record.graphql_stats.root_fields.join() + ' ' + record.api_schema;
        return record;
    }";
    let gate = Gate::setup()
        .conf(json!({"enable_jsvm": true, "enable_analytics": true}))
        .file("middleware/note.js", code)
        .api(api)
        .start()
        .await;
    assert_eq!(ask(&gate, "/g/", &json!({"query": "{ echo }"})).await.status, 200);
    let record = record(&gate, "g", 1).await;
    assert_eq!(record["alias"], json!(format!("echo {}", BASE64_STANDARD.encode(SDL))), "{}", gate.log());
}

#[tokio::test]
async fn c2_7_row_5_extensions_of_errors_are_told_where_the_definition_says_so() {
    let server = GraphqlServer::start().await;
    let part = GraphqlServer::part("reviews").await;
    let mut setup = Gate::setup();
    for forwarded in [false, true] {
        let proxy = json!({"use_response_extensions": {"on_error_forwarding": forwarded}});
        let mut source = keyless(&format!("source-{forwarded}"), "");
        source["graphql"] = json!({"enabled": true, "execution_mode": "executionEngine", "version": "2", "schema": SDL,
            "proxy": proxy, "engine": {"data_sources": [{"kind": "GraphQL", "name": "s", "config": {"url": server.url("/")},
                "root_fields": [{"type": "Query", "fields": ["hero", "people", "echo", "fails"]},
                    {"type": "Mutation", "fields": ["rename"]}]}]}});
        let mut parts = keyless(&format!("parts-{forwarded}"), "");
        parts["graphql"] = json!({"enabled": true, "execution_mode": "supergraph", "version": "2", "schema": "",
            "proxy": proxy, "supergraph": {"merged_sdl": "", "subgraphs": [{"name": "reviews", "url": part.url("/"),
                "sdl": "type Query { latest: Review } type Review { id: ID! broken: String }"}]}});
        setup = setup.api(source).api(parts);
    }
    let gate = setup.start().await;
    for forwarded in [false, true] {
        for (api, query, path) in [
            ("source", "{ fails }", json!(["fails"])),
            ("parts", "{ latest { broken } }", json!(["latest", "broken"])),
        ] {
            let reply = ask(&gate, &format!("/{api}-{forwarded}/"), &json!({"query": query})).await.json();
            let error = &reply["errors"][0];
            assert_eq!(error["path"], path, "{api}: {reply}");
            let told = error.get("extensions").cloned();
            assert_eq!(told, forwarded.then(|| json!({"code": "BROKEN"})), "{api}: {reply}");
        }
    }
}
