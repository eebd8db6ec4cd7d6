//! Input and output `websocket` against servers that the tests write themselves.

use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use http::HeaderMap;
use serde_json::{Value as Json, json};
use streams::{Egress, Message};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message as Frame, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_async, accept_hdr_async};

use crate::ends::{Stream, build, messages, sample, settings, text, until, within};

struct Server {
    listener: TcpListener,
}

type Peer = WebSocketStream<TcpStream>;

impl Server {
    async fn start() -> Server {
        Server { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.listener.local_addr().unwrap())
    }

    /// The next connection, with the head of its request.
    async fn accept(&self) -> (Peer, HeaderMap, String) {
        let (stream, _) = within(self.listener.accept()).await.unwrap();
        let (mut headers, mut path) = (HeaderMap::new(), String::new());
        #[expect(clippy::result_large_err, reason = "the signature is the library's")]
        let look = |request: &Request, answer: Response| -> Result<Response, ErrorResponse> {
            headers = request.headers().clone();
            path = request.uri().to_string();
            Ok(answer)
        };
        let peer = within(accept_hdr_async(stream, look)).await.unwrap();
        (peer, headers, path)
    }
}

async fn frame(peer: &mut Peer) -> Frame {
    within(peer.next()).await.unwrap().unwrap()
}

fn component(url: &str, fields: Json) -> Json {
    let mut config = json!({"url": url});
    config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"websocket": config})
}

#[tokio::test]
async fn frames_become_messages_once_the_server_was_told_what_is_wanted() {
    let server = Server::start().await;
    let fields = json!({
        "headers": {"X-Name": "${! \"n\" + \"m\" }"},
        "basic_auth": {"enabled": true, "username": "u", "password": "p"},
        "open_messages": ["first", "second"],
        "open_message_type": "text",
    });
    let mut stream = Stream::reading(component(&server.url("/feed?x=1"), fields));
    let (mut peer, headers, path) = server.accept().await;
    assert_eq!((path.as_str(), &headers["x-name"]), ("/feed?x=1", &"nm".parse().unwrap()));
    assert_eq!(headers["authorization"], "Basic dTpw");
    assert_eq!(frame(&mut peer).await, Frame::text("first"));
    assert_eq!(frame(&mut peer).await, Frame::text("second"));
    peer.send(Frame::text("one")).await.unwrap();
    peer.send(Frame::Ping("are you there".into())).await.unwrap();
    peer.send(Frame::binary(&b"\xff"[..])).await.unwrap();
    assert_eq!(text(&stream.batch().await[0]), "one");
    assert_eq!(&**stream.batch().await[0].bytes(), b"\xff");
    assert_eq!(frame(&mut peer).await, Frame::Pong("are you there".into()));
    // Stopping says good-bye.
    let (closed, ()) = tokio::join!(frame(&mut peer), stream.stop());
    assert!(matches!(closed, Frame::Close(Some(CloseFrame { code: CloseCode::Normal, .. }))), "{closed:?}");
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_opened_again() {
    let server = Server::start().await;
    let fields = json!({"open_message": "hello"});
    let mut stream = Stream::reading(component(&server.url("/"), fields));
    for (round, end) in [("a", 0), ("b", 1), ("c", 2)] {
        let (mut peer, ..) = server.accept().await;
        assert_eq!(frame(&mut peer).await, Frame::binary("hello"));
        peer.send(Frame::text(round)).await.unwrap();
        assert_eq!(stream.texts(1).await, [round]);
        // Orderly, or broken off.
        if end == 0 {
            let farewell = CloseFrame { code: CloseCode::Away, reason: Utf8Bytes::from_static("bye") };
            peer.close(Some(farewell)).await.unwrap();
            assert!(matches!(frame(&mut peer).await, Frame::Close(_)), "it is answered");
        }
    }
    stream.stop().await;
}

#[tokio::test]
async fn an_input_ends_after_its_last_attempt() {
    let server = Server::start().await;
    let fields = json!({"connection": {"max_retries": 0}});
    let mut stream = Stream::reading(component(&server.url("/"), fields.clone()));
    let (mut peer, ..) = server.accept().await;
    peer.send(Frame::text("only")).await.unwrap();
    assert_eq!(stream.texts(1).await, ["only"]);
    drop(peer);
    until(|| stream.ended()).await;
    stream.stop().await;

    let url = server.url("/");
    drop(server);
    let stream = Stream::reading(component(&url, fields));
    until(|| stream.ended()).await;
    stream.stop().await;
}

#[tokio::test]
async fn a_refused_message_comes_again() {
    let server = Server::start().await;
    let mut stream = Stream::reading(component(&server.url("/"), json!({})));
    let (mut peer, ..) = server.accept().await;
    peer.send(Frame::text("m")).await.unwrap();
    let (_, ack) = stream.next().await;
    ack.done(Err(streams::NackReason::failed("no")));
    assert_eq!(stream.texts(1).await, ["m"]);
    stream.stop().await;
}

#[tokio::test]
async fn messages_are_written_as_frames_of_their_kind() {
    for (kind, first) in [("binary", Frame::binary("a")), ("text", Frame::text("a"))] {
        let server = Server::start().await;
        let stream = Stream::writing(component(&server.url("/"), json!({"message_type": kind})));
        let (mut peer, ..) = server.accept().await;
        // Pings are answered while nothing is written.
        peer.send(Frame::Ping("p".into())).await.unwrap();
        assert_eq!(frame(&mut peer).await, Frame::Pong("p".into()));
        assert!(stream.write(messages(["a", "b"])).await.is_ok());
        assert_eq!(frame(&mut peer).await, first);
        assert_eq!(frame(&mut peer).await.into_data(), "b".as_bytes());
        let raw = stream.write(vec![Message::new(&b"\xff"[..])]).await;
        assert_eq!(raw.is_ok(), kind == "binary", "{raw:?}");
        let (_, ()) = tokio::join!(
            async { while peer.next().await.is_some_and(|read| read.is_ok()) {} },
            stream.stop()
        );
    }
}

#[tokio::test]
async fn an_output_connects_again_and_writes_what_waited() {
    let server = Server::start().await;
    let stream = Stream::writing(component(&server.url("/"), json!({})));
    let (mut peer, ..) = server.accept().await;
    assert!(stream.write(messages(["a"])).await.is_ok());
    assert_eq!(frame(&mut peer).await, Frame::binary("a"));
    peer.close(None).await.unwrap();
    assert!(matches!(frame(&mut peer).await, Frame::Close(_)));
    drop(peer);
    let waiting = stream.send(messages(["b"]));
    let (mut peer, ..) = server.accept().await;
    assert_eq!(frame(&mut peer).await, Frame::binary("b"));
    assert!(within(waiting).await.unwrap().is_ok());
    stream.stop().await;
}

#[tokio::test]
async fn the_way_leads_through_tls_and_proxies_where_the_policy_allows_it() {
    // A proxy opens a tunnel, for plain connections, too.
    let server = Server::start().await;
    let (proxy, told) =
        crate::transport::proxy(server.listener.local_addr().unwrap(), b"HTTP/1.1 200 OK\r\n\r\n").await;
    let fields = json!({"proxy_url": format!("http://{proxy}")});
    let stream = Stream::writing(component("ws://name.invalid/", fields));
    let (mut peer, ..) = server.accept().await;
    assert!(stream.write(messages(["m"])).await.is_ok());
    assert_eq!(frame(&mut peer).await, Frame::binary("m"));
    drop(peer);
    stream.stop().await;
    assert!(told.await.unwrap().starts_with("CONNECT name.invalid:80 HTTP/1.1\r\n"));

    // TLS, checked.
    let server = Server::start().await;
    let port = server.listener.local_addr().unwrap().port();
    let accepted = tokio::spawn(async move {
        let (stream, _) = server.listener.accept().await.unwrap();
        let stream = crate::server::acceptor(false).accept(stream).await.unwrap();
        let mut peer = accept_async(stream).await.unwrap();
        peer.next().await.unwrap().unwrap()
    });
    let fields = json!({"tls": {"enabled": true, "root_cas_file": sample("ca.crt")}});
    let stream = Stream::writing(component(&format!("wss://localhost:{port}/"), fields));
    assert!(stream.write(messages(["m"])).await.is_ok());
    assert_eq!(within(accepted).await.unwrap(), Frame::binary("m"));
    stream.stop().await;

    // The egress policy.
    let server = Server::start().await;
    let mut settings = settings();
    settings.egress = Arc::new(Egress { deny_private: true, ..Egress::default() });
    let stream = Stream::start(json!({"input": component(&server.url("/"), json!({}))}), &settings);
    until(|| stream.last_error().contains("egress policy")).await;
    stream.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_talks_without_end_is_written_to() {
    let server = Server::start().await;
    let stream = Stream::writing(component(&server.url("/"), json!({})));
    let (peer, ..) = server.accept().await;
    let (mut talk, mut hear) = peer.split();
    let talking = tokio::spawn(async move { while talk.send(Frame::text("noise")).await.is_ok() {} });
    for number in 0..50 {
        let written = within(stream.write(vec![Message::new(number.to_string())])).await;
        assert!(written.is_ok(), "{written:?}");
        assert_eq!(within(hear.next()).await.unwrap().unwrap(), Frame::binary(number.to_string()));
    }
    talking.abort();
    stream.stop().await;
}

#[tokio::test]
async fn what_can_never_work_is_refused_with_its_place() {
    for (fields, pointer, words) in [
        (json!({"url": "http://x/"}), "/url", "ws://"),
        (json!({"url": "x"}), "/url", "not an address"),
        (json!({"url": "http://u:secret@x/?k"}), "/url", "`http://x/` is not"),
        (json!({"headers": {"a b": "c"}}), "/headers/a b", "header"),
        (json!({"proxy_url": "ftp://p"}), "/proxy_url", "ftp"),
        (json!({"open_message": "a", "open_messages": ["b"]}), "/open_message", "only `open_messages`"),
        (json!({"jwt": {"enabled": true, "signing_method": "RS256"}}), "/jwt/private_key_file", "file"),
    ] {
        let mut input = component("ws://x.example/", json!({}));
        input["websocket"].as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let faults = build(&json!({"input": input, "output": {"drop": {}}}), &settings()).unwrap_err();
        assert!(faults.contains(&format!("/input/websocket{pointer}")), "{fields}: {faults}");
        assert!(faults.contains(words), "{fields}: {faults}");
    }
}

#[tokio::test]
async fn what_a_server_sent_before_its_good_bye_is_delivered_when_the_stream_stops() {
    let server = Server::start().await;
    let mut stream = Stream::reading_slowly(component(&server.url("/"), json!({})), &settings());
    let (mut peer, ..) = server.accept().await;
    peer.send(Frame::text("first")).await.unwrap();
    let (_, first) = stream.next().await;
    for number in 0..300 {
        peer.send(Frame::text(number.to_string())).await.unwrap();
    }
    first.done(Ok(()));
    // The answer to a good-bye goes out with the next read.
    let hears = async { while let Some(Ok(_)) = peer.next().await {} };
    let (taken, ()) = tokio::join!(stream.stop_taking(), hears);
    assert_eq!(taken, (0..300).map(|number| number.to_string()).collect::<Vec<_>>());
}
