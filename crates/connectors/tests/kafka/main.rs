//! The kafka input and output against a real Apache Kafka (`scripts/services up kafka`).

#![expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise, and may block"
)]

#[path = "../ends/mod.rs"]
mod ends;
mod franz;
mod harness;
mod kill;
mod secure;
mod transactions;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ends::{Stream, unique, until};
use harness::{OwnBroker, Reader, Writer, broker, build, create_topic, kcat, meta, text};
use serde_json::json;
use streams::{Egress, Message, NackReason};

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort_by_key(|text| text.parse::<usize>().expect("a number"));
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_read_with_key_headers_and_metadata() {
    let topic = unique("trip");
    create_topic(broker(), &topic, 1).await;
    let writer = Writer::start(
        broker(),
        "${! @to }",
        json!({
            "key": "k-${! json(\"id\") }", "static_headers": {"source": "gate"}, "compression": "zstd",
            "metadata": {"exclude_prefixes": ["secret_", "to"]}, "ack_replicas": true, "idempotent_write": true,
        }),
    );
    let mut message = Message::new(r#"{"id":7}"#);
    message.set_meta("to", topic.as_str());
    message.set_meta("colour", "grün");
    message.set_meta("secret_token", "x");
    writer.write(vec![message]).await.expect("delivered");

    // A client that is not ours sees the same.
    let seen = kcat(&["-C", "-b", broker(), "-t", &topic, "-c", "1", "-q", "-f", "%k|%s|%h|%p"], "");
    assert_eq!(seen, r#"k-7|{"id":7}|source=gate,colour=grün|0"#);

    kcat(
        &["-P", "-b", broker(), "-t", &topic, "-p", "0", "-H", "a=1", "-H", "a=2", "-K", ":", "-Z"],
        "theirs:\n",
    );
    let mut reader =
        Reader::start(broker(), &[&topic], json!({"consumer_group": unique("g"), "multi_header": true}));
    let first = reader.take().await;
    assert_eq!(text(&first), r#"{"id":7}"#);
    for (name, value) in [
        ("kafka_key", "k-7"),
        ("kafka_topic", topic.as_str()),
        ("kafka_partition", "0"),
        ("kafka_offset", "0"),
        ("kafka_tombstone_message", "false"),
        ("source", r#"["gate"]"#),
        ("colour", r#"["grün"]"#),
    ] {
        assert_eq!(meta(&first, name), value, "{name}");
    }
    let seconds: u64 = meta(&first, "kafka_timestamp_unix").parse().expect("seconds");
    let millis: u64 = meta(&first, "kafka_timestamp_unix_ms").parse().expect("milliseconds");
    assert_eq!(seconds, millis / 1000);
    let second = reader.take().await;
    assert_eq!((text(&second), meta(&second, "kafka_key")), (String::new(), "theirs".to_owned()));
    assert_eq!(meta(&second, "kafka_tombstone_message"), "true");
    assert_eq!(meta(&second, "a"), r#"["1","2"]"#);
    reader.stop().await;
    writer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_bytes() {
    let topic = unique("binary");
    create_topic(broker(), &topic, 1).await;
    let key = vec![0, 0xFF, 0xFE, b'k', 0x80];
    let fields = json!({"key": "${! content() }"});
    for writer in [Writer::start(broker(), &topic, fields.clone()), Writer::franz(broker(), &topic, fields)] {
        writer.write(vec![Message::new(key.clone())]).await.expect("delivered");
        writer.stop().await;
    }
    let mut reader = Reader::start(broker(), &[&topic], json!({"consumer_group": unique("g")}));
    for _ in 0..2 {
        let message = reader.take().await;
        let read = message.meta("kafka_key").expect("a key");
        assert!(matches!(read, bloblang::Value::Bytes(bytes) if bytes[..] == key[..]), "{read:?}");
    }
    reader.stop().await;
}

/// FNV-1a, 32 bits, as the partitioner of that name in the original uses it: signed, the sign dropped.
fn fnv1a(key: &str, partitions: i32) -> i32 {
    let hash =
        key.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash.cast_signed() % partitions).abs()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_partitioner_is_that_of_the_original() {
    let topic = unique("parts");
    create_topic(broker(), &topic, 5).await;
    let writer = Writer::start(broker(), &topic, json!({"key": "${! content() }"}));
    writer.write(numbers(0..20).into_iter().map(Message::new).collect()).await.expect("delivered");
    writer.stop().await;
    let mut reader = Reader::start(broker(), &[&format!("{topic}:0-4")], json!({}));
    for _ in 0..20 {
        let message = reader.take().await;
        assert_eq!(
            meta(&message, "kafka_partition"),
            fnv1a(&text(&message), 5).to_string(),
            "{}",
            text(&message)
        );
    }
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn manual_and_round_robin_partitions() {
    for (fields, expected) in [
        (json!({"partitioner": "manual", "partition": "${! content().number() % 2 }"}), [3, 3, 0]),
        (json!({"partitioner": "round_robin"}), [2, 2, 2]),
    ] {
        let topic = unique("turns");
        create_topic(broker(), &topic, 3).await;
        let writer = Writer::start(broker(), &topic, fields);
        writer.write(numbers(0..6).into_iter().map(Message::new).collect()).await.expect("delivered");
        writer.stop().await;
        let mut reader = Reader::start(broker(), &[&format!("{topic}:0-2")], json!({}));
        let mut counts = [0; 3];
        for _ in 0..6 {
            counts[meta(&reader.take().await, "kafka_partition").parse::<usize>().expect("a number")] += 1;
        }
        assert_eq!(counts, expected);
        reader.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_acknowledged_comes_again_and_nothing_else_does() {
    let (topic, group) = (unique("again"), unique("g"));
    create_topic(broker(), &topic, 1).await;
    kcat(&["-P", "-b", broker(), "-t", &topic], &numbers(0..10).join("\n"));
    let fields = json!({"consumer_group": group, "checkpoint_limit": 100});
    let mut reader = Reader::start(broker(), &[&topic], fields.clone());
    let mut held = Vec::new();
    for number in 0..10 {
        let (batch, ack) = reader.next().await;
        assert_eq!(text(&batch[0]), number.to_string());
        // 3 is never acknowledged, 4 to 9 are, before the others.
        if number == 3 { held.push(ack) } else { ack.done(Ok(())) }
    }
    // Dropped without a stop, as when the process dies with the message in its hands; then stopped in good order.
    drop(reader);
    let mut reader = Reader::start(broker(), &[&topic], fields.clone());
    assert_eq!(reader.texts(7).await, numbers(3..10));
    reader.stop().await;
    kcat(&["-P", "-b", broker(), "-t", &topic], "10");
    let mut reader = Reader::start(broker(), &[&topic], fields);
    assert_eq!(reader.texts(1).await, ["10"]);
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_is_read_again_not_skipped() {
    let topic = unique("refused");
    create_topic(broker(), &topic, 1).await;
    kcat(&["-P", "-b", broker(), "-t", &topic], &numbers(0..5).join("\n"));
    let fields = json!({"consumer_group": unique("g"), "auto_replay_nacks": false, "checkpoint_limit": 100});
    let mut reader = Reader::start(broker(), &[&topic], fields);
    let mut seen = Vec::new();
    let mut refused = false;
    while seen.last().is_none_or(|last| last != "4") || seen.iter().filter(|text| *text == "2").count() < 2 {
        let (batch, ack) = reader.next().await;
        seen.push(text(&batch[0]));
        if seen.last().is_some_and(|last| last == "2") && !refused {
            refused = true;
            ack.done(Err(NackReason::failed("not now")));
        } else {
            ack.done(Ok(()));
        }
    }
    // Everything from the refused one on comes again, in order.
    let again = seen.iter().rposition(|text| text == "2").expect("read again");
    assert_eq!(seen[again..], ["2", "3", "4"]);
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebalance_loses_nothing() {
    let (topic, group) = (unique("rebalance"), unique("g"));
    create_topic(broker(), &topic, 6).await;
    let fields =
        json!({"consumer_group": group, "group": {"session_timeout": "6s", "heartbeat_interval": "500ms"}});
    let writer = Writer::start(broker(), &topic, json!({"key": "${! content() }"}));
    let send =
        |range: std::ops::Range<usize>| writer.write(numbers(range).into_iter().map(Message::new).collect());
    let mut seen = BTreeSet::new();
    let mut take = |texts: Vec<String>| {
        seen.extend(texts.into_iter().map(|text| text.parse::<usize>().expect("a number")))
    };

    let mut one = Reader::start(broker(), &[&topic], fields.clone());
    send(0..500).await.expect("delivered");
    take(one.texts(500).await);
    let mut two = Reader::start(broker(), &[&topic], fields);
    // Messages flow through the whole rebalance; it is over when the second consumer has some.
    let mut next = 500;
    loop {
        send(next..next + 100).await.expect("delivered");
        next += 100;
        let quiet = Duration::from_millis(100);
        take(one.rest(quiet).await);
        let theirs = two.rest(quiet).await;
        let over = !theirs.is_empty();
        take(theirs);
        if over {
            break;
        }
        assert!(next < 100_000, "the second consumer never got a partition");
    }
    send(next..next + 500).await.expect("delivered");
    next += 500;
    take(one.rest(Duration::from_secs(1)).await);
    // The first leaves; the second gets all.
    one.stop().await;
    send(next..next + 500).await.expect("delivered");
    next += 500;
    take(two.rest(Duration::from_secs(8)).await);
    two.stop().await;
    writer.stop().await;
    let missing: Vec<_> = (0..next).filter(|number| !seen.contains(number)).collect();
    assert!(missing.is_empty(), "lost of {next}: {missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn explicit_partitions_need_no_group() {
    let topic = unique("explicit");
    create_topic(broker(), &topic, 3).await;
    for partition in ["0", "1", "2"] {
        kcat(&["-P", "-b", broker(), "-t", &topic, "-p", partition], &format!("{partition}\n1{partition}"));
    }
    for _ in 0..2 {
        let mut reader = Reader::start(broker(), &[&format!("{topic}:1-2")], json!({}));
        assert_eq!(sorted(reader.texts(4).await), ["1", "2", "11", "12"], "nothing is stored between runs");
        reader.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_gathered_by_partition() {
    let topic = unique("batches");
    create_topic(broker(), &topic, 2).await;
    let fields = json!({"consumer_group": unique("g"), "batching": {"count": 4, "period": "1s"}});
    for partition in ["0", "1"] {
        kcat(&["-P", "-b", broker(), "-t", &topic, "-p", partition], &numbers(0..6).join("\n"));
    }
    let mut reader = Reader::start(broker(), &[&topic], fields);
    let mut batches = Vec::new();
    for _ in 0..4 {
        let (batch, ack) = reader.next().await;
        ack.done(Ok(()));
        let partitions: BTreeSet<_> = batch.iter().map(|message| meta(message, "kafka_partition")).collect();
        assert_eq!(partitions.len(), 1);
        batches.push(batch.iter().map(text).collect::<Vec<_>>().join(""));
    }
    batches.sort();
    assert_eq!(batches, ["0123", "0123", "45", "45"]);
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_at_a_time_when_the_limit_says_so() {
    let topic = unique("limit");
    create_topic(broker(), &topic, 1).await;
    kcat(&["-P", "-b", broker(), "-t", &topic], &numbers(0..2000).join("\n"));
    let fields = json!({"consumer_group": unique("g"), "checkpoint_limit": 1});
    let mut reader = Reader::start(broker(), &[&topic], fields);
    let (first, ack) = reader.next().await;
    assert_eq!(text(&first[0]), "0");
    assert!(reader.rest(Duration::from_millis(300)).await.is_empty(), "the first is still on its way");
    ack.done(Ok(()));
    assert_eq!(reader.texts(1999).await, numbers(1..2000));
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_message_fails_alone() {
    let topic = unique("large");
    create_topic(broker(), &topic, 1).await;
    let writer = Writer::start(
        broker(),
        &topic,
        json!({"max_msg_bytes": 2000, "partitioner": "manual", "partition": "${! @p }"}),
    );
    let message = |text: &str, partition: &str| {
        let mut message = Message::new(text.to_owned());
        message.set_meta("p", partition);
        message
    };
    let outcome = writer
        .write(vec![
            message("a", "0"),
            message(&"x".repeat(3000), "0"),
            message("b", "0"),
            message("c", "none"),
        ])
        .await;
    let reason = outcome.expect_err("two of them cannot be delivered");
    assert!(reason.text().contains("size"), "{reason}");
    let mut reader = Reader::start(broker(), &[&format!("{topic}:0")], json!({}));
    assert_eq!(reader.texts(2).await, ["a", "b"]);
    reader.stop().await;
    writer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_created_as_configured() {
    let topic = unique("made");
    let creation = json!({"custom_topic_creation": {"enabled": true, "partitions": 3}});
    let writer = Writer::start(broker(), &topic, creation);
    writer.write(vec![Message::new("a")]).await.expect("delivered");
    writer.stop().await;
    assert!(kcat(&["-L", "-b", broker(), "-t", &topic], "").contains("with 3 partitions"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_loses_nothing_acknowledged() {
    let own = OwnBroker::start();
    let topic = unique("outage");
    create_topic(&own.address, &topic, 2).await;
    let writer = Writer::start(&own.address, &topic, json!({"timeout": "1s", "key": "${! content() }"}));
    // The restarted broker waits for the members it remembers until their sessions end.
    let group = json!({"session_timeout": "2s", "heartbeat_interval": "500ms"});
    let mut reader =
        Reader::start(&own.address, &[&topic], json!({"consumer_group": unique("g"), "group": group}));
    writer.write(vec![Message::new("0")]).await.expect("delivered");
    assert_eq!(reader.texts(1).await, ["0"]);
    assert!(reader.connected() && writer.connected());

    own.kill();
    let mut during = writer.send(numbers(1..50).into_iter().map(Message::new).collect());
    // Both sides say so, and nothing is acknowledged meanwhile.
    let said = async {
        while reader.connected() || writer.connected() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(harness::PATIENCE, said).await.expect("the lost connection is seen");
    assert!(during.try_recv().is_err(), "a broker that is away acknowledges nothing");

    own.restart();
    tokio::time::timeout(harness::PATIENCE, during)
        .await
        .expect("in time")
        .expect("an outcome")
        .expect("delivered");
    // Whatever was read and not yet committed when the broker died may come again.
    let mut seen = BTreeSet::new();
    while !numbers(1..50).iter().all(|number| seen.contains(number)) {
        seen.extend(reader.texts(1).await);
    }
    reader.stop().await;
    writer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_broker_is_told_and_left() {
    // Port 1 is privileged and unused: connections are refused at once.
    let nowhere = "127.0.0.1:1";
    let reader = Reader::start(nowhere, &["t"], json!({"consumer_group": "g"}));
    let writer = Writer::start(nowhere, "t", json!({"timeout": "500ms"}));
    let mut outcome = writer.send(vec![Message::new("a")]);
    let told = async {
        while !(reader.last_error().contains("refused") && writer.last_error().contains("refused")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(harness::PATIENCE, told).await.expect("both say why they are not connected");
    assert!(!reader.connected() && !writer.connected());
    assert!(outcome.try_recv().is_err(), "nothing is acknowledged");
    let start = std::time::Instant::now();
    reader.stop().await;
    assert!(start.elapsed() < Duration::from_secs(15), "closing does not wait for the broker");
    drop(writer);
    assert!(outcome.await.expect("an outcome").is_err(), "what could not be delivered is refused at the end");
}

#[test]
fn what_cannot_work_is_refused_when_it_is_built() {
    let input = |fields: serde_json::Value| json!({"input": {"kafka": fields}, "output": {"drop": {}}});
    let output = |fields: serde_json::Value| json!({"input": {"generate": {"mapping": "root = {}"}}, "output": {"kafka": fields}});
    for (config, expected) in [
        (input(json!({"topics": ["a"]})), "addresses"),
        (input(json!({"addresses": ["b:1"], "topics": ["a"]})), "/input/kafka/consumer_group"),
        (
            input(json!({"addresses": ["b:1"], "topics": ["a", "b:0"], "consumer_group": "g"})),
            "/input/kafka/topics",
        ),
        (
            input(
                json!({"addresses": ["b:1"], "topics": ["a"], "consumer_group": "g", "checkpoint_limit": 0}),
            ),
            "checkpoint_limit",
        ),
        (
            input(json!({"addresses": ["b:1"], "topics": ["a:0"], "sasl": {"mechanism": "AWS_MSK_IAM"}})),
            "mechanism",
        ),
        (
            input(json!({"addresses": ["b:1"], "topics": ["a:0"], "sasl": {"mechanism": "PLAIN"}})),
            "/input/kafka/sasl/user",
        ),
        (input(json!({"addresses": ["b:1"], "topics": ["a:0"], "consumer_grup": "g"})), "consumer_grup"),
        (
            input(json!({"addresses": ["b:1"], "topics": ["a:0:7"], "consumer_group": "g"})),
            "/input/kafka/topics",
        ),
        (
            input(
                json!({"addresses": ["b:1"], "topics": ["a"], "consumer_group": "g", "group": {"balancers": ["sticky"]}}),
            ),
            "/input/kafka/group/balancers",
        ),
        (
            output(json!({"addresses": ["b:1"], "topic": "t", "partitioner": "manual"})),
            "/output/kafka/partition",
        ),
        (output(json!({"addresses": ["b:1"], "topic": "t", "partition": "1"})), "/output/kafka/partition"),
        (output(json!({"addresses": ["b:1"], "topic": "${! nonsense( }"})), "/output/kafka/topic"),
        (output(json!({"addresses": [], "topic": "t"})), "/output/kafka/addresses"),
    ] {
        let faults = build(&config).err().unwrap_or_else(|| panic!("{config} must be refused"));
        assert!(faults.contains(expected), "{config}: {faults}");
    }
    let all = json!({
        "addresses": ["b:1,c:2"], "topics": ["a"], "consumer_group": "g", "target_version": "2.1.0", "rack_id": "r",
        "max_processing_period": "1s", "fetch_buffer_cap": 1, "debug": true, "transaction_isolation_level": "read_committed",
        "tls": {"enabled": true, "skip_cert_verify": true}, "sasl": {"mechanism": "SCRAM-SHA-512", "user": "u", "password": "p"},
    });
    let built = build(&input(all)).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(built.warnings.len(), 3, "{:?}", built.warnings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_names_a_denied_one_is_not_followed() {
    let advertised =
        |port: u16, _: &std::path::Path| format!("advertised.listeners=PLAINTEXT://127.0.0.2:{port}\n");
    let own = OwnBroker::with(advertised, "");
    let place = format!("127.0.0.1:{}", own.port);
    let mut settings = ends::settings();
    let allow = vec![format!("127.0.0.1:{}", own.port).parse().expect("a rule")];
    settings.egress = Arc::new(Egress { allow, deny_private: true, ..Egress::default() });
    let denied = format!("egress policy does not allow 127.0.0.2:{}", own.port);
    for config in [
        json!({"input": {"kafka": {"addresses": [place], "topics": ["t"], "consumer_group": "g"}}}),
        json!({"output": {"kafka": {"addresses": [place], "topic": "t"}}}),
        json!({"output": {"kafka_franz": {"seed_brokers": [place], "topic": "t"}}}),
    ] {
        let stream = Stream::start(config, &settings);
        until(|| stream.last_error().contains(&denied)).await;
        assert!(!stream.connected());
        stream.stop().await;
    }
}

/// Leaves it to the broker that a group has read so far, whatever there is.
async fn commit(topic: &str, group: &str, offset: i64) {
    let (topic, group) = (topic.to_owned(), group.to_owned());
    let committed = tokio::task::spawn_blocking(move || {
        use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
        let mut config = rdkafka::ClientConfig::new();
        config.set("bootstrap.servers", broker()).set("group.id", &group);
        let consumer: BaseConsumer = config.create()?;
        let mut list = rdkafka::TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, rdkafka::Offset::Offset(offset))?;
        consumer.commit(&list, CommitMode::Sync)
    });
    committed.await.expect("no panic").expect("committed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_that_the_log_does_not_have_begins_where_a_new_group_would() {
    let topic = unique("range");
    create_topic(broker(), &topic, 1).await;
    kcat(&["-P", "-b", broker(), "-t", &topic], &numbers(0..5).join("\n"));
    // As after a log that was shortened, or made anew, under a group that goes on.
    let group = unique("g");
    commit(&topic, &group, 1_000_000).await;
    let mut reader = Reader::start(broker(), &[&topic], json!({"consumer_group": group}));
    assert_eq!(reader.texts(5).await, numbers(0..5));
    // What comes now is read, and remembered.
    kcat(&["-P", "-b", broker(), "-t", &topic], "5");
    assert_eq!(reader.texts(1).await, ["5"]);
    reader.stop().await;
    kcat(&["-P", "-b", broker(), "-t", &topic], "6");
    let mut reader = Reader::start(broker(), &[&topic], json!({"consumer_group": group}));
    assert_eq!(reader.texts(1).await, ["6"]);
    reader.stop().await;
}
