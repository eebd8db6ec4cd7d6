//! The field set `kafka_franz`, and what both field sets can do beside consumer groups on named topics.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use streams::{Message, NackReason};

use crate::ends::{unique, until};
use crate::harness::{Reader, Writer, broker, build, create_topic, kcat, meta, text};
use crate::numbers;

fn messages(range: std::ops::Range<usize>) -> Vec<Message> {
    numbers(range).into_iter().map(Message::new).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_trip_carries_what_is_selected() {
    let topic = unique("franz");
    create_topic(broker(), &topic, 1).await;
    let writer = Writer::franz(
        broker(),
        &topic,
        json!({
            "key": "k", "timestamp_ms": "1700000000123", "compression": "lz4",
            "metadata": {"include_prefixes": ["a_"], "include_patterns": ["^only$"]},
        }),
    );
    let mut message = Message::new("hello");
    for name in ["a_1", "only", "only_not", "b"] {
        message.set_meta(name, name);
    }
    message.set_meta("a_number", 7_i64);
    writer.write(vec![message]).await.expect("delivered");
    writer.stop().await;
    let seen = kcat(&["-C", "-b", broker(), "-t", &topic, "-c", "1", "-q", "-f", "%k|%s|%h|%T"], "");
    assert_eq!(seen, "k|hello|a_1=a_1,a_number=7,only=only|1700000000123");

    let mut reader = Reader::franz(broker(), &[&topic], json!({"consumer_group": unique("g")}));
    let message = reader.take().await;
    assert_eq!((text(&message), meta(&message, "kafka_key")), ("hello".to_owned(), "k".to_owned()));
    assert_eq!(meta(&message, "kafka_timestamp_unix_ms"), "1700000000123");
    assert_eq!(meta(&message, "kafka_lag"), "(none)", "this field set does not tell it");
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_to_begin_at() {
    let topic = unique("offset");
    create_topic(broker(), &topic, 2).await;
    for partition in ["0", "1"] {
        kcat(&["-P", "-b", broker(), "-t", &topic, "-p", partition], &numbers(0..5).join("\n"));
    }
    for franz in [false, true] {
        let topics = format!("{topic}:0-1:3");
        let mut reader = match franz {
            true => Reader::franz(broker(), &[&topics], json!({})),
            false => Reader::start(broker(), &[&topics], json!({})),
        };
        let mut texts = reader.texts(4).await;
        texts.sort();
        assert_eq!(texts, ["3", "3", "4", "4"]);
        reader.stop().await;
    }
    let mut newest =
        Reader::franz(broker(), &[&format!("{topic}:0")], json!({"auto_offset_reset": "latest"}));
    let until = std::time::Instant::now() + Duration::from_secs(30);
    // Not known to be connected yet: write until something is read.
    let seen = loop {
        kcat(&["-P", "-b", broker(), "-t", &topic, "-p", "0"], "new");
        let seen = newest.rest(Duration::from_millis(500)).await;
        if !seen.is_empty() || std::time::Instant::now() > until {
            break seen;
        }
    };
    assert!(!seen.is_empty() && seen.iter().all(|text| text == "new"), "{seen:?}");
    newest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_by_pattern_and_topics_that_come_later() {
    let name = unique("pattern");
    create_topic(broker(), &format!("{name}-1"), 1).await;
    create_topic(broker(), &format!("not-{name}-1"), 1).await;
    for topic in [format!("{name}-1"), format!("not-{name}-1")] {
        kcat(&["-P", "-b", broker(), "-t", &topic], &topic);
    }
    let fields = json!({"consumer_group": unique("g"), "regexp_topics": true, "metadata_max_age": "200ms"});
    let mut reader = Reader::franz(broker(), &[&format!("^{name}-\\d$")], fields);
    assert_eq!(reader.texts(1).await, [format!("{name}-1")]);
    create_topic(broker(), &format!("{name}-2"), 1).await;
    kcat(&["-P", "-b", broker(), "-t", &format!("{name}-2")], &format!("{name}-2"));
    assert_eq!(reader.texts(1).await, [format!("{name}-2")]);
    reader.stop().await;

    let late = unique("late");
    let fields = json!({"consumer_group": unique("g"), "metadata_max_age": "200ms"});
    let mut reader = Reader::franz(broker(), &[&late], fields);
    assert!(reader.rest(Duration::from_millis(500)).await.is_empty());
    create_topic(broker(), &late, 1).await;
    kcat(&["-P", "-b", broker(), "-t", &late], "here");
    assert_eq!(reader.texts(1).await, ["here"]);
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_come_and_go_lose_nothing_and_keep_what_they_have() {
    let (topic, group) = (unique("cooperative"), unique("g"));
    create_topic(broker(), &topic, 4).await;
    let writer = Writer::franz(broker(), &topic, json!({"partitioner": "round_robin"}));
    let fields = json!({"consumer_group": group});
    let mut one = Reader::franz(broker(), &[&topic], fields.clone());
    writer.write(messages(0..40)).await.expect("delivered");
    let mut seen = one.texts(40).await;
    let mut two = Reader::franz(broker(), &[&topic], fields);
    let mut next = 40;
    loop {
        writer.write(messages(next..next + 40)).await.expect("delivered");
        next += 40;
        seen.extend(one.rest(Duration::from_millis(100)).await);
        let theirs = two.rest(Duration::from_millis(100)).await;
        let over = !theirs.is_empty();
        seen.extend(theirs);
        if over {
            break;
        }
        assert!(next < 100_000, "the second member never got a partition");
    }
    two.stop().await;
    writer.write(messages(next..next + 40)).await.expect("delivered");
    next += 40;
    let distinct = |seen: &[String]| seen.iter().collect::<std::collections::BTreeSet<_>>().len();
    while distinct(&seen) < next {
        seen.extend(one.texts(1).await);
    }
    one.stop().await;
    writer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_keep_their_order() {
    let topic = unique("order");
    create_topic(broker(), &topic, 3).await;
    let writer =
        Writer::franz(broker(), &topic, json!({"key": "${! content().number() % 7 }", "max_in_flight": 1}));
    for start in (0..1000).step_by(100) {
        writer.write(messages(start..start + 100)).await.expect("delivered");
    }
    writer.stop().await;
    let mut reader = Reader::franz(broker(), &[&topic], json!({"consumer_group": unique("g")}));
    let mut last: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..1000 {
        let message = reader.take().await;
        let number: usize = text(&message).parse().expect("a number");
        let before = last.insert(meta(&message, "kafka_partition"), number);
        assert!(before.is_none_or(|before| before < number), "{before:?} then {number}");
    }
    reader.stop().await;
}

/// Where each message of a topic with so many partitions is.
async fn places(topic: &str, count: usize) -> BTreeMap<String, String> {
    let mut reader = Reader::franz(broker(), &[&format!("{topic}:0-4")], json!({}));
    let mut places = BTreeMap::new();
    for _ in 0..count {
        let message = reader.take().await;
        places.insert(text(&message), meta(&message, "kafka_partition"));
    }
    reader.stop().await;
    places
}

#[tokio::test(flavor = "multi_thread")]
async fn partitioners() {
    let mut by_key = Vec::new();
    for fields in [
        json!({"key": "${! content() }", "partitioner": "murmur2_hash"}),
        json!({"key": "${! content() }"}),
        json!({"key": "${! content() }", "partitioner": "uniform_bytes", "uniform_bytes_options": {"keys": true}}),
    ] {
        let topic = unique("murmur");
        create_topic(broker(), &topic, 5).await;
        let writer = Writer::franz(broker(), &topic, fields);
        writer.write(messages(0..40)).await.expect("delivered");
        writer.stop().await;
        by_key.push(places(&topic, 40).await);
    }
    assert_eq!(by_key[0], by_key[1], "the default is by key");
    assert_eq!(by_key[0], by_key[2], "one hash, whoever computes it");
    let used =
        |places: &BTreeMap<String, String>| places.values().collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!(used(&by_key[0]), 5);

    for (fields, partitions) in [
        (json!({"partitioner": "least_backup"}), 2..=5),
        (json!({"partitioner": "uniform_bytes", "uniform_bytes_options": {"bytes": 1000}}), 1..=1),
        (json!({"partitioner": "uniform_bytes", "uniform_bytes_options": {"bytes": 4}}), 2..=5),
        (json!({"partitioner": "manual", "partition": "3"}), 1..=1),
    ] {
        let topic = unique("spread");
        create_topic(broker(), &topic, 5).await;
        let writer = Writer::franz(broker(), &topic, fields.clone());
        // The client learns of the topic with the first message.
        writer.write(messages(0..1)).await.expect("delivered");
        writer.write(messages(1..41)).await.expect("delivered");
        writer.stop().await;
        let mut places = places(&topic, 41).await;
        places.remove("0");
        assert!(partitions.contains(&used(&places)), "{fields}: {places:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_batching_policy_of_the_input_processes() {
    let topic = unique("processed");
    create_topic(broker(), &topic, 1).await;
    kcat(&["-P", "-b", broker(), "-t", &topic], &numbers(0..4).join("\n"));
    let batching = json!({"count": 4, "period": "5s", "processors": [
        {"mapping": "root = \"%v of %v\".format(batch_index(), batch_size())"},
    ]});
    let mut reader =
        Reader::franz(broker(), &[&topic], json!({"consumer_group": unique("g"), "batching": batching}));
    assert_eq!(reader.texts(4).await, ["0 of 4", "1 of 4", "2 of 4", "3 of 4"]);
    reader.stop().await;
}

#[test]
fn what_cannot_work_is_refused() {
    let input = |fields: serde_json::Value| {
        let mut kafka = json!({"seed_brokers": ["b:1"], "topics": ["a"], "consumer_group": "g"});
        kafka.as_object_mut().expect("an object").extend(fields.as_object().cloned().expect("an object"));
        json!({"input": {"kafka_franz": kafka}, "output": {"drop": {}}})
    };
    for (fields, expected) in [
        (json!({"group_balancers": ["sticky"]}), "group_balancers"),
        (json!({"group_balancers": ["cooperative_sticky", "range"]}), "group_balancers"),
        (json!({"group_balancers": []}), "group_balancers"),
        (json!({"regexp_topics": true, "topics": ["("]}), "topics"),
        (json!({"fetch_max_bytes": "5GiB"}), "fetch_max_bytes"),
        (json!({"consumer_group": ""}), "consumer_group"),
        (json!({"rate_limit": "nowhere"}), "rate_limit"),
        (json!({"sasl": [{"mechanism": "AWS_MSK_IAM"}]}), "/sasl/0/mechanism"),
        (
            json!({"sasl": [{"mechanism": "PLAIN", "username": "u"}, {"mechanism": "PLAIN", "username": "u"}]}),
            "/sasl/1",
        ),
        (
            json!({"sasl": [{"mechanism": "OAUTHBEARER", "token": "t", "extensions": {"a": "b"}}]}),
            "extensions",
        ),
    ] {
        let config = input(fields);
        let faults = build(&config).err().unwrap_or_else(|| panic!("{config} must be refused"));
        assert!(faults.contains(expected), "{config}: {faults}");
    }
    let all = json!({
        "topics": ["a"], "rack_id": "r", "auto_offset_reset": "none", "group_balancers": ["range", "round_robin"],
        "fetch_max_bytes": "2MiB", "fetch_max_partition_bytes": "10KiB", "fetch_max_wait": "30s", "metadata_max_age": "1m",
        "transaction_isolation_level": "read_committed", "reconnect_on_unknown_topic_or_partition": true,
        "tls": {"enabled": true}, "sasl": [{"mechanism": "SCRAM-SHA-256", "username": "u", "password": "p"}],
    });
    build(&input(all)).unwrap_or_else(|faults| panic!("{faults}"));
    let output = json!({"input": {"generate": {"mapping": "root = {}"}}, "output": {"kafka_franz": {
        "seed_brokers": ["b:1"], "topic": "t", "max_message_bytes": "10MB", "broker_write_max_bytes": "20MiB",
        "max_buffered_records": 5, "metadata_max_age": "1s", "allow_auto_topic_creation": false, "compression": "zstd",
        "idempotent_write": false, "timeout": "1s", "rack_id": "r",
    }}});
    let built = build(&output).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(built.warnings.len(), 1, "{:?}", built.warnings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_gave_nothing_yet_goes_on_where_it_began() {
    let topic = unique("quiet");
    create_topic(broker(), &topic, 2).await;
    let fields = json!({"auto_offset_reset": "latest", "auto_replay_nacks": false});
    let mut reader = Reader::franz(broker(), &[&format!("{topic}:0-1")], fields);
    until(|| reader.connected()).await;
    kcat(&["-P", "-b", broker(), "-t", &topic, "-p", "1"], "noisy");
    // Each refusal makes a new consumer, each after a longer pause: 1.6 seconds at last.
    for _ in 0..5 {
        let (batch, ack) = reader.next().await;
        assert_eq!(text(&batch[0]), "noisy");
        ack.done(Err(NackReason::failed("not now")));
    }
    // Arrives while there is no consumer.
    kcat(&["-P", "-b", broker(), "-t", &topic, "-p", "0"], "quiet");
    let mut seen = reader.texts(2).await;
    seen.sort_unstable();
    assert_eq!(seen, ["noisy", "quiet"]);
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_is_read_again() {
    let topic = unique("refused");
    create_topic(broker(), &topic, 1).await;
    kcat(&["-P", "-b", broker(), "-t", &topic], &numbers(0..5).join("\n"));
    let fields = json!({"consumer_group": unique("g"), "auto_replay_nacks": false});
    let mut reader = Reader::franz(broker(), &[&topic], fields);
    assert_eq!(reader.texts(2).await, numbers(0..2));
    let (batch, ack) = reader.next().await;
    assert_eq!(text(&batch[0]), "2");
    ack.done(Err(NackReason::failed("not now")));
    // What was read behind it may come before it is read again.
    let mut seen = Vec::new();
    while !seen.ends_with(&numbers(2..5)) {
        seen.extend(reader.texts(1).await);
    }
    reader.stop().await;
}
