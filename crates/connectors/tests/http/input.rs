//! Input `http_client`: polling, paging, reading one endless answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::ends::{Stream, meta, text};
use crate::server::{Server, answer, with};

fn input(url: &str, fields: Json) -> Json {
    let mut config = json!({"url": url, "retry_period": "1ms"});
    config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"http_client": config})
}

#[tokio::test]
async fn each_page_is_asked_for_with_what_the_last_one_said() {
    let server = Server::start(|seen| {
        let page: u32 =
            seen.uri.query().and_then(|query| query.strip_prefix("page=")?.parse().ok()).unwrap_or(0);
        let body = json!({"next": page + 1, "asked": seen.text()}).to_string();
        with(answer(200, body), "x-page", &page.to_string())
    })
    .await;
    let fields = json!({
        "verb": "POST",
        "payload": "after ${! json(\"next\").or(\"nothing\") }",
        "headers": {"X-Last": "${! metadata(\"x-page\").or(\"none\") }"},
        "extract_headers": {"include_prefixes": ["x-"]},
    });
    let url = server.url("/?page=${! json(\"next\").or(0) }");
    let mut stream = Stream::reading(input(&url, fields));
    for page in 0..3 {
        let batch = stream.batch().await;
        let last = if page == 0 { "nothing".to_owned() } else { page.to_string() };
        let expected = json!({"next": page + 1, "asked": format!("after {last}")});
        assert_eq!(text(&batch[0]), expected.to_string());
        assert_eq!(meta(&batch[0], "http_status_code"), "200");
        assert_eq!(meta(&batch[0], "x-page"), page.to_string());
    }
    let last: Vec<_> = server.seen().iter().take(3).map(|seen| seen.header("x-last").to_owned()).collect();
    assert_eq!(last, ["none", "0", "1"]);
    stream.stop().await;
}

#[tokio::test]
async fn empty_answers_are_passed_over_unless_they_are_wanted() {
    for (drop, expected) in [(true, ["2", "4"]), (false, ["", "2"])] {
        let count = AtomicUsize::new(1);
        let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
            odd if odd % 2 == 1 => answer(200, ""),
            even => answer(200, even.to_string()),
        })
        .await;
        let mut stream = Stream::reading(input(&server.url("/"), json!({"drop_empty_bodies": drop})));
        assert_eq!(stream.texts(2).await, expected);
        stream.stop().await;
    }
}

#[tokio::test]
async fn a_failed_batch_comes_again_before_the_next_question() {
    let count = AtomicUsize::new(1);
    let server = Server::start(move |_| answer(200, count.fetch_add(1, Ordering::SeqCst).to_string())).await;
    let mut stream = Stream::reading(input(&server.url("/"), json!({})));
    let (batch, ack) = stream.next().await;
    assert_eq!(text(&batch[0]), "1");
    ack.done(Err(streams::NackReason::failed("no")));
    let mut again = false;
    for _ in 0..4 {
        again |= stream.texts(1).await == ["1"];
    }
    assert!(again);
    stream.stop().await;
}

#[tokio::test]
async fn a_server_that_is_away_is_asked_until_it_is_back() {
    let server = Server::start(|_| answer(500, "")).await;
    let mut stream = Stream::reading(input(&server.url("/"), json!({"retries": 0})));
    crate::ends::until(|| stream.last_error().contains("500")).await;
    let address = server.stop().await;
    crate::ends::until(|| stream.last_error().contains("refused")).await;
    let _server = Server::listen(&address.to_string(), None, |_| answer(200, "back")).await;
    assert_eq!(stream.texts(1).await, ["back"]);
    stream.stop().await;
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_given_up() {
    // The port is open, but nobody answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let stream = Stream::reading(input(&url, json!({"timeout": "50ms", "retries": 0})));
    crate::ends::until(|| stream.last_error().contains("no answer within 50ms")).await;
    assert!(stream.last_error().starts_with(&url), "{}", stream.last_error());
    stream.stop().await;
}

#[tokio::test]
async fn stopping_does_not_wait_for_an_answer() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let stream = Stream::reading(input(&url, json!({"timeout": "1h"})));
    crate::ends::until(|| stream.connected()).await;
    tokio::time::timeout(Duration::from_secs(10), stream.stop()).await.expect("at once");
}

#[tokio::test]
async fn a_rate_limit_sets_the_pace() {
    let server = Server::start(|_| answer(200, "m")).await;
    let limits = json!([{"label": "slow", "local": {"count": 2, "interval": "1h"}}]);
    let input = input(&server.url("/"), json!({"rate_limit": "slow"}));
    let mut stream =
        Stream::start(json!({"input": input, "rate_limit_resources": limits}), &crate::ends::settings());
    assert_eq!(stream.texts(2).await, ["m", "m"]);
    assert!(stream.rest(Duration::from_millis(100)).await.is_empty());
    assert_eq!(server.seen().len(), 2);
    stream.stop().await;
}

#[tokio::test]
async fn parts_of_an_answer_are_a_batch() {
    let body = "--x\r\n\r\none\r\n--x\r\n\r\ntwo\r\n--x--\r\n";
    let server =
        Server::start(move |_| with(answer(200, body), "content-type", "multipart/mixed; boundary=x")).await;
    let mut stream = Stream::reading(input(&server.url("/"), json!({})));
    assert_eq!(crate::ends::texts(&stream.batch().await), ["one", "two"]);
    stream.stop().await;
}

#[tokio::test]
async fn every_question_carries_the_credentials() {
    let token = json!({"access_token": "t", "token_type": "bearer", "expires_in": 3600}).to_string();
    let server = Server::start(move |seen| match seen.uri.path() {
        "/token" => with(answer(200, token.clone()), "content-type", "application/json"),
        _ => answer(200, seen.header("authorization").to_owned()),
    })
    .await;
    let oauth2 =
        json!({"enabled": true, "client_key": "k", "client_secret": "s", "token_url": server.url("/token")});
    for (fields, expected) in [
        (json!({"basic_auth": {"enabled": true, "username": "u", "password": "p"}}), "Basic dTpw"),
        (json!({"oauth2": oauth2}), "Bearer t"),
    ] {
        let mut stream = Stream::reading(input(&server.url("/"), fields));
        assert_eq!(stream.texts(2).await, [expected, expected]);
        stream.stop().await;
    }
    assert_eq!(server.seen().iter().filter(|seen| seen.uri.path() == "/token").count(), 1, "it is kept");
}
