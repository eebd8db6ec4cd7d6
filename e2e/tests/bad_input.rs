//! Bad input of every kind: a clear error for whoever sent it, and service as usual for everyone else.

use e2e::definition::{keyed, keyless, oas};
use e2e::{Gate, Upstream, h2, raw_socket, soon, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A gate with a keyless API `a` and a keyed API `k`.
async fn gate(upstream: &Upstream) -> Gate {
    Gate::setup()
        .conf(json!({"enable_analytics": true}))
        .api(keyless("a", &upstream.url("")))
        .api(keyed("k", &upstream.url("")))
        .start()
        .await
}

async fn serves(gate: &Gate) {
    let reply = gate.get("/a/x", &[]).await;
    assert_eq!(reply.status, 200, "the gate no longer serves: {reply:?}");
}

/// A gate refuses: this status, our JSON form, naming `what`; and the connection ends.
fn assert_refused(name: &str, answer: &str, status: u16, what: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answer:?}");
    let (head, body) = answer.split_once("\r\n\r\n").expect("the answer has a head");
    let head = head.to_ascii_lowercase();
    assert!(head.contains("\r\ncontent-type: application/json"), "{name}: {answer:?}");
    assert!(head.contains("\r\nconnection: close"), "{name}: {answer:?}");
    let error: Value =
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{name}: {error} in {answer:?}"));
    let error = error["error"].as_str().expect("the body names the error");
    assert!(error.contains(what), "{name}: {answer:?}");
}

#[tokio::test]
async fn ambiguous_framing_is_refused_before_anything_is_forwarded() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream).await;
    let post = |fields: &str, body: &str| format!("POST /a/x HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n{body}");
    let smuggled = "GET /a/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let cases = [
        ("CL and TE", post("Content-Length: 6\r\nTransfer-Encoding: chunked", "0\r\n\r\nX"), 400, "both"),
        ("TE and CL", post("Transfer-Encoding: chunked\r\nContent-Length: 6", "0\r\n\r\nX"), 400, "both"),
        ("equal CL twice", post("Content-Length: 5\r\nContent-Length: 5", "hello"), 400, "Content-Length"),
        ("different CL", post("Content-Length: 5\r\nContent-Length: 6", "hello!"), 400, "Content-Length"),
        ("list of CL", post("Content-Length: 5, 5", "hello"), 400, "Content-Length"),
        ("signed CL", post("Content-Length: +5", "hello"), 400, "Content-Length"),
        (
            "TE twice",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n"),
            400,
            "Transfer-Encoding",
        ),
        ("TE list", post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"), 400, "Transfer-Encoding"),
        ("TE with a control byte", post("Transfer-Encoding: \x0bchunked", "0\r\n\r\n"), 400, "control"),
        (
            "TE on HTTP/1.0",
            "POST /a/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
            400,
            "HTTP/1.0",
        ),
        ("bare LF", "GET /a/x HTTP/1.1\nHost: x\n\n".into(), 400, "bare LF"),
        ("bare LF in the middle", "GET /a/x HTTP/1.1\r\nHost: x\nA: b\r\n\r\n".into(), 400, "bare LF"),
        ("bare CR", post("A: b\rContent-Length: 5", "hello"), 400, "control"),
        ("space before the colon", post("Content-Length : 5", "hello"), 400, "white space"),
        ("folded", post("A: b\r\n Content-Length: 5", "hello"), 400, "folded"),
        ("NUL", post("A: b\0c", ""), 400, "control"),
        ("no Host", "GET /a/x HTTP/1.1\r\n\r\n".into(), 400, "Host"),
        ("two Hosts", "GET /a/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".into(), 400, "Host"),
        ("two authorities", "GET http://a/a/x HTTP/1.1\r\nHost: b\r\n\r\n".into(), 400, "different hosts"),
        ("no version", "GET /a/x\r\n\r\n".into(), 400, "request line"),
        ("not HTTP", "\x16\x03\x01\x02\0\x01\0\x01\u{7f}\x03\x03".into(), 400, "TLS"),
        (
            "long request line",
            format!("GET /a/{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(9_000)),
            414,
            "8192",
        ),
        ("large header", post(&format!("A: {}", "a".repeat(70_000)), ""), 431, "too large"),
        ("many headers", post("A: b\r\n".repeat(101).trim_end(), ""), 431, "100"),
    ];
    let hits = upstream.hits();
    for (name, request, status, what) in cases {
        assert_refused(name, &gate.raw(request.as_bytes()).await, status, what);
        assert_refused(name, &gate.raw(format!("{request}{smuggled}").as_bytes()).await, status, what);
    }
    let invalid = b"GET /a/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_refused("invalid UTF-8", &gate.raw(invalid).await, 400, "UTF-8");
    assert_eq!(upstream.hits(), hits, "something was forwarded");
    serves(&gate).await;
}

#[tokio::test]
async fn a_good_request_is_answered_before_the_bad_one_behind_it() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream).await;
    let answer = gate
        .raw(b"GET /a/slow/200 HTTP/1.1\r\nHost: x\r\n\r\nGET /a/bad HTTP/1.1\r\nHost : x\r\n\r\nGET /a/third HTTP/1.1\r\n\r\n")
        .await;
    let (good, bad) = answer.split_at(answer.rfind("HTTP/1.1 ").unwrap());
    assert!(good.starts_with("HTTP/1.1 200 ") && good.contains("\"/slow/200\""), "{answer}");
    assert_refused("the second", bad, 400, "white space");
    serves(&gate).await;
}

#[tokio::test]
async fn a_broken_chunked_body_is_refused() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream).await;
    let head = "POST /a/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(300));
    for (name, body) in [
        ("bare LF", "5\nhello\n0\n\n"),
        ("not a size", "five\r\nhello\r\n0\r\n\r\n"),
        ("overflowing size", "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        ("longer than its size", "3\r\nhello\r\n0\r\n\r\n"),
        ("long extension", &extension),
        ("length in the trailers", "0\r\nContent-Length: 5\r\n\r\n"),
    ] {
        let answer = gate.raw(format!("{head}{body}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{name}: {answer:?}");
        assert!(answer.contains("\"error\": \""), "{name}: {answer:?}");
    }
    serves(&gate).await;
}

#[tokio::test]
async fn c4_1_row_8_bodies_over_the_limit_are_refused() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .conf(json!({"http_server_options": {"max_request_body_size": 1000}}))
        .api(keyless("a", &upstream.url("")))
        .start()
        .await;
    let (fits, large) = ("x".repeat(1000), "x".repeat(1001));
    for (chunked, body, status) in
        [(false, &fits, 200), (true, &fits, 200), (false, &large, 413), (true, &large, 413)]
    {
        let mut arguments = vec!["-d", body.as_str()];
        if chunked {
            arguments.extend(["-H", "Transfer-Encoding: chunked"]);
        }
        let reply = gate.get("/a/x", &arguments).await;
        assert_eq!(reply.status, status, "chunked {chunked}, {} bytes: {reply:?}", body.len());
    }
    // Large enough to be still on its way when the answer comes.
    let huge = "x".repeat(2_000_000);
    std::fs::write(gate.dir().join("huge"), huge).unwrap();
    let data = format!("@{}", gate.dir().join("huge").display());
    let reply = gate.get("/a/x", &["--data-binary", &data, "-H", "Expect:"]).await;
    assert_eq!(reply.status, 413, "{reply:?}");
    serves(&gate).await;
}

#[tokio::test]
async fn odd_paths_do_not_reach_the_upstream() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream).await;
    let hits = upstream.hits();
    for (path, statuses) in [
        ("/a/x%00y", &[400][..]),
        ("/a/x%zz", &[400]),
        ("/a/x%2", &[400]),
        ("/a/../k/x", &[301, 307, 308, 400, 401, 404]),
        ("/a/%2e%2e/k/x", &[301, 307, 308, 400, 401, 404]),
        ("/a/..%2fk/x", &[200, 301, 307, 308, 400, 401, 404]),
    ] {
        let answer =
            gate.raw(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        assert!(statuses.contains(&status), "{path}: {answer}");
        assert!(!answer.contains("\"/k/"), "{path} reached another API's upstream path: {answer}");
    }
    assert!(upstream.hits() <= hits + 1);
    serves(&gate).await;
}

#[tokio::test]
async fn c4_6_row_13_half_open_and_half_closed_connections_harm_nobody() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream).await;
    // Ends in the middle of the head, and in the middle of the body: told so.
    for request in
        [&b"GET /a/x HTT"[..], b"POST /a/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhello"]
    {
        let mut socket = raw_socket(gate.port()).await;
        socket.write_all(request).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = String::new();
        let _ = soon("the answer to half a request", socket.read_to_string(&mut answer)).await;
        assert_refused("half a request", &answer, 400, "the connection ended");
    }
    // Ends after a whole request: it counts as gone, so that nothing is held for it; that is in the records.
    let mut socket = raw_socket(gate.port()).await;
    socket.write_all(b"GET /a/slow/60000 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = String::new();
    soon("the end of a half-closed connection", socket.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "");
    until("the record of the client that left", async || {
        let records = gate.admin().get("/records?limit=5").await.json();
        records
            .as_array()
            .unwrap()
            .iter()
            .any(|record| record["status"] == 499 && record["path"] == "/a/slow/60000")
    })
    .await;
    // Says nothing, or goes away at once.
    let silent = connections(gate.port(), 50).await;
    for socket in connections(gate.port(), 50).await {
        drop(socket);
    }
    serves(&gate).await;
    drop(silent);
}

async fn connections(port: u16, count: usize) -> Vec<tokio::net::TcpStream> {
    let mut sockets = Vec::new();
    for _ in 0..count {
        sockets.push(raw_socket(port).await);
    }
    sockets
}

#[tokio::test]
async fn a_slow_client_holds_up_nobody() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream).await;
    let mut slow = raw_socket(gate.port()).await;
    let request = b"POST /a/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    for byte in request {
        slow.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    serves(&gate).await;
    let mut answer = String::new();
    soon("the answer to a slow client", slow.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(r#""body":"hello""#), "{answer}");
    // Asks for much and reads nothing.
    let mut deaf = raw_socket(gate.port()).await;
    deaf.write_all(b"GET /a/bytes/50000000 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    serves(&gate).await;
}

#[tokio::test]
async fn wrong_keys_of_every_shape_are_refused() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream).await;
    let long = "x".repeat(50_000);
    for key in [
        "x",
        "Bearer",
        "Bearer ",
        "../../etc",
        "eyJvcmciOiJvcmciLCJpZCI6IngifQ==",
        "caf\u{e9}",
        &long,
        "*",
        "quota-x",
    ] {
        let reply = gate.get("/k/x", &["-H", &format!("Authorization: {key}")]).await;
        assert!([401, 403].contains(&reply.status), "{:.40}: {reply:?}", key);
    }
    let answer = gate
        .raw(b"GET /k/x HTTP/1.1\r\nHost: x\r\nAuthorization: \xff\xfe\r\nConnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 401 ") || answer.starts_with("HTTP/1.1 403 "), "{answer}");
    serves(&gate).await;
}

#[tokio::test]
async fn broken_definitions_are_named_and_the_others_run() {
    let upstream = Upstream::start().await;
    let mut unsupported = oas("streams", "http://127.0.0.1:1");
    unsupported["x-tyk-streaming"] = json!({"streams": {"s": {"input": {"no_such_component": {}}, "output": {"http_server": {"path": "/x"}}}}});
    let mut guarded = keyed("guarded", &upstream.url(""));
    guarded["use_standard_auth"] = json!(false);
    guarded["custom_plugin_auth_enabled"] = json!(true);
    let gate = Gate::setup()
        .api(keyless("a", &upstream.url("")))
        .file("apps/syntax.json", "{\n  \"api_id\": \"syntax\",\n  nonsense\n}")
        .file("apps/empty.json", "")
        .file(
            "apps/types.json",
            r#"{"api_id": "types", "name": 5, "proxy": {"listen_path": "/types/", "target_url": "nope"}}"#,
        )
        .file("apps/utf8.json", "\u{feff}[1, 2")
        .oas(unsupported)
        .api(guarded)
        .start()
        .await;
    serves(&gate).await;
    // An API whose guard we do not have must not be open.
    for path in ["/guarded/x", "/types/x", "/streams/x"] {
        assert_eq!(gate.get(path, &[]).await.status, 404, "{path}");
    }
    let log = gate.log();
    for named in [
        &["syntax.json", "line=3"][..],
        &["empty.json"],
        &["types.json", "/proxy/target_url"],
        &["utf8.json"],
        &["streams", "no_such_component"],
        &["guarded.json", "/custom_middleware/driver"],
    ] {
        let told = log.lines().any(|line| named.iter().all(|name| line.contains(name)));
        assert!(told, "{named:?} is not in the log:\n{log}");
    }
}

#[tokio::test]
async fn an_unreadable_definition_is_named() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyless("a", &upstream.url(""))).prepare();
    // Reading it fails for root, too.
    std::fs::create_dir(gate.dir().join("apps/folder.json")).unwrap();
    std::os::unix::fs::symlink("/nonexistent/file.json", gate.dir().join("apps/dangling.json")).unwrap();
    let mut gate = gate;
    gate.start().await;
    serves(&gate).await;
    let log = gate.log();
    assert!(log.contains("dangling.json"), "the unreadable file is not named:\n{log}");
}

#[tokio::test]
async fn a_port_in_use_is_told_and_ends_the_process() {
    let upstream = Upstream::start().await;
    let first = gate(&upstream).await;
    let mut second = Gate::setup().conf(json!({"listen_port": first.port()})).prepare();
    second.spawn();
    let code = second.ended().await;
    assert_ne!(code, Some(0));
    let log = second.log();
    assert!(log.contains(&first.port().to_string()) && log.contains("listen_port"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    serves(&first).await;
}

#[tokio::test]
async fn a_broken_configuration_is_told_and_ends_the_process() {
    for (text, told) in [
        ("{ nonsense", "tyk.conf"),
        (r#"{"listen_port": "eighty"}"#, "listen_port"),
        (r#"{"listen_port": 99999}"#, "listen_port"),
        (r#"{"streaming": {"egress": {"deny": ["10.0.0.0/99"]}}}"#, "streaming.egress.deny: `10.0.0.0/99`"),
    ] {
        let mut gate = Gate::setup().file("tyk.conf", text).prepare();
        gate.spawn();
        let code = gate.ended().await;
        let log = gate.log();
        assert!(code.is_some_and(|code| code != 0), "{text}: {code:?}\n{log}");
        assert!(log.contains(told), "{text}: {told} is not named:\n{log}");
        assert!(!log.contains("panicked"), "{text}:\n{log}");
    }
}

#[tokio::test]
async fn an_unreachable_broker_keeps_only_its_own_stream_waiting() {
    let upstream = Upstream::start().await;
    let mut events = oas("events", "http://127.0.0.1:1");
    events["x-tyk-streaming"] = json!({"streams": {"s": {
        "input": {"kafka": {"addresses": ["127.0.0.1:1"], "topics": ["t"], "consumer_group": "g"}},
        "output": {"http_server": {"path": "/get", "stream_path": "/sse"}},
    }}});
    let mut gate = Gate::setup().api(keyless("a", &upstream.url(""))).oas(events).start().await;
    serves(&gate).await;
    until("the broker is named in the log", async || gate.log().contains("127.0.0.1:1")).await;
    serves(&gate).await;
    assert!(gate.is_running());
}

#[tokio::test]
async fn http2_abuse_ends_one_connection_only() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream).await;
    for (name, frames, code) in [
        ("garbage", vec![0xff; 100], h2::FRAME_SIZE_ERROR),
        (
            "oversized frame",
            [&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1][..], &[0; 100]].concat(),
            h2::FRAME_SIZE_ERROR,
        ),
        ("HEADERS on stream 0", vec![0, 0, 1, 1, 4, 0, 0, 0, 0, 0x82], h2::PROTOCOL_ERROR),
    ] {
        let mut connection = h2::Connection::open(gate.port()).await;
        connection.send(&frames).await;
        let goodbye = connection.expect(h2::GOAWAY, 0).await;
        assert_eq!(goodbye.and_then(|frame| frame.code()), Some(code), "{name}");
        while connection.next().await.is_some() {}
    }
    serves(&gate).await;
    let reply = gate.get("/a/x", &["--http2-prior-knowledge"]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}
