//! Inputs whose brokers keep nothing of what they have sent: what that means at a stop, a failure and an outage.

use async_nats::jetstream::{self, consumer::AckPolicy, consumer::pull};
use serde_json::{Value as Json, json};
use streams::{Message, NackReason};

use crate::ends::{Stream, settings, unique, until};
use crate::nats::client;
use crate::servers::{Own, numbers, port, write_all};

/// Stops a stream that has taken one of so many messages, and what had not been taken then. `writer` has them confirmed.
async fn stopped_behind(input: Json, output: Json, count: usize) -> Vec<String> {
    let kind = input.to_string();
    let mut reader = Stream::reading_slowly(input, &settings());
    until(|| reader.connected()).await;
    let writer = Stream::writing(output);
    writer.write(vec![Message::new("first")]).await.expect("delivered");
    let (batch, first) = reader.next().await;
    assert_eq!(&**batch[0].bytes(), b"first", "{kind}");
    write_all(&writer, numbers(0..count)).await;
    writer.stop().await;
    first.done(Ok(()));
    reader.stop_taking().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nats_has_sent_is_delivered_when_the_stream_stops() {
    let urls = json!([format!("nats://127.0.0.1:{}", port("nats"))]);
    for queue in ["", "group"] {
        let subject = unique("stop");
        let input = json!({"nats": {"urls": urls, "subject": subject, "queue": queue}});
        let output = json!({"nats": {"urls": urls, "subject": subject, "max_in_flight": 1}});
        assert_eq!(stopped_behind(input, output, 300).await, numbers(0..300), "{queue}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_has_published_is_delivered_when_the_stream_stops() {
    let url = format!("redis://127.0.0.1:{}", port("redis"));
    for patterns in [false, true] {
        let channel = unique("stop");
        let input = json!({"redis_pubsub": {"url": url, "channels": [channel], "use_patterns": patterns}});
        let output = json!({"redis_pubsub": {"url": url, "channel": channel, "max_in_flight": 1}});
        assert_eq!(stopped_behind(input, output, 300).await, numbers(0..300), "{patterns}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_mqtt_broker_has_sent_is_delivered_when_the_stream_stops() {
    let urls = json!([format!("tcp://127.0.0.1:{}", port("mosquitto"))]);
    for (version, qos, kept) in [("3.1.1", 0, false), ("3.1.1", 1, false), ("5", 0, false), ("5", 0, true)] {
        let topic = unique("stop");
        let mut input = json!({
            "urls": urls, "topics": [topic], "qos": qos, "protocol_version": version, "clean_session": !kept,
        });
        input["client_id"] = json!(unique("client"));
        let output =
            json!({"urls": urls, "topic": topic, "qos": 1, "protocol_version": version, "max_in_flight": 1});
        // As many as this broker sends without an acknowledgement.
        let (input, output) = (json!({"mqtt": input}), json!({"mqtt": output}));
        let left = stopped_behind(input, output, 15).await;
        assert_eq!(left, numbers(0..15), "{version} {qos} {kept}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_amqp_broker_has_forgotten_is_delivered_when_the_stream_stops() {
    let urls = json!([format!("amqp://guest:guest@127.0.0.1:{}/", port("rabbitmq"))]);
    let queue = unique("stop");
    let input = json!({"amqp_0_9": {
        "urls": urls, "queue": queue, "auto_ack": true, "queue_declare": {"enabled": true, "durable": false},
    }});
    let output = json!({"amqp_0_9": {"urls": urls, "exchange": "", "key": queue, "max_in_flight": 1}});
    assert_eq!(stopped_behind(input, output, 300).await, numbers(0..300));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_consumer_without_acknowledgements_has_sent_is_delivered_when_the_stream_stops() {
    let port = port("nats");
    let (name, urls) = (unique("stop"), json!([format!("nats://127.0.0.1:{port}")]));
    let context = jetstream::new(client(port).await);
    let config =
        jetstream::stream::Config { name: name.clone(), subjects: vec![name.clone()], ..Default::default() };
    let stream = context.create_stream(config).await.expect("a stream");
    let config =
        pull::Config { durable_name: Some(name.clone()), ack_policy: AckPolicy::None, ..Default::default() };
    stream.create_consumer(config).await.expect("a consumer");
    let input = json!({"nats_jetstream": {"urls": urls, "stream": name, "durable": name, "bind": true}});
    let output = json!({"nats_jetstream": {"urls": urls, "subject": name, "max_in_flight": 1}});
    // Fewer than it sends ahead: the server has sent all of them when it has stored the last.
    assert_eq!(stopped_behind(input, output, 100).await, numbers(0..100));
    context.delete_stream(&name).await.expect("deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_kept_here_and_comes_again() {
    let subject = unique("again");
    let nats = json!([format!("nats://127.0.0.1:{}", port("nats"))]);
    let redis = format!("redis://127.0.0.1:{}", port("redis"));
    for (input, output) in [
        (
            json!({"nats": {"urls": nats, "subject": subject}}),
            json!({"nats": {"urls": nats, "subject": subject}}),
        ),
        (
            json!({"redis_pubsub": {"url": redis, "channels": [subject]}}),
            json!({"redis_pubsub": {"url": redis, "channel": subject}}),
        ),
    ] {
        let mut reader = Stream::reading(input);
        until(|| reader.connected()).await;
        let writer = Stream::writing(output);
        write_all(&writer, numbers(0..3)).await;
        let (batch, ack) = reader.next().await;
        assert_eq!(&**batch[0].bytes(), b"0");
        ack.done(Err(NackReason::failed("not now")));
        let mut seen = reader.texts(3).await;
        seen.sort();
        assert_eq!(seen, numbers(0..3));
        reader.stop().await;
        writer.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_goes_and_comes_back_is_heard_again() {
    let own = tokio::task::spawn_blocking(|| Own::start("redis")).await.expect("started");
    let url = format!("redis://127.0.0.1:{}", own.port);
    let mut reader = Stream::reading(json!({"redis_pubsub": {"url": url, "channels": ["c"]}}));
    until(|| reader.connected()).await;
    let writer = Stream::writing(json!({"redis_pubsub": {"url": url, "channel": "c", "max_in_flight": 1}}));
    write_all(&writer, numbers(0..5)).await;
    assert_eq!(reader.texts(5).await, numbers(0..5));
    let own = tokio::task::spawn_blocking(move || {
        own.stop();
        own
    });
    let own = own.await.expect("stopped");
    until(|| !reader.connected()).await;
    let own = tokio::task::spawn_blocking(move || {
        own.again();
        own
    });
    let own = own.await.expect("started again");
    until(|| reader.connected()).await;
    write_all(&writer, numbers(5..10)).await;
    assert_eq!(reader.texts(5).await, numbers(5..10));
    reader.stop().await;
    writer.stop().await;
    tokio::task::spawn_blocking(move || drop(own)).await.expect("stopped");
}
