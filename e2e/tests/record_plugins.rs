//! Plugins that edit records before they are stored (contract 2.6 `traffic_logs`, 9.1): in no request's way, and nothing is
//! lost by them.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use e2e::definition::{keyless, oas};
use e2e::{Dispatcher, Gate, Upstream, until};
use serde_json::{Value, json};

/// More records than may wait for a plugin.
const MANY: usize = 1100;

fn example(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins");
    fs::read_to_string(folder.join(name)).unwrap()
}

fn code(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn scripted(id: &str, target: &str, hook: Value) -> Value {
    let mut api = keyless(id, target);
    api["custom_middleware"] = json!({"driver": "javascript", "traffic_logs": hook});
    api
}

/// The records of an API, newest first, once there are so many.
async fn records(gate: &Gate, api: &str, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    until(&format!("{count} records of {api}"), async || {
        let reply = gate.admin().get("/records?limit=2000").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let all: Vec<Value> = serde_json::from_slice(&reply.body).unwrap();
        found = all.into_iter().filter(|record| record["api_id"] == api).collect();
        found.len() == count
    })
    .await;
    found
}

async fn metric(gate: &Gate, name: &str) -> f64 {
    let page = gate.get("/metrics", &["-H", &format!("X-Tyk-Authorization: {}", Gate::SECRET)]).await;
    let text = page.text().to_owned();
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or(-1.0)
}

#[tokio::test]
async fn c2_6_row_3_records_are_stored_as_their_plugin_gives_them_in_both_formats() {
    let upstream = Upstream::start().await;
    let mut classic = scripted("masked", &upstream.url(""), json!({"name": "records", "path": "records.js"}));
    classic["config_data"] = json!({"region": "south"});
    let mut document = oas("numbered", &upstream.url(""));
    document["x-tyk-api-gateway"]["middleware"] = json!({"global": {
        "pluginConfig": {"driver": "lua"},
        "trafficLogs": {"enabled": true, "plugins": [
            {"enabled": true, "functionName": "records", "code": code(&example("lua/records.lua"))},
        ]},
    }});
    let mut gate = Gate::setup()
        .conf(json!({
            "enable_jsvm": true, "enable_analytics": true, "coprocess_options": {"enable_coprocess": true},
        }))
        .file("middleware/records.js", &example("javascript/records.js"))
        .api(classic)
        .oas(document)
        .start()
        .await;
    assert_eq!(gate.get("/masked/users/77", &[]).await.status, 200, "{}", gate.log());
    assert_eq!(gate.get("/numbered/users/77", &[]).await.status, 200, "{}", gate.log());
    let [record] = &records(&gate, "masked", 1).await[..] else { unreachable!() };
    let path = record["path"].as_str().unwrap();
    assert!(path.ends_with("/users/{id}"), "{record}");
    assert_eq!(record["tags"], json!(["region-south"]));
    assert_eq!(record["client_ip"], "127.0.0.0");
    assert_eq!(record["status"], 200);
    let [record] = &records(&gate, "numbered", 1).await[..] else { unreachable!() };
    assert!(record["path"].as_str().unwrap().ends_with("/users/{id}"), "{record}");
    assert_eq!(record["tags"], json!(["numbered"]));
    assert_eq!(metric(&gate, "sluicegate_records_unedited_total").await, 0.0);

    // Those that wait when the gate is asked to end are edited before it does.
    for number in 0..20 {
        assert_eq!(gate.get(&format!("/masked/users/{number}"), &[]).await.status, 200);
    }
    assert_eq!(gate.stop().await, Some(0));
    gate.start().await;
    for record in records(&gate, "masked", 21).await {
        assert!(record["path"].as_str().unwrap().ends_with("/users/{id}"), "{record}");
    }
}

#[tokio::test]
async fn c9_1_row_7_records_go_to_servers_of_plugins_and_are_stored_as_they_are_where_these_are_away() {
    let (upstream, dispatcher) = (Upstream::start().await, Dispatcher::start().await);
    let served = |id: &str, name: &str| {
        let mut api = keyless(id, &upstream.url(""));
        api["custom_middleware"] = json!({"driver": "grpc", "traffic_logs": {"name": name}});
        api
    };
    let gate = Gate::setup()
        .conf(json!({
            "enable_analytics": true,
            "coprocess_options": {"enable_coprocess": true, "coprocess_grpc_server": dispatcher.address()},
        }))
        .api(served("served", "records"))
        .api(served("unheard", "unheard of"))
        .start()
        .await;
    for (api, path) in [("served", "/users/{id}"), ("unheard", "/users/77")] {
        assert_eq!(gate.get(&format!("/{api}/users/77"), &[]).await.status, 200, "{}", gate.log());
        let [record] = &records(&gate, api, 1).await[..] else { unreachable!() };
        assert!(record["path"].as_str().unwrap().ends_with(path), "{record}");
    }
    assert_eq!(metric(&gate, "sluicegate_records_unedited_total").await, 1.0);
}

#[tokio::test]
async fn c11_1_records_say_which_host_answered_who_asked_and_how_much() {
    let upstream = Upstream::start().await;
    // What plugins see is under the names of the contract.
    let hook = json!({"name": "records", "code": code(
        "function records(record) { record.tags = [record.host, record.user_agent, String(record.content_length)]; }",
    )});
    let gate = Gate::setup()
        .conf(json!({"enable_jsvm": true, "enable_analytics": true}))
        .api(scripted("seen", &upstream.url(""), hook))
        .start()
        .await;
    let agent = format!("tester/{}", "x".repeat(600));
    assert_eq!(gate.get("/seen/a", &["-A", &agent, "-d", "text"]).await.status, 200, "{}", gate.log());
    let [record] = &records(&gate, "seen", 1).await[..] else { unreachable!() };
    assert_eq!((&record["host"], &record["bytes_in"]), (&json!(upstream.authority()), &json!(4)), "{record}");
    assert_eq!(record["user_agent"], agent[..512], "it is kept as far as anybody needs it");
    assert_eq!(record["tags"], json!([upstream.authority(), &agent[..512], "4"]));
}

#[tokio::test]
async fn c9_1_row_7_a_record_whose_plugin_fails_is_stored_as_it_is_and_counted() {
    let upstream = Upstream::start().await;
    let hook = |text: &str| json!({"name": "records", "code": code(text)});
    let gate = Gate::setup()
        .conf(json!({"enable_jsvm": true, "enable_analytics": true}))
        .api(scripted(
            "thrown",
            &upstream.url(""),
            hook("function records() { throw new Error('no luck'); }"),
        ))
        .api(scripted(
            "shape",
            &upstream.url(""),
            hook("function records(record) { record.ip_address = 5; }"),
        ))
        .start()
        .await;
    for api in ["thrown", "shape"] {
        for number in 0..2 {
            assert_eq!(gate.get(&format!("/{api}/users/{number}"), &[]).await.status, 200, "{}", gate.log());
        }
        for record in records(&gate, api, 2).await {
            assert_eq!(record["client_ip"], "127.0.0.1", "{record}");
        }
    }
    assert_eq!(metric(&gate, "sluicegate_records_unedited_total").await, 4.0);
    let log = gate.log();
    let told: Vec<&str> =
        log.lines().filter(|line| line.contains("not as their plugin edits them")).collect();
    assert!(told.len() == 1 && told[0].contains("no luck"), "{told:?}");
}

#[tokio::test]
async fn c9_1_row_7_a_plugin_that_hangs_delays_no_request_and_loses_no_record() {
    let upstream = Upstream::start().await;
    let hook = json!({"name": "records", "code": code("function records() { for (;;); }")});
    let mut gate = Gate::setup()
        .conf(json!({"enable_jsvm": true, "jsvm_timeout": 600, "enable_analytics": true}))
        .api(scripted("hangs", &upstream.url(""), hook))
        .start()
        .await;
    for number in 0..6 {
        let reply = gate.get(&format!("/hangs/users/{number}"), &["--max-time", "5"]).await;
        assert_eq!(reply.status, 200, "{}", gate.log());
    }
    until("all records are with the plugin", async || {
        metric(&gate, "sluicegate_records_at_plugins").await == 6.0
    })
    .await;
    // More than may wait: what has no place is stored at once.
    let request = |close: &str| format!("GET /hangs/more HTTP/1.1\r\nHost: h\r\n{close}\r\n");
    gate.raw((request("").repeat(MANY - 1) + &request("Connection: close\r\n")).as_bytes()).await;
    let (mut waiting, mut unedited) = (0.0, 0.0);
    until("all others are there", async || {
        waiting = metric(&gate, "sluicegate_records_at_plugins").await;
        unedited = metric(&gate, "sluicegate_records_unedited_total").await;
        waiting + unedited == (6 + MANY) as f64
    })
    .await;
    assert!(unedited > 0.0 && waiting >= 1024.0, "{waiting} {unedited}");
    records(&gate, "hangs", unedited as usize).await;
    assert_eq!(gate.stop().await, Some(0));
    // What is stored now has been edited by nobody.
    gate.write("apps/hangs.json", &keyless("hangs", &upstream.url("")).to_string());
    gate.start().await;
    for record in records(&gate, "hangs", 6 + MANY).await {
        assert_eq!(record["status"], 200, "{record}");
    }
}
