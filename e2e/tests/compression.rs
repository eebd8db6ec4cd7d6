//! Answers made smaller for clients that take them so (`x-sluicegate.compression`).

use std::io::Read as _;
use std::time::Duration;

use e2e::definition::{keyless, oas};
use e2e::{Gate, Reply, Upstream, raw_socket, soon};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const GZIP: &[&str] = &["-H", "Accept-Encoding: gzip"];

fn compressing(mut api: Value, more: Value) -> Value {
    api["x-sluicegate"]["compression"] = json!({"enabled": true});
    api["x-sluicegate"]["compression"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api
}

fn coding(reply: &Reply) -> Option<String> {
    reply.header("content-encoding")
}

fn plain(reply: &Reply) -> Vec<u8> {
    let mut plain = Vec::new();
    match coding(reply).as_deref() {
        Some("br") => brotli::Decompressor::new(&reply.body[..], 4096).read_to_end(&mut plain).map(drop),
        Some("gzip") => flate2::read::GzDecoder::new(&reply.body[..]).read_to_end(&mut plain).map(drop),
        Some("zstd") => zstd::stream::copy_decode(&reply.body[..], &mut plain),
        _ => return reply.body.clone(),
    }
    .unwrap();
    plain
}

#[tokio::test]
async fn clients_get_the_coding_that_they_like_best_and_others_the_plain_answer() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .api(compressing(keyless("a", &upstream.url("")), json!({"smallest": 100})))
        .oas(compressing(oas("o", &upstream.url("")), json!({"smallest": 100, "codings": ["gzip"]})))
        .api(keyless("off", &upstream.url("")))
        .start()
        .await;
    for (path, accepts, expected) in [
        ("/a/x", "gzip", Some("gzip")),
        ("/a/x", "gzip, deflate, br, zstd", Some("zstd")),
        ("/a/x", "gzip, deflate, br", Some("br")),
        ("/a/x", "br;q=0.4, gzip;q=0.5", Some("gzip")),
        ("/a/x", "br;q=0.6, gzip;q=0.5, zstd;q=0", Some("br")),
        ("/a/x", "zstd;q=0.2, gzip;q=0.9", Some("gzip")),
        ("/a/x", "*", Some("zstd")),
        ("/a/x", "gzip;q=0, deflate", None),
        ("/a/x", "br;q=0", None),
        ("/a/x", "", None),
        ("/o/x", "zstd, gzip;q=0.1", Some("gzip")),
        ("/o/x", "zstd, br", None),
        ("/off/x", "gzip, zstd", None),
    ] {
        for http in ["--http1.1", "--http2-prior-knowledge"] {
            let reply = gate.get(path, &[http, "-H", &format!("Accept-Encoding: {accepts}")]).await;
            assert_eq!((reply.status, reply.exit), (200, 0), "{path} {accepts} {http}: {reply:?}");
            assert_eq!(coding(&reply).as_deref(), expected, "{path} {accepts} {http}");
            let told: Value = serde_json::from_slice(&plain(&reply)).unwrap();
            assert_eq!(told["method"], "GET");
            let varies = reply.header("vary").as_deref() == Some("Accept-Encoding");
            assert_eq!(varies, path != "/off/x", "{reply:?}");
            let lengths = reply.headers.iter().filter(|(name, _)| name == "content-length").count();
            assert_eq!(lengths, usize::from(expected.is_none()), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn what_would_gain_nothing_or_mean_something_else_is_left_alone() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .api(compressing(keyless("a", &upstream.url("")), json!({"smallest": 100})))
        .api(compressing(keyless("all", &upstream.url("")), json!({"smallest": 1, "types": ["text/*"]})))
        .start()
        .await;
    for (path, more, status) in [
        ("/a/status/204", &[][..], 204),
        ("/a/status/304", &[], 304),
        ("/a/x?status=206&field-content-range=bytes", &[], 206),
        ("/a/x?field-content-range=bytes", &[], 200),
        ("/a/x?field-cache-control=max-age=1,no-transform", &[], 200),
        ("/a/x", &["-H", "Cache-Control: no-transform"], 200),
        ("/a/x?field-content-digest=x", &[], 200),
        // No type that is named.
        ("/a/bytes/5000", &[], 200),
        ("/all/x", &[], 200),
    ] {
        let reply = gate.get(path, &[GZIP, more].concat()).await;
        assert_eq!((reply.status, coding(&reply)), (status, None), "{path}: {reply:?}");
    }
    // Nothing is coded twice.
    let reply = gate.get("/a/x?field-content-encoding=br", GZIP).await;
    assert_eq!(coding(&reply).as_deref(), Some("br"));
    assert!(reply.text().contains("\"method\":\"GET\""));
    // The head tells what a GET might vary by.
    let reply = gate.get("/a/x", &[GZIP, &["-I"]].concat()).await;
    assert_eq!((reply.status, coding(&reply)), (200, None), "{reply:?}");

    let reply = gate.get("/a/x?field-etag=%22v1%22&field-vary=X-A&field-accept-ranges=bytes", GZIP).await;
    assert_eq!(coding(&reply).as_deref(), Some("gzip"));
    assert_eq!(reply.header("etag").as_deref(), Some("W/\"v1\""));
    assert_eq!(reply.header("vary").as_deref(), Some("X-A, Accept-Encoding"));
    assert_eq!(reply.header("accept-ranges"), None);
    let reply = gate.get("/a/x?field-etag=%22v1%22&field-vary=accept-encoding", &[]).await;
    assert_eq!(reply.header("etag").as_deref(), Some("\"v1\""));
    assert_eq!(reply.header("vary").as_deref(), Some("accept-encoding"));
}

/// What is there of a body, out of its chunks.
fn chunks(read: &[u8]) -> Vec<u8> {
    let Some(at) = read.windows(4).position(|end| end == b"\r\n\r\n") else { return Vec::new() };
    let (mut rest, mut body) = (&read[at + 4..], Vec::new());
    while let Some(end) = rest.windows(2).position(|end| end == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 || rest.len() < end + 2 + size + 2 {
            break;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
    body
}

/// Whether the beginning of a body says this, as far as it has come.
fn begins_with(coding: &str, body: &[u8], text: &str) -> bool {
    let mut seen = vec![0; text.len()];
    let decoded = match coding {
        "br" => brotli::Decompressor::new(body, 4096).read_exact(&mut seen),
        "zstd" => zstd::stream::read::Decoder::new(body).and_then(|mut body| body.read_exact(&mut seen)),
        _ => flate2::read::GzDecoder::new(body).read_exact(&mut seen),
    };
    decoded.is_ok() && seen == text.as_bytes()
}

#[tokio::test]
async fn what_comes_in_pieces_goes_on_in_pieces_and_events_at_once() {
    for coding in ["gzip", "br", "zstd"] {
        let upstream = Upstream::start().await;
        let mut api = compressing(keyless("a", &upstream.url("")), json!({"types": ["text/*"]}));
        api["version_data"]["versions"]["Default"]["global_response_headers"] =
            json!({"Content-Type": "text/plain"});
        let events =
            compressing(keyless("e", &upstream.url("")), json!({"types": ["text/*"], "smallest": 0}));
        let gate = Gate::setup().api(api).api(events).start().await;
        let request =
            |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {coding}\r\n\r\n");
        let mut events = raw_socket(gate.port()).await;
        events.write_all(request("/e/sse").as_bytes()).await.unwrap();
        // Events are there at once, each as soon as it has come, and as they are.
        let mut seen = Vec::new();
        for number in 0..3 {
            let event = async {
                while !String::from_utf8_lossy(&seen).contains(&format!("data: event {number}")) {
                    assert!(events.read_buf(&mut seen).await.unwrap() > 0);
                }
            };
            soon("an event", event).await;
            if number < 2 {
                upstream.release();
            }
        }
        assert!(!String::from_utf8_lossy(&seen).to_lowercase().contains("content-encoding"));
        drop(events);

        let mut socket = raw_socket(gate.port()).await;
        socket.write_all(request("/a/pieces").as_bytes()).await.unwrap();
        let mut read = Vec::new();
        let first = async {
            while !begins_with(coding, &chunks(&read), "one") {
                assert!(socket.read_buf(&mut read).await.unwrap() > 0, "{}", String::from_utf8_lossy(&read));
            }
        };
        soon("the first piece", first).await;
        assert!(!begins_with(coding, &chunks(&read), "onetwo"));
        let head = String::from_utf8_lossy(&read).to_lowercase();
        assert!(head.contains(&format!("content-encoding: {coding}\r\n")), "{head}");
        let second = async {
            while !begins_with(coding, &chunks(&read), "onetwo") {
                // The events may have taken what was released before.
                upstream.release();
                let _ = tokio::time::timeout(Duration::from_millis(50), socket.read_buf(&mut read)).await;
            }
        };
        soon("the second piece", second).await;
    }
}

#[tokio::test]
async fn kept_answers_are_kept_once_and_those_of_the_gate_are_compressed_too() {
    let upstream = Upstream::start().await;
    let mut kept = compressing(keyless("kept", &upstream.url("")), json!({"smallest": 10}));
    kept["cache_options"] =
        json!({"enable_cache": true, "cache_timeout": 60, "cache_all_safe_requests": true});
    let mut mock = compressing(oas("mock", &upstream.url("")), json!({"smallest": 10}));
    mock["paths"] = json!({"/m": {"get": {"operationId": "m", "responses": {"200": {"description": "", "content": {
        "application/json": {"example": {"mocked": "x".repeat(200)}}}}}}}});
    mock["x-tyk-api-gateway"]["middleware"] = json!({"operations": {"m": {"mockResponse": {"enabled": true, "fromOASExamples": {"enabled": true}}}}});
    let gate = Gate::setup().api(kept).oas(mock).start().await;
    let mut answers = Vec::new();
    for accepts in ["gzip", "zstd", "identity", "br", "gzip"] {
        let reply = gate.get("/kept/x", &["-H", &format!("Accept-Encoding: {accepts}")]).await;
        let expected = (accepts != "identity").then_some(accepts);
        assert_eq!(coding(&reply).as_deref(), expected, "{reply:?}");
        assert_eq!(reply.header("x-tyk-cached-response").is_some(), !answers.is_empty(), "{reply:?}");
        answers.push(plain(&reply));
    }
    assert_eq!(upstream.hits(), 1);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let reply = gate.get("/mock/m", GZIP).await;
    assert_eq!((reply.status, coding(&reply).as_deref()), (200, Some("gzip")), "{reply:?}");
    assert!(plain(&reply).len() > 200 && reply.body.len() < 150);
}

#[tokio::test]
async fn large_answers_cost_no_memory() {
    let upstream = Upstream::start().await;
    let mut api = compressing(keyless("a", &upstream.url("")), json!({"types": ["text/*"]}));
    api["version_data"]["versions"]["Default"]["global_response_headers"] =
        json!({"Content-Type": "text/plain"});
    let gate = Gate::setup().api(api).start().await;
    for accepts in ["gzip", "zstd", "br"] {
        let reply = gate.get("/a/bytes/40000000", &["-H", &format!("Accept-Encoding: {accepts}")]).await;
        assert_eq!(coding(&reply).as_deref(), Some(accepts), "{:?}", reply.headers);
        assert_eq!(plain(&reply).len(), 40_000_000);
        assert!(reply.body.len() < 400_000, "{}", reply.body.len());
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", gate.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    let most: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(most < 400 << 10, "{line}");
}
