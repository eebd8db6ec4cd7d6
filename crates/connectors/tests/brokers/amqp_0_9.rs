//! Input and output `amqp_0_9` against RabbitMQ.

use std::time::Duration;

use serde_json::{Value as Json, json};
use streams::{Message, NackReason};

use crate::ends::{Stream, meta, text, unique, until};
use crate::servers::{Own, die_with_a_message_in_hand, numbers, port, write_all};

fn with(mut config: Json, fields: &Json) -> Json {
    config.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    json!({"amqp_0_9": config})
}

fn urls(port: u16) -> Json {
    json!([format!("amqp://guest:guest@127.0.0.1:{port}/")])
}

/// Reads a queue that is bound to an exchange of the same name.
fn input(port: u16, name: &str, fields: Json) -> Json {
    let config = json!({
        "urls": urls(port), "queue": name, "queue_declare": {"enabled": true},
        "bindings_declare": [{"exchange": name, "key": "k"}],
    });
    with(config, &fields)
}

fn output(port: u16, name: &str, fields: Json) -> Json {
    let config = json!({
        "urls": urls(port), "exchange": name, "exchange_declare": {"enabled": true}, "key": "k", "persistent": true,
    });
    with(config, &fields)
}

/// Both ends, the exchange and the queue declared.
async fn both(port: u16, name: &str, of_input: Json, of_output: Json) -> (Stream, Stream) {
    let writer = Stream::writing(output(port, name, of_output));
    // Declares the exchange; nothing is bound to it yet.
    writer.write(vec![Message::new("lost")]).await.expect("confirmed");
    let reader = Stream::reading(input(port, name, of_input));
    until(|| reader.connected()).await;
    (writer, reader)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_travel_in_order_with_properties_and_headers() {
    let name = unique("trip");
    let fields = json!({
        "type": "t", "correlation_id": "c-${! content() }", "priority": "3", "content_type": "text/plain",
        "max_in_flight": 1, "metadata": {"exclude_prefixes": ["secret_"]},
    });
    let (writer, mut reader) = both(port("rabbitmq"), &name, json!({}), fields).await;
    for number in numbers(0..100) {
        let mut message = Message::new(number);
        message.set_meta("my_colour", "grün");
        message.set_meta("secret_token", "x");
        writer.write(vec![message]).await.expect("delivered");
    }
    for number in 0..100 {
        let message = reader.batch().await.remove(0);
        assert_eq!(text(&message), number.to_string());
        for (key, value) in [
            ("my_colour", "grün"),
            ("secret_token", "(none)"),
            ("amqp_content_type", "text/plain"),
            ("amqp_correlation_id", &format!("c-{number}")),
            ("amqp_priority", "3"),
            ("amqp_type", "t"),
            ("amqp_delivery_mode", "2"),
            ("amqp_exchange", &name),
            ("amqp_routing_key", "k"),
            ("amqp_redelivered", "false"),
            ("amqp_app_id", "(none)"),
        ] {
            assert_eq!(meta(&message, key), value, "{key}");
        }
    }
    writer.stop().await;
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_says_nothing_does_not_keep_from_the_next_one() {
    // Takes connections, never a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = silent.local_addr().expect("bound").port();
    let name = unique("silent");
    let both = json!([urls(silent)[0], urls(port("rabbitmq"))[0]]);
    let writer = Stream::writing(output(port("rabbitmq"), &name, json!({"urls": both.clone()})));
    let reader =
        Stream::reading(input(port("rabbitmq"), &name, json!({"urls": both, "bindings_declare": []})));
    tokio::time::timeout(Duration::from_secs(25), async {
        writer.write(vec![Message::new("a")]).await.expect("confirmed");
        until(|| reader.connected()).await;
    })
    .await
    .expect("the next broker is tried in time");
    writer.stop().await;
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_comes_again_unless_its_error_says_otherwise() {
    let name = unique("again");
    let fields = json!({"nack_reject_patterns": ["^poison"], "prefetch_count": 1});
    let (writer, mut reader) = both(port("rabbitmq"), &name, fields, json!({})).await;
    write_all(&writer, numbers(0..3)).await;
    for (expected, again, outcome) in [
        ("0", "false", Err("not now")),
        ("0", "true", Ok(())),
        ("1", "false", Err("poison")),
        ("2", "false", Ok(())),
    ] {
        let (batch, ack) = reader.next().await;
        assert_eq!(
            (text(&batch[0]).as_str(), meta(&batch[0], "amqp_redelivered").as_str()),
            (expected, again)
        );
        ack.done(outcome.map_err(NackReason::failed));
    }
    assert!(reader.rest(Duration::from_millis(300)).await.is_empty());
    writer.stop().await;
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_queue_takes_fails_when_it_must_be_taken() {
    let name = unique("nobody");
    let writer = Stream::writing(output(port("rabbitmq"), &name, json!({"mandatory": true})));
    let reason = writer.write(vec![Message::new("a")]).await.expect_err("nobody takes it");
    assert!(reason.text().contains("NO_ROUTE"), "{reason}");
    writer.stop().await;
    // An exchange that is not there fails the message, not the stream.
    let fields =
        json!({"exchange_declare": {"enabled": false}, "exchange": format!("${{! @to.or(\"{name}\") }}")});
    let writer = Stream::writing(output(port("rabbitmq"), &name, fields));
    let mut lost = Message::new("a");
    lost.set_meta("to", unique("absent"));
    let reason = writer.write(vec![lost]).await.expect_err("there is no such exchange");
    assert!(reason.text().contains("NOT_FOUND"), "{reason}");
    writer.write(vec![Message::new("b")]).await.expect("the next one is delivered");
    writer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_dies_loses_nothing() {
    let port = port("rabbitmq");
    let name = unique("death");
    let (writer, reader) = both(port, &name, json!({}), json!({})).await;
    reader.stop().await;
    write_all(&writer, numbers(0..30)).await;
    let config = input(port, &name, json!({}));
    let dying = {
        let config = config.clone();
        tokio::task::spawn_blocking(move || die_with_a_message_in_hand(config, 10))
    };
    assert_eq!(dying.await.expect("taken"), numbers(0..10));
    let mut reader = Stream::reading(config);
    let mut seen = Vec::new();
    while !seen.contains(&"29".to_owned()) {
        seen.extend(reader.texts(1).await);
    }
    seen.extend(reader.rest(Duration::from_secs(1)).await);
    seen.retain(|text| text.parse::<usize>().expect("a number") >= 10);
    seen.sort_by_key(|text| text.parse::<usize>().expect("a number"));
    seen.dedup();
    assert_eq!(seen, numbers(10..30));
    reader.stop().await;
    writer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_loses_and_repeats_nothing() {
    let (port, name) = (port("rabbitmq"), unique("stop"));
    let (writer, mut reader) = both(port, &name, json!({}), json!({})).await;
    write_all(&writer, numbers(0..40)).await;
    let mut seen = reader.texts(15).await;
    // With messages that the broker has sent ahead, and one that fails only after the stop has begun.
    let held = reader.next().await;
    reader.stop_before_failing().await;
    drop(held);
    let mut reader = Stream::reading(input(port, &name, json!({})));
    seen.extend(reader.texts(25).await);
    seen.sort_by_key(|text| text.parse::<usize>().expect("a number"));
    assert_eq!(seen, numbers(0..40));
    assert!(reader.rest(Duration::from_millis(300)).await.is_empty());
    reader.stop().await;
    writer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_and_comes_back_loses_nothing() {
    let own = Own::start("rabbitmq");
    let name = unique("outage");
    let (writer, mut reader) = both(own.port, &name, json!({}), json!({})).await;
    write_all(&writer, numbers(0..10)).await;
    assert_eq!(reader.texts(10).await, numbers(0..10));
    own.stop();
    until(|| !reader.connected()).await;
    let waiting = writer.send(vec![Message::new("10")]);
    until(|| !writer.connected()).await;
    own.again();
    waiting.await.expect("an outcome").expect("delivered");
    until(|| reader.connected() && writer.connected()).await;
    write_all(&writer, numbers(11..20)).await;
    let mut seen = reader.texts(10).await;
    seen.dedup();
    assert_eq!(seen, numbers(10..20));
    writer.stop().await;
    reader.stop().await;
}
