//! The components of JetStream against its server.

use std::time::Duration;

use async_nats::jetstream::{self, consumer, stream};
use futures_util::StreamExt as _;
use serde_json::{Value as Json, json};
use streams::{Message, NackReason};

use crate::ends::{Stream, build, meta, settings, text, unique, until, within};
use crate::nats::{client, reading, with};
use crate::servers::{Own, die_with_a_message_in_hand, numbers, port, write_all};

/// A stream of its own for a test, with a subject of the same name and what stands below it.
pub(crate) struct Log {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) context: jetstream::Context,
}

impl Log {
    pub(crate) async fn create(port: u16, name: &str) -> Log {
        let name = unique(name);
        let context = jetstream::new(client(port).await);
        let config = stream::Config {
            name: name.clone(),
            subjects: vec![name.clone(), format!("{name}.>")],
            ..stream::Config::default()
        };
        context.create_stream(config).await.expect("a stream");
        Log { name, port, context }
    }

    fn input(&self, fields: &Json) -> Json {
        with("nats_jetstream", self.port, json!({"stream": self.name}), fields)
    }

    fn output(&self, fields: &Json) -> Json {
        let own = json!({"subject": self.name, "max_in_flight": 1});
        with("nats_jetstream", self.port, own, fields)
    }

    async fn filled(port: u16, name: &str, count: usize) -> Log {
        let log = Log::create(port, name).await;
        for number in numbers(0..count) {
            let stored = log.context.publish(log.name.clone(), number.into()).await.expect("sent");
            stored.await.expect("stored");
        }
        log
    }

    /// How many messages the stream holds.
    async fn count(&self) -> u64 {
        let mut stream = self.context.get_stream(&self.name).await.expect("the stream");
        stream.info().await.expect("its state").state.messages
    }

    async fn remove(self) {
        self.context.delete_stream(&self.name).await.expect("removed");
    }
}

/// Every kind of consumer: kept by the input itself, by the server, shared by a queue, made by somebody else.
async fn kinds(log: &Log) -> Vec<Json> {
    let stream = log.context.get_stream(&log.name).await.expect("the stream");
    let pull = consumer::pull::Config {
        durable_name: Some("theirs".to_owned()),
        ack_wait: Duration::from_secs(30),
        ..consumer::pull::Config::default()
    };
    stream.create_consumer(pull).await.expect("a consumer");
    let push = consumer::push::Config {
        durable_name: Some("pushed".to_owned()),
        deliver_subject: unique("deliver"),
        ..consumer::push::Config::default()
    };
    stream.create_consumer(push).await.expect("a consumer");
    vec![
        json!({}),
        json!({"durable": "ours"}),
        json!({"queue": "group"}),
        json!({"durable": "theirs", "bind": true}),
        json!({"durable": "pushed", "bind": true}),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_stored_once_and_read_in_order_with_their_metadata() {
    let log = Log::create(port("nats"), "trip").await;
    let fields = json!({
        "subject": format!("{}.${{! @place }}", log.name), "headers": {"Nats-Msg-Id": "${! content() }"},
        "metadata": {"include_prefixes": ["my_"]},
    });
    let writer = Stream::writing(log.output(&fields));
    let message = |text: String| {
        let mut message = Message::new(text);
        message.set_meta("place", "here");
        message.set_meta("my_colour", "grün");
        message
    };
    writer.write(numbers(0..50).into_iter().map(message).collect()).await.expect("stored");
    // The server has these already.
    writer.write(numbers(40..60).into_iter().map(message).collect()).await.expect("stored");
    assert_eq!(log.count().await, 60);
    writer.stop().await;

    for fields in kinds(&log).await {
        let mut reader = reading(log.input(&fields)).await;
        for number in 0..60_u64 {
            let message = reader.batch().await.remove(0);
            assert_eq!(text(&message), number.to_string(), "{fields}");
            for (name, value) in [
                ("nats_subject", format!("{}.here", log.name)),
                ("nats_sequence_stream", (number + 1).to_string()),
                ("nats_sequence_consumer", (number + 1).to_string()),
                ("nats_num_delivered", "1".to_owned()),
                ("nats_num_pending", (59 - number).to_string()),
                ("nats_domain", String::new()),
                ("my_colour", "grün".to_owned()),
                ("Nats-Msg-Id", number.to_string()),
                ("place", "(none)".to_owned()),
            ] {
                assert_eq!(meta(&message, name), value, "{name}, {fields}");
            }
            let nanos: i128 = meta(&message, "nats_timestamp_unix_nano").parse().expect("a number");
            assert!(nanos > 1_700_000_000_000_000_000, "{nanos}");
        }
        reader.stop().await;
    }
    // What a stop has left: the consumers that are kept, and none of the others.
    let stream = log.context.get_stream(&log.name).await.expect("the stream");
    assert_eq!(stream.cached_info().state.consumer_count, 4);
    log.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_begins_where_it_is_told() {
    let log = Log::create(port("nats"), "begin").await;
    for (place, text) in [("a", "a1"), ("b", "b1"), ("a", "a2"), ("c", "c1")] {
        let subject = format!("{}.{place}", log.name);
        log.context.publish(subject, text.into()).await.expect("sent").await.expect("stored");
    }
    let mut readers = Vec::new();
    for (fields, expected) in [
        (json!({"deliver": "all"}), &["a1", "b1", "a2", "c1", "a3"][..]),
        (json!({"deliver": "last"}), &["c1", "a3"]),
        (
            json!({"deliver": "last_per_subject", "subject": format!("{}.*", log.name)}),
            &["b1", "a2", "c1", "a3"],
        ),
        (json!({"deliver": "new"}), &["a3"]),
        (json!({"subject": format!("{}.a", log.name)}), &["a1", "a2", "a3"]),
        (json!({"subject": format!("{}.a", log.name), "durable": "d"}), &["a1", "a2", "a3"]),
        (json!({"subject": format!("{}.a", log.name), "queue": "q"}), &["a1", "a2", "a3"]),
    ] {
        readers.push((reading(log.input(&fields)).await, expected, fields));
    }
    let subject = format!("{}.a", log.name);
    log.context.publish(subject, "a3".into()).await.expect("sent").await.expect("stored");
    for (mut reader, expected, fields) in readers {
        assert_eq!(reader.texts(expected.len()).await, expected, "{fields}");
        assert!(reader.rest(Duration::from_millis(50)).await.is_empty(), "{fields}");
        reader.stop().await;
    }
    log.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_comes_again() {
    let log = Log::filled(port("nats"), "again", 5).await;
    for fields in kinds(&log).await {
        let mut reader = reading(log.input(&fields)).await;
        let (mut seen, mut refusals) = (Vec::new(), 0);
        while refusals < 3 || seen.len() < 5 {
            let (batch, ack) = reader.next().await;
            if text(&batch[0]) == "2" && refusals < 3 {
                refusals += 1;
                assert_eq!(meta(&batch[0], "nats_num_delivered"), refusals.to_string(), "{fields}");
                ack.done(Err(NackReason::failed("not now")));
            } else {
                seen.push(text(&batch[0]));
                ack.done(Ok(()));
            }
        }
        seen.sort();
        assert_eq!(seen, numbers(0..5), "{fields}");
        assert!(reader.rest(Duration::from_millis(50)).await.is_empty(), "{fields}");
        reader.stop().await;
    }
    log.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_work_is_not_given_out_twice() {
    let log = Log::filled(port("nats"), "slow", 3).await;
    for fields in [
        json!({"ack_wait": "300ms"}),
        json!({"ack_wait": "300ms", "durable": "slow"}),
        json!({"ack_wait": "300ms", "queue": "slow-queue"}),
    ] {
        let mut told =
            client(log.port).await.subscribe(format!("$JS.ACK.{}.>", log.name)).await.expect("subscribed");
        let mut reader = reading(log.input(&fields)).await;
        let held = reader.next().await;
        // The server hears of each three times within what it waits; this is three times that. What is read ahead is
        // not given out twice either.
        let mut times = 0;
        while times < 3 * 9 {
            let said = within(told.next()).await.expect("a connection");
            times += usize::from(&*said.payload == b"+WPI");
        }
        assert_eq!(text(&held.0[0]), "0");
        held.1.done(Ok(()));
        assert_eq!(reader.texts(2).await, ["1", "2"], "{fields}");
        assert!(reader.rest(Duration::from_millis(400)).await.is_empty(), "{fields}");
        reader.stop().await;
    }
    log.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_stop_loses_nothing_and_gives_nothing_out_twice() {
    let log = Log::filled(port("nats"), "stop", 100).await;
    for fields in
        [json!({"durable": "kept"}), json!({"queue": "group"}), json!({"durable": "b", "queue": "c"})]
    {
        // Servers up to 2.9 lose sight of one message of those that are handed back while nobody waits for any, until
        // its `ack_wait` is over, and send another twice. Others need not wait for `ack_wait`, and send all once.
        let old = log.context.client().server_info().version.starts_with("2.9");
        let mut fields = fields;
        if old {
            fields["ack_wait"] = json!("1s");
        }
        let mut seen = Vec::new();
        for _ in 0..4 {
            let mut reader = reading(log.input(&fields)).await;
            seen.extend(reader.texts(25).await);
            reader.stop_before_failing().await;
        }
        if old {
            let mut reader = reading(log.input(&fields)).await;
            seen.extend(reader.rest(Duration::from_millis(1500)).await);
            reader.stop().await;
        }
        let mut sorted = seen.clone();
        sorted.sort_by_key(|text| text.parse::<usize>().expect("a number"));
        if old {
            sorted.dedup();
        }
        assert_eq!(sorted, numbers(0..100), "{fields}: {seen:?}");
    }
    log.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_queue_share_and_one_that_dies_loses_nothing() {
    let log = Log::filled(port("nats"), "death", 60).await;
    for fields in [json!({"durable": "alone", "ack_wait": "1s"}), json!({"queue": "group", "ack_wait": "1s"})]
    {
        let config = log.input(&fields);
        let dying = {
            let config = config.clone();
            tokio::task::spawn_blocking(move || die_with_a_message_in_hand(config, 10))
        };
        let mut seen = within(dying).await.expect("taken");
        assert_eq!(seen.len(), 10);
        let (mut first, mut second) = (reading(config.clone()).await, reading(config).await);
        let mut counts = [0, 0];
        while {
            seen.sort_by_key(|text| text.parse::<usize>().expect("a number"));
            seen.dedup();
            seen.len() < 60
        } {
            let (who, text) = within(async {
                tokio::select! {
                    mut batch = first.batch() => (0, text(&batch.remove(0))),
                    mut batch = second.batch() => (1, text(&batch.remove(0))),
                }
            })
            .await;
            counts[who] += 1;
            seen.push(text);
        }
        assert_eq!(seen, numbers(0..60), "{fields}");
        assert!(counts.iter().sum::<usize>() >= 50, "{counts:?}");
        first.stop().await;
        second.stop().await;
    }
    log.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_and_comes_back_loses_nothing() {
    let own = Own::start("nats");
    for (round, fields) in
        [json!({}), json!({"deliver": "new"}), json!({"durable": "kept"}), json!({"queue": "group"})]
            .into_iter()
            .enumerate()
    {
        let log = Log::create(own.port, "outage").await;
        let mut reader = reading(log.input(&fields)).await;
        let writer = Stream::writing(log.output(&json!({"headers": {"Nats-Msg-Id": "${! content() }"}})));
        write_all(&writer, numbers(0..10)).await;
        assert_eq!(reader.texts(9).await, numbers(0..9), "{fields}");
        let held = reader.next().await;
        if round % 2 == 0 {
            own.stop()
        } else {
            own.kill()
        }
        until(|| !reader.connected()).await;
        let waiting = writer.send(vec![Message::new("10")]);
        until(|| !writer.connected()).await;
        own.again();
        within(waiting).await.expect("an outcome").expect("stored");
        until(|| reader.connected() && writer.connected()).await;
        write_all(&writer, numbers(11..20)).await;
        // Held over the outage, it cannot be told from one that was lost.
        held.1.done(Ok(()));
        let mut seen = Vec::new();
        while !seen.contains(&"19".to_owned()) {
            seen.extend(reader.texts(1).await);
        }
        // A server that was killed may have forgotten the last acknowledgements; of a consumer that all members share,
        // only it knows.
        let forgets = fields.get("queue").is_some();
        seen.retain(|text| text != "9" && (!forgets || text.parse::<usize>().expect("a number") > 9));
        assert_eq!(seen, numbers(10..20), "{fields}");
        assert_eq!(log.count().await, 20, "stored once");
        writer.stop().await;
        reader.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told() {
    let log = Log::filled(port("nats"), "absent", 1).await;
    let stream = unique("no-stream");
    for (config, told) in [
        (log.input(&json!({"stream": stream})), "stream cannot be read"),
        (log.input(&json!({"stream": null, "subject": stream})), "no stream holds"),
        (log.input(&json!({"durable": "nobody", "bind": true})), "has no consumer `nobody`"),
    ] {
        let reader = Stream::reading(config);
        until(|| reader.last_error().contains(told)).await;
    }
    let writer = Stream::writing(log.output(&json!({"subject": stream})));
    let reason = writer.write(vec![Message::new("a")]).await.expect_err("no stream takes it");
    assert!(reason.text().contains("no stream"), "{reason}");
    writer.stop().await;
    let mut reader = reading(log.input(&json!({"durable": "d", "subject": log.name}))).await;
    assert_eq!(reader.texts(1).await, ["0"]);
    reader.stop().await;
    let other = Stream::reading(log.input(&json!({"durable": "d", "subject": format!("{}.x", log.name)})));
    until(|| other.last_error().contains("reads `absent")).await;
    log.remove().await;
}

#[test]
fn what_cannot_be_is_refused_where_it_was_written() {
    for (fields, pointer, told) in [
        (json!({}), "/input/nats_jetstream", "either `stream` or `subject`"),
        (json!({"stream": "s", "bind": true}), "/input/nats_jetstream/bind", "`durable`"),
        (json!({"subject": "s", "bind": true, "durable": "d"}), "/input/nats_jetstream/bind", "`stream`"),
        (json!({"stream": "a.b"}), "/input/nats_jetstream/stream", "dots"),
        (json!({"stream": "s", "max_ack_pending": 0}), "/input/nats_jetstream/max_ack_pending", "at least 1"),
    ] {
        let config = json!({"input": with("nats_jetstream", 1, json!({}), &fields), "output": {"drop": {}}});
        let fault = build(&config, &settings()).err().unwrap_or_else(|| panic!("{config} was taken"));
        assert!(fault.contains(pointer) && fault.contains(told), "{config}: {fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_may_be_sent_ahead() {
    let log = Log::filled(port("nats"), "ahead", 2).await;
    let mut reader = reading(log.input(&json!({"max_ack_pending": i64::MAX}))).await;
    assert_eq!(reader.texts(2).await, numbers(0..2));
    reader.stop().await;
    log.remove().await;
}
