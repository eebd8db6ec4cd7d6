//! Targets that another server tells (contract 4.6, "Service discovery").

use std::sync::Arc;

use e2e::definition::{keyless, oas};
use e2e::{Gate, Socket, Spoken, Upstream, until};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// A server that tells what it was last given; nothing: it is out of order.
async fn telling(first: Value) -> (Spoken, Arc<Mutex<Value>>) {
    let told = Arc::new(Mutex::new(first));
    let tells = Arc::clone(&told);
    let server = Spoken::start(move |_| match &*tells.lock() {
        Value::Null => (500, String::new()),
        value => (200, value.to_string()),
    })
    .await;
    (server, told)
}

fn discovering(id: &str, fallback: &str, endpoint: &str, settings: Value) -> Value {
    let mut api = keyless(id, fallback);
    api["proxy"]["service_discovery"] = json!({"use_discovery_service": true, "query_endpoint": endpoint});
    api["proxy"]["service_discovery"].as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    api
}

async fn path(gate: &Gate, at: &str) -> String {
    let reply = gate.get(at, &[]).await;
    assert_eq!(reply.status, 200, "{at}: {reply:?}\n{}", gate.log());
    reply.json()["path"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn c4_6_rows_1_and_17_targets_are_those_that_are_told() {
    let (first, second, own) = (Upstream::start().await, Upstream::start().await, Upstream::start().await);
    let hosts = |upstream: &Upstream| {
        let (host, port) = upstream
            .authority()
            .rsplit_once(':')
            .map(|(host, port)| (host.to_owned(), port.to_owned()))
            .unwrap();
        (host, port.parse::<u16>().unwrap())
    };
    let ((host, port), (other, other_port)) = (hosts(&first), hosts(&second));
    let (list, told) =
        telling(json!({"tasks": [{"host": host, "ports": [port]}, {"host": other, "ports": [other_port]}]}))
            .await;
    let nested = json!({"hostname": format!("http://{host}"), "port": port.to_string()}).to_string();
    let (single, _) = telling(json!({"node": {"value": nested}})).await;
    let (array, _) = telling(json!([{"Address": host, "ServicePort": port}])).await;
    let (broken, _) = telling(Value::Null).await;
    let settings = json!({"use_target_list": true, "parent_data_path": "tasks", "data_path": "host", "port_data_path": "ports",
        "target_path": "/found", "cache_timeout": 1});
    let mut document = oas("o", &own.url("/own"));
    document["x-tyk-api-gateway"]["upstream"]["serviceDiscovery"] = json!({"enabled": true, "queryEndpoint": array.url("/"),
        "endpointReturnsList": true, "useTargetList": true, "dataPath": "Address", "portDataPath": "ServicePort", "targetPath": "/oas"});
    let mut balanced = discovering("list", &own.url("/own"), &list.url("/hosts?x=1"), settings);
    balanced["proxy"]["enable_load_balancing"] = json!(true);
    let gate = Gate::setup()
        .api(balanced)
        .api(discovering(
            "nested",
            &own.url("/own"),
            &single.url("/"),
            json!({"use_nested_query": true, "parent_data_path": "node.value", "data_path": "hostname", "port_data_path": "port"}),
        ))
        .api(discovering("broken", &own.url("/own"), &broken.url("/"), json!({"data_path": "x"})))
        .oas(document)
        .start()
        .await;
    for _ in 0..4 {
        assert_eq!(path(&gate, "/list/x?y=z").await, "/found/x?y=z");
    }
    assert_eq!((first.hits(), second.hits(), list.asked().len()), (2, 2, 1));
    assert!(list.asked()[0].starts_with("GET /hosts?x=1 "));
    assert_eq!(path(&gate, "/nested/x").await, "/x");
    assert_eq!(path(&gate, "/o/x").await, "/oas/x");
    assert_eq!((first.hits(), own.hits()), (4, 0));
    let mut socket = Socket::open(gate.port(), "/list/ws", &[]).await.unwrap();
    socket.send("hello").await;
    assert!(socket.next().await.is_some());
    // Where nothing was told yet, the definition's own target has it.
    assert_eq!(path(&gate, "/broken/x").await, "/own/x");
    assert!(gate.log().contains("the answer is 500, not 200"), "{}", gate.log());

    // What is told later counts later, and what is not told does not.
    *told.lock() = json!({"tasks": [{"host": other, "ports": [other_port]}]});
    until("the first one is not asked any more", async || {
        let before = first.hits();
        for _ in 0..4 {
            path(&gate, "/list/x").await;
        }
        first.hits() == before
    })
    .await;
    *told.lock() = Value::Null;
    let asked = list.asked().len();
    until("it fails to tell", async || {
        assert_eq!(path(&gate, "/list/x").await, "/found/x");
        list.asked().len() > asked + 1
    })
    .await;
    *told.lock() = json!({"tasks": []});
    let asked = list.asked().len();
    until("it tells nothing", async || {
        assert_eq!(path(&gate, "/list/x").await, "/found/x");
        list.asked().len() > asked + 1
    })
    .await;
    assert_eq!(own.hits(), 1);
}

#[tokio::test]
async fn c2_3_row_7_who_wants_no_cache_asks_each_time() {
    let upstream = Upstream::start().await;
    let (server, told) = telling(json!({"at": upstream.url("/1")})).await;
    let settings = json!({"data_path": "at", "cache_disabled": true});
    let gate =
        Gate::setup().api(discovering("a", "http://127.0.0.1:1/", &server.url("/"), settings)).start().await;
    assert_eq!(path(&gate, "/a/x").await, "/1/x");
    *told.lock() = json!({"at": upstream.url("/2")});
    assert_eq!(path(&gate, "/a/x").await, "/2/x");
    assert_eq!(server.asked().len(), 2);
}
