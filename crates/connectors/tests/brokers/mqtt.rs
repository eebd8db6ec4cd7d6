//! Input and output `mqtt` against Mosquitto.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use streams::{Egress, Message, NackReason};

use crate::ends::{Stream, build, meta, settings, text, unique, until};
use crate::servers::{Own, die_with_a_message_in_hand, numbers, port, run, write_all};

fn urls(port: u16) -> Json {
    json!([format!("tcp://127.0.0.1:{port}")])
}

fn input(port: u16, topic: &str, fields: Json) -> Json {
    let mut mqtt = json!({"urls": urls(port), "topics": [topic]});
    mqtt.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    json!({"mqtt": mqtt})
}

fn output(port: u16, topic: &str, fields: Json) -> Json {
    let mut mqtt = json!({"urls": urls(port), "topic": topic});
    mqtt.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    json!({"mqtt": mqtt})
}

/// A session that the broker keeps.
fn kept() -> Json {
    json!({"client_id": unique("client"), "clean_session": false})
}

/// A reader that is subscribed already.
async fn reading(input: Json) -> Stream {
    let reader = Stream::reading(input);
    until(|| reader.connected()).await;
    reader
}

fn publish(port: u16, arguments: &[&str], lines: &str) {
    let port = port.to_string();
    run("mosquitto_pub", &[&["-p", &port][..], arguments].concat(), lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_travel_both_ways_in_order_with_their_metadata() {
    let port = port("mosquitto");
    for (version, qos) in [("3.1.1", 0), ("3.1.1", 1), ("3.1.1", 2), ("5", 0), ("5", 1), ("5", 2)] {
        let topic = unique("trip");
        let fields = json!({"qos": qos, "protocol_version": version});
        // A broker may drop what a subscriber does not take at once at 0, and holds few handshakes of 2 at a time.
        let count = if qos == 1 { 200 } else { 15 };
        let mut reader = reading(input(port, &format!("{topic}/+"), fields.clone())).await;
        let mut fields = fields;
        fields["max_in_flight"] = json!(1);
        let writer = Stream::writing(output(port, &format!("{topic}/${{! @place }}"), fields));
        let batch: Vec<Message> = numbers(0..count)
            .into_iter()
            .map(|text| {
                let mut message = Message::new(text);
                message.set_meta("place", "here");
                message
            })
            .collect();
        writer.write(batch).await.expect("delivered");
        // A client that is not ours speaks with the same.
        publish(
            port,
            &["-t", &format!("{topic}/there"), "-q", &qos.to_string(), "-m", &count.to_string()],
            "",
        );
        let mut seen = Vec::new();
        for _ in 0..=count {
            let message = reader.batch().await.remove(0);
            seen.push(text(&message));
            let place = if text(&message) == count.to_string() { "there" } else { "here" };
            assert_eq!(meta(&message, "mqtt_topic"), format!("{topic}/{place}"));
            assert_eq!(meta(&message, "mqtt_qos"), qos.to_string());
            assert_eq!(meta(&message, "mqtt_duplicate"), "false");
            assert_eq!(meta(&message, "mqtt_retained"), "false");
            assert_eq!(meta(&message, "mqtt_message_id") == "0", qos == 0);
        }
        // Mosquitto may let one handshake of quality of service 2 pass another.
        if qos == 2 {
            seen.sort_by_key(|text| text.parse::<usize>().expect("a number"));
        }
        assert_eq!(seen, numbers(0..count + 1), "version {version}, qos {qos}");
        writer.stop().await;
        reader.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retained_is_decided_for_each_message() {
    let port = port("mosquitto");
    let topic = unique("kept");
    let fields = json!({"retained_interpolated": "${! @keep }", "retained": true});
    let writer = Stream::writing(output(port, &format!("{topic}/${{! content() }}"), fields));
    let keep = |text: &str, keep: &str| {
        let mut message = Message::new(text.to_owned());
        message.set_meta("keep", keep);
        message
    };
    writer.write(vec![keep("yes", "true"), keep("no", "false")]).await.expect("delivered");
    let failed = writer.write(vec![keep("bad", "perhaps")]).await.expect_err("neither true nor false");
    assert!(failed.text().contains("perhaps"), "{failed}");
    writer.stop().await;
    let mut reader = reading(input(port, &format!("{topic}/#"), json!({}))).await;
    let message = reader.batch().await.remove(0);
    assert_eq!((text(&message), meta(&message, "mqtt_retained")), ("yes".to_owned(), "true".to_owned()));
    assert!(reader.rest(Duration::from_millis(200)).await.is_empty());
    reader.stop().await;
    publish(port, &["-t", &format!("{topic}/yes"), "-r", "-n"], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_of_version_5_become_metadata() {
    let port = port("mosquitto");
    let topic = unique("properties");
    let mut reader = reading(input(port, &topic, json!({"protocol_version": "5"}))).await;
    let properties =
        ["-D", "publish", "user-property", "colour", "grün", "-D", "publish", "content-type", "text/x"];
    publish(port, &[&["-V", "5", "-q", "1", "-t", &topic, "-m", "a"][..], &properties].concat(), "");
    let message = reader.batch().await.remove(0);
    assert_eq!(meta(&message, "colour"), "grün");
    assert_eq!(meta(&message, "mqtt_content_type"), "text/x");
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_comes_again() {
    let port = port("mosquitto");
    let mut broker_side = kept();
    broker_side["auto_replay_nacks"] = json!(false);
    for fields in [json!({}), broker_side, json!({"auto_replay_nacks": false})] {
        let topic = unique("again");
        let mut reader = reading(input(port, &topic, fields.clone())).await;
        publish(port, &["-t", &topic, "-q", "1", "-l"], &numbers(0..5).join("\n"));
        let mut seen = Vec::new();
        while seen.iter().filter(|text| *text == "2").count() < 2 || !seen.contains(&"4".to_owned()) {
            let (batch, ack) = reader.next().await;
            seen.push(text(&batch[0]));
            let refuse =
                seen.last().is_some_and(|last| last == "2") && seen.iter().filter(|t| *t == "2").count() == 1;
            ack.done(if refuse { Err(NackReason::failed("not now")) } else { Ok(()) });
        }
        let mut all = seen.clone();
        all.sort();
        all.dedup();
        assert_eq!(all, numbers(0..5), "{fields}: {seen:?}");
        reader.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_dies_loses_nothing_of_a_kept_session() {
    let port = port("mosquitto");
    for version in ["3.1.1", "5"] {
        let topic = unique("death");
        let mut fields = kept();
        fields["protocol_version"] = json!(version);
        let config = input(port, &topic, fields);
        reading(config.clone()).await.stop().await;
        publish(port, &["-t", &topic, "-q", "1", "-l"], &numbers(0..50).join("\n"));
        let taken = tokio::task::spawn_blocking({
            let config = config.clone();
            move || die_with_a_message_in_hand(config, 10)
        });
        assert_eq!(taken.await.expect("taken"), numbers(0..10));
        let mut reader = reading(config).await;
        let mut rest = reader.rest(Duration::from_secs(2)).await;
        reader.stop().await;
        // An acknowledgement that was not sent yet when it died makes its message come once more.
        rest.sort_by_key(|text| text.parse::<usize>().expect("a number"));
        rest.dedup();
        rest.retain(|text| text.parse::<usize>().expect("a number") >= 10);
        assert_eq!(rest, numbers(10..50), "version {version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_in_good_order_loses_and_repeats_nothing() {
    let port = port("mosquitto");
    let topic = unique("order");
    let config = input(port, &topic, kept());
    let writer = Stream::writing(output(port, &topic, json!({})));
    let mut seen = Vec::new();
    reading(config.clone()).await.stop().await;
    for round in 0..3 {
        writer
            .write(numbers(round * 10..round * 10 + 10).into_iter().map(Message::new).collect())
            .await
            .expect("delivered");
        let mut reader = reading(config.clone()).await;
        seen.extend(reader.texts(10).await);
        reader.stop().await;
    }
    let mut reader = reading(config).await;
    seen.extend(reader.rest(Duration::from_secs(1)).await);
    reader.stop().await;
    writer.stop().await;
    seen.sort_by_key(|text| text.parse::<usize>().expect("a number"));
    assert_eq!(seen, numbers(0..30));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_and_comes_back_loses_nothing() {
    let own = Own::start("mosquitto");
    let topic = unique("outage");
    let mut reader = reading(input(own.port, &topic, kept())).await;
    let writer = Stream::writing(output(own.port, &topic, json!({})));
    write_all(&writer, numbers(0..10)).await;
    assert_eq!(reader.texts(10).await, numbers(0..10));
    own.stop();
    until(|| !reader.connected()).await;
    // Written while it is away: it waits.
    let waiting = writer.send(vec![Message::new("10")]);
    until(|| !writer.connected() && !writer.last_error().is_empty()).await;
    assert!(writer.last_error().contains("127.0.0.1"), "{}", writer.last_error());
    own.again();
    waiting.await.expect("an outcome").expect("delivered");
    until(|| reader.connected() && writer.connected()).await;
    write_all(&writer, numbers(11..20)).await;
    let mut seen = reader.texts(10).await;
    seen.dedup();
    assert_eq!(seen, numbers(10..20));
    own.kill();
    until(|| !reader.connected()).await;
    own.again();
    until(|| reader.connected()).await;
    write_all(&writer, vec!["end".to_owned()]).await;
    assert_eq!(reader.texts(1).await, ["end"]);
    writer.stop().await;
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_will_is_published_when_the_gate_dies() {
    let port = port("mosquitto");
    let (topic, will) = (unique("living"), unique("will"));
    let mut watcher = reading(input(port, &will, json!({}))).await;
    let dying = json!({"will": {"enabled": true, "topic": will, "payload": "gone", "qos": 1}});
    publish(port, &["-t", &topic, "-q", "1", "-r", "-m", "a"], "");
    let config = input(port, &topic, dying);
    tokio::task::spawn_blocking(move || die_with_a_message_in_hand(config, 0)).await.expect("died");
    assert_eq!(watcher.texts(1).await, ["gone"]);
    watcher.stop().await;
    publish(port, &["-t", &topic, "-r", "-n"], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_go_where_the_egress_policy_lets_them() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let place = listener.local_addr().expect("its address");
    let mut settings = settings();
    settings.egress = Arc::new(Egress { deny_private: true, ..Egress::default() });
    for (scheme, version) in [("ws", "3.1.1"), ("wss", "3.1.1"), ("ws", "5"), ("wss", "5")] {
        let config = json!({
            "urls": [format!("{scheme}://{place}/mqtt")], "topics": ["t"], "protocol_version": version,
        });
        let stream = Stream::start(json!({"input": {"mqtt": config}}), &settings);
        until(|| stream.last_error().contains("egress policy")).await;
        stream.stop().await;
    }
    let connected = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
    assert!(connected.is_err(), "{connected:?}");
}

#[test]
fn what_cannot_work_is_refused_when_it_is_read() {
    let cases = [
        (json!({"urls": ["http://a"], "topics": ["t"]}), "tcp, ssl, ws or wss"),
        (json!({"urls": ["tcp://a"], "topics": ["t"], "qos": 3}), "0, 1 or 2"),
        (json!({"urls": ["tcp://a"], "topics": ["t"], "clean_session": false}), "client_id"),
        (json!({"urls": ["tcp://a"], "topics": ["t"], "protocol_version": "4"}), "protocol_version"),
        (json!({"urls": ["tcp://a"], "topics": []}), "topics"),
        (json!({"urls": ["tcp://a"], "topics": ["t"], "will": {"enabled": true}}), "topic"),
    ];
    for (mqtt, expected) in cases {
        let faults = build(&json!({"input": {"mqtt": mqtt}, "output": {"drop": {}}}), &settings())
            .expect_err("it cannot work");
        assert!(faults.contains(expected), "{mqtt}: {faults}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_the_name_takes_no_messages_for_good() {
    let own = Own::start("mosquitto");
    let (topic, port) = (unique("taken"), own.port.to_string());
    let fields = kept();
    let id = fields["client_id"].as_str().expect("a name").to_owned();
    let mut reader = reading(input(own.port, &topic, fields)).await;
    for number in numbers(0..5) {
        // Somebody else comes with its name, whom the broker believes, and leaves.
        run("mosquitto_sub", &["-p", &port, "-i", &id, "-c", "-q", "1", "-t", &topic, "-E"], "");
        publish(own.port, &["-t", &topic, "-q", "1", "-m", &number], "");
        assert_eq!(reader.texts(1).await, [number]);
    }
    assert!(reader.connected());
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_retained_messages_and_of_topics_is_taken_in_turn() {
    let own = Own::start("mosquitto");
    let topic = unique("flood");
    let fields = json!({"retained": true});
    let writer = Stream::writing(output(own.port, &format!("{topic}/${{! content() }}"), fields));
    let all = numbers(0..1000);
    let batch: Vec<Message> = all.iter().cloned().map(Message::new).collect();
    writer.write(batch).await.expect("delivered");
    writer.stop().await;
    // All of them come at once to who asks for everything …
    let mut reader = reading(input(own.port, &format!("{topic}/#"), json!({}))).await;
    let mut seen = reader.texts(1000).await;
    seen.sort_by_key(|text| text.parse::<usize>().expect("a number"));
    assert_eq!(seen, all);
    reader.stop().await;
    // … and to who asks for each by name.
    let mut each = input(own.port, "", json!({}));
    each["mqtt"]["topics"] = all.iter().map(|name| format!("{topic}/{name}")).collect();
    let mut reader = reading(each).await;
    let mut seen = reader.texts(1000).await;
    seen.sort_by_key(|text| text.parse::<usize>().expect("a number"));
    assert_eq!(seen, all);
    reader.stop().await;
}
