//! The components of core NATS against its server.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value as Json, json};
use streams::{Message, NackReason};

use crate::ends::{Stream, build, meta, sample, settings, text, unique, until, within};
use crate::secure::under_policy;
use crate::servers::{Own, numbers, port, write_all};

pub(crate) fn with(kind: &str, port: u16, mut config: Json, fields: &Json) -> Json {
    let object = config.as_object_mut().expect("an object");
    object.insert("urls".into(), json!([format!("nats://127.0.0.1:{port}")]));
    object.extend(fields.as_object().expect("an object").clone());
    json!({kind: config})
}

fn input(port: u16, subject: &str, fields: &Json) -> Json {
    with("nats", port, json!({"subject": subject}), fields)
}

fn output(port: u16, subject: &str, fields: &Json) -> Json {
    with("nats", port, json!({"subject": subject}), fields)
}

/// A reader that is subscribed already.
pub(crate) async fn reading(input: Json) -> Stream {
    let reader = Stream::reading(input);
    until(|| reader.connected()).await;
    reader
}

/// A client that is not a stream.
pub(crate) async fn client(port: u16) -> async_nats::Client {
    async_nats::connect(format!("127.0.0.1:{port}")).await.expect("a connection")
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_travel_in_order_with_headers_as_metadata() {
    let port = port("nats");
    let subject = unique("trip");
    let mut reader = reading(input(port, &format!("{subject}.*"), &json!({}))).await;
    let fields = json!({
        "max_in_flight": 1, "headers": {"colour": "${! @colour }", "number": "${! content() }"},
        "metadata": {"include_prefixes": ["my_"], "include_patterns": ["^x.$"]},
    });
    let writer = Stream::writing(output(port, &format!("{subject}.${{! @place }}"), &fields));
    let message = |text: String| {
        let mut message = Message::new(text);
        for (name, value) in
            [("place", "here"), ("colour", "grün"), ("my_own", "1"), ("xy", "2"), ("other", "3")]
        {
            message.set_meta(name, value);
        }
        message
    };
    writer.write(numbers(0..50).into_iter().map(message).collect()).await.expect("delivered");
    for number in numbers(50..100) {
        writer.write(vec![message(number)]).await.expect("delivered");
    }
    for number in numbers(0..100) {
        let message = reader.batch().await.remove(0);
        assert_eq!(text(&message), number);
        for (name, value) in [
            ("nats_subject", format!("{subject}.here").as_str()),
            ("colour", "grün"),
            ("number", &number),
            ("my_own", "1"),
            ("xy", "2"),
            ("other", "(none)"),
            ("nats_reply_subject", "(none)"),
        ] {
            assert_eq!(meta(&message, name), value, "{name}");
        }
    }
    for (place, value, fault) in
        [("two words", "grün", "two words"), ("here", "two\r\nlines", "more than one line")]
    {
        let mut bad = message("x".to_owned());
        bad.set_meta("place", place);
        bad.set_meta("colour", value);
        let batch = vec![message("a".to_owned()), bad, message("b".to_owned())];
        let reason = writer.write(batch).await.expect_err("one cannot be sent");
        assert!(reason.text().contains(fault) || reason.text().contains("subject"), "{reason}");
        assert_eq!(reader.texts(2).await, ["a", "b"]);
    }
    writer.stop().await;
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_group_shares_its_messages() {
    let port = port("nats");
    let subject = unique("group");
    let mut members = Vec::new();
    for _ in 0..2 {
        members.push(reading(input(port, &subject, &json!({"queue": "group"}))).await);
    }
    let mut alone = reading(input(port, &subject, &json!({}))).await;
    let writer = Stream::writing(output(port, &subject, &json!({"max_in_flight": 1})));
    write_all(&writer, numbers(0..100)).await;
    assert_eq!(alone.texts(100).await, numbers(0..100));
    let mut seen = Vec::new();
    for member in &mut members {
        let got = member.rest(Duration::from_millis(300)).await;
        assert!(!got.is_empty(), "each member has its share");
        seen.extend(got);
    }
    seen.sort_by_key(|text| text.parse::<usize>().expect("a number"));
    assert_eq!(seen, numbers(0..100), "each message once");
    for reader in members {
        reader.stop().await;
    }
    alone.stop().await;
    writer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_hear_what_became_of_their_message() {
    let port = port("nats");
    let asker = client(port).await;
    for (fields, refuse, expected) in [
        (json!({}), false, Some("+ACK")),
        (json!({"auto_replay_nacks": false, "nak_delay": "1s"}), true, Some("-NAK {\"delay\":1000000000}")),
        (json!({"auto_replay_nacks": false}), true, Some("-NAK")),
        (json!({"send_ack": false}), false, None),
    ] {
        let subject = unique("asked");
        let mut reader = reading(input(port, &subject, &fields)).await;
        let inbox = asker.new_inbox();
        let mut answers = asker.subscribe(inbox.clone()).await.expect("subscribed");
        asker.publish_with_reply(subject, inbox.clone(), "a".into()).await.expect("sent");
        let (batch, ack) = reader.next().await;
        assert_eq!(meta(&batch[0], "nats_reply_subject"), inbox);
        ack.done(if refuse { Err(NackReason::failed("no")) } else { Ok(()) });
        reader.stop().await;
        asker.publish(inbox, "end".into()).await.expect("sent");
        let answer = within(answers.next()).await.expect("an answer");
        assert_eq!(&*answer.payload, expected.unwrap_or("end").as_bytes(), "{fields}");
    }
    // What a stream answers takes the place of the acknowledgement.
    let subject = unique("answered");
    let config = json!({
        "input": input(port, &subject, &json!({})),
        "pipeline": {"processors": [{"mapping": "root = content().uppercase()"}]},
        "output": {"sync_response": {}},
    });
    let stream = Stream::start(config, &settings());
    until(|| stream.connected()).await;
    let answer = within(asker.request(subject, "hello".into())).await.expect("an answer");
    assert_eq!(&*answer.payload, b"HELLO");
    stream.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_and_comes_back_is_found_again() {
    let own = Own::start("nats");
    let subject = unique("outage");
    let mut reader = reading(input(own.port, &subject, &json!({}))).await;
    let writer = Stream::writing(output(own.port, &subject, &json!({"max_in_flight": 1})));
    write_all(&writer, numbers(0..10)).await;
    assert_eq!(reader.texts(10).await, numbers(0..10));
    for round in 0..2 {
        if round == 0 {
            own.stop()
        } else {
            own.kill()
        }
        until(|| !reader.connected()).await;
        let waiting = writer.send(vec![Message::new("waited")]);
        until(|| !writer.connected()).await;
        own.again();
        within(waiting).await.expect("an outcome").expect("delivered");
        until(|| reader.connected() && writer.connected()).await;
        // NATS keeps nothing: what was sent before the reader was back is not asked for, but what was sent twice would show.
        let early = reader.rest(Duration::from_millis(200)).await;
        assert!(early.is_empty() || early == ["waited"], "{early:?}");
        write_all(&writer, numbers(10..20)).await;
        assert_eq!(reader.texts(10).await, numbers(10..20));
    }
    writer.stop().await;
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_in_place() {
    let port = port("nats");
    let (subject, silent) = (unique("service"), unique("silent"));
    let server = client(port).await;
    let mut requests = server.subscribe(subject.clone()).await.expect("subscribed");
    let _never_answers = server.subscribe(silent.clone()).await.expect("subscribed");
    server.flush().await.expect("sent");
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert(
                "echo",
                request.headers.as_ref().and_then(|all| all.get("ask")).expect("a header").as_str(),
            );
            let answer = format!("<{}>", String::from_utf8_lossy(&request.payload)).into();
            let to = request.reply.expect("a request");
            server.publish_with_headers(to, headers, answer).await.expect("sent");
        }
    });
    let processor = with(
        "nats_request_reply",
        port,
        json!({
            "subject": format!("${{! @to.or(\"{subject}\") }}"), "headers": {"ask": "${! content() }"},
            "timeout": "300ms", "inbox_prefix": "_INBOX.own",
        }),
        &json!({}),
    );
    let mut stream = Stream::through(json!([processor, {"catch": [{"mapping": "root = error()"}]}]));
    let message = |text: &str, to: Option<&str>| {
        let mut message = Message::new(text.to_owned());
        message.set_meta("kept", "yes");
        if let Some(to) = to {
            message.set_meta("to", to);
        }
        message
    };
    let nobody = unique("nobody");
    let batch = vec![
        message("a", None),
        message("b", Some(&silent)),
        message("c", Some(&nobody)),
        message("d", None),
    ];
    let outcome = stream.send(batch);
    let answers = stream.batch().await;
    within(outcome).await.expect("an outcome").expect("delivered");
    let expected = [
        "<a>".to_owned(),
        format!("no reply to `{silent}` within 300ms"),
        format!("nobody answers to `{nobody}`"),
        "<d>".to_owned(),
    ];
    assert_eq!(crate::ends::texts(&answers), expected);
    assert_eq!((meta(&answers[0], "echo"), meta(&answers[0], "kept")), ("a".to_owned(), "yes".to_owned()));
    stream.stop().await;
}

/// A user's key, made for these tests.
const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";

#[tokio::test(flavor = "multi_thread")]
async fn clients_say_who_they_are_and_speak_tls() {
    let key = nkeys::KeyPair::from_seed(SEED).expect("a seed").public_key();
    let file = std::env::temp_dir().join(unique("nats.conf"));
    let (certificate, private) = (sample("server.crt"), sample("server.key"));
    let config = format!(
        "tls {{ cert_file: {certificate:?}, key_file: {private:?} }}\n\
         authorization {{ users: [ {{user: u, password: \"p@s\"}}, {{nkey: {key}}},\n\
         {{user: narrow, password: n, permissions: {{publish: \"allowed\", subscribe: \"_INBOX.>\"}}}},\n\
         {{user: blind, password: b, permissions: {{publish: \">\", subscribe: \"none\"}}}} ] }}\n"
    );
    tokio::fs::write(&file, config).await.expect("written");
    let own = Own::with("nats", &[("SLUICEGATE_TEST_NATS_CONFIG", file.as_path())]);
    let seed_file = std::env::temp_dir().join(unique("seed"));
    tokio::fs::write(&seed_file, format!("# the key of a test\n{SEED}\n")).await.expect("written");
    let tls = json!({"enabled": true, "root_cas_file": sample("ca.crt")});
    let at = |who: &str| json!([format!("nats://127.0.0.1:1,nats://{who}127.0.0.1:{}", own.port)]);
    let subject = unique("secure");
    for fields in [
        json!({"urls": at("u:p%40s@")}),
        json!({"urls": at(""), "auth": {"user": "u", "password": "p@s"}}),
        json!({"urls": at(""), "auth": {"nkey": SEED}}),
        json!({"urls": at(""), "auth": {"nkey_file": seed_file}}),
    ] {
        let mut fields = fields;
        fields["tls"] = tls.clone();
        let mut reader = reading(input(own.port, &subject, &fields)).await;
        let writer = Stream::writing(output(own.port, &subject, &fields));
        write_all(&writer, numbers(0..1)).await;
        assert_eq!(reader.texts(1).await, ["0"], "{fields}");
        writer.stop().await;
        reader.stop().await;
    }
    // A name is connected to where a policy allows it, and the certificate is that of the name.
    let urls = json!([format!("nats://u:p%40s@localhost:{}", own.port)]);
    let by_name = json!({"output": output(own.port, &subject, &json!({"urls": urls, "tls": tls}))});
    let writer = Stream::start(by_name, &under_policy(own.port));
    write_all(&writer, numbers(0..1)).await;
    writer.stop().await;
    for (fields, told) in [
        (json!({"urls": at("u:wrong@"), "tls": tls}), "authorization violation"),
        (json!({"urls": at("u:p%40s@"), "tls": {"enabled": true}}), "certificate"),
    ] {
        let writer = Stream::writing(output(own.port, &subject, &fields));
        until(|| writer.last_error().contains(told)).await;
        assert!(!writer.last_error().contains("p@s") && !writer.last_error().contains("wrong@"));
    }
    // What the server refuses fails; who may not hear the echo of what was sent delivers nevertheless.
    let fields = json!({"urls": at("narrow:n@"), "tls": tls});
    let writer = Stream::writing(output(own.port, "${! content() }", &fields));
    writer.write(vec![Message::new("allowed")]).await.expect("delivered");
    let mut refused = None;
    // The server's refusal has no order with what it confirms, so the first may be missed.
    while refused.is_none() {
        refused = writer.write(vec![Message::new("secret")]).await.err();
    }
    assert!(refused.expect("refused").text().contains("Permissions Violation"));
    writer.stop().await;
    let mut reader = reading(input(own.port, &subject, &json!({"urls": at("u:p%40s@"), "tls": tls}))).await;
    let writer = Stream::writing(output(own.port, &subject, &json!({"urls": at("blind:b@"), "tls": tls})));
    write_all(&writer, numbers(0..3)).await;
    assert_eq!(reader.texts(3).await, numbers(0..3));
    writer.stop().await;
    reader.stop().await;
    let blind = Stream::reading(input(own.port, &subject, &json!({"urls": at("narrow:n@"), "tls": tls})));
    until(|| blind.last_error().contains("does not let this user subscribe")).await;
    for file in [file, seed_file] {
        let _ = tokio::fs::remove_file(file).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_carry_it_too() {
    let (certificate, private) = (sample("server.crt"), sample("server.key"));
    let login = "authorization { user: u, password: \"p@s\" }\n";
    let secure = format!("tls {{ cert_file: {certificate:?}, key_file: {private:?} }}");
    let tls = json!({"enabled": true, "root_cas_file": sample("ca.crt")});
    // What the server speaks; the address's scheme; the client's own settings.
    for (spoken, scheme, fields) in [
        ("no_tls: true", "ws", json!({})),
        (&secure, "wss", json!({"tls": tls})),
        (&secure, "ws", json!({"tls": tls})),
    ] {
        let file = std::env::temp_dir().join(unique("nats.conf"));
        let own = Own::configured("nats", "SLUICEGATE_TEST_NATS_CONFIG", &file, |port| {
            format!("{login}websocket {{ listen: \"127.0.0.1:{}\", {spoken} }}\n", port + 1)
        });
        let mut fields = fields;
        fields["urls"] = json!([format!("{scheme}://u:p%40s@127.0.0.1:{}", own.port + 1)]);
        let subject = unique("socket");
        let mut reader = reading(input(own.port, &subject, &fields)).await;
        let writer = Stream::writing(output(own.port, &subject, &fields));
        // Larger than one read.
        let large = "x".repeat(200_000);
        write_all(&writer, vec!["1".to_owned(), large.clone(), "3".to_owned()]).await;
        assert_eq!(reader.texts(3).await, ["1".to_owned(), large, "3".to_owned()], "{scheme} {spoken}");
        // Gone and back.
        own.stop();
        until(|| !reader.connected()).await;
        own.again();
        until(|| reader.connected()).await;
        write_all(&writer, numbers(0..3)).await;
        assert_eq!(reader.texts(3).await, numbers(0..3));
        writer.stop().await;
        reader.stop().await;
        if scheme == "wss" {
            fields["tls"] = json!({"enabled": true});
            let writer = Stream::writing(output(own.port, &subject, &fields));
            until(|| writer.last_error().contains("certificate")).await;
            assert!(!writer.last_error().contains("p%40s"), "{}", writer.last_error());
        }
        let _ = tokio::fs::remove_file(file).await;
    }
}

#[test]
fn what_cannot_be_is_refused_where_it_was_written() {
    for (config, pointer, told) in [
        (json!({"input": {"nats_stream": {"urls": ["nats://a"]}}}), "/input/nats_stream", "nats_jetstream"),
        (json!({"output": {"nats_stream": {}}}), "/output/nats_stream", "nats_jetstream"),
        (
            json!({"input": {"nats": {"urls": ["http://a"], "subject": "s"}}}),
            "/input/nats/urls",
            "nats://host",
        ),
        (
            json!({"input": {"nats": {"urls": ["a"], "subject": "s", "auth": {"nkey": "SUnone"}}}}),
            "/input/nats/auth/nkey",
            "nkey seed",
        ),
        (
            json!({"input": {"nats": {"urls": ["a"], "subject": "s", "auth": {"user_jwt": "x"}}}}),
            "/input/nats/auth/user_jwt",
            "user_nkey_seed",
        ),
        (
            json!({"output": {"nats": {"urls": ["a"], "subject": "s", "auth": {"nkey": SEED, "nkey_file": "f"}}}}),
            "/output/nats/auth",
            "one user",
        ),
    ] {
        let mut whole = json!({"input": {"generate": {"mapping": "root = 1"}}, "output": {"drop": {}}});
        whole.as_object_mut().expect("an object").extend(config.as_object().expect("an object").clone());
        let fault = build(&whole, &settings()).err().unwrap_or_else(|| panic!("{config} was taken"));
        assert!(fault.contains(pointer) && fault.contains(told), "{config}: {fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_may_be_fetched_ahead() {
    let (port, subject) = (port("nats"), unique("ahead"));
    for count in [0, i64::MAX] {
        let mut reader = reading(input(port, &subject, &json!({"prefetch_count": count}))).await;
        let client = client(port).await;
        client.publish(subject.clone(), "a".into()).await.expect("sent");
        client.flush().await.expect("flushed");
        assert_eq!(reader.texts(1).await, ["a"], "{count}");
        reader.stop().await;
    }
}
