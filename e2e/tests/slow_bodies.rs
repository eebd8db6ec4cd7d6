//! Clients that send their bodies too slowly: they are told so, and nobody else is harmed or blamed.

use std::time::Duration;

use e2e::definition::keyless;
use e2e::{Gate, Upstream, h2, raw_socket, soon};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An upstream that is left alone after two failures of four, and one of two targets that is left out after two.
async fn gate(upstream: &Upstream, limits: &Value) -> Gate {
    let mut broken = keyless("a", &upstream.url(""));
    broken["version_data"]["versions"]["Default"]["extended_paths"] = json!({
        "circuit_breakers": [{"path": "/x", "method": "POST", "threshold_percent": 0.5, "samples": 2, "return_to_service_after": 60}],
        "hard_timeouts": limits,
    });
    let mut balanced = keyless("b", &upstream.url(""));
    balanced["proxy"]["enable_load_balancing"] = json!(true);
    balanced["proxy"]["target_list"] = json!([upstream.url("/one"), upstream.url("/two")]);
    balanced["proxy"]["ejection"] = json!({"failures": 1, "seconds": 60});
    Gate::setup()
        .api(broken)
        .api(balanced)
        .conf(json!({"http_server_options": {"read_timeout": 1, "write_timeout": 1}}))
        .start()
        .await
}

/// Sends a head and then a piece of the body over and over, until there is an answer.
async fn trickle(gate: &Gate, head: &str, piece: &[u8]) -> String {
    let mut socket: TcpStream = raw_socket(gate.port()).await;
    socket.write_all(format!("{head}\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    soon("an answer to a slow client", async {
        loop {
            let _ = socket.write_all(piece).await;
            let waited = tokio::time::timeout(Duration::from_millis(50), socket.read_buf(&mut answer)).await;
            if matches!(waited, Ok(Ok(0) | Err(_))) {
                return;
            }
        }
    })
    .await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn bodies_that_stop_or_trickle_are_refused_and_nobody_else_is_blamed() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream, &json!([])).await;
    for path in ["/a/x", "/b/x"] {
        for (fields, piece) in [
            ("Content-Length: 100000", &b""[..]),
            ("Content-Length: 100000", b"x"),
            ("Transfer-Encoding: chunked", b""),
            ("Transfer-Encoding: chunked", b"1\r\nx\r\n"),
        ] {
            let answer = trickle(&gate, &format!("POST {path} HTTP/1.1\r\n{fields}"), piece).await;
            assert!(answer.starts_with("HTTP/1.1 408 "), "{path}, {fields}, {piece:?}: {answer}");
            assert!(answer.contains("the request body comes too slowly"), "{answer}");
            assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
        }
    }
    // The breaker has not tripped, and no target is left out.
    for path in ["/a/x", "/b/x", "/b/x"] {
        assert_eq!(gate.get(path, &["-d", "hello"]).await.status, 200, "{path}");
    }
    assert!(!gate.log().contains("left out") && !gate.log().contains("left alone"), "{}", gate.log());
}

#[tokio::test]
async fn over_http2_they_are_refused_alone() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream, &json!([])).await;
    let head = [&[0x83, 0x86, 0x44, 4][..], b"/a/x", &[0x41, 1, b'a']].concat();
    let mut socket = raw_socket(gate.port()).await;
    let opening = [
        h2::PREFACE,
        &h2::frame(h2::SETTINGS, 0, 0, b""),
        &h2::frame(h2::HEADERS, h2::END_HEADERS, 1, &head),
    ]
    .concat();
    socket.write_all(&opening).await.unwrap();
    let mut answer = Vec::new();
    let told = soon("an answer to a slow client", async {
        loop {
            let _ = socket.write_all(&h2::frame(h2::DATA, 0, 1, b"x")).await;
            let waited = tokio::time::timeout(Duration::from_millis(50), socket.read_buf(&mut answer)).await;
            let text = String::from_utf8_lossy(&answer);
            if text.contains("the request body comes too slowly") || matches!(waited, Ok(Ok(0) | Err(_))) {
                return text.into_owned();
            }
        }
    });
    let told = told.await;
    assert!(told.contains("the request body comes too slowly"), "{told}");
    // The connection serves on.
    let get = [&[0x82, 0x86, 0x44, 4][..], b"/a/y", &[0x41, 1, b'a']].concat();
    socket.write_all(&h2::frame(h2::HEADERS, h2::END_HEADERS | h2::END_STREAM, 3, &get)).await.unwrap();
    answer.clear();
    soon("an answer on the same connection", async {
        while !String::from_utf8_lossy(&answer).contains("/y") {
            assert_ne!(socket.read_buf(&mut answer).await.unwrap(), 0, "the connection has ended");
        }
    })
    .await;
}

#[tokio::test]
async fn a_time_limit_that_a_client_uses_up_says_nothing_of_the_upstream() {
    let upstream = Upstream::start().await;
    let limits = json!([{"path": "/x", "method": "POST", "duration": "300ms"}]);
    let gate = gate(&upstream, &limits).await;
    for _ in 0..3 {
        let answer = trickle(&gate, "POST /a/x HTTP/1.1\r\nContent-Length: 100000", b"").await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    assert_eq!(gate.get("/a/x", &["-d", "hello"]).await.status, 200, "the breaker has not tripped");
}

#[tokio::test]
async fn a_body_that_is_slow_but_steady_arrives_whole() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .api(keyless("a", &upstream.url("")))
        .conf(json!({"http_server_options": {"read_timeout": 3}}))
        .start()
        .await;
    let mut socket = raw_socket(gate.port()).await;
    // Longer than the limit of this gate, and of its looking twice in it.
    let (pieces, pause) = (15, Duration::from_millis(400));
    let head = format!(
        "POST /a/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        pieces * 300
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..pieces {
        socket.write_all(&[b'x'; 300]).await.unwrap();
        tokio::time::sleep(pause).await;
    }
    let mut answer = String::new();
    soon("the answer", socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(&"x".repeat(4500)), "{answer}");
}
