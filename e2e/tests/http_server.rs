//! The components `http_server`, row by row of their field tables (streams contract 2.4, 2.5). What they do for messages
//! on their way is in `events.rs`; browsers and slow clients are in `edges.rs`.

use std::time::{Duration, Instant};

use e2e::bridge::sample_pem;
use e2e::streaming::{events, post, post_to_sse, sse_output};
use e2e::{Endless, Gate, Socket, Upstream, curl, until};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// A gate with one keyless event API `ev` that has one stream.
async fn gate(stream: Value) -> Gate {
    Gate::setup().oas(events("ev", json!({"s": stream}))).start().await
}

/// From an input with these fields to server-sent events on `/sse`, with a rate limit `few`.
fn limited(input: Value, count: u32, interval: &str) -> Value {
    json!({
        "input": {"http_server": input},
        "output": sse_output(json!({"delivery": "broadcast"})),
        "rate_limit_resources": [{"label": "few", "local": {"count": count, "interval": interval}}],
    })
}

#[tokio::test]
async fn requests_that_exceed_the_rate_limit_are_told_when_to_come_again() {
    let gate = gate(limited(json!({"path": "/post", "rate_limit": "few"}), 2, "1h")).await;
    let mut sse = Endless::get(gate.port(), "/ev/sse", &[]).await;
    let url = gate.url("/ev/post");
    for text in ["one", "two"] {
        assert_eq!(post(&url, text, &[]).await.status, 200);
        assert_eq!(sse.data().await.unwrap(), text);
    }
    let refused = post(&url, "three", &[]).await;
    assert_eq!(refused.status, 429, "{refused:?}");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((3_000..=3_600).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_rate_limit_that_cannot_be_asked_is_not_taken_for_none() {
    let mut stream = limited(json!({"path": "/post", "rate_limit": "few"}), 1, "1h");
    stream["rate_limit_resources"][0] = json!({"label": "few", "redis": {"url": "redis://127.0.0.1:1", "count": 1, "interval": "1s", "key": "k"}});
    let gate = gate(stream).await;
    let reply = post(&gate.url("/ev/post"), "x", &[]).await;
    assert_eq!(reply.status, 502, "{reply:?}");
    assert!(reply.text().contains("the rate limit cannot be asked"), "{reply:?}");
}

#[tokio::test]
async fn a_rate_limit_that_there_is_not_is_a_fault_of_the_definition() {
    let mut stream = post_to_sse(json!({}));
    stream["input"]["http_server"]["rate_limit"] = json!("few");
    let gate = gate(stream).await;
    until("the fault is told", async || {
        gate.log().contains("http_server/rate_limit") || gate.log().contains("http_server.rate_limit")
    })
    .await;
    assert_eq!(post(&gate.url("/ev/post"), "x", &[]).await.status, 404);
}

#[tokio::test]
async fn frames_that_exceed_the_rate_limit_are_answered_or_wait() {
    let input = json!({
        "path": "", "ws_path": "/in", "rate_limit": "few",
        "ws_welcome_message": "welcome", "ws_rate_limit_message": "not so fast",
    });
    let told = gate(limited(input.clone(), 1, "1h")).await;
    let mut sse = Endless::get(told.port(), "/ev/sse", &[]).await;
    let mut socket = Socket::open(told.port(), "/ev/in", &[]).await.unwrap();
    assert_eq!(socket.next().await, Some(Message::binary(&b"welcome"[..])));
    socket.send(Message::text("one")).await;
    assert_eq!(sse.data().await.unwrap(), "one");
    for _ in 0..2 {
        socket.send(Message::text("two")).await;
        assert_eq!(socket.next().await, Some(Message::binary(&b"not so fast"[..])));
    }

    let mut waiting = input;
    waiting["ws_rate_limit_message"] = json!("");
    let waits = gate(limited(waiting, 1, "400ms")).await;
    let mut sse = Endless::get(waits.port(), "/ev/sse", &[]).await;
    let mut socket = Socket::open(waits.port(), "/ev/in", &[]).await.unwrap();
    let began = Instant::now();
    for text in ["one", "two", "three"] {
        socket.send(Message::text(text)).await;
    }
    for text in ["one", "two", "three"] {
        assert_eq!(sse.data().await.unwrap(), text, "none is lost, none is twice");
    }
    assert!(began.elapsed() >= Duration::from_millis(750), "{:?}", began.elapsed());
}

/// Answers with what it was sent, under these settings of the answer.
fn echo(sync_response: Value) -> Value {
    json!({
        "input": {"http_server": {"path": "/ask", "ws_path": "", "sync_response": sync_response}},
        "output": {"sync_response": {}},
    })
}

#[tokio::test]
async fn metadata_of_an_answer_becomes_headers_by_prefix_and_pattern() {
    let mut stream = echo(json!({"metadata_headers": {
        "include_prefixes": ["out_"], "include_patterns": ["^X-Trace$", "^(Content|Transfer|Connection)"],
    }}));
    let mapping = "meta out_kind = \"a\"\nmeta hidden = \"b\"\nmeta \"Content-Length\" = 1\n\
                   meta \"Transfer-Encoding\" = \"chunked\"\nmeta \"Connection\" = \"close\"";
    stream["pipeline"] = json!({"processors": [{"mutation": mapping}]});
    let gate = gate(stream).await;
    let fields = ["-H", "x-trace: 7", "-H", "x-other: 8", "-H", "content-type: text/plain"];
    let reply = post(&gate.url("/ev/ask"), "hello", &fields).await;
    assert_eq!((reply.status, reply.text()), (200, "hello"), "{reply:?}");
    for (name, expected) in [
        ("out_kind", Some("a")),
        ("x-trace", Some("7")),
        ("content-type", Some("text/plain")),
        // What the stream says of connections is no answer's own.
        ("content-length", Some("5")),
        ("transfer-encoding", None),
        ("x-other", None),
        ("hidden", None),
    ] {
        assert_eq!(reply.header(name).as_deref(), expected, "{name}: {reply:?}");
    }
}

#[tokio::test]
async fn several_messages_of_an_answer_are_parts() {
    let mut stream = echo(json!({}));
    stream["pipeline"] = json!({"processors": [{"unarchive": {"format": "lines"}}]});
    let gate = gate(stream).await;
    let reply = post(&gate.url("/ev/ask"), "one\ntwo", &[]).await;
    let kind = reply.header("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/mixed; boundary=").unwrap();
    let part =
        |text: &str| format!("--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n{text}\r\n");
    assert_eq!(reply.text(), format!("{}{}--{boundary}--\r\n", part("one"), part("two")));
}

#[tokio::test]
async fn answers_are_compressed_for_those_that_accept_it() {
    let gate = gate(echo(json!({"headers": {"Content-Type": "text/plain"}}))).await;
    let url = gate.url("/ev/ask");
    let (short, long, longer) = ("x".to_owned(), "abc ".repeat(500), "abcd ".repeat(20_000));
    for (text, arguments, zipped) in [
        (&short, &["--compressed"][..], false),
        (&long, &["--compressed"], true),
        (&longer, &["--compressed"], true),
        (&long, &["-H", "accept-encoding: gzip;q=0"], false),
        (&long, &[], false),
    ] {
        let reply = post(&url, text, arguments).await;
        assert_eq!((reply.status, reply.text()), (200, text.as_str()), "{arguments:?}");
        assert_eq!(reply.header("content-type").as_deref(), Some("text/plain"));
        let encoding = reply.header("content-encoding");
        assert_eq!(encoding.as_deref(), zipped.then_some("gzip"), "{arguments:?}");
        let length: usize = reply.header("content-length").unwrap().parse().unwrap();
        assert_eq!(length < text.len() / 4, zipped, "{length}");
        let varies = reply.header("vary");
        assert_eq!(varies.as_deref(), zipped.then_some("Accept-Encoding"), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_get_takes_a_batch_as_parts() {
    let gate = gate(json!({
        "input": {"http_server": {"path": "/post", "ws_path": ""}},
        "output": {"http_server": {"path": "/next", "timeout": "10s"}},
    }))
    .await;
    let (url, next) = (gate.url("/ev/post"), gate.url("/ev/next"));
    let to_next = [next.as_str()];
    for _ in 0..4 {
        let arguments = ["-F", "a=one", "-F", "b=two lines", "-F", "c=", &url];
        let (posted, got) = tokio::join!(curl(&arguments), curl(&to_next));
        assert_eq!((posted.status, got.status), (200, 200), "{posted:?} {got:?}");
        let kind = got.header("content-type").unwrap();
        let boundary = kind.strip_prefix("multipart/mixed; boundary=").unwrap();
        let part =
            |text: &str| format!("--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n{text}\r\n");
        let expected = format!("{}{}{}--{boundary}--\r\n", part("one"), part("two lines"), part(""));
        assert_eq!(got.text(), expected);
    }
    // One message alone is no batch.
    let (posted, got) = tokio::join!(post(&url, "alone", &[]), curl(&to_next));
    assert_eq!((posted.status, got.text()), (200, "alone"));
    assert_eq!(got.header("content-type").as_deref(), Some("application/octet-stream"));
}

#[tokio::test]
async fn a_message_knows_what_tls_agreed_on() {
    let mut stream = echo(json!({}));
    stream["pipeline"] = json!({"processors": [{"mapping":
        "root = [metadata(\"http_server_tls_version\"), metadata(\"http_server_tls_cipher_suite\")]"
    }]});
    let gate = Gate::setup()
        .oas(events("ev", json!({"s": stream})))
        .file("gate.pem", &sample_pem("api"))
        .conf(json!({"http_server_options": {"use_ssl": true, "ssl_certificates": ["gate.pem"]}}))
        .start()
        .await;
    for (arguments, version, suite) in
        [(&["--tlsv1.3"][..], "TLSv1.3", "TLS_AES_"), (&["--tls-max", "1.2"], "TLSv1.2", "TLS_ECDHE_")]
    {
        let mut all = vec!["-k"];
        all.extend_from_slice(arguments);
        let reply = post(&gate.url("/ev/ask"), "x", &all).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let seen = reply.json();
        assert_eq!(seen[0], version);
        assert!(seen[1].as_str().unwrap().starts_with(suite), "{seen}");
    }
}

#[tokio::test]
async fn clients_of_streams_go_where_the_configuration_lets_them() {
    let upstream = Upstream::start().await;
    let elsewhere = upstream.authority().replace("127.0.0.1", "localhost");
    let asking = |authority: &str| {
        let mut stream = echo(json!({}));
        let http = json!({"url": format!("http://{authority}/x"), "retries": 0});
        stream["pipeline"] = json!({"processors": [{"http": http}]});
        stream["output"] = json!({"reject_errored": {"sync_response": {}}});
        stream
    };
    let port = upstream.authority().rsplit(':').next().unwrap().to_owned();
    for (egress, authority, allowed) in [
        (json!({}), upstream.authority(), true),
        (json!({"deny_private": true}), upstream.authority(), false),
        // What a name stands for is looked at, not the name.
        (json!({"deny_private": true}), elsewhere.clone(), false),
        (json!({"deny_private": true, "allow": [format!("127.0.0.1:{port}")]}), upstream.authority(), true),
        (json!({"allow": ["127.0.0.1:1"]}), upstream.authority(), false),
        (json!({"deny": ["127.0.0.0/8"]}), upstream.authority(), false),
    ] {
        let before = upstream.hits();
        let gate = Gate::setup()
            .conf(json!({"streaming": {"enabled": true, "egress": egress}}))
            .oas(events("ev", json!({"s": asking(&authority)})))
            .start()
            .await;
        let reply = post(&gate.url("/ev/ask"), "hello", &[]).await;
        assert_eq!(reply.status, if allowed { 200 } else { 502 }, "{egress}: {reply:?}");
        assert_eq!(upstream.hits() > before, allowed, "{egress}");
        assert!(allowed || reply.text().contains("the egress policy"), "{egress}: {reply:?}");
    }
}
