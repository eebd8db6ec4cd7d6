//! The rules as a table, each case at every split point; then the guard around a real hyper server.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::rules::{Follower, HEAD_LIMIT, Stop};
use super::{Guarded, Opening, breach_in};

/// Follows `bytes` given in two pieces, as a guard would, and tells what was released and how it ended.
fn follow(bytes: &[u8], split: usize) -> (usize, Stop) {
    let mut follower = Follower::new(HEAD_LIMIT);
    let mut released = 0;
    let mut stop = Stop::Hungry;
    for end in [split, bytes.len()] {
        let verdict = follower.follow(&bytes[released..end]);
        released += verdict.release;
        stop = verdict.stop;
        if stop != Stop::Hungry {
            break;
        }
    }
    (released, stop)
}

fn long(unit: &str, times: usize) -> String {
    unit.repeat(times)
}

/// Requests in order: everything is released, whatever the split.
fn accepted() -> Vec<(&'static str, String)> {
    let get = "GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n";
    let cases = [
        ("plain", get.to_string()),
        ("pipelined", long(get, 3)),
        ("an empty line before the request line", format!("\r\n{get}")),
        ("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n".into()),
        ("empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n".into()),
        ("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".into()),
        ("absolute form", "GET http://X:80/p HTTP/1.1\r\nHost: x:80\r\n\r\n".into()),
        ("IPv6 host", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n".into()),
        ("UTF-8 in the target", "GET /ü HTTP/1.1\r\nHost: x\r\n\r\n".into()),
        (
            "sized body, then another",
            format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello{get}"),
        ),
        (
            "body that looks like a request",
            "PUT / HTTP/1.1\r\nhost:x\r\ncontent-length: 18\r\n\r\nGET / HTTP/1.1\n\0\r\n".into(),
        ),
        ("empty sized body", format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n{get}")),
        (
            "chunked with extension and trailers",
            format!(
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                 5;a=b\r\nhello\r\n00A\r\n0123456789\r\n0\r\nX-Sum: 1\r\nX-Long-Trailer-Name-Here:\r\n\r\n{get}"
            ),
        ),
        (
            "chunked in capitals",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\t CHUNKED \r\n\r\n0\r\n\r\n".into(),
        ),
        ("obs-text and tabs in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: caf\u{e9}\tb\r\nB:\r\n\r\n".into()),
        ("100 header lines", format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", long("a: b\r\n", 99))),
        ("the longest request line", format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", long("a", 8192 - 14))),
    ];
    cases.into()
}

#[test]
fn requests_in_order_pass_at_every_split() {
    for (name, bytes) in accepted() {
        let bytes = bytes.as_bytes();
        for split in 0..=bytes.len() {
            assert_eq!(follow(bytes, split), (bytes.len(), Stop::Hungry), "{name}, split at {split}");
        }
    }
}

/// Heads out of order: nothing is released.
fn refused_heads() -> Vec<(&'static str, u16, &'static str, Vec<u8>)> {
    let with = |fields: &str| format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n").into_bytes();
    let line = |line: &str| format!("{line}\r\nHost: x\r\n\r\n").into_bytes();
    vec![
        ("CL and TE", 400, "both", with("Content-Length: 5\r\nTransfer-Encoding: chunked")),
        ("TE and CL", 400, "both", with("Transfer-Encoding: chunked\r\nContent-Length: 5")),
        ("two CL", 400, "more than one Content-Length", with("Content-Length: 5\r\nContent-Length: 6")),
        ("two equal CL", 400, "more than one Content-Length", with("Content-Length: 5\r\nContent-Length: 5")),
        ("list of CL", 400, "more than one Content-Length", with("Content-Length: 5, 5")),
        ("signed CL", 400, "decimal", with("Content-Length: +5")),
        ("hexadecimal CL", 400, "decimal", with("Content-Length: 0x5")),
        ("empty CL", 400, "decimal", with("Content-Length: ")),
        ("negative CL", 400, "decimal", with("Content-Length: -1")),
        ("overflowing CL", 400, "too large", with("Content-Length: 9223372036854775808")),
        ("TE list", 400, "only Transfer-Encoding", with("Transfer-Encoding: gzip, chunked")),
        ("TE identity", 400, "only Transfer-Encoding", with("Transfer-Encoding: identity")),
        (
            "TE twice",
            400,
            "only Transfer-Encoding",
            with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        ),
        ("TE quoted", 400, "only Transfer-Encoding", with("Transfer-Encoding: \"chunked\"")),
        ("TE with vertical tab", 400, "control byte", with("Transfer-Encoding: \x0bchunked")),
        (
            "TE on HTTP/1.0",
            400,
            "HTTP/1.0",
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        ),
        ("bare LF after the request line", 400, "bare LF", b"GET / HTTP/1.1\nHost: x\r\n\r\n".to_vec()),
        ("bare LF after a field", 400, "bare LF", b"GET / HTTP/1.1\r\nHost: x\n\r\n".to_vec()),
        ("bare LF as the end", 400, "bare LF", b"GET / HTTP/1.1\r\nHost: x\r\n\n".to_vec()),
        ("bare CR in a value", 400, "control byte", with("A: b\rC: d")),
        ("bare CR in the request line", 400, "control byte", line("GET /\r HTTP/1.1")),
        ("folded", 400, "folded", with("A: b\r\n c")),
        ("folded by tab", 400, "folded", with("A: b\r\n\tc")),
        ("space before the colon", 400, "between a header name", with("A : b")),
        ("tab before the colon", 400, "between a header name", with("Content-Length\t: 5")),
        ("leading space", 400, "first header line", b"GET / HTTP/1.1\r\n Host: x\r\n\r\n".to_vec()),
        ("NUL in a value", 400, "control byte", with("A: b\0c")),
        ("NUL in a name", 400, "control byte", with("A\0: b")),
        ("DEL in a value", 400, "control byte", with("A: \x7f")),
        ("no colon", 400, "no colon", with("Abc")),
        ("empty name", 400, "header name", with(": b")),
        ("space in a name", 400, "header name", with("A B: c")),
        ("no Host", 400, "no Host", b"GET / HTTP/1.1\r\nA: b\r\n\r\n".to_vec()),
        ("two Hosts", 400, "more than one Host", with("Host: x")),
        ("list of hosts", 400, "not a host name", b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n".to_vec()),
        ("user in Host", 400, "not a host name", b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n".to_vec()),
        ("two authorities", 400, "different hosts", b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n".to_vec()),
        ("user in the target", 400, "target", line("GET http://u@x/ HTTP/1.1")),
        (
            "two authorities of CONNECT",
            400,
            "different hosts",
            b"CONNECT a:1 HTTP/1.1\r\nHost: b:1\r\n\r\n".to_vec(),
        ),
        ("another scheme", 400, "target", line("GET ftp://x/ HTTP/1.1")),
        ("no slash", 400, "target", line("GET a HTTP/1.1")),
        ("star", 400, "target", line("GET * HTTP/1.1")),
        ("fragment", 400, "percent-encoded", line("GET /a#b HTTP/1.1")),
        ("angle bracket", 400, "percent-encoded", line("GET /<b> HTTP/1.1")),
        ("invalid UTF-8 in the target", 400, "UTF-8", b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("two spaces", 400, "request line", line("GET  / HTTP/1.1")),
        ("space at the end", 400, "request line", line("GET / HTTP/1.1 ")),
        ("no version", 400, "request line", line("GET /")),
        ("lower-case version", 400, "request line", line("GET / http/1.1")),
        ("bad method", 400, "request line", line("G@T / HTTP/1.1")),
        ("two empty lines", 400, "request line", b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("our own method", 400, "reserved", line("GATE-REFUSED * HTTP/1.1")),
        ("other version", 505, "version", line("GET / HTTP/1.2")),
        ("TLS", 400, "TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("101 header lines", 431, "100 header lines", with(long("a: b\r\n", 100).trim_end())),
        ("large head", 431, "too large", with(&format!("A: {}", long("a", HEAD_LIMIT)))),
        (
            "large head that never ends",
            431,
            "too large",
            format!("GET / HTTP/1.1\r\nA: {}", long("a", HEAD_LIMIT)).into(),
        ),
        ("long request line", 414, "8192", line(&format!("GET /{} HTTP/1.1", long("a", 8192 - 13)))),
        ("long request line that never ends", 414, "8192", format!("GET /{}", long("a", 8190)).into()),
    ]
}

#[test]
fn heads_out_of_order_are_refused_at_every_split_and_not_released() {
    for (name, status, message, bytes) in refused_heads() {
        let step = 1 + bytes.len() / 600;
        for split in (0..=bytes.len()).step_by(step) {
            let (released, stop) = follow(&bytes, split);
            let Stop::RefusedHead(breach) = stop else { panic!("{name}, split at {split}: {stop:?}") };
            assert_eq!(breach.status.as_u16(), status, "{name}, split at {split}: {breach}");
            assert!(breach.message.contains(message), "{name}, split at {split}: {breach}");
            assert_eq!(released, 0, "{name}, split at {split}");
        }
    }
}

#[test]
fn bodies_out_of_order_are_released_up_to_the_breach() {
    let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", long("a", 256));
    let trailers = format!("0\r\n{}\r\n", long("a: b\r\n", 101));
    let cases: [(&str, &str, usize, &str); 16] = [
        ("bare LF after a size", "5\nhello", 1, "chunk size"),
        ("bare CR after a size", "5\rhello", 2, "chunk size"),
        ("no size", "\r\n", 0, "chunk size"),
        ("not a number", "5g\r\n", 1, "chunk size"),
        ("prefix", "0x5\r\n", 1, "chunk size"),
        ("space after the size", "5 \r\n", 1, "chunk size"),
        ("overflow", "ffffffffffffffff\r\n", 15, "too large"),
        ("many zeros", "00000000000000005\r\n", 16, "too large"),
        ("long extension", &extension, 257, "longer than 256"),
        ("LF in an extension", "5;a\nb\r\n", 3, "extension"),
        ("longer than its size", "5\r\nhello!", 8, "longer"),
        ("LF after data", "5\r\nhello\n", 8, "longer"),
        ("forbidden trailer", "0\r\nContent-Length: 5\r\n\r\n", 17, "may not be"),
        ("folded trailer", "0\r\nA: b\r\n c\r\n\r\n", 9, "malformed"),
        ("LF in trailers", "0\r\nA: b\n\r\n", 7, "malformed"),
        ("too many trailers", &trailers, 603, "100 trailer"),
    ];
    let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (name, body, released, message) in cases {
        let bytes = format!("{head}{body}");
        for split in 0..=bytes.len() {
            let (all_released, stop) = follow(bytes.as_bytes(), split);
            let Stop::RefusedBody(breach) = stop else { panic!("{name}, split at {split}: {stop:?}") };
            assert!(breach.message.contains(message), "{name}: {breach}");
            assert_eq!(all_released, head.len() + released, "{name}, split at {split}");
        }
    }
}

#[test]
fn a_head_that_drips_is_read_once() {
    // A megabyte-second of work if each byte made the head be read again.
    let bytes = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", long("a", 60_000)).into_bytes();
    let mut follower = Follower::new(HEAD_LIMIT);
    for end in 1..bytes.len() {
        assert_eq!(follower.follow(&bytes[..end]).release, 0);
    }
    assert_eq!(follower.follow(&bytes).release, bytes.len());
}

#[test]
fn targets_that_pass_are_targets_that_the_http_crate_takes() {
    for byte in 0..=255_u8 {
        for target in [[b"/", &[byte][..]].concat(), [b"/?", &[byte][..]].concat()] {
            let bytes = [b"GET ", &target[..], b" HTTP/1.1\r\nHost: x\r\n\r\n"].concat();
            let passes = follow(&bytes, 0).1 == Stop::Hungry;
            let taken = http::uri::PathAndQuery::try_from(&target[..])
                .is_ok_and(|taken| taken.as_str().as_bytes() == target);
            assert!(!passes || taken, "{:?} passes", String::from_utf8_lossy(&target));
        }
    }
}

#[test]
fn protocols_are_told_apart_at_every_split() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04";
    for split in 0..=preface.len() {
        let end = if split >= 24 { split } else { preface.len() };
        assert_eq!(follow(preface, split), (end, Stop::Http2), "split at {split}");
    }
    let upgrade = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n\x81\x00";
    // Other protocols are not spoken here, and a body comes before any: neither stops the following of requests.
    for request in [
        &b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n"[..],
        b"POST / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi",
    ] {
        assert_eq!(follow(request, 0), (request.len(), Stop::Hungry));
    }
    for split in 0..=upgrade.len() {
        assert_eq!(
            follow(upgrade, split),
            (upgrade.len() - 2, Stop::Undecided { connect: false }),
            "split at {split}"
        );
    }
}

/// Serves one guarded connection: echoes bodies, upgrades where asked to, and answers refusals as the gate does.
async fn serve<S>(stream: S)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let mut guarded = Guarded::new(stream, HEAD_LIMIT);
    assert_eq!(guarded.opening().await.unwrap(), Opening::Http1);
    let handle = guarded.handle();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let handle = handle.clone();
        async move {
            if let Some(breach) = handle.refused(&request) {
                let mut response = Response::new(Full::new(Bytes::from_static(breach.message.as_bytes())));
                *response.status_mut() = breach.status;
                response.headers_mut().insert(CONNECTION, "close".parse().unwrap());
                return Ok::<_, Infallible>(response);
            }
            let mut response = Response::new(Full::new(Bytes::new()));
            if request.uri().path() == "/upgrade" {
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response.headers_mut().insert(CONNECTION, "upgrade".parse().unwrap());
                response.headers_mut().insert("upgrade", "websocket".parse().unwrap());
                let upgrade = hyper::upgrade::on(&mut request);
                tokio::spawn(async move {
                    let mut stream = TokioIo::new(upgrade.await.unwrap());
                    let mut bytes = [0; 64];
                    loop {
                        let read = stream.read(&mut bytes).await.unwrap();
                        if read == 0 {
                            break;
                        }
                        stream.write_all(&bytes[..read]).await.unwrap();
                    }
                });
            } else {
                // The body is read late, so that the guard runs ahead of the answer.
                tokio::task::yield_now().await;
                let path = request.uri().path().to_owned();
                *response.body_mut() = match request.into_body().collect().await {
                    Ok(body) => Full::new(Bytes::from([path.as_bytes(), b"=", &body.to_bytes()].concat())),
                    Err(error) => {
                        let breach = breach_in(&error).expect("a broken body names its breach");
                        *response.status_mut() = breach.status;
                        Full::new(Bytes::from_static(breach.message.as_bytes()))
                    }
                };
            }
            if handle.answered(response.status()) {
                response.headers_mut().insert(CONNECTION, "close".parse().unwrap());
            }
            Ok(response)
        }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(guarded), service)
        .with_upgrades()
        .await;
}

/// Sends `pieces` one after the other and gives all that comes back until the server closes.
async fn exchange(pieces: &[&[u8]]) -> String {
    let (mut client, server) = tokio::io::duplex(1024);
    let server = tokio::spawn(serve(server));
    let mut answer = Vec::new();
    for piece in pieces {
        client.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    client.read_to_end(&mut answer).await.unwrap();
    drop(client);
    server.await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn an_earlier_answer_is_complete_before_the_refusal() {
    let good = "POST /one HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    let bad = "GET /two HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n";
    let all = format!("{good}{bad}trailing GET / HTTP/1.1\r\n\r\n");
    for split in 0..all.len() {
        let (first, second) = all.as_bytes().split_at(split);
        let answer = exchange(&[first, second]).await;
        let (one, two) =
            answer.split_once("/one=hello").unwrap_or_else(|| panic!("split at {split}: {answer}"));
        assert!(one.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(two.starts_with("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n"), "{answer}");
        assert!(two.ends_with("\r\n\r\nthe request has more than one Content-Length"), "{answer}");
    }
}

#[tokio::test]
async fn every_refused_head_is_answered_and_the_connection_closed() {
    for (name, status, message, bytes) in refused_heads() {
        let answer = exchange(&[&bytes]).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answer}");
        assert!(answer.contains(message), "{name}: {answer}");
    }
}

#[tokio::test]
async fn requests_in_order_are_answered_with_the_guard_in_between() {
    for (name, bytes) in accepted() {
        let closing = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        for pieces in [vec![bytes.as_bytes()], bytes.as_bytes().chunks(7).collect()] {
            let pieces: Vec<&[u8]> = pieces.into_iter().chain([closing.as_bytes()]).collect();
            let answer = exchange(&pieces).await;
            assert!(answer.starts_with("HTTP/1."), "{name}: {answer}");
            assert!(!answer.contains(" 400 "), "{name}: {answer}");
            assert!(answer.ends_with("/last=") || name == "HTTP/1.0 without Host", "{name}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_broken_body_reaches_the_service_as_an_error() {
    let head = "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = exchange(&[head.as_bytes(), b"5\r\nhello\r\n", b"5\nhello\r\n0\r\n\r\n"]).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.contains("a chunk size is not"), "{answer}");
    // Not the answer to the request before it, though the guard has seen further by then.
    let sized = "POST /one HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    let answer = exchange(&[format!("{sized}{head}5\nhello").as_bytes()]).await;
    let (one, two) = answer.split_once("/one=hello").expect("the first request is answered");
    assert!(!one.contains("close"), "{answer}");
    assert!(two.contains("\r\nconnection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn bytes_behind_an_upgrade_go_where_the_answer_sends_them() {
    let head = b"GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let early = b"not\nHTTP\0at all";
    for pieces in [vec![[&head[..], early].concat()], vec![head.to_vec(), early.to_vec()]] {
        let (mut client, server) = tokio::io::duplex(1024);
        tokio::spawn(serve(server));
        for piece in &pieces {
            client.write_all(piece).await.unwrap();
        }
        let mut answer = Vec::new();
        while !answer.ends_with(early) {
            assert_ne!(
                client.read_buf(&mut answer).await.unwrap(),
                0,
                "{}",
                String::from_utf8_lossy(&answer)
            );
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "));
    }
    // Declined: what follows is a request like any other, here after one that came before.
    let declined = "GET /one HTTP/1.1\r\nHost: x\r\n\r\nGET /two HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n\
                    GET /three HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n";
    let answer = exchange(&[declined.as_bytes()]).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 3, "{answer}");
}

#[tokio::test]
async fn over_tcp_the_refusal_survives_unread_input() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream).await;
    });
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut bytes = b"GET /one HTTP/1.1\r\nHost: x\r\n\r\nGET /two HTTP/1.1\r\nA : b\r\n\r\n".to_vec();
    bytes.resize(100 * 1024, b'x');
    client.write_all(&bytes).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("/one="), "{answer}");
    assert!(answer.contains("HTTP/1.1 400 "), "{answer}");
    drop(client);
    server.await.unwrap();
}

#[tokio::test]
async fn a_client_that_ends_in_the_middle_is_told_so() {
    for (sent, expected) in [
        ("GET / HTT", "HTTP/1.1 400 "),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel", "HTTP/1.1 400 "),
        ("", ""),
    ] {
        let (client, server) = tokio::io::duplex(1024);
        let server = tokio::spawn(serve(server));
        let (mut reader, mut writer) = tokio::io::split(client);
        writer.write_all(sent.as_bytes()).await.unwrap();
        writer.shutdown().await.unwrap();
        let mut answer = String::new();
        reader.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(expected), "{sent:?}: {answer}");
        server.await.unwrap();
    }
}

#[tokio::test]
async fn flushes_that_carried_bytes_are_counted_and_told() {
    #[derive(Default)]
    struct Woken(AtomicBool);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let (_client, server) = tokio::io::duplex(1024);
    let mut guarded = Guarded::new(server, HEAD_LIMIT);
    let handle = guarded.handle();
    let woken = [Arc::new(Woken::default()), Arc::new(Woken::default())];
    for woken in &woken {
        handle.flushes().register(&Waker::from(Arc::clone(woken)));
    }
    guarded.flush().await.unwrap();
    assert_eq!(handle.flushes().epoch(), 0, "nothing was written");
    guarded.write_all(b"x").await.unwrap();
    assert_eq!(handle.flushes().epoch(), 0, "nothing was flushed");
    guarded.flush().await.unwrap();
    assert_eq!(handle.flushes().epoch(), 1);
    assert!(woken.iter().all(|woken| woken.0.load(Ordering::SeqCst)));
}
