//! Input `http_client` with `stream`: one answer that goes on, cut into messages.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::{Body, Frame};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;

use crate::ends::{Stream, build, meta, settings, text, until};
use crate::server::{Answer, Server, answer, with};

/// A body that a test goes on writing.
struct Fed(mpsc::UnboundedReceiver<&'static str>);

impl Body for Fed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|text| text.map(|text| Ok(Frame::data(text.into()))))
    }
}

fn fed() -> (mpsc::UnboundedSender<&'static str>, Answer) {
    let (feed, body) = mpsc::unbounded_channel();
    (feed, Response::new(Fed(body).boxed()))
}

/// Gives these answers in turn, then 503.
fn in_turn(answers: impl IntoIterator<Item = Answer>) -> impl Fn(&crate::server::Seen) -> Answer {
    let answers = Mutex::new(answers.into_iter().collect::<std::collections::VecDeque<_>>());
    move |_| answers.lock().pop_front().unwrap_or_else(|| answer(503, "none left"))
}

fn input(url: &str, stream: Json, fields: Json) -> Json {
    let mut config = json!({"url": url, "retry_period": "1ms", "retries": 0, "stream": {"enabled": true}});
    config["stream"].as_object_mut().unwrap().extend(stream.as_object().unwrap().clone());
    config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"http_client": config})
}

#[tokio::test]
async fn messages_come_while_the_answer_goes_on() {
    let (feed, endless) = fed();
    let server = Server::start(in_turn([with(endless, "x-kind", "ticks")])).await;
    let fields = json!({
        "verb": "POST", "payload": "more", "timeout": "300ms",
        "extract_headers": {"include_prefixes": ["x-"]},
    });
    let mut stream = Stream::reading(input(&server.url("/"), json!({}), fields));
    feed.send("one\ntw").unwrap();
    let batch = stream.batch().await;
    assert_eq!(text(&batch[0]), "one");
    assert_eq!(
        (meta(&batch[0], "http_status_code"), meta(&batch[0], "x-kind")),
        ("200".into(), "ticks".into())
    );
    // `timeout` is for the head only.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let unanswered = Stream::reading(input(&url, json!({}), json!({"timeout": "300ms"})));
    until(|| !unanswered.last_error().is_empty()).await;
    unanswered.stop().await;
    feed.send("o\r\n\nthr").unwrap();
    assert_eq!(stream.texts(2).await, ["two", ""]);
    drop(feed);
    assert_eq!(stream.texts(1).await, ["thr"], "what is left at the end is a message");
    assert_eq!(server.seen()[0].text(), "more");
    stream.stop().await;
}

#[tokio::test]
async fn an_answer_that_ended_is_asked_for_again_or_ends_the_input() {
    for reconnect in [true, false] {
        let server = Server::start(in_turn([answer(200, "a\nb\n"), answer(200, "c\n")])).await;
        let mut stream = Stream::reading(input(&server.url("/"), json!({"reconnect": reconnect}), json!({})));
        assert_eq!(stream.texts(2).await, ["a", "b"]);
        if reconnect {
            assert_eq!(stream.texts(1).await, ["c"]);
            until(|| stream.last_error().contains("503")).await;
        } else {
            until(|| stream.ended()).await;
            assert_eq!(server.seen().len(), 1);
        }
        stream.stop().await;
    }
}

#[tokio::test]
async fn scanners_and_their_older_names_cut_the_answer() {
    for (stream, body, expected) in [
        (json!({"scanner": {"to_the_end": {}}}), "a\nb", &["a\nb"][..]),
        (json!({"scanner": {"json_documents": {}}}), "{\"a\":1} [2]", &["{\"a\":1}", "[2]"]),
        (json!({"codec": "delim:;"}), "a;b", &["a", "b"]),
        (json!({"codec": "chunker:2"}), "abcde", &["ab", "cd", "e"]),
    ] {
        let server = Server::start(in_turn([answer(200, body)])).await;
        let mut fields = json!({"reconnect": false});
        fields.as_object_mut().unwrap().extend(stream.as_object().unwrap().clone());
        let mut reading = Stream::reading(input(&server.url("/"), fields, json!({})));
        assert_eq!(reading.texts(expected.len()).await, expected, "{stream}");
        until(|| reading.ended()).await;
        reading.stop().await;
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_cut_is_given_up_behind_what_was_good() {
    let body = "good\na line that is too long\nnever\n";
    let server = Server::start(in_turn([answer(200, body), answer(200, "next\n")])).await;
    let scanner = json!({"scanner": {"lines": {"max_buffer_size": 5}}});
    let mut stream = Stream::reading(input(&server.url("/"), scanner, json!({})));
    assert_eq!(stream.texts(2).await, ["good", "next"]);
    stream.stop().await;
}

#[tokio::test]
async fn half_a_message_of_an_answer_that_broke_off_is_none() {
    let (feed, endless) = fed();
    let server = Server::start(in_turn([endless])).await;
    let mut stream = Stream::reading(input(&server.url("/"), json!({}), json!({})));
    feed.send("whole\nha").unwrap();
    assert_eq!(stream.texts(1).await, ["whole"]);
    let address = server.stop().await;
    until(|| !stream.last_error().is_empty()).await;
    let _server = Server::listen(&address.to_string(), None, in_turn([answer(200, "back\n")])).await;
    assert_eq!(stream.texts(1).await, ["back"]);
    stream.stop().await;
}

#[tokio::test]
async fn a_refused_message_comes_again() {
    let server = Server::start(in_turn([answer(200, "a\nb\n")])).await;
    let mut stream = Stream::reading(input(&server.url("/"), json!({"reconnect": false}), json!({})));
    let (batch, ack) = stream.next().await;
    assert_eq!(text(&batch[0]), "a");
    ack.done(Err(streams::NackReason::failed("no")));
    let mut rest = stream.texts(2).await;
    rest.sort();
    assert_eq!(rest, ["a", "b"]);
    until(|| stream.ended()).await;
    stream.stop().await;
}

#[tokio::test]
async fn wrong_codecs_are_refused_with_their_place() {
    for (stream, words) in [
        (json!({"codec": "lines", "scanner": {"lines": {}}}), "only `scanner`"),
        (json!({"codec": "tar/lines"}), "no codec"),
        (json!({"codec": "chunker:0"}), "size"),
    ] {
        let config =
            json!({"input": input("http://x.example/", stream.clone(), json!({})), "output": {"drop": {}}});
        let faults = build(&config, &settings()).unwrap_err();
        assert!(faults.contains("/input/http_client/stream/codec"), "{stream}: {faults}");
        assert!(faults.contains(words), "{stream}: {faults}");
    }
}
