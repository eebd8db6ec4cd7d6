//! Bare sockets against clients and servers of the test's own, and `openssl` as one that is not ours.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

#[path = "../ends/mod.rs"]
mod ends;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use ends::{Stream, messages, sample, settings, texts, unique, until, within};
use serde_json::{Value as Json, json};
use streams::Settings;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};

/// Settings of a gate whose runner allows sockets.
fn allowed() -> Settings {
    let mut settings = settings();
    settings.allow_unsafe = vec!["socket".into(), "socket_server".into()];
    settings
}

fn reading(input: Json) -> Stream {
    Stream::start(json!({"input": input}), &allowed())
}

fn writing(output: Json) -> Stream {
    Stream::start(json!({"output": output}), &allowed())
}

/// A port that was free a moment ago.
async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

fn path() -> String {
    std::env::temp_dir().join(unique("sluicegate-socket")).display().to_string()
}

async fn connect(port: u16) -> TcpStream {
    within(async {
        loop {
            match TcpStream::connect(("127.0.0.1", port)).await {
                Ok(stream) => return stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    })
    .await
}

#[tokio::test]
async fn sockets_of_the_machine_are_under_the_egress_policy() {
    let mut settings = allowed();
    settings.egress =
        std::sync::Arc::new(streams::Egress { deny_private: true, ..streams::Egress::default() });
    let path = path();
    let listener = UnixListener::bind(&path).unwrap();
    let fields = json!({"network": "unix", "address": path});
    for side in ["input", "output"] {
        let stream = Stream::start(json!({ (side): { "socket": fields } }), &settings);
        until(|| stream.last_error().contains("egress policy denies the socket")).await;
        stream.stop().await;
    }
    assert!(tokio::time::timeout(Duration::ZERO, listener.accept()).await.is_err());
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn sockets_are_refused_unless_they_are_allowed() {
    for (config, name) in [
        (
            json!({"input": {"socket": {"network": "tcp", "address": "a:1"}}, "output": {"drop": {}}}),
            "socket",
        ),
        (
            json!({"input": {"socket_server": {"network": "tcp", "address": "a:1"}}, "output": {"drop": {}}}),
            "socket_server",
        ),
        (
            json!({"input": {"generate": {"mapping": "root = 1"}}, "output": {"socket": {"network": "tcp", "address": "a:1"}}}),
            "socket",
        ),
    ] {
        let told = ends::build(&config, &settings()).unwrap_err();
        assert!(told.contains(&format!("`{name}` is not allowed")), "{told}");
        assert!(ends::build(&config, &allowed()).is_ok(), "{config}");
    }
}

#[test]
fn what_cannot_be_listened_on_or_connected_to_is_a_fault_at_its_place() {
    let server = |more: Json| json!({"input": {"socket_server": more}, "output": {"drop": {}}});
    for (config, expected) in [
        (server(json!({"network": "tcp", "address": "1234"})), "address: `1234` is no address"),
        (server(json!({"network": "udp", "address": "a:x"})), "address: `a:x` is no address"),
        (server(json!({"network": "tls", "address": "a:1"})), "tls: tls needs `cert_file` and `key_file`"),
        (
            server(
                json!({"network": "tls", "address": "a:1", "tls": {"cert_file": "c", "key_file": "k", "self_signed": true}}),
            ),
            "tls: tls needs `cert_file` and `key_file`",
        ),
        (server(json!({"network": "tcp", "address": "a:1", "address_cache": "none"})), "address_cache: "),
        (server(json!({"network": "quic", "address": "a:1"})), "network: "),
    ] {
        let told = ends::build(&config, &allowed()).unwrap_err();
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

#[tokio::test]
async fn every_connection_is_cut_by_itself() {
    let port = free_port().await;
    let mut stream =
        reading(json!({"socket_server": {"network": "tcp", "address": format!("127.0.0.1:{port}")}}));
    let (mut one, mut two) = (connect(port).await, connect(port).await);
    one.write_all(b"a1\na").await.unwrap();
    assert_eq!(stream.texts(1).await, ["a1"]);
    two.write_all(b"b1\nb2").await.unwrap();
    assert_eq!(stream.texts(1).await, ["b1"]);
    one.write_all(b"2\n").await.unwrap();
    assert_eq!(stream.texts(1).await, ["a2"]);
    // The end of a connection ends its last message.
    drop(two);
    assert_eq!(stream.texts(1).await, ["b2"]);
    stream.stop().await;
    let mut rest = Vec::new();
    assert_eq!(within(one.read_to_end(&mut rest)).await.unwrap_or(0), 0, "clients are left when it stops");
}

#[tokio::test]
async fn what_was_not_delivered_comes_again() {
    let port = free_port().await;
    let mut stream =
        reading(json!({"socket_server": {"network": "tcp", "address": format!("127.0.0.1:{port}")}}));
    connect(port).await.write_all(b"once\n").await.unwrap();
    let (batch, ack) = stream.next().await;
    assert_eq!(texts(&batch), ["once"]);
    drop(ack);
    assert_eq!(stream.texts(1).await, ["once"]);
    stream.stop().await;
}

#[tokio::test]
async fn the_address_is_put_into_a_cache() {
    let port = free_port().await;
    let config = json!({
        "input": {"label": "door", "socket_server": {
            "network": "tcp", "address": format!("127.0.0.1:{port}"), "address_cache": "kept",
        }},
        "pipeline": {"processors": [{"cache": {"resource": "kept", "operator": "get", "key": "door_address"}}]},
        "cache_resources": [{"label": "kept", "memory": {}}],
    });
    let mut stream = Stream::start(config, &allowed());
    connect(port).await.write_all(b"where?\n").await.unwrap();
    assert_eq!(stream.texts(1).await, [format!("127.0.0.1:{port}")]);
    stream.stop().await;
}

#[tokio::test]
async fn a_unix_socket_that_was_left_behind_is_no_obstacle() {
    let path = path();
    // As a process that was killed leaves it.
    drop(UnixListener::bind(&path).unwrap());
    assert!(std::fs::exists(&path).unwrap());
    let server = json!({"socket_server": {"network": "unix", "address": path, "codec": "delim:;"}});
    let mut stream = reading(server.clone());
    until(|| stream.connected()).await;
    let mut client = UnixStream::connect(&path).await.unwrap();
    client.write_all(b"one;two;").await.unwrap();
    assert_eq!(stream.texts(2).await, ["one", "two"]);
    // One that is listened on stays with its owner.
    let second = reading(server);
    until(|| second.last_error().contains("cannot listen on the socket")).await;
    second.stop().await;
    client.write_all(b"three;").await.unwrap();
    assert_eq!(stream.texts(1).await, ["three"]);
    stream.stop().await;
    until(|| !std::fs::exists(&path).unwrap()).await;
}

#[tokio::test]
async fn every_datagram_is_a_source() {
    let port = free_port().await;
    let mut stream =
        reading(json!({"socket_server": {"network": "udp", "address": format!("127.0.0.1:{port}")}}));
    until(|| stream.connected()).await;
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for datagram in [&b"one\ntwo"[..], b"three\n", b"four"] {
        client.send_to(datagram, ("127.0.0.1", port)).await.unwrap();
    }
    assert_eq!(stream.texts(4).await, ["one", "two", "three", "four"]);
    stream.stop().await;
}

#[tokio::test]
async fn clients_come_by_tls() {
    let (certificate, key) = (sample("server.crt"), sample("server.key"));
    for (tls, verifies) in
        [(json!({"cert_file": certificate, "key_file": key}), true), (json!({"self_signed": true}), false)]
    {
        let port = free_port().await;
        let address = format!("127.0.0.1:{port}");
        let mut stream =
            reading(json!({"socket_server": {"network": "tls", "address": address, "tls": tls}}));
        until(|| stream.connected()).await;
        let authority = sample("ca.crt").display().to_string();
        let mut arguments = vec!["s_client", "-quiet", "-connect", &address];
        if verifies {
            arguments.extend(["-CAfile", &authority, "-verify_return_error"]);
        }
        let mut client = Command::new("openssl")
            .args(arguments)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is there");
        let mut plain = TcpStream::connect(&address).await.unwrap();
        plain.write_all(b"this is no handshake\n").await.unwrap();
        client.stdin.as_mut().unwrap().write_all(b"secret\n").unwrap();
        assert_eq!(stream.texts(1).await, ["secret"]);
        client.kill().unwrap();
        client.wait().unwrap();
        stream.stop().await;
    }
}

#[tokio::test]
async fn an_input_connects_again_when_its_server_has_closed() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    let mut stream = reading(json!({"socket": {"network": "tcp", "address": address}}));
    for (sent, expected) in [(&b"one\ntwo\n"[..], &["one", "two"][..]), (b"three", &["three"])] {
        let (mut connection, _) = within(server.accept()).await.unwrap();
        connection.write_all(sent).await.unwrap();
        drop(connection);
        assert_eq!(stream.texts(expected.len()).await, expected);
    }
    stream.stop().await;

    let path = path();
    let server = UnixListener::bind(&path).unwrap();
    let mut stream = reading(json!({"socket": {
        "network": "unix", "address": path, "scanner": {"chunker": {"size": 3}},
    }}));
    let (mut connection, _) = within(server.accept()).await.unwrap();
    connection.write_all(b"abcdef").await.unwrap();
    assert_eq!(stream.texts(2).await, ["abc", "def"]);
    stream.stop().await;
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn an_output_writes_what_its_codec_says() {
    for (codec, expected) in [("lines", "a\nb\n"), ("append", "ab"), ("delim:--", "a--b--")] {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap().to_string();
        let stream = writing(json!({"socket": {"network": "tcp", "address": address, "codec": codec}}));
        let (mut connection, _) = within(server.accept()).await.unwrap();
        assert!(stream.write(messages(["a", "b"])).await.is_ok());
        stream.stop().await;
        let mut seen = String::new();
        within(connection.read_to_string(&mut seen)).await.unwrap();
        assert_eq!(seen, expected, "{codec}");
    }
}

#[tokio::test]
async fn all_bytes_are_one_connection_for_each_message() {
    let path = path();
    let server = UnixListener::bind(&path).unwrap();
    let stream = writing(json!({"socket": {"network": "unix", "address": path, "codec": "all-bytes"}}));
    let outcome = stream.send(messages(["one", "two\n"]));
    for expected in ["one", "two\n"] {
        let (mut connection, _) = within(server.accept()).await.unwrap();
        let mut seen = String::new();
        within(connection.read_to_string(&mut seen)).await.unwrap();
        assert_eq!(seen, expected);
    }
    assert!(within(outcome).await.unwrap().is_ok());
    let outcome = stream.send(messages(["three"]));
    let mut seen = String::new();
    within(within(server.accept()).await.unwrap().0.read_to_string(&mut seen)).await.unwrap();
    assert_eq!(seen, "three");
    assert!(within(outcome).await.unwrap().is_ok());
    stream.stop().await;
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn what_follows_a_closed_connection_goes_into_the_next_one() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    let stream = writing(json!({"socket": {"network": "tcp", "address": address}}));
    for round in ["one", "two", "three"] {
        let outcome = stream.send(messages([round]));
        let (connection, _) = within(server.accept()).await.unwrap();
        let mut lines = BufReader::new(connection).lines();
        assert_eq!(within(lines.next_line()).await.unwrap().as_deref(), Some(round));
        assert!(within(outcome).await.unwrap().is_ok());
        // The server closes; what comes next must not be written into the void.
        drop(lines);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stream.stop().await;
}

#[tokio::test]
async fn an_output_sends_a_datagram_for_each_message() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    let stream = writing(json!({"socket": {"network": "udp", "address": address, "codec": "append"}}));
    assert!(stream.write(messages(["one", "two"])).await.is_ok());
    let mut buffer = [0; 64];
    for expected in ["one", "two"] {
        let length = within(server.recv(&mut buffer)).await.unwrap();
        assert_eq!(&buffer[..length], expected.as_bytes());
    }
    let large = "x".repeat(70_000);
    let told = stream.write(vec![streams::Message::new(large)]).await.unwrap_err();
    assert!(told.text().contains("the datagram cannot be sent"), "{told:?}");
    assert!(stream.write(messages(["three"])).await.is_ok());
    let length = within(server.recv(&mut buffer)).await.unwrap();
    assert_eq!(&buffer[..length], b"three");
    stream.stop().await;
}

#[tokio::test]
async fn what_was_read_of_a_socket_is_delivered_when_the_stream_stops() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let input = json!({"socket": {"network": "tcp", "address": address, "scanner": {"lines": {}}}});
    // Batches of one: what is behind the first waits where it was cut.
    let settings = allowed();
    let mut stream = Stream::reading_slowly(input, &settings);
    let (mut peer, _) = within(listener.accept()).await.unwrap();
    let lines: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    // In one piece, so that it is read at once.
    peer.write_all((lines.join("\n") + "\n").as_bytes()).await.unwrap();
    let (batch, ack) = stream.next().await;
    let mut taken = texts(&batch);
    ack.done(Ok(()));
    taken.extend(stream.stop_taking().await);
    assert_eq!(taken, lines);
}
