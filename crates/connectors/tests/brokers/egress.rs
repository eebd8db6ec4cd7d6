//! Where the egress policy does not allow it, no broker and no database is connected to.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use streams::Egress;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::ends::{Stream, settings, until};
use crate::secure::under_policy;
use crate::servers::port;

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_reached_whom_the_policy_denies() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let place = listener.local_addr().expect("its address");
    let port = place.port();
    let mut settings = settings();
    settings.egress = Arc::new(Egress { deny_private: true, ..Egress::default() });
    let redis = |name: &str, kind: &str| {
        json!({ (name): {
            "url": format!("redis://localhost:{port}"), "kind": kind, "master": "m",
            "streams": ["s"], "channels": ["c"],
        } })
    };
    let mut pubsub = redis("redis_pubsub", "simple");
    pubsub["redis_pubsub"].as_object_mut().expect("an object").remove("streams");
    let streams = |kind: &str| {
        let mut streams = redis("redis_streams", kind);
        streams["redis_streams"].as_object_mut().expect("an object").remove("channels");
        streams
    };
    for input in [
        json!({ "mqtt": { "urls": [format!("tcp://{place}")], "topics": ["t"] } }),
        json!({ "mqtt": { "urls": [format!("ssl://localhost:{port}")], "topics": ["t"], "protocol_version": "5" } }),
        json!({ "amqp_0_9": { "urls": [format!("amqp://localhost:{port}/")], "queue": "q" } }),
        json!({ "amqp_1": { "urls": [format!("amqp://{place}/")], "source_address": "q" } }),
        json!({ "nats": { "urls": [format!("nats://localhost:{port}")], "subject": "s" } }),
        json!({ "kafka": { "addresses": [format!("localhost:{port}")], "topics": ["t"], "consumer_group": "g" } }),
        json!({ "kafka_franz": { "seed_brokers": [format!("{place}")], "topics": ["t"], "consumer_group": "g" } }),
        streams("simple"),
        streams("cluster"),
        streams("failover"),
        pubsub,
        json!({ "redis_pubsub": { "url": "unix:///run/nobody.sock", "channels": ["c"] } }),
        json!({ "redis_streams": { "url": "unix:///run/nobody.sock", "streams": ["s"] } }),
        json!({ "sql_select": {
            "driver": "postgres", "dsn": format!("postgres://me@localhost:{port}/db"), "table": "t", "columns": ["*"],
        } }),
        json!({ "sql_select": {
            "driver": "mysql", "dsn": format!("me@tcp({place})/db"), "table": "t", "columns": ["*"],
        } }),
    ] {
        let stream = Stream::start(json!({ "input": input }), &settings);
        until(|| stream.last_error().contains("egress policy")).await;
        stream.stop().await;
    }
    let connected = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
    assert!(connected.is_err(), "{connected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_connected_to_at_addresses_that_the_policy_allows() {
    let (rabbit, nats) = (port("rabbitmq"), port("nats"));
    for (port, output) in [
        (
            rabbit,
            json!({"amqp_0_9": {"urls": [format!("amqp://localhost:{rabbit}/")], "exchange": "", "key": "k"}}),
        ),
        (nats, json!({"nats": {"urls": [format!("nats://localhost:{nats}")], "subject": "s"}})),
    ] {
        let writer = Stream::start(json!({"output": output}), &under_policy(port));
        until(|| writer.connected()).await;
        writer.stop().await;
    }
}

/// A sentinel that names this port as the place of every master, until it is asked by so many.
async fn sentinel(listener: tokio::net::TcpListener, port: u16) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { return };
        tokio::spawn(async move {
            let mut read = vec![0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut read).await {
                let asked = String::from_utf8_lossy(&read[..length]).to_lowercase();
                let greetings = asked.matches("setinfo").count();
                let mut answer = "+OK\r\n".repeat(greetings);
                if asked.contains("get-master-addr-by-name") {
                    let port = port.to_string();
                    answer += &format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len());
                }
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_a_sentinel_names_is_judged_before_it_is_connected_to() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let master = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let place = listener.local_addr().expect("its address");
    let port = master.local_addr().expect("its address").port();
    tokio::spawn(sentinel(listener, port));
    let mut settings = settings();
    let deny = vec![format!("*:{port}").parse().expect("a rule")];
    settings.egress = Arc::new(Egress { deny, ..Egress::default() });
    let at = json!({ "url": format!("redis://{place}"), "kind": "failover", "master": "m" });
    for (name, field) in [("redis_pubsub", "channels"), ("redis_streams", "streams")] {
        let mut fields = at.clone();
        fields[field] = json!(["a"]);
        let stream = Stream::start(json!({ "input": { (name): fields } }), &settings);
        until(|| stream.last_error().contains(&format!("egress policy denies 127.0.0.1:{port}"))).await;
        stream.stop().await;
    }
    let connected = tokio::time::timeout(Duration::ZERO, master.accept()).await;
    assert!(connected.is_err(), "{connected:?}");
}
