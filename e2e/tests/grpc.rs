//! gRPC through the gate: all four kinds of calls, with a client and a server that are not ours.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use e2e::definition::{keyed, keyless, session};
use e2e::{Codec, Echo, Gate, Note};
use futures_util::{StreamExt as _, stream};
use http::uri::PathAndQuery;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tower_service::Service;

/// The API of a server: it listens where gRPC calls go.
fn of(mut definition: Value) -> Value {
    definition["proxy"]["listen_path"] = json!("/echo.Echo/");
    definition["proxy"]["strip_listen_path"] = json!(false);
    definition
}

/// A client that leaves it to others to end calls that are late.
#[derive(Clone)]
struct Patient(hyper::client::conn::http2::SendRequest<Body>);

impl Patient {
    async fn client(port: u16) -> Grpc<Self> {
        let socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        Grpc::with_origin(Self(sender), "http://gate".parse().unwrap())
    }
}

impl Service<http::Request<Body>> for Patient {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

async fn client(port: u16) -> Grpc<Channel> {
    let channel = Channel::from_shared(format!("http://127.0.0.1:{port}")).unwrap().connect().await.unwrap();
    Grpc::new(channel).max_decoding_message_size(64 << 20).max_encoding_message_size(64 << 20)
}

/// What a client has to wait for before each call.
async fn ready(client: &mut Grpc<Channel>) -> &mut Grpc<Channel> {
    client.ready().await.unwrap();
    client
}

fn method(name: &str) -> PathAndQuery {
    format!("/echo.Echo/{name}").parse().unwrap()
}

#[tokio::test]
async fn c4_6_row_21_calls_of_all_four_kinds_pass() {
    let server = Echo::start().await;
    let gate = Gate::setup().api(of(keyless("echo", &format!("h2c://{}", server.authority())))).start().await;
    let mut client = client(gate.port()).await;

    let mut request = Request::new(Note::new("hello"));
    request.metadata_mut().insert("x-asked", "yes".parse().unwrap());
    request.set_timeout(Duration::from_secs(30));
    let answer = ready(&mut client).await.unary(request, method("Say"), Codec::default()).await.unwrap();
    assert_eq!(answer.metadata().get("x-told").unwrap(), "in the head");
    assert_eq!(answer.metadata().get("grpc-status").unwrap(), "0");
    let note = answer.into_inner();
    assert_eq!(note.text, "hello");
    // What the gate has spent of the time is gone.
    let left = note.fields[1].strip_prefix("grpc-timeout: ").and_then(|left| left.strip_suffix('u')).unwrap();
    let left: u64 = left.parse().unwrap();
    assert!((20_000_000..30_000_000).contains(&left), "{note:?}");
    assert_eq!([&note.fields[0], &note.fields[2]], ["te: trailers", "x-asked: yes"]);

    let large = "x".repeat(5_000_000);
    let answer = ready(&mut client)
        .await
        .unary(Request::new(Note::new(large.clone())), method("Say"), Codec::default())
        .await;
    assert_eq!(answer.unwrap().into_inner().text, large);

    let notes = stream::iter(["a", "b", "c"].map(Note::new));
    let answer = ready(&mut client)
        .await
        .client_streaming(Request::new(notes), method("Join"), Codec::default())
        .await;
    assert_eq!(answer.unwrap().into_inner().text, "abc");

    let notes = ready(&mut client)
        .await
        .server_streaming(Request::new(Note::new("one two three")), method("Split"), Codec::default())
        .await
        .unwrap();
    let words: Vec<String> = notes.into_inner().map(|note| note.unwrap().text).collect().await;
    assert_eq!(words, ["one", "two", "three"]);
}

/// A call in which both sides talk, begun with a note: the answer's head comes with the first.
async fn chat(
    client: &mut Grpc<Channel>,
    first: &str,
) -> (mpsc::UnboundedSender<Note>, tonic::Streaming<Note>) {
    let (say, said) = mpsc::unbounded_channel();
    let said = stream::unfold(said, async |mut said| Some((said.recv().await?, said)));
    say.send(Note::new(first)).expect("the other half is held here");
    let answer = ready(client).await.streaming(Request::new(said), method("Chat"), Codec::default()).await;
    (say, answer.expect("the call begins").into_inner())
}

#[tokio::test]
async fn both_sides_of_a_call_talk_at_once() {
    let server = Echo::start().await;
    let gate = Gate::setup().api(of(keyless("echo", &format!("h2c://{}", server.authority())))).start().await;
    let mut client = client(gate.port()).await;
    let (say, mut heard) = chat(&mut client, "note 0").await;
    assert_eq!(heard.message().await.unwrap().unwrap().text, "NOTE 0");
    for number in 1..20 {
        // Nothing is held back until there is more: each note is answered before the next is said.
        say.send(Note::new(format!("note {number}"))).unwrap();
        assert_eq!(heard.message().await.unwrap().unwrap().text, format!("NOTE {number}"));
    }
    drop(say);
    assert_eq!(heard.message().await.unwrap(), None);
    assert_eq!(heard.trailers().await.unwrap().unwrap().get("grpc-status").unwrap(), "0");
}

#[tokio::test]
async fn messages_may_be_far_between() {
    let server = Echo::start().await;
    let gate = Gate::setup()
        .api(of(keyless("echo", &format!("h2c://{}", server.authority()))))
        .conf(json!({"http_server_options": {"read_timeout": 3, "write_timeout": 3}}))
        .start()
        .await;
    let mut client = client(gate.port()).await;
    // Small ones with pauses, for longer than the limit, before there is an answer: each is a sign of life.
    let notes = stream::unfold(0, async |number| {
        tokio::time::sleep(Duration::from_millis(700)).await;
        (number < 8).then(|| (Note::new("a"), number + 1))
    });
    let answer = ready(&mut client)
        .await
        .client_streaming(Request::new(notes), method("Join"), Codec::default())
        .await;
    assert_eq!(answer.unwrap().into_inner().text, "a".repeat(8));

    // Once the answer has begun, both sides may be silent for longer than any limit of this gate, and its looking twice in it.
    let (say, mut heard) = chat(&mut client, "one").await;
    assert_eq!(heard.message().await.unwrap().unwrap().text, "ONE");
    tokio::time::sleep(Duration::from_secs(5)).await;
    say.send(Note::new("two")).unwrap();
    assert_eq!(heard.message().await.unwrap().unwrap().text, "TWO");
}

#[tokio::test]
async fn refusals_of_the_server_arrive_as_they_are() {
    let server = Echo::start().await;
    let gate = Gate::setup().api(of(keyless("echo", &format!("h2c://{}", server.authority())))).start().await;
    let mut client = client(gate.port()).await;
    let refused = ready(&mut client)
        .await
        .unary(Request::new(Note::new("refuse")), method("Say"), Codec::default())
        .await;
    let status = refused.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "nothing of that name, \u{e9}"));
    assert_eq!(status.metadata().get("x-told").unwrap(), "in the trailers");
    let refused =
        ready(&mut client).await.unary(Request::new(Note::new("x")), method("Shout"), Codec::default()).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn refusals_of_the_gate_are_codes_that_clients_know() {
    let server = Echo::start().await;
    let gate = Gate::setup().api(of(keyed("echo", &format!("h2c://{}", server.authority())))).start().await;
    let mut limited = session(&["echo"]);
    limited["rate"] = json!(1);
    limited["per"] = json!(3600);
    let key = gate.admin().key(&limited).await;
    let mut client = client(gate.port()).await;
    for (key, expected) in [
        (None, Err((Code::Unauthenticated, "Authorization field missing"))),
        (Some("unknown"), Err((Code::PermissionDenied, "Access to this API has been disallowed"))),
        (Some(key.as_str()), Ok("hello")),
        // 429: worth another try, later.
        (Some(key.as_str()), Err((Code::Unavailable, "Rate Limit Exceeded"))),
    ] {
        let mut request = Request::new(Note::new("hello"));
        if let Some(key) = key {
            request.metadata_mut().insert("authorization", key.parse().unwrap());
        }
        let answer = ready(&mut client).await.unary(request, method("Say"), Codec::default()).await;
        let answer = answer.map(|answer| answer.into_inner().text);
        let answer = answer.map_err(|status| (status.code(), status.message().to_owned()));
        let expected = expected.map(str::to_owned).map_err(|(code, message)| (code, message.to_owned()));
        assert_eq!(answer, expected, "{key:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_told_in_words_of_grpc() {
    let away = Echo::start().await.authority();
    let gate = Gate::setup().api(of(keyless("echo", &format!("h2c://{away}")))).start().await;
    let mut client = client(gate.port()).await;
    let answer =
        ready(&mut client).await.unary(Request::new(Note::new("x")), method("Say"), Codec::default()).await;
    let status = answer.unwrap_err();
    let told = (status.code(), status.message());
    assert_eq!(told, (Code::Unknown, "There was a problem proxying the request"), "{status:?}");
}

#[tokio::test]
async fn a_call_that_is_given_up_ends_at_the_server() {
    let mut server = Echo::start().await;
    let gate = Gate::setup().api(of(keyless("echo", &format!("h2c://{}", server.authority())))).start().await;
    let mut client = client(gate.port()).await;
    let call = Request::new(Note::new("hello"));
    let answer =
        ready(&mut client).await.server_streaming(call, method("Wait"), Codec::default()).await.unwrap();
    let mut heard = answer.into_inner();
    assert_eq!(heard.message().await.unwrap().unwrap().text, "hello");
    drop(heard);
    server.given_up().await;
    // The connection that it had goes on.
    let answer = ready(&mut client)
        .await
        .unary(Request::new(Note::new("more")), method("Say"), Codec::default())
        .await;
    assert_eq!(answer.unwrap().into_inner().text, "more");
}

fn within<T>(message: T, time: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("grpc-timeout", time.parse().unwrap());
    request
}

#[tokio::test]
async fn calls_that_are_late_end_at_the_client_and_at_the_server() {
    let mut server = Echo::start().await;
    let mut api = of(keyless("echo", &format!("h2c://{}", server.authority())));
    // An API that allows less time refuses as it always does.
    api["version_data"]["versions"]["Default"]["extended_paths"] =
        json!({"hard_timeouts": [{"path": "/Wait", "method": "POST", "timeout": 60}]});
    let gate = Gate::setup().api(api).start().await;
    let mut client = Patient::client(gate.port()).await;
    let exceeded = (Code::DeadlineExceeded, "Deadline Exceeded");
    let told = |status: &tonic::Status| (status.code(), status.message().to_owned());
    let expected = (exceeded.0, exceeded.1.to_owned());

    // Nothing comes.
    let begun = Instant::now();
    let answer = client.unary(within(Note::new("stall"), "300m"), method("Say"), Codec::default()).await;
    assert_eq!(told(&answer.unwrap_err()), expected);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    server.given_up().await;

    // Something comes, and then nothing more; where the path has a time of its own, too.
    let call = within(Note::new("hello"), "300000u");
    let answer = client.server_streaming(call, method("Wait"), Codec::default()).await.unwrap();
    let mut heard = answer.into_inner();
    assert_eq!(heard.message().await.unwrap().unwrap().text, "hello");
    assert_eq!(told(&heard.message().await.unwrap_err()), expected);
    server.given_up().await;

    // The client itself has not said all.
    let notes = stream::iter([Note::new("a")]).chain(stream::pending());
    let answer = client.client_streaming(within(notes, "300m"), method("Join"), Codec::default()).await;
    assert_eq!(told(&answer.unwrap_err()), expected);
    server.given_up().await;
    let notes = stream::iter([Note::new("a")]).chain(stream::pending());
    let answer = client.streaming(within(notes, "300m"), method("Chat"), Codec::default()).await.unwrap();
    let mut heard = answer.into_inner();
    assert_eq!(heard.message().await.unwrap().unwrap().text, "A");
    assert_eq!(told(&heard.message().await.unwrap_err()), expected);

    // The time is over before anybody is asked.
    let answer = client.unary(within(Note::new("x"), "1n"), method("Say"), Codec::default()).await;
    assert_eq!(told(&answer.unwrap_err()), expected);

    // What is over in time is left alone, and so are the connections of both sides.
    let answer = client.unary(within(Note::new("more"), "1H"), method("Say"), Codec::default()).await;
    let note = answer.unwrap().into_inner();
    assert_eq!(note.text, "more");
    assert!(note.fields[1].ends_with('m'), "{note:?}");
    let answer = client.unary(Request::new(Note::new("ever")), method("Say"), Codec::default()).await;
    assert_eq!(answer.unwrap().into_inner().fields[1], "grpc-timeout: ");
}

#[tokio::test]
async fn timeouts_that_say_nothing_are_refused_before_anybody_is_asked() {
    let server = Echo::start().await;
    let gate = Gate::setup().api(of(keyless("echo", &format!("h2c://{}", server.authority())))).start().await;
    let mut client = Patient::client(gate.port()).await;
    for wrong in ["1", "S", "123456789S", "-1S", "1.5S", "1s", "soon"] {
        let answer = client.unary(within(Note::new("x"), wrong), method("Say"), Codec::default()).await;
        let status = answer.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Internal, "malformed grpc-timeout"), "{wrong}");
    }
    // Of other requests it is a field like any other.
    let reply = gate.get("/echo.Echo/none", &["-H", "grpc-timeout: soon"]).await;
    assert_ne!(reply.status, 400, "{reply:?}");
    // What no API serves is told as what no server implements.
    let nowhere = "/nothing.Here/Say".parse().unwrap();
    let answer = client.unary(Request::new(Note::new("x")), nowhere, Codec::default()).await;
    assert_eq!(answer.unwrap_err().code(), Code::Unimplemented);
}
