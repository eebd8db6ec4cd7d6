//! Where connections begin, wait, break off and end; and what browsers of other origins may do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use e2e::definition::keyless;
use e2e::streaming::{events, post, post_to_sse};
use e2e::{End, Endless, Gate, Line, Setup, Socket, Upstream, Wire, curl, raw_socket, soon, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::Message;

const MEGABYTE: usize = 1 << 20;
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const OK_WITHOUT_BODY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";

fn gate(target: &str) -> Setup {
    Gate::setup().api(keyless("a", target))
}

/// A gate whose clients may be slow for one second.
fn hurried(target: &str) -> Setup {
    gate(target).conf(json!({"http_server_options": {"read_timeout": 1, "write_timeout": 1}}))
}

/// A client's connection that stays open between requests.
struct Client(TcpStream);

impl Client {
    async fn connect(gate: &Gate) -> Self {
        Self(raw_socket(gate.port()).await)
    }

    async fn send(&mut self, request: &str) {
        self.0.write_all(request.as_bytes()).await.unwrap();
    }

    /// The head of the next answer, and the body if `Content-Length` announces one; empty at the end.
    async fn answer(&mut self) -> (String, String) {
        let mut text = Vec::new();
        let whole = soon("an answer", async {
            while !text.ends_with(b"\r\n\r\n") {
                match self.0.read_u8().await {
                    Ok(byte) => text.push(byte),
                    Err(_) => break,
                }
            }
            let head = String::from_utf8(text).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            let silent = ["HTTP/1.1 204", "HTTP/1.1 304"].iter().any(|start| head.starts_with(start));
            if silent {
                body.clear();
            }
            self.0.read_exact(&mut body).await.unwrap();
            (head, String::from_utf8(body).unwrap())
        });
        whole.await
    }

    async fn get(&mut self, path: &str) -> (String, String) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: gate\r\n\r\n")).await;
        self.answer().await
    }

    /// Waits until the gate closes, and gives what it still said.
    async fn closed(&mut self) -> String {
        let mut rest = Vec::new();
        // However it closes.
        let _ = soon("the gate's closing", self.0.read_to_end(&mut rest)).await;
        String::from_utf8_lossy(&rest).into_owned()
    }
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
async fn an_answer_that_takes_its_time_is_not_idleness() {
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

// --- connections to upstreams -----------------------------------------------------------------------------------------

async fn get_many(gate: &Gate, count: usize) {
    let mut client = Client::connect(gate).await;
    for number in 0..count {
        let (head, body) = client.get("/a/x").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "request {number}: {head}");
        assert_eq!(body, "ok");
    }
}

#[tokio::test]
async fn connections_to_upstreams_are_used_again_unless_told_otherwise() {
    for (conf, connections) in [(json!({}), 1), (json!({"proxy_close_connections": true}), 100)] {
        let upstream = Wire::answering(OK).await;
        let gate = gate(&upstream.url()).conf(conf.clone()).start().await;
        get_many(&gate, 100).await;
        assert_eq!((upstream.requests(), upstream.accepted()), (100, connections), "{conf}");
        if connections == 100 {
            until("all are closed", async || upstream.open() == 0).await;
        }
    }
}

#[tokio::test]
async fn connections_to_upstreams_grow_no_older_than_told() {
    let upstream = Wire::answering(OK).await;
    let gate = gate(&upstream.url()).conf(json!({"max_conn_time": 2})).start().await;
    let started = Instant::now();
    get_many(&gate, 10).await;
    let quick = started.elapsed() < Duration::from_millis(1500);
    assert!(!quick || upstream.accepted() == 1, "{} connections at once", upstream.accepted());
    // It may age in use or while it is idle.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let before = upstream.accepted();
    get_many(&gate, 1).await;
    assert_eq!(upstream.accepted(), before + 1, "an old connection was used again");
}

#[tokio::test]
async fn nobody_sees_that_an_upstream_closes_its_idle_connections() {
    let upstream = Wire::start(|mut line: Line| async move {
        line.request().await;
        line.say(OK).await;
    })
    .await;
    let gate = gate(&upstream.url()).start().await;
    get_many(&gate, 300).await;
    assert_eq!(upstream.requests(), 300);
}

#[tokio::test]
async fn what_may_have_been_done_is_not_asked_for_twice() {
    // Answers the first request of a connection, and closes upon the second without a word.
    let upstream = Wire::start(|mut line: Line| async move {
        line.request().await;
        line.say(OK).await;
        line.request().await;
    })
    .await;
    let gate = gate(&upstream.url()).start().await;
    let mut client = Client::connect(&gate).await;
    assert!(client.get("/a/x").await.0.starts_with("HTTP/1.1 200 "));
    for (method, body, status, requests) in [
        ("GET", "", 200, 2), // it is sent again, on a new connection
        ("POST", "once", 500, 1),
        ("GET", "", 200, 1), // the POST has used the connection up
        ("POST", "", 500, 1),
        ("DELETE", "", 200, 1),
        ("PUT", "streamed bodies are not kept", 500, 1),
    ] {
        let before = upstream.requests();
        let length = body.len();
        client
            .send(&format!("{method} /a/x HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"))
            .await;
        let (head, _) = client.answer().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {body:?}: {head}");
        assert_eq!(upstream.requests() - before, requests, "{method} {body:?}");
    }
}

#[tokio::test]
async fn answers_without_a_body_keep_their_connection() {
    let upstream = Wire::start(|mut line: Line| async move {
        while let Some(request) = line.request().await {
            let answer: &[u8] = match request.split(' ').next() {
                Some("HEAD") => OK_WITHOUT_BODY,
                Some("PUT") => b"HTTP/1.1 204 No Content\r\n\r\n",
                Some("GET") => b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n",
                _ => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            };
            line.say(answer).await;
        }
    })
    .await;
    let gate = gate(&upstream.url()).start().await;
    let mut client = Client::connect(&gate).await;
    for (method, status) in [("HEAD", 200), ("PUT", 204), ("GET", 304), ("POST", 200)].repeat(3) {
        client.send(&format!("{method} /a/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")).await;
        let head = match method {
            "HEAD" => client.head_only().await,
            _ => client.answer().await.0,
        };
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{method}: {head}");
    }
    assert_eq!((upstream.requests(), upstream.accepted()), (12, 1));
}

impl Client {
    /// The head of an answer that has no body whatever it says.
    async fn head_only(&mut self) -> String {
        let mut text = Vec::new();
        soon("a head", async {
            while !text.ends_with(b"\r\n\r\n") {
                text.push(self.0.read_u8().await.unwrap());
            }
        })
        .await;
        String::from_utf8(text).unwrap()
    }
}

#[tokio::test]
async fn an_answer_need_not_wait_for_the_end_of_its_request() {
    let upstream = Wire::start(|mut line: Line| async move {
        while line.head().await.is_some() {
            line.say(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nearly").await;
        }
    })
    .await;
    let gate = gate(&upstream.url()).start().await;
    let mut client = Client::connect(&gate).await;
    client.send("POST /a/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n").await;
    client.send(&"x".repeat(1000)).await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    assert_eq!(body, "early");
    // The rest of the body must not be taken for a request by anybody.
    drop(client);
    let mut client = Client::connect(&gate).await;
    let (head, _) = client.get("/a/x").await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    assert_eq!((upstream.requests(), upstream.accepted()), (2, 2));
}

#[tokio::test]
async fn a_client_that_leaves_frees_the_upstream() {
    let upstream = Wire::start(|mut line: Line| async move {
        line.head().await;
        line.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await;
        while line.say(b"data: again\n\n").await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let gate = gate(&upstream.url()).start().await;
    for _ in 0..3 {
        let mut sse = Endless::get(gate.port(), "/a/x", &[]).await;
        assert_eq!(sse.data().await.as_deref(), Ok("again"));
        assert_eq!(upstream.open(), 1);
        drop(sse);
        until("the upstream's connection is closed", async || upstream.open() == 0).await;
    }
    assert_eq!(upstream.accepted(), 3, "a connection in the middle of an answer was used again");
}

#[tokio::test]
async fn a_client_of_http2_that_leaves_frees_even_a_silent_upstream() {
    let upstream = Wire::start(|mut line: Line| async move {
        line.head().await;
        line.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: only\n\n").await;
        line.closed().await;
    })
    .await;
    let gate = gate(&upstream.url()).start().await;
    let reply = gate.get("/a/x", &["--http2-prior-knowledge", "--max-time", "0.5"]).await;
    assert_eq!((reply.status, reply.text()), (200, "data: only\n\n"), "{reply:?}");
    until("the upstream's connection is closed", async || upstream.open() == 0).await;
}

// --- large bodies -----------------------------------------------------------------------------------------------------

/// The most memory that a process has used so far, in kilobytes.
fn peak_memory(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Waits until a count has stopped growing.
async fn settled(count: &AtomicUsize) -> usize {
    let mut last = (usize::MAX, 0);
    until("a count settles", async || {
        let now = count.load(Ordering::SeqCst);
        last = (now, if now == last.0 { last.1 + 1 } else { 0 });
        tokio::time::sleep(Duration::from_millis(5)).await;
        now > 0 && last.1 > 20
    })
    .await;
    last.0
}

#[tokio::test]
async fn large_bodies_stream_through_in_little_memory() {
    const SIZE: usize = 50 * MEGABYTE;
    let (go, sent) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let upstream = {
        let (go, sent) = (Arc::clone(&go), Arc::clone(&sent));
        Wire::start(move |mut line: Line| {
            let (go, sent) = (Arc::clone(&go), Arc::clone(&sent));
            async move {
                while let Some(head) = line.head().await {
                    if head.starts_with("HEAD") {
                        line.say(OK_WITHOUT_BODY).await;
                    } else if head.starts_with("POST") {
                        // Reads nothing until the sender is stuck.
                        go.acquire().await.unwrap().forget();
                        let mut sum = 0;
                        for _ in 0..50 {
                            let piece = line.bytes(MEGABYTE).await.expect("a whole piece");
                            sum += piece.iter().map(|byte| u64::from(*byte)).sum::<u64>();
                        }
                        let sum = sum.to_string();
                        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", sum.len());
                        line.say((head + &sum).as_bytes()).await;
                    } else {
                        line.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes())
                            .await;
                        let piece = vec![7; 64 << 10];
                        for _ in 0..SIZE / piece.len() {
                            line.say(&piece).await;
                            sent.fetch_add(piece.len(), Ordering::SeqCst);
                        }
                    }
                }
            }
        })
        .await
    };
    let gate = gate(&upstream.url()).start().await;
    // What a first request needs is not counted.
    assert_eq!(gate.get("/a/x", &["-I"]).await.status, 200);
    let before = peak_memory(gate.pid());

    // Up: the upstream does not read at first.
    let client = Client::connect(&gate).await;
    let (mut reader, mut writer) = client.0.into_split();
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let sending = tokio::spawn(async move {
        let head =
            format!("POST /a/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {SIZE}\r\n\r\n");
        writer.write_all(head.as_bytes()).await.unwrap();
        let piece = vec![7; 64 << 10];
        for _ in 0..SIZE / piece.len() {
            writer.write_all(&piece).await.unwrap();
            counted.fetch_add(piece.len(), Ordering::SeqCst);
        }
        writer
    });
    let stuck_at = settled(&taken).await;
    assert!(stuck_at < SIZE, "all was taken although nobody read it");
    go.add_permits(1);
    drop(soon("the end of the upload", sending).await.unwrap());
    let mut answer = String::new();
    soon("the answer", reader.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with(&(SIZE as u64 * 7).to_string()), "{answer}");

    // Down: the client does not read at first.
    let mut client = Client::connect(&gate).await;
    client.send("GET /a/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let stuck_at = settled(&sent).await;
    assert!(stuck_at < SIZE, "all was taken although nobody read it");
    let head = client.head_only().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let mut body = Vec::with_capacity(SIZE);
    soon("the body", client.0.read_to_end(&mut body)).await.unwrap();
    assert!(body.len() == SIZE && body.iter().all(|byte| *byte == 7), "{} bytes", body.len());

    let grown = peak_memory(gate.pid()) - before;
    assert!(grown < 20 * 1024, "the gate grew by {grown} kB");
}

#[tokio::test]
async fn a_body_too_large_is_refused_before_or_while_it_is_sent() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream.url(""))
        .conf(json!({"http_server_options": {"max_request_body_size": 1000}}))
        .start()
        .await;
    // Announced: refused at once, and nothing of it is asked for or forwarded.
    let mut client = Client::connect(&gate).await;
    client
        .send("POST /a/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
        .await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    assert_eq!(upstream.hits(), 0);
    // In chunks: refused when it has become too large.
    let mut client = Client::connect(&gate).await;
    client.send("POST /a/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for _ in 0..11 {
        client.send(&format!("64\r\n{}\r\n", "x".repeat(100))).await;
    }
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
}

#[tokio::test]
async fn a_client_may_ask_before_it_sends() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream.url("")).start().await;
    let mut client = Client::connect(&gate).await;
    client.send("POST /a/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
    assert_eq!(client.answer().await.0, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello").await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body.contains(r#""body":"hello""#), "{head}{body}");
    // The question is answered here and not passed on.
    client
        .send("POST /nowhere HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        .await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 404 "), "who is refused anyway is not asked for the body: {head}");
}

// --- requests of unusual shape ----------------------------------------------------------------------------------------

#[tokio::test]
async fn the_oldest_clients_are_served() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream.url("")).start().await;
    // No length that such a client could not read, no chunks, and the connection ends with the answer.
    let answer = gate.raw(b"GET /a/chunked HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.") && answer.contains(" 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nonetwothree"), "{answer}");
    assert!(!answer.to_lowercase().contains("transfer-encoding"), "{answer}");
    let answer = gate.raw(b"POST /a/x HTTP/1.0\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello").await;
    assert!(answer.contains(r#""body":"hello""#), "{answer}");
    // Kept where it asks for that.
    let mut client = Client::connect(&gate).await;
    for _ in 0..2 {
        client.send("GET /a/bytes/3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
        let (head, body) = client.answer().await;
        assert_eq!(body, "xxx", "{head}");
        assert!(head.to_lowercase().contains("connection: keep-alive"), "{head}");
    }
}

#[tokio::test]
async fn a_request_about_the_whole_server_stays_here() {
    let upstream = Upstream::start().await;
    let mut everything = keyless("root", &upstream.url(""));
    everything["proxy"]["listen_path"] = json!("/");
    let gate = Gate::setup().api(everything).start().await;
    let mut client = Client::connect(&gate).await;
    client.send("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!((body.as_str(), upstream.hits()), ("", 0));
    // Only OPTIONS has this form.
    client.send("GET * HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 40"), "{head}");
    assert_eq!(upstream.hits(), 0);
    // A proxy's form of a request names its host itself.
    let answer =
        gate.raw(b"GET http://other.test/x HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n").await;
    assert!(answer.contains(r#""path":"/x""#), "{answer}");
    // Nobody gets a tunnel.
    let answer = gate
        .raw(b"CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\nConnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert_eq!(upstream.hits(), 1);
}

#[tokio::test]
async fn paths_are_passed_on_as_they_are_or_sent_elsewhere() {
    let upstream = Upstream::start().await;
    let redirecting = gate(&upstream.url("")).start().await;
    for path in [
        "/%41%7e",
        "/a%2fb%5Cc",
        "/%E4%B8%AD",
        "/a+b;c=d,e@f:g!$&'()*",
        "/x?a=%2F&b=//../&c=%zz",
        "/..x/.y./z...",
    ] {
        let mut client = Client::connect(&redirecting).await;
        let (head, body) = client.get(&format!("/a{path}")).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
        let told: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(told["path"], path);
    }
    let hits = upstream.hits();
    for (path, location) in [
        ("/a//x", "/a/x"),
        ("//a/x?q=//", "/a/x?q=//"),
        ("/a/./x", "/a/x"),
        ("/b/../a/x/", "/a/x/"),
        ("/a/%2E%2e/a/x%20y", "/a/x%20y"),
        ("//evil.test/%2e%2e", "/"),
        ("/.//evil.test", "/evil.test"),
    ] {
        let mut client = Client::connect(&redirecting).await;
        let (head, _) = client.get(path).await;
        assert!(head.starts_with("HTTP/1.1 301 "), "{path}: {head}");
        assert!(head.contains(&format!("\r\nlocation: {location}\r\n")), "{path}: {head}");
    }
    assert_eq!(upstream.hits(), hits);
}

#[tokio::test]
async fn an_api_with_a_domain_answers_to_that_name_alone() {
    let upstream = Upstream::start().await;
    let mut api = keyless("own", &upstream.url(""));
    api["domain"] = json!("Api.Test");
    let gate = Gate::setup().api(api).start().await;
    for (host, status) in [
        ("api.test", 200),
        ("API.TEST", 200),
        ("api.test:8080", 200),
        ("other.test", 404),
        ("x.api.test", 404),
        ("api.test.evil.test", 404),
        ("127.0.0.1", 404),
    ] {
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let reply = gate.get("/own/x", &[version, "-H", &format!("Host: {host}")]).await;
            assert_eq!(reply.status, status, "{host} {version}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn a_port_for_control_serves_nothing_else() {
    let upstream = Upstream::start().await;
    let control = e2e::free_port();
    let mut api = keyless("t", &upstream.url(""));
    api["proxy"]["listen_path"] = json!("/tyk/");
    let mut gate = gate(&upstream.url("")).api(api).conf(json!({"control_api_port": control})).prepare();
    gate.spawn();
    let at = |path: &str| format!("http://127.0.0.1:{control}{path}");
    until("the control port is ready", async || curl(&[&at("/ready")]).await.status == 200).await;
    let secret = format!("x-tyk-authorization: {}", Gate::SECRET);
    assert_eq!(curl(&["-H", &secret, &at("/tyk/apis")]).await.status, 200);
    assert_eq!(curl(&[&at("/tyk/apis")]).await.status, 403);
    assert_eq!(curl(&[&at("/a/x")]).await.status, 404, "APIs are not served there");
    assert_eq!(upstream.hits(), 0);
    assert_eq!(gate.get("/a/x", &[]).await.status, 200);
    let reply = gate.get("/tyk/apis", &["-H", &secret]).await;
    assert_eq!(reply.json()["path"], "/apis", "the name is free for an API here");
    for path in ["/metrics", "/hello", "/ready"] {
        assert_eq!(gate.get(path, &[]).await.status, 404, "{path}");
    }
}

// --- the end ----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_gate_that_ends_says_so_first() {
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
