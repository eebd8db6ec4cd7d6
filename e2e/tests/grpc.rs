//! gRPC through the gate: all four kinds of calls, with a client and a server that are not ours.

use std::time::Duration;

use e2e::definition::{keyed, keyless, session};
use e2e::{Codec, Echo, Gate, Note};
use futures_util::{StreamExt as _, stream};
use http::uri::PathAndQuery;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request};

/// The API of a server: it listens where gRPC calls go.
fn of(mut definition: Value) -> Value {
    definition["proxy"]["listen_path"] = json!("/echo.Echo/");
    definition["proxy"]["strip_listen_path"] = json!(false);
    definition
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
async fn calls_of_all_four_kinds_pass() {
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
    assert_eq!(note.fields, ["te: trailers", "grpc-timeout: 30000000u", "x-asked: yes"]);

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

#[tokio::test]
async fn both_sides_of_a_call_talk_at_once() {
    let server = Echo::start().await;
    let gate = Gate::setup().api(of(keyless("echo", &format!("h2c://{}", server.authority())))).start().await;
    let mut client = client(gate.port()).await;
    let (say, said) = mpsc::unbounded_channel();
    let said = stream::unfold(said, async |mut said| Some((said.recv().await?, said)));
    // The answer's head comes with the first note.
    say.send(Note::new("note 0")).unwrap();
    let answer = ready(&mut client)
        .await
        .streaming(Request::new(said), method("Chat"), Codec::default())
        .await
        .unwrap();
    let mut heard = answer.into_inner();
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
