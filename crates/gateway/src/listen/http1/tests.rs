//! A connection with a host that echoes, over real sockets.

use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::BodyExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::*;
use crate::body::cause;
use crate::http1::tests::{accepted, refused_heads};

/// Answers with the path and the body; takes the connection over for `/upgrade`, and echoes there.
#[derive(Default)]
struct Echo {
    takeover: Takeover,
    closed: Notify,
    may_be_closed: AtomicBool,
}

impl Host for Echo {
    async fn answer(&self, request: Request<RequestBody>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        if path == "/upgrade" {
            self.takeover.offer(|mut stream, read| {
                Box::pin(async move {
                    stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await.unwrap();
                    stream.write_all(&read).await.unwrap();
                    let mut bytes = [0; 64];
                    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                        stream.write_all(&bytes[..count]).await.unwrap();
                    }
                })
            });
            return std::future::pending().await;
        }
        if path == "/ignore" {
            return Response::new(Body::full("ignored"));
        }
        // The body is read late, when more may have come.
        tokio::task::yield_now().await;
        match request.into_body().collect().await {
            Ok(body) => Response::new(Body::full([path.as_bytes(), b"=", &body.to_bytes()].concat())),
            Err(error) => self.refuse(cause(&*error).expect("a broken body names its breach")),
        }
    }

    fn refuse(&self, breach: &Breach) -> Response<Body> {
        let mut response = Response::new(Body::full(breach.message));
        *response.status_mut() = breach.status;
        response
    }

    async fn closed(&self) {
        self.closed.notified().await;
    }

    fn may_be_closed(&self) -> bool {
        self.may_be_closed.load(Ordering::SeqCst)
    }

    fn limits(&self) -> Limits {
        let long = Duration::from_secs(60);
        Limits { read: long, write: long, body: 0 }
    }
}

/// Both ends of a connection.
async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    client.set_nodelay(true).unwrap();
    (client, listener.accept().await.unwrap().0)
}

async fn serve(server: TcpStream) {
    let host = Echo::default();
    let takeover = host.takeover.clone();
    run(&host, ClientStream::Plain(server), BytesMut::new(), &takeover).await;
}

/// Sends `pieces` one after the other and gives all that comes back until the server closes.
async fn exchange(pieces: &[&[u8]]) -> String {
    let (mut client, server) = sockets().await;
    let server = tokio::spawn(serve(server));
    for piece in pieces {
        client.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = Vec::new();
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
        assert!(one.starts_with("HTTP/1.1 200 OK\r\ncontent-length: 10\r\ndate: "), "{answer}");
        assert!(!one.contains("connection"), "{answer}");
        assert!(two.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(two.contains("\r\nconnection: close\r\n"), "{answer}");
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
async fn requests_in_order_are_answered_however_they_come() {
    for (name, bytes) in accepted() {
        let closing = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        for pieces in [vec![bytes.as_bytes()], bytes.as_bytes().chunks(7).collect()] {
            let pieces: Vec<&[u8]> = pieces.into_iter().chain([closing.as_bytes()]).collect();
            let answer = exchange(&pieces).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
            assert!(!answer.contains(" 400 "), "{name}: {answer}");
            assert!(answer.ends_with("/last=") || name == "HTTP/1.0 without Host", "{name}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_broken_body_is_told_and_ends_the_connection() {
    let head = "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = exchange(&[head.as_bytes(), b"5\r\nhello\r\n", b"5\nhello\r\n0\r\n\r\n"]).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.contains("a chunk size is not"), "{answer}");
    // Not the answer to the request before it.
    let sized = "POST /one HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    let answer = exchange(&[format!("{sized}{head}5\nhello").as_bytes()]).await;
    let (one, two) = answer.split_once("/one=hello").expect("the first request is answered");
    assert!(!one.contains("close"), "{answer}");
    assert!(two.contains("\r\nconnection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn a_body_that_nobody_reads_ends_the_connection_unless_it_is_at_hand() {
    let get = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let post = "POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
    let answer = exchange(&[format!("{post}hello{get}").as_bytes()]).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
    assert!(answer.ends_with("/last="), "{answer}");
    let answer = exchange(&[format!("{post}hell").as_bytes()]).await;
    assert!(answer.contains("\r\nconnection: close\r\n") && answer.ends_with("ignored"), "{answer}");
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_is_told_to_go_ahead_when_the_body_is_wanted() {
    for (path, length, told) in [("/wanted", 2, true), ("/ignore", 2, false), ("/none", 0, false)] {
        let (mut client, server) = sockets().await;
        let server = tokio::spawn(serve(server));
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        );
        client.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer == b"HTTP/1.1 100", told, "{path}: {}", String::from_utf8_lossy(&answer));
        let _ = client.write_all(b"hi").await;
        client.shutdown().await.unwrap();
        server.await.unwrap();
    }
}

#[tokio::test]
async fn bytes_behind_an_upgrade_go_to_who_takes_the_connection() {
    let head = b"GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let early = b"not\nHTTP\0at all";
    for pieces in [vec![[&head[..], early].concat()], vec![head.to_vec(), early.to_vec()]] {
        let (mut client, server) = sockets().await;
        let server = tokio::spawn(serve(server));
        for piece in &pieces {
            client.write_all(piece).await.unwrap();
        }
        let mut answer = Vec::new();
        while !answer.ends_with(early) {
            let count = client.read_buf(&mut answer).await.unwrap();
            assert_ne!(count, 0, "{}", String::from_utf8_lossy(&answer));
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "));
        drop(client);
        server.await.unwrap();
    }
    // Declined: what follows is a request like any other.
    let declined = "GET /one HTTP/1.1\r\nHost: x\r\n\r\nGET /two HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n\
                    GET /three HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n";
    let answer = exchange(&[declined.as_bytes()]).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 3, "{answer}");
}

#[tokio::test]
async fn the_refusal_survives_unread_input() {
    let (mut client, server) = sockets().await;
    let server = tokio::spawn(serve(server));
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
        let (mut client, server) = sockets().await;
        let server = tokio::spawn(serve(server));
        client.write_all(sent.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(expected), "{sent:?}: {answer}");
        server.await.unwrap();
    }
}

#[tokio::test]
async fn heads_and_statuses_without_bodies_send_none() {
    let answer = exchange(&[b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.0\r\n\r\n"]).await;
    let (head, rest) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n"), "{answer}");
    assert!(rest.starts_with("HTTP/1.1 200 OK\r\n") && rest.ends_with("\r\n\r\n/b="), "{answer}");
    let kept = b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n";
    let answer = exchange(&[kept]).await;
    assert!(answer.contains("connection: keep-alive\r\n") && answer.ends_with("/b="), "{answer}");
}

#[tokio::test]
async fn who_waits_for_nothing_is_closed_when_the_host_closes() {
    let (mut client, server) = sockets().await;
    let host = std::sync::Arc::new(Echo::default());
    let serving = {
        let host = std::sync::Arc::clone(&host);
        tokio::spawn(async move {
            let takeover = host.takeover.clone();
            run(&*host, ClientStream::Plain(server), BytesMut::new(), &takeover).await;
        })
    };
    client.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"/a=") {
        client.read_buf(&mut answer).await.unwrap();
    }
    host.may_be_closed.store(true, Ordering::SeqCst);
    host.closed.notify_one();
    serving.await.unwrap();
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
}
