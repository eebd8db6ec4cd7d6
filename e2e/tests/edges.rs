//! Where clients' connections wait, stall and end; and what browsers of other origins may do.

use std::time::{Duration, Instant};

use e2e::definition::keyless;
use e2e::streaming::{events, post, post_to_sse};
use e2e::{Client, End, Endless, Gate, Line, Setup, Socket, Upstream, Wire, soon, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;

const MEGABYTE: usize = 1 << 20;

fn gate(target: &str) -> Setup {
    Gate::setup().api(keyless("a", target))
}

/// A gate whose clients may be slow for one second.
fn hurried(target: &str) -> Setup {
    gate(target).conf(json!({"http_server_options": {"read_timeout": 1, "write_timeout": 1}}))
}

// --- browsers of other origins ----------------------------------------------------------------------------------------

fn with_cors(cors: &Value) -> Value {
    let mut stream = post_to_sse(json!({"cors": cors, "delivery": "broadcast"}));
    stream["input"]["http_server"]["cors"] = cors.clone();
    stream["input"]["http_server"]["ws_path"] = json!("/in");
    stream["output"]["http_server"]["ws_path"] = json!("/ws");
    events("ev", json!({"s": stream}))
}

#[tokio::test]
async fn pages_of_allowed_origins_may_read_answers() {
    let cors = json!({
        "enabled": true,
        "allowed_origins": ["https://shop.test"],
        "allowed_headers": ["Content-Type", "X-Trace"],
        "allowed_methods": ["GET", "POST"],
    });
    let gate = Gate::setup().oas(with_cors(&cors)).start().await;
    let allowed = |reply: &e2e::Reply, name: &str| reply.header(&format!("access-control-allow-{name}"));

    let url = gate.url("/ev/post");
    let mut sse = Endless::get(gate.port(), "/ev/sse", &["Origin: https://shop.test"]).await;
    assert_eq!(sse.header("access-control-allow-origin"), Some("https://shop.test"));
    assert_eq!(sse.header("vary"), Some("Origin"));
    let reply = post(&url, "hello", &["-H", "Origin: https://shop.test"]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(allowed(&reply, "origin").as_deref(), Some("https://shop.test"));
    assert_eq!(sse.data().await.as_deref(), Ok("hello"));

    // Others are served (it is their browser that keeps the answer from the page), but not told that they may.
    for fields in [&["Origin: https://evil.test"][..], &["Origin: null"], &[]] {
        let sse = Endless::get(gate.port(), "/ev/sse", fields).await;
        assert_eq!((sse.status, sse.header("access-control-allow-origin")), (200, None), "{fields:?}");
    }

    let ask = async |path: &str, origin: &str, method: &str| {
        let origin = format!("Origin: {origin}");
        let method = format!("Access-Control-Request-Method: {method}");
        gate.get(path, &["-X", "OPTIONS", "-H", &origin, "-H", &method]).await
    };
    let reply = ask("/ev/post", "https://shop.test", "POST").await;
    assert_eq!(reply.status, 204, "{reply:?}");
    assert_eq!(allowed(&reply, "origin").as_deref(), Some("https://shop.test"));
    assert_eq!(allowed(&reply, "methods").as_deref(), Some("GET, POST"));
    assert_eq!(allowed(&reply, "headers").as_deref(), Some("Content-Type, X-Trace"));
    let reply = ask("/ev/sse", "https://evil.test", "GET").await;
    assert_eq!((reply.status, allowed(&reply, "origin")), (204, None), "{reply:?}");
    assert_eq!(allowed(&reply, "methods"), None);
    let reply = ask("/ev/nowhere", "https://shop.test", "GET").await;
    assert_eq!(reply.status, 404, "{reply:?}");
    let reply = gate.get("/ev/post", &["-X", "OPTIONS"]).await;
    assert_eq!(reply.status, 405, "no browser's question: {reply:?}");
}

#[tokio::test]
async fn without_rules_nothing_is_said_to_other_origins() {
    let gate = Gate::setup().oas(with_cors(&json!({}))).start().await;
    let sse = Endless::get(gate.port(), "/ev/sse", &["Origin: https://shop.test"]).await;
    assert_eq!((sse.status, sse.header("access-control-allow-origin")), (200, None));
    let arguments =
        ["-X", "OPTIONS", "-H", "Origin: https://shop.test", "-H", "Access-Control-Request-Method: POST"];
    let reply = gate.get("/ev/post", &arguments).await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (405, None), "{reply:?}");
}

#[tokio::test]
async fn pages_of_other_origins_open_no_socket_to_send() {
    let open = json!({"enabled": true, "allowed_origins": ["https://shop.test"]});
    let any = json!({"enabled": true, "allowed_origins": ["*"]});
    for (cors, origin, to_send, to_read) in [
        (json!({}), "https://evil.test", 403, 101),
        (json!({}), "null", 403, 101),
        (json!({}), "http://gate.test", 101, 101),
        (json!({}), "", 101, 101),
        (open.clone(), "https://shop.test", 101, 101),
        (open.clone(), "https://evil.test", 403, 403),
        (open, "", 101, 101),
        (any, "https://evil.test", 101, 101),
    ] {
        let gate = Gate::setup().oas(with_cors(&cors)).start().await;
        let mut handshake = vec![("host", "gate.test")];
        if !origin.is_empty() {
            handshake.push(("origin", origin));
        }
        for (path, expected) in [("/ev/in", to_send), ("/ev/ws", to_read)] {
            let status = handshake_status(&gate, path, &handshake).await;
            assert_eq!(status, expected, "{path} from {origin:?}, {cors}");
        }
    }
}

/// The status of a WebSocket handshake with these fields.
async fn handshake_status(gate: &Gate, path: &str, fields: &[(&str, &str)]) -> u16 {
    let mut client = Client::connect(gate).await;
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    client
        .send(&format!(
            "GET {path} HTTP/1.1\r\n{fields}Connection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ))
        .await;
    let (head, _) = client.answer().await;
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

// --- clients that are slow --------------------------------------------------------------------------------------------

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_cut_and_its_upstream_released() {
    let large = Wire::start(|mut line: Line| async move {
        line.head().await;
        let length = 50 * MEGABYTE;
        line.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes()).await;
        let piece = vec![b'x'; MEGABYTE];
        for _ in 0..50 {
            if !line.say(&piece).await {
                return;
            }
        }
        line.closed().await;
    })
    .await;
    let upstream = Upstream::start().await;
    let gate = hurried(&large.url()).api(keyless("fine", &upstream.url(""))).start().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut deaf = socket.connect(([127, 0, 0, 1], gate.port()).into()).await.unwrap();
    let asked = Instant::now();
    deaf.write_all(b"GET /a/x HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    until("the upstream is asked", async || large.requests() == 1).await;
    assert_eq!(gate.get("/fine/x", &[]).await.status, 200, "others are served meanwhile");
    until("the upstream's connection is released", async || large.open() == 0).await;
    assert!(asked.elapsed() > Duration::from_millis(900), "cut after {:?}", asked.elapsed());
    let mut taken = Vec::new();
    let _ = soon("the end of the connection", deaf.read_to_end(&mut taken)).await;
    assert!(taken.len() < 50 * MEGABYTE, "the whole answer came");
    assert_eq!(gate.get("/fine/x", &[]).await.status, 200);
}

#[tokio::test]
async fn a_head_that_trickles_is_not_waited_for() {
    let upstream = Upstream::start().await;
    let gate = hurried(&upstream.url("")).start().await;
    for answered_before in [false, true] {
        let mut client = Client::connect(&gate).await;
        if answered_before {
            assert!(client.get("/a/x").await.0.starts_with("HTTP/1.1 200 "));
        }
        let started = Instant::now();
        client.send("GET /a/x HTTP/1.1\r\nX-Slow: ").await;
        let (mut reader, mut writer) = client.0.into_split();
        let trickle = async {
            while writer.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let mut answer = Vec::new();
        let closed = async {
            let _ = reader.read_to_end(&mut answer).await;
        };
        soon("the gate's closing", async {
            tokio::select! {
                () = closed => {}
                () = trickle => {}
            }
        })
        .await;
        let took = started.elapsed();
        assert!(took > Duration::from_millis(900) && took < Duration::from_secs(10), "{took:?}");
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    assert_eq!(upstream.hits(), 1);
}

#[tokio::test]
async fn idle_connections_are_closed_and_busy_ones_are_not() {
    let upstream = Upstream::start().await;
    let gate = hurried(&upstream.url("")).start().await;
    let mut silent = Client::connect(&gate).await;
    let mut idle = Client::connect(&gate).await;
    let mut busy = Client::connect(&gate).await;
    assert!(idle.get("/a/x").await.0.starts_with("HTTP/1.1 200 "));
    busy.send("GET /a/slow/2500 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let started = Instant::now();
    assert_eq!(idle.closed().await, "");
    assert_eq!(silent.closed().await, "");
    let took = started.elapsed();
    assert!(took > Duration::from_millis(700) && took < Duration::from_secs(10), "{took:?}");
    let (head, _) = busy.answer().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "waiting for the upstream is not idling: {head}");
}

/// The opening of an HTTP/2 connection whose client lets the gate send as much as it likes.
const HTTP2_OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff\
    \0\0\x04\x08\0\0\0\0\0\x7f\xff\0\0";
/// GET http://x/a/x on the first stream.
const HTTP2_GET: &[u8] = b"\0\0\x0b\x01\x05\0\0\0\x01\x82\x86\x04\x04/a/x\x41\x01x";

#[tokio::test]
async fn clients_of_http2_have_no_more_time_than_others() {
    let endless = Wire::start(|mut line: Line| async move {
        line.head().await;
        line.say(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while line.say(&[b'x'; 1024]).await {}
    })
    .await;
    let gate = hurried(&endless.url()).start().await;
    let mut idle = Client::connect(&gate).await;
    idle.0.write_all(HTTP2_OPENING).await.unwrap();
    let mut deaf = Client::connect(&gate).await;
    deaf.0.write_all(&[HTTP2_OPENING, HTTP2_GET].concat()).await.unwrap();
    until("the upstream is asked", async || endless.requests() == 1).await;
    let said = idle.closed().await;
    assert!(said.contains("\0\0\x08\x07\0"), "no GOAWAY frame: {said:?}");
    until("the upstream's connection is released", async || endless.open() == 0).await;
}

#[tokio::test]
async fn c4_6_row_20_an_answer_that_takes_its_time_is_not_idleness() {
    let upstream = Upstream::start().await;
    let gate = hurried(&upstream.url("")).start().await;
    let mut sse = Endless::get(gate.port(), "/a/sse", &[]).await;
    assert_eq!(sse.data().await.as_deref(), Ok("event 0"));
    // Longer than any limit of this gate, and of its looking twice in each.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    for number in 1..3 {
        upstream.release();
        assert_eq!(sse.data().await, Ok(format!("event {number}")));
    }
    let reply = gate.get("/a/sse", &["--http2-prior-knowledge", "--max-time", "3"]).await;
    assert_eq!((reply.status, reply.exit), (200, 28), "it is curl that had enough: {reply:?}");
}

// --- the end ----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn c7_2_row_2_a_gate_that_ends_says_so_first() {
    let upstream = Upstream::start().await;
    let mut stream = post_to_sse(json!({"delivery": "broadcast"}));
    stream["output"]["http_server"]["ws_path"] = json!("/ws");
    let mut gate = gate(&upstream.url(""))
        .oas(events("ev", json!({"s": stream})))
        .conf(json!({"graceful_shutdown_delay_seconds": 1}))
        .start()
        .await;
    let mut sse = Endless::get(gate.port(), "/ev/sse", &[]).await;
    let mut socket = Socket::open(gate.port(), "/ev/ws", &[]).await.unwrap();
    let mut idle = Client::connect(&gate).await;
    assert!(idle.get("/a/x").await.0.starts_with("HTTP/1.1 200 "));
    let mut slow = Client::connect(&gate).await;
    let hits = upstream.hits();
    slow.send("GET /a/slow/2500 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until("the slow request is at the upstream", async || upstream.hits() > hits).await;

    let asked = Instant::now();
    gate.signal("TERM");
    until("it says that it ends", async || gate.get("/ready", &[]).await.status == 503).await;
    let ending = gate.get("/ready", &[]).await.json();
    assert_eq!(ending, json!({"status": "error", "message": "Gateway is shutting down"}));
    assert_eq!(gate.get("/a/x", &[]).await.status, 200, "until the delay is over it serves");
    assert_eq!(post(&gate.url("/ev/post"), "the last", &[]).await.status, 200);
    assert_eq!(sse.data().await.as_deref(), Ok("the last"));
    assert_eq!(socket.next().await.map(Message::into_data).as_deref(), Some(&b"the last"[..]));

    until("new connections are refused", async || {
        TcpStream::connect(("127.0.0.1", gate.port())).await.is_err()
    })
    .await;
    assert!(asked.elapsed() > Duration::from_millis(900), "ended after {:?}", asked.elapsed());
    assert_eq!(idle.closed().await, "");
    let last = sse.event().await.unwrap();
    assert!(last.comment.is_some() && last.retry.is_some(), "{last:?}");
    assert_eq!(sse.event().await, Err(End::Clean));
    assert!(matches!(socket.next().await, Some(Message::Close(Some(_)))));
    let (head, body) = slow.answer().await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body.contains("/slow/2500"), "{head}{body}");
    assert_eq!(slow.closed().await, "");
    assert_eq!(gate.ended().await, Some(0), "{}", gate.log());
}

#[tokio::test]
async fn who_has_said_nothing_does_not_hold_up_the_end() {
    let upstream = Upstream::start().await;
    for tls in [false, true] {
        let mut gate = gate(&upstream.url(""))
            .file("gate.pem", &e2e::bridge::sample_pem("default"))
            .conf(json!({"http_server_options": {"use_ssl": tls, "ssl_certificates": ["gate.pem"]}}))
            .start()
            .await;
        let mut silent = Client::connect(&gate).await;
        // Accepted before the last request was answered.
        assert_eq!(gate.get("/a/x", &[]).await.status, 200);
        let asked = Instant::now();
        assert_eq!(gate.stop().await, Some(0));
        assert!(asked.elapsed() < Duration::from_secs(5), "ended after {:?}, tls {tls}", asked.elapsed());
        assert_eq!(silent.closed().await, "");
    }
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut() {
    let upstream = Upstream::start().await;
    let mut gate =
        gate(&upstream.url("")).conf(json!({"graceful_shutdown_timeout_duration": 1})).start().await;
    let mut slow = Client::connect(&gate).await;
    slow.send("GET /a/slow/60000 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until("the slow request is at the upstream", async || upstream.hits() == 1).await;
    let asked = Instant::now();
    assert_eq!(gate.stop().await, Some(0));
    assert!(asked.elapsed() < Duration::from_secs(10), "ended after {:?}", asked.elapsed());
    assert_eq!(slow.closed().await, "");
    assert!(gate.log().contains("did not end in time"), "{}", gate.log());
}
