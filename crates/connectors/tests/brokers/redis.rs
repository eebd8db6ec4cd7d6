//! The Redis components against Redis.

use std::time::Duration;

use serde_json::{Value as Json, json};
use streams::{Message, NackReason};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::ends::{Stream, build, messages, meta, settings, text, texts, unique, until};
use crate::servers::{Own, die_with_a_message_in_hand, numbers, port, run, write_all};

pub(crate) fn with(name: &str, port: u16, fields: Json) -> Json {
    let mut config = json!({"url": format!("redis://127.0.0.1:{port}")});
    config.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    json!({ name: config })
}

fn reading(port: u16, name: &str, fields: Json) -> Json {
    let mut all = json!({"streams": [name], "consumer_group": "g", "client_id": "c", "commit_period": "50ms", "timeout": "200ms"});
    all.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    with("redis_streams", port, all)
}

fn writing(port: u16, name: &str) -> Json {
    with("redis_streams", port, json!({"stream": name, "max_in_flight": 1}))
}

pub(crate) fn cli(port: u16, arguments: &[&str]) -> String {
    let port = port.to_string();
    let all = [&["-p", port.as_str()], arguments].concat();
    run("redis-cli", &all, "").trim().to_owned()
}

/// How many entries the group holds unacknowledged.
fn pending(port: u16, name: &str) -> usize {
    cli(port, &["XPENDING", name, "g"]).lines().next().and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_travel_in_order_with_their_fields() {
    let (port, name) = (port("redis"), unique("trip"));
    let writer = Stream::writing(with(
        "redis_streams",
        port,
        json!({"stream": format!("{name}-${{! meta(\"to\") }}"), "max_in_flight": 1, "max_length": 1000,
               "metadata": {"exclude_prefixes": ["secret_"]}}),
    ));
    let mut reader = Stream::reading(reading(port, &format!("{name}-a,{name}-b"), json!({})));
    for number in numbers(0..50) {
        let mut message = Message::new(number.clone());
        message.set_meta("to", if number.len() == 1 { "a" } else { "b" });
        message.set_meta("colour", "grün");
        message.set_meta("secret_token", "x");
        writer.write(vec![message]).await.expect("delivered");
    }
    let mut seen = Vec::new();
    while seen.len() < 50 {
        let batch = reader.batch().await;
        assert_eq!(
            (meta(&batch[0], "colour").as_str(), meta(&batch[0], "secret_token").as_str()),
            ("grün", "(none)")
        );
        assert!(meta(&batch[0], "redis_stream").contains('-'), "{}", meta(&batch[0], "redis_stream"));
        seen.push(text(&batch[0]));
    }
    // In order within each of the two streams.
    let of = |long: bool| seen.iter().filter(|text| (text.len() > 1) == long).cloned().collect::<Vec<_>>();
    assert_eq!((of(false), of(true)), (numbers(0..10), numbers(10..50)));
    until(|| pending(port, &format!("{name}-a")) + pending(port, &format!("{name}-b")) == 0).await;
    reader.stop().await;
    writer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_comes_again_with_replay_and_without() {
    for replay in [true, false] {
        let (port, name) = (port("redis"), unique("again"));
        let writer = Stream::writing(writing(port, &name));
        write_all(&writer, numbers(0..3)).await;
        let mut reader = Stream::reading(reading(port, &name, json!({"auto_replay_nacks": replay})));
        let (batch, ack) = reader.next().await;
        assert_eq!(texts(&batch), ["0"]);
        ack.done(Err(NackReason::failed("not now")));
        let mut rest = reader.texts(3).await;
        rest.sort();
        assert_eq!(rest, numbers(0..3));
        until(|| pending(port, &name) == 0).await;
        reader.stop().await;
        writer.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_dies_loses_nothing() {
    let (port, name) = (port("redis"), unique("death"));
    let writer = Stream::writing(writing(port, &name));
    write_all(&writer, numbers(0..30)).await;
    let config = reading(port, &name, json!({}));
    let dying = config.clone();
    let acknowledged = tokio::task::spawn_blocking(move || die_with_a_message_in_hand(dying, 10)).await;
    let mut seen = acknowledged.expect("taken");
    let mut reader = Stream::reading(config);
    while seen.iter().collect::<std::collections::BTreeSet<_>>().len() < 30 {
        seen.extend(reader.texts(1).await);
    }
    until(|| pending(port, &name) == 0).await;
    reader.stop().await;
    writer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_loses_and_repeats_nothing() {
    let (port, name) = (port("redis"), unique("stop"));
    let writer = Stream::writing(writing(port, &name));
    write_all(&writer, numbers(0..40)).await;
    let config = reading(port, &name, json!({"commit_period": "1m"}));
    let mut reader = Stream::reading(config.clone());
    let mut seen = reader.texts(15).await;
    // Told at the stop, long before the period is over.
    reader.stop().await;
    let mut reader = Stream::reading(config);
    seen.extend(reader.texts(25).await);
    assert_eq!(seen, numbers(0..40));
    reader.stop().await;
    writer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_come_back_after_the_server_was_away() {
    let own = tokio::task::spawn_blocking(|| Own::start("redis")).await.expect("started");
    let (port, name) = (own.port, unique("back"));
    let writer = Stream::writing(writing(port, &name));
    let mut reader = Stream::reading(reading(port, &name, json!({})));
    write_all(&writer, numbers(0..5)).await;
    assert_eq!(reader.texts(5).await, numbers(0..5));
    until(|| pending(port, &name) == 0).await;
    let own = tokio::task::spawn_blocking(move || {
        own.stop();
        own
    });
    let own = own.await.expect("stopped");
    let late = writer.send(messages(["late"]));
    until(|| !reader.connected()).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn lists_give_back_what_was_not_delivered() {
    let (port, name) = (port("redis"), unique("list"));
    let writer = Stream::writing(with("redis_list", port, json!({"key": name, "max_in_flight": 1})));
    write_all(&writer, numbers(0..20)).await;
    let config = with(
        "redis_list",
        port,
        json!({"key": name, "auto_replay_nacks": false, "max_in_flight": 1, "timeout": "100ms"}),
    );
    let mut reader = Stream::reading(config.clone());
    assert_eq!(reader.texts(3).await, numbers(0..3));
    let (batch, ack) = reader.next().await;
    assert_eq!(texts(&batch), ["3"]);
    ack.done(Err(NackReason::failed("not now")));
    // Put back at the end from which it was taken; what was asked for meanwhile comes before it.
    let mut seen = reader.texts(1).await;
    while seen.last().is_none_or(|text| text != "3") {
        seen.extend(reader.texts(1).await);
    }
    let held = reader.next().await;
    reader.stop().await;
    drop(held);
    let left: Vec<String> = numbers(3..20).into_iter().filter(|text| !seen.contains(text)).collect();
    let mut reader = Stream::reading(config);
    let mut rest = reader.texts(left.len()).await;
    rest.sort_by_key(|text| text.parse::<usize>().expect("a number"));
    assert_eq!(rest, left);
    reader.stop().await;
    writer.stop().await;
    assert_eq!(cli(port, &["LLEN", &name]), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_heard_by_name_and_by_pattern() {
    let (port, name) = (port("redis"), unique("channel"));
    for (patterns, channel, pattern) in
        [(false, name.clone(), "(none)".to_owned()), (true, format!("{name}-*"), format!("{name}-*"))]
    {
        let mut reader = Stream::reading(with(
            "redis_pubsub",
            port,
            json!({"channels": [channel], "use_patterns": patterns}),
        ));
        until(|| reader.connected()).await;
        let to = if patterns { format!("{name}-one") } else { name.clone() };
        let writer = Stream::writing(with("redis_pubsub", port, json!({"channel": to, "max_in_flight": 1})));
        write_all(&writer, numbers(0..10)).await;
        for number in numbers(0..10) {
            let message = reader.batch().await.remove(0);
            assert_eq!(text(&message), number);
            assert_eq!(meta(&message, "redis_pubsub_channel"), to);
            assert_eq!(meta(&message, "redis_pubsub_pattern"), pattern);
        }
        reader.stop().await;
        writer.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_more_is_read_while_acknowledgements_are_refused() {
    let (port, name) = (port("redis"), unique("noack"));
    let user = unique("user");
    let _ = cli(port, &["ACL", "SETUSER", &user, "on", ">pw", "~*", "+@all", "-xack"]);
    let fields = json!({"url": format!("redis://{user}:pw@127.0.0.1:{port}"), "limit": 5});
    let mut reader = Stream::reading(reading(port, &name, fields));
    until(|| reader.connected()).await;
    let add = |number: usize| cli(port, &["XADD", &name, "*", "body", &number.to_string()]);
    add(0);
    assert_eq!(reader.texts(1).await, ["0"]);
    // Told at the next commit that it was refused; what is asked for already may still come.
    let mut seen = Vec::new();
    for number in 1..200 {
        add(number);
        seen.extend(reader.rest(Duration::from_millis(20)).await);
        if seen.len() + 20 < number {
            break;
        }
    }
    assert!(seen.len() < 150, "{} entries were read", seen.len());
    let _ = cli(port, &["ACL", "SETUSER", &user, "+xack"]);
    add(200);
    while seen.last().is_none_or(|last| last != "200") {
        seen.extend(reader.texts(1).await);
    }
    until(|| pending(port, &name) == 0).await;
    reader.stop().await;
    let _ = cli(port, &["ACL", "DELUSER", &user]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hashes_are_set_and_keys_are_walked() {
    let (port, name) = (port("redis"), unique("hash"));
    let writer = Stream::writing(with(
        "redis_hash",
        port,
        json!({"key": name, "walk_metadata": true, "walk_json_object": true, "fields": {"c": "${! content().length() }"}}),
    ));
    let mut message = Message::new(r#"{"a": "text", "b": [1]}"#);
    message.set_meta("m", "meta");
    message.set_meta("a", "hidden by the payload");
    writer.write(vec![message]).await.expect("delivered");
    let refused = writer.write(messages(["[]"])).await.expect_err("no object");
    assert!(refused.text().contains("needs an object, not array"), "{refused}");
    writer.stop().await;
    for (field, value) in [("a", "text"), ("b", "[1]"), ("c", "23"), ("m", "meta")] {
        assert_eq!(cli(port, &["HGET", &name, field]), value, "{field}");
    }
    for number in numbers(0..250) {
        cli(port, &["SET", &format!("{name}-{number}"), &number]);
    }
    // The hash itself matches, too, and is passed over.
    let mut reader = Stream::reading(with("redis_scan", port, json!({"match": format!("{name}*")})));
    let mut seen = Vec::new();
    for _ in 0..250 {
        let batch = reader.batch().await;
        let pair = batch[0].value().expect("an object").clone();
        let member = |member: &str| pair.get(member).expect("there").to_text();
        assert_eq!(member("key"), format!("{name}-{}", member("value")));
        seen.push(member("value").parse::<usize>().expect("a number"));
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..250).collect::<Vec<_>>());
    until(|| reader.ended()).await;
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_and_scripts_answer_into_the_message() {
    let (port, name) = (port("redis"), unique("command"));
    let redis = |fields: Json| with("redis", port, fields);
    let key = format!("root = [\"{name}\"]");
    for (processor, given, expected) in [
        (
            redis(json!({"command": "set", "args_mapping": format!("root = [\"{name}\", this.a]")})),
            r#"{"a": 7}"#,
            "OK",
        ),
        (redis(json!({"command": "get", "args_mapping": key})), "{}", "7"),
        (
            redis(json!({"command": "${! this.what }", "args_mapping": format!("root = [\"{name}\", 3]")})),
            r#"{"what": "incrby"}"#,
            "10",
        ),
        (redis(json!({"command": "get", "args_mapping": "root = [\"no such key\"]"})), "{}", "null"),
        (
            redis(json!({"command": "get", "args_mapping": "root = {}"})),
            "{}",
            "!`args_mapping`: the mapping must make a list of arguments, not object",
        ),
        (
            redis(
                json!({"command": "lpush", "args_mapping": format!("root = [\"{name}\", 1]"), "retries": 0}),
            ),
            "{}",
            "!redis: \"WRONGTYPE\"",
        ),
        (
            with(
                "redis_script",
                port,
                json!({"script": "return {KEYS[1], tonumber(ARGV[1]) + redis.call('GET', KEYS[1])}",
                       "keys_mapping": key, "args_mapping": "root = [this.plus]"}),
            ),
            r#"{"plus": 5}"#,
            &format!("[\"{name}\",15]"),
        ),
    ] {
        let mut stream = Stream::through(json!([processor]));
        let sent = stream.send(messages([given]));
        let (batch, ack) = stream.next().await;
        ack.done(Ok(()));
        match expected.strip_prefix('!') {
            Some(fault) => {
                let error = batch[0].error().expect("flagged");
                assert!(error.contains(fault), "{error}");
                assert_eq!(text(&batch[0]), given);
            }
            None => assert_eq!((text(&batch[0]).as_str(), batch[0].error()), (expected, None)),
        }
        sent.await.expect("one outcome").expect("delivered");
        stream.stop().await;
    }
}

/// A stream from the test through these processors, with a cache `c` and a rate limit `l`, back to the test.
fn shared(port: u16, name: &str, processors: Json) -> Stream {
    let url = format!("redis://127.0.0.1:{port}");
    Stream::start(
        json!({
            "pipeline": {"threads": 1, "processors": processors},
            "cache_resources": [{"label": "c", "redis": {"url": url, "prefix": format!("{name}-"), "default_ttl": "10m"}}],
            "rate_limit_resources": [{"label": "l", "redis": {"url": url, "key": name, "count": 2, "interval": "5s"}}],
        }),
        &settings(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn caches_are_shared_and_expire() {
    let (port, name) = (port("redis"), unique("cache"));
    for (operation, fields, expected) in [
        ("get", json!({}), "!key does not exist"),
        ("exists", json!({}), "false"),
        ("add", json!({"value": "first", "ttl": "90s"}), "given"),
        ("add", json!({"value": "second"}), "!key already exists"),
        ("get", json!({}), "first"),
        ("exists", json!({}), "true"),
        ("set", json!({"value": "third"}), "given"),
        ("get", json!({}), "third"),
    ] {
        let mut cache = json!({"resource": "c", "operator": operation, "key": "k"});
        cache.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        // Each by a stream of its own: what one stores another one finds.
        let mut stream = shared(port, &name, json!([{"cache": cache}]));
        let _sent = stream.send(messages(["given"]));
        let batch = stream.batch().await;
        match expected.strip_prefix('!') {
            Some(fault) => assert!(batch[0].error().expect("flagged").contains(fault), "{operation}"),
            None => assert_eq!((text(&batch[0]).as_str(), batch[0].error()), (expected, None), "{operation}"),
        }
        if operation == "add" && expected == "given" {
            let left: u64 = cli(port, &["PTTL", &format!("{name}-k")]).parse().expect("a number");
            assert!((60_000..=90_000).contains(&left), "{left}");
        }
        stream.stop().await;
    }
    let left: u64 = cli(port, &["PTTL", &format!("{name}-k")]).parse().expect("a number");
    assert!(left > 90_000, "the default of ten minutes, not {left} ms");
}

/// A way to Redis that breaks once, when Redis has stored something new and before its answer is told.
async fn losing_an_answer(to: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let mut lost = false;
        while let Ok((mut client, _)) = listener.accept().await {
            let Ok(mut server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
            if lost {
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
                continue;
            }
            let (mut asked, mut answered, mut adding) = ([0; 4096], [0; 4096], false);
            while !lost {
                let passed = tokio::select! {
                    count = client.read(&mut asked) => {
                        let asked = &asked[..count.unwrap_or(0)];
                        adding |= asked.windows(2).any(|part| part == b"NX");
                        !asked.is_empty() && server.write_all(asked).await.is_ok()
                    }
                    count = server.read(&mut answered) => {
                        let answered = &answered[..count.unwrap_or(0)];
                        lost = adding;
                        !lost && !answered.is_empty() && client.write_all(answered).await.is_ok()
                    }
                };
                if !passed {
                    break;
                }
            }
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_was_added_before_the_connection_broke_is_not_taken_for_that_of_another() {
    let redis = port("redis");
    for (before, ttl, is_new) in
        [(None, "90s", true), (Some(("t", "5000")), "90s", false), (Some(("other", "90000")), "90s", false)]
    {
        let name = unique("added");
        let key = format!("{name}-k");
        if let Some((value, milliseconds)) = before {
            cli(redis, &["SET", &key, value, "PX", milliseconds]);
        }
        let add =
            json!([{"cache": {"resource": "c", "operator": "add", "key": "k", "value": "t", "ttl": ttl}}]);
        let mut stream = shared(losing_an_answer(redis).await, &name, add);
        let _sent = stream.send(messages(["given"]));
        let batch = stream.batch().await;
        assert_eq!(batch[0].error().is_none(), is_new, "{before:?}: {:?}", batch[0].error());
        stream.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_holds_over_several_streams() {
    let (port, name) = (port("redis"), unique("limit"));
    let mut streams: Vec<Stream> =
        (0..2).map(|_| shared(port, &name, json!([{"rate_limit": {"resource": "l"}}]))).collect();
    for stream in &mut streams {
        let _sent = stream.send(messages(["let through"]));
        assert_eq!(stream.texts(1).await, ["let through"]);
    }
    let _waiting = streams[1].send(messages(["waits"]));
    assert!(streams[1].rest(Duration::from_millis(300)).await.is_empty());
    // Until the window ends.
    assert_eq!(streams[1].texts(1).await, ["waits"]);
    for stream in streams {
        stream.stop().await;
    }
}

#[test]
fn faults_name_their_field() {
    for (component, fault) in [
        (
            json!({"redis_list": {"url": "http://user:secret@host", "key": "k"}}),
            "/input/redis_list/url: this is no address of Redis",
        ),
        (json!({"redis_list": {"url": " ", "key": "k"}}), "/input/redis_list/url: `url` must name a server"),
        (
            json!({"redis_list": {"url": "redis://a,redis://b", "key": "k"}}),
            "/input/redis_list/url: several servers",
        ),
        (
            json!({"redis_list": {"url": "redis://a", "kind": "failover", "key": "k"}}),
            "/input/redis_list/master: `failover` needs",
        ),
        (
            json!({"redis_scan": {"url": "redis://a", "kind": "cluster"}}),
            "/input/redis_scan/kind: the keys of a cluster",
        ),
        (
            json!({"redis_streams": {"url": "redis://a", "streams": []}}),
            "/input/redis_streams/streams: `streams` must name",
        ),
    ] {
        let faults =
            build(&json!({"input": component, "output": {"drop": {}}}), &settings()).expect_err("refused");
        assert!(faults.starts_with(fault), "{faults}");
        assert!(!faults.contains("secret"));
    }
}
