//! The components of NATS buckets against its server.

use std::time::Duration;

use async_nats::jetstream::{self, kv, stream};
use serde_json::{Value as Json, json};
use streams::{Message, NackReason};

use crate::ends::{Stream, build, messages, meta, settings, text, unique, until, within};
use crate::nats::{client, reading, with};
use crate::servers::{Own, numbers, port, write_all};

/// A bucket of its own for a test.
struct Bucket {
    name: String,
    port: u16,
    store: kv::Store,
}

impl Bucket {
    async fn create(port: u16, name: &str) -> Bucket {
        let name = unique(name);
        let context = jetstream::new(client(port).await);
        // As the client library makes a bucket; its own call wants a younger server.
        let config = stream::Config {
            name: format!("KV_{name}"),
            subjects: vec![format!("$KV.{name}.>")],
            max_messages_per_subject: 10,
            allow_rollup: true,
            deny_delete: true,
            allow_direct: true,
            discard: stream::DiscardPolicy::New,
            ..stream::Config::default()
        };
        context.create_stream(config).await.expect("a bucket");
        let store = context.get_key_value(&name).await.expect("a bucket");
        Bucket { name, port, store }
    }

    fn component(&self, fields: &Json) -> Json {
        with("nats_kv", self.port, json!({"bucket": self.name}), fields)
    }

    async fn put(&self, key: &str, value: &str) -> u64 {
        self.store.put(key, value.to_owned().into()).await.expect("stored")
    }

    async fn get(&self, key: &str) -> Option<String> {
        let value = self.store.get(key).await.expect("an answer");
        value.map(|value| String::from_utf8_lossy(&value).into_owned())
    }
}

/// Key, value, operation.
fn told(message: &Message) -> [String; 3] {
    let operation = meta(message, "nats_kv_operation");
    [meta(message, "nats_kv_key"), text(message), operation.replace("KeyValue", "").replace("Op", "")]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_watched_from_what_it_holds_on() {
    let bucket = Bucket::create(port("nats"), "watch").await;
    for (key, value) in [("a.x", "1"), ("b", "2"), ("a.x", "3"), ("a.y", "4")] {
        bucket.put(key, value).await;
    }
    bucket.store.delete("b").await.expect("deleted");
    let all = [
        ["b", "", "Delete"],
        ["a.x", "3", "Put"],
        ["a.y", "4", "Put"],
        ["a.x", "5", "Put"],
        ["a.y", "", "Purge"],
    ];
    let history = [
        ["a.x", "1", "Put"],
        ["b", "2", "Put"],
        ["a.x", "3", "Put"],
        ["a.y", "4", "Put"],
        ["b", "", "Delete"],
        ["a.x", "5", "Put"],
        ["a.y", "", "Purge"],
    ];
    let mut readers = Vec::new();
    for (fields, expected) in [
        (json!({}), vec![all[1], all[2], all[0], all[3], all[4]]),
        (json!({"ignore_deletes": true}), vec![all[1], all[2], all[3]]),
        (json!({"key": "a.*"}), vec![all[1], all[2], all[3], all[4]]),
        (json!({"include_history": true}), history.to_vec()),
        (
            json!({"meta_only": true, "key": "a.x", "auto_replay_nacks": false}),
            vec![["a.x", "", "Put"], ["a.x", "", "Put"]],
        ),
    ] {
        readers.push((reading(bucket.component(&fields)).await, expected, fields));
    }
    bucket.put("a.x", "5").await;
    // The purge comes last: servers up to 2.9 may then pass over what a watch has not got yet.
    for purged in [false, true] {
        if purged {
            bucket.store.purge("a.y").await.expect("purged");
        }
        for (reader, expected, fields) in &mut readers {
            for entry in expected.iter().filter(|entry| (entry[2] == "Purge") == purged) {
                let message = reader.batch().await.remove(0);
                assert_eq!(&told(&message), entry, "{fields}");
                assert_eq!(meta(&message, "nats_kv_bucket"), bucket.name);
                // Values are the revisions, but for that of "a.x" which came after the deletion.
                let revision = match entry[1] {
                    "5" => "6",
                    "" if entry[2] == "Delete" => "5",
                    "" if entry[2] == "Purge" => "7",
                    "" => continue,
                    value => value,
                };
                assert_eq!(meta(&message, "nats_kv_revision"), revision, "{fields}");
                assert!(meta(&message, "nats_kv_delta").parse::<u64>().is_ok());
                let created = meta(&message, "nats_kv_created");
                assert!(created.ends_with('Z'), "{created}");
            }
            assert!(reader.rest(Duration::from_millis(50)).await.is_empty(), "{fields}");
        }
    }
    for (reader, ..) in readers {
        reader.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_entry_comes_again() {
    let bucket = Bucket::create(port("nats"), "again").await;
    for number in numbers(0..5) {
        bucket.put(&number, &number).await;
    }
    for fields in [json!({}), json!({"auto_replay_nacks": false})] {
        let mut reader = reading(bucket.component(&fields)).await;
        let (mut seen, mut refused) = (Vec::new(), false);
        while seen.len() < 5 {
            let (batch, ack) = reader.next().await;
            let text = text(&batch[0]);
            if text == "2" && !refused {
                refused = true;
                ack.done(Err(NackReason::failed("not now")));
            } else {
                seen.push(text);
                ack.done(Ok(()));
            }
        }
        seen.sort();
        assert_eq!(seen, numbers(0..5), "{fields}");
        reader.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_and_comes_back_loses_nothing() {
    let own = Own::start("nats");
    let bucket = Bucket::create(own.port, "outage").await;
    let mut reader = reading(bucket.component(&json!({"include_history": true}))).await;
    let writer = Stream::writing(bucket.component(&json!({"key": "k.${! content() }", "max_in_flight": 1})));
    write_all(&writer, numbers(0..10)).await;
    assert_eq!(reader.texts(10).await, numbers(0..10));
    own.kill();
    until(|| !reader.connected()).await;
    let waiting = writer.send(vec![Message::new("10")]);
    until(|| !writer.connected()).await;
    own.again();
    within(waiting).await.expect("an outcome").expect("stored");
    write_all(&writer, numbers(11..20)).await;
    assert_eq!(reader.texts(10).await, numbers(10..20));
    assert!(reader.rest(Duration::from_millis(50)).await.is_empty());
    writer.stop().await;
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_stored_under_their_keys() {
    let bucket = Bucket::create(port("nats"), "put").await;
    let writer = Stream::writing(bucket.component(&json!({"key": "${! content().slice(0, 1) }"})));
    let failed = writer.write(messages(["a1", "b1", "*no", "a2", "c1"])).await.expect_err("one is no key");
    assert!(failed.text().contains("`*` cannot be a key"), "{failed}");
    for (key, value) in [("a", "a2"), ("b", "b1"), ("c", "c1")] {
        assert_eq!(bucket.get(key).await.as_deref(), Some(value));
    }
    writer.stop().await;
    let absent = json!({"bucket": unique("absent"), "key": "k"});
    let writer = Stream::writing(bucket.component(&absent));
    let _waits = writer.send(messages(["a"]));
    until(|| writer.last_error().contains("cannot be opened")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_read_changed_and_listed() {
    let bucket = Bucket::create(port("nats"), "ops").await;
    let run = async |operation: Json, payload: &str| {
        let processor = bucket.component(&operation);
        let mut stream =
            Stream::through(json!([processor, {"catch": [{"mapping": "root = \"failed: \" + error()"}]}]));
        let mut message = Message::new(payload.to_owned());
        message.set_meta("kept", "yes");
        let outcome = stream.send(vec![message]);
        let message = stream.batch().await.remove(0);
        within(outcome).await.expect("an outcome").expect("delivered");
        stream.stop().await;
        message
    };
    let value = |operation: &str, key: &str, revision: &str| json!({"operation": operation, "key": key, "revision": revision});
    for (operation, payload, expected, entry) in [
        (value("get", "k", ""), "x", "failed: the bucket", None),
        (value("create", "k", ""), "v1", "v1", Some(("1", "Put"))),
        (value("create", "k", ""), "v2", "failed: `k` exists already", None),
        (value("put", "${! content() }", ""), "other", "other", Some(("2", "Put"))),
        (value("update", "k", "1"), "v3", "v3", Some(("3", "Put"))),
        (value("update", "k", "1"), "v4", "failed: `k` is not at revision 1", None),
        (value("update", "k", "${! content() }"), "x", "failed: `revision` is `x`", None),
        (value("get", "k", ""), "x", "v3", Some(("3", "Put"))),
        (value("get_revision", "k", "1"), "x", "v1", Some(("1", "Put"))),
        (value("get_revision", "k", "2"), "x", "failed: the bucket", None),
        (value("get_revision", "k", "99"), "x", "failed: the bucket", None),
        (value("keys", ">", ""), "x", "[\"other\",\"k\"]", None),
        (value("keys", "o*", ""), "x", "[]", None),
        (value("delete", "k", ""), "kept", "kept", Some(("0", "Delete"))),
        (value("get", "k", ""), "x", "failed: the bucket", None),
        (value("keys", ">", ""), "x", "[\"other\"]", None),
        (value("purge", "other", ""), "kept", "kept", Some(("0", "Purge"))),
        (value("keys", ">", ""), "x", "[]", None),
        (value("get", "bad key", ""), "x", "failed: `bad key`", None),
    ] {
        let message = run(operation.clone(), payload).await;
        let text = text(&message);
        if expected.starts_with("failed") {
            assert!(text.starts_with(expected), "{operation}: {text}");
        } else {
            assert_eq!(text, expected, "{operation}");
        }
        if let Some((revision, kind)) = entry {
            assert_eq!(meta(&message, "nats_kv_revision"), revision, "{operation}");
            assert_eq!(meta(&message, "nats_kv_operation"), format!("KeyValue{kind}Op"), "{operation}");
            assert_eq!(meta(&message, "nats_kv_bucket"), bucket.name);
            assert_eq!(meta(&message, "kept"), "yes", "{operation}");
        }
    }
    let history = run(value("history", "k", ""), "x").await;
    let history: Json = serde_json::from_slice(history.bytes()).expect("an array");
    // Values are bytes, which JSON has as base64.
    let expected = [("djE=", 1, "Put"), ("djM=", 3, "Put"), ("", 4, "Delete")];
    assert_eq!(history.as_array().expect("an array").len(), expected.len(), "{history}");
    for (record, (value, revision, kind)) in history.as_array().expect("an array").iter().zip(expected) {
        assert_eq!((&record["value"], &record["revision"]), (&json!(value), &json!(revision)), "{history}");
        assert_eq!(record["operation"], format!("KeyValue{kind}Op"));
        assert_eq!((&record["key"], &record["bucket"]), (&json!("k"), &json!(bucket.name)));
        assert!(record["created"].as_str().is_some_and(|at| at.ends_with('Z')), "{history}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_a_cache() {
    let own = Own::start("nats");
    let bucket = Bucket::create(own.port, "cache").await;
    let cache = |operator: &str| json!({"cache": {"resource": "c", "operator": operator, "key": "${! @key }", "value": "${! content() }"}});
    let resource = |mut kind: Json| {
        kind["label"] = json!("c");
        json!([kind])
    };
    let run = async |operator: &str, key: &str, payload: &str| {
        let mut stream = Stream::start(
            json!({
                "pipeline": {"processors": [cache(operator), {"catch": [{"mapping": "root = \"failed: \" + error()"}]}]},
                "cache_resources": resource(bucket.component(&json!({}))),
            }),
            &settings(),
        );
        let mut message = Message::new(payload.to_owned());
        message.set_meta("key", key);
        let outcome = stream.send(vec![message]);
        let message = stream.batch().await.remove(0);
        within(outcome).await.expect("an outcome").expect("delivered");
        stream.stop().await;
        text(&message)
    };
    for (operator, key, payload, expected) in [
        ("get", "k", "x", "failed: key does not exist"),
        ("add", "k", "v1", "v1"),
        ("add", "k", "v2", "failed: key already exists"),
        ("get", "k", "x", "v1"),
        ("set", "k", "v3", "v3"),
        ("get", "k", "x", "v3"),
        ("delete", "k", "x", "x"),
        ("get", "k", "x", "failed: key does not exist"),
        ("delete", "k", "x", "x"),
        ("add", "k", "v4", "v4"),
    ] {
        assert_eq!(run(operator, key, payload).await, expected, "{operator} {key} {payload}");
    }
    assert!(run("set", "no key", "x").await.starts_with("failed: "));
    own.kill();
    assert!(run("get", "k", "x").await.contains("no nats server could be reached"));
    own.again();
    assert_eq!(run("get", "k", "x").await, "v4");
}

#[test]
fn what_cannot_be_is_refused_where_it_was_written() {
    for operation in ["update", "get_revision"] {
        let fields = json!({"bucket": "b", "key": "k", "operation": operation});
        let config = json!({
            "input": {"generate": {"mapping": "root = 1"}}, "output": {"drop": {}},
            "pipeline": {"processors": [with("nats_kv", 1, json!({}), &fields)]},
        });
        let fault = build(&config, &settings()).err().unwrap_or_else(|| panic!("{config} was taken"));
        assert!(fault.contains("/pipeline/processors/0/nats_kv/revision"), "{fault}");
    }
}
