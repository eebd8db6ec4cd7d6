//! Input and output `amqp_1` against RabbitMQ with its plug-in for AMQP 1.0.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use streams::{Message, NackReason};

use crate::ends::{Stream, messages, meta, text, texts, unique, until};
use crate::servers::{Own, die_with_a_message_in_hand, numbers, port, write_all};

fn with(port: u16, mut config: Json, fields: &Json) -> Json {
    let members = config.as_object_mut().expect("an object");
    members.insert("urls".into(), json!([format!("amqp://guest:guest@127.0.0.1:{port}/")]));
    members.extend(fields.as_object().expect("an object").clone());
    json!({"amqp_1": config})
}

fn input(port: u16, name: &str, fields: Json) -> Json {
    with(port, json!({"source_address": format!("/queue/{name}")}), &fields)
}

fn output(port: u16, name: &str, fields: Json) -> Json {
    with(port, json!({"target_address": format!("/queue/{name}"), "max_in_flight": 1}), &fields)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_travel_in_order_with_annotations() {
    let (port, name) = (port("rabbitmq"), unique("trip"));
    let mut reader = Stream::reading(input(port, &name, json!({"read_header": true})));
    until(|| reader.connected()).await;
    let writer = Stream::writing(output(
        port,
        &name,
        json!({"metadata": {"exclude_prefixes": ["secret_"]}, "application_properties_map": r#"root = {"kind": "test", "n": 5}"#}),
    ));
    for number in numbers(0..100) {
        let mut message = Message::new(number);
        message.set_meta("colour", "green");
        message.set_meta("secret_token", "x");
        writer.write(vec![message]).await.expect("delivered");
    }
    for number in numbers(0..100) {
        let message = reader.batch().await.remove(0);
        assert_eq!(text(&message), number);
        assert_eq!(meta(&message, "secret_token"), "(none)");
        assert!(["true", "false"].contains(&meta(&message, "amqp_durable").as_str()));
    }
    reader.stop().await;
    writer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_comes_again() {
    let (port, name) = (port("rabbitmq"), unique("again"));
    let mut reader = Stream::reading(input(port, &name, json!({"credit": 1})));
    until(|| reader.connected()).await;
    let writer = Stream::writing(output(port, &name, json!({})));
    write_all(&writer, numbers(0..3)).await;
    let (batch, ack) = reader.next().await;
    assert_eq!(texts(&batch), ["0"]);
    ack.done(Err(NackReason::failed("not now")));
    let mut rest = reader.texts(3).await;
    rest.sort();
    assert_eq!(rest, numbers(0..3));
    reader.stop().await;
    writer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_dies_loses_nothing() {
    let (port, name) = (port("rabbitmq"), unique("death"));
    let config = input(port, &name, json!({}));
    let first = Stream::reading(config.clone());
    until(|| first.connected()).await;
    first.stop().await;
    let writer = Stream::writing(output(port, &name, json!({})));
    write_all(&writer, numbers(0..30)).await;
    let dying = config.clone();
    let taken = tokio::task::spawn_blocking(move || die_with_a_message_in_hand(dying, 10)).await;
    let mut seen: BTreeSet<String> = taken.expect("taken").into_iter().collect();
    let mut reader = Stream::reading(config);
    while seen.len() < 30 {
        seen.extend(reader.texts(1).await);
    }
    reader.stop().await;
    writer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_loses_and_repeats_nothing() {
    let (port, name) = (port("rabbitmq"), unique("stop"));
    let config = input(port, &name, json!({}));
    let mut reader = Stream::reading(config.clone());
    until(|| reader.connected()).await;
    let writer = Stream::writing(output(port, &name, json!({})));
    write_all(&writer, numbers(0..40)).await;
    let mut seen = reader.texts(15).await;
    reader.stop().await;
    let mut reader = Stream::reading(config);
    seen.extend(reader.texts(25).await);
    seen.sort_by_key(|text| text.parse::<usize>().expect("a number"));
    assert_eq!(seen, numbers(0..40));
    assert!(reader.rest(std::time::Duration::from_millis(300)).await.is_empty());
    reader.stop().await;
    writer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_come_back_after_the_server_was_away() {
    let own = tokio::task::spawn_blocking(|| Own::start("rabbitmq")).await.expect("started");
    let (port, name) = (own.port, unique("back"));
    let mut reader = Stream::reading(input(port, &name, json!({})));
    until(|| reader.connected()).await;
    let writer = Stream::writing(output(port, &name, json!({})));
    write_all(&writer, numbers(0..5)).await;
    assert_eq!(reader.texts(5).await, numbers(0..5));
    let own = tokio::task::spawn_blocking(move || {
        own.stop();
        own
    });
    let own = own.await.expect("stopped");
    until(|| !reader.connected()).await;
    let late = writer.send(messages(["late"]));
    let own = tokio::task::spawn_blocking(move || {
        own.again();
        own
    });
    let own = own.await.expect("started again");
    late.await.expect("one outcome").expect("delivered");
    assert_eq!(reader.texts(1).await, ["late"]);
    reader.stop().await;
    writer.stop().await;
    tokio::task::spawn_blocking(move || drop(own)).await.expect("stopped");
}
