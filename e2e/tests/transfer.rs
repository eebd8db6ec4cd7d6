//! How requests and answers go through: connections to upstreams, large bodies, requests of unusual shape.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use e2e::definition::keyless;
use e2e::{Client, Endless, Gate, Line, Setup, Upstream, Wire, curl, h2, soon, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

const MEGABYTE: usize = 1 << 20;
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const OK_WITHOUT_BODY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";

fn gate(target: &str) -> Setup {
    Gate::setup().api(keyless("a", target))
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
async fn c4_6_row_14_nobody_sees_that_an_upstream_closes_its_idle_connections() {
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
async fn c4_6_row_14_what_may_have_been_done_is_not_asked_for_twice() {
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
            "HEAD" => client.head().await,
            _ => client.answer().await.0,
        };
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{method}: {head}");
    }
    assert_eq!((upstream.requests(), upstream.accepted()), (12, 1));
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
    let _writer = soon("the end of the upload", sending).await.unwrap();
    let mut answer = String::new();
    soon("the answer", reader.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with(&(SIZE as u64 * 7).to_string()), "{answer}");

    // Down: the client does not read at first.
    let mut client = Client::connect(&gate).await;
    client.send("GET /a/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let stuck_at = settled(&sent).await;
    assert!(stuck_at < SIZE, "all was taken although nobody read it");
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let mut body = Vec::with_capacity(SIZE);
    soon("the body", client.0.read_to_end(&mut body)).await.unwrap();
    assert!(body.len() == SIZE && body.iter().all(|byte| *byte == 7), "{} bytes", body.len());

    let grown = peak_memory(gate.pid()) - before;
    assert!(grown < 20 * 1024, "the gate grew by {grown} kB");
}

#[tokio::test]
async fn c4_1_row_8_a_body_too_large_is_refused_before_or_while_it_is_sent() {
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
async fn c4_6_row_7_paths_are_passed_on_as_they_are_or_sent_elsewhere() {
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
async fn c2_1_row_11_an_api_with_a_domain_answers_to_that_name_alone() {
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
async fn c7_1_row_1_a_port_for_control_serves_nothing_else() {
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

/// An upstream that speaks HTTP/2 begins an answer to each request, and ends it with these frames of its stream.
async fn begins_and_ends(frames: fn(u32) -> Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(begin_and_end(socket, frames));
        }
    });
    address
}

async fn begin_and_end(mut socket: TcpStream, frames: fn(u32) -> Vec<u8>) -> std::io::Result<Infallible> {
    let mut preface = [0; 24];
    socket.read_exact(&mut preface).await?;
    socket.write_all(&h2::frame(h2::SETTINGS, 0, 0, &[])).await?;
    loop {
        let mut head = [0; 9];
        socket.read_exact(&mut head).await?;
        let [a, b, c, kind, _, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        socket.read_exact(&mut payload).await?;
        if kind == h2::HEADERS {
            let stream = u32::from_be_bytes(stream);
            let answer = [
                h2::frame(h2::HEADERS, h2::END_HEADERS, stream, &[0x88]),
                h2::frame(h2::DATA, 0, stream, b"half"),
                frames(stream),
            ];
            socket.write_all(&answer.concat()).await?;
        }
    }
}

#[tokio::test]
async fn half_an_answer_over_http2_is_not_taken_for_the_whole() {
    let whole = begins_and_ends(|stream| h2::frame(h2::DATA, h2::END_STREAM, stream, b"")).await;
    let cancelled =
        begins_and_ends(|stream| h2::frame(h2::RST_STREAM, 0, stream, &8_u32.to_be_bytes())).await;
    let no_error = begins_and_ends(|stream| h2::frame(h2::RST_STREAM, 0, stream, &0_u32.to_be_bytes())).await;
    let broken = begins_and_ends(|stream| h2::frame(h2::RST_STREAM, 0, stream, &2_u32.to_be_bytes())).await;
    let mut setup = Gate::setup();
    for (id, address) in [("whole", whole), ("cancelled", cancelled), ("none", no_error), ("broken", broken)]
    {
        setup = setup.api(keyless(id, &format!("h2c://{address}")));
    }
    let gate = setup.start().await;
    for http in ["--http1.1", "--http2-prior-knowledge"] {
        let reply = gate.get("/whole/x", &[http]).await;
        assert_eq!((reply.status, reply.text(), reply.exit), (200, "half", 0), "{reply:?}");
        for path in ["/cancelled/x", "/none/x", "/broken/x"] {
            let reply = gate.get(path, &[http]).await;
            assert_ne!(reply.exit, 0, "{path} {http}: {reply:?}");
        }
    }
}
