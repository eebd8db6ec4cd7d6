//! Output `http_client`: what is sent, what counts as delivered, what is sent again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bloblang::Value;
use serde_json::{Value as Json, json};
use streams::{Message, multipart};
use tokio::time::Instant;

use crate::ends::{Stream, build, messages, settings};
use crate::server::{Answer, Server, answer, with};

fn output(url: &str, fields: Json) -> Json {
    let mut config = json!({"url": url, "retry_period": "1ms"});
    config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"http_client": config})
}

#[tokio::test]
async fn a_message_becomes_a_request() {
    let server = Server::start(|_| answer(201, "")).await;
    let stream = Stream::writing(output(
        &server.url("/in/${! meta(\"key\") }?n=${! json(\"n\") }"),
        json!({
            "verb": "PUT",
            "headers": {"X-Name": "${! json(\"n\") }", "Host": "other.example"},
            "metadata": {"include_prefixes": ["trace-"], "include_patterns": ["^ke.$"]},
        }),
    ));
    let mut message = Message::new(r#"{"n":1}"#);
    message.set_meta("key", Value::from("a b"));
    message.set_meta("trace-id", Value::from(7_i64));
    message.set_meta("other", Value::from("x"));
    assert!(stream.write(vec![message]).await.is_ok());
    let seen = server.one();
    assert_eq!((seen.method.as_str(), seen.uri.to_string().as_str()), ("PUT", "/in/a%20b?n=1"));
    assert_eq!(seen.text(), r#"{"n":1}"#);
    for (name, value) in [
        ("x-name", "1"),
        ("host", "other.example"),
        ("key", "a b"),
        ("trace-id", "7"),
        ("other", "(none)"),
        ("content-type", "application/octet-stream"),
    ] {
        assert_eq!(seen.header(name), value, "{name}");
    }
    stream.stop().await;
}

#[tokio::test]
async fn codes_decide_what_is_delivered_and_how_often_it_is_tried() {
    // fields, answers in turn (the last one stays), delivered, requests
    let cases: [(Json, &[u16], bool, usize); 9] = [
        (json!({}), &[200], true, 1),
        (json!({}), &[500, 404, 204], true, 3),
        (json!({"retries": 2}), &[500], false, 3),
        (json!({"retries": 0}), &[500], false, 1),
        (json!({"drop_on": [500]}), &[500], false, 1),
        (json!({"successful_on": [404]}), &[404], true, 1),
        (json!({"drop_on": [200]}), &[200], false, 1),
        (json!({"backoff_on": [503], "max_retry_backoff": "2ms"}), &[503, 503, 503, 200], true, 4),
        (json!({"follow_redirects": false, "successful_on": [302]}), &[302], true, 1),
    ];
    for (fields, answers, delivered, requests) in cases {
        let count = AtomicUsize::new(0);
        let server = Server::start(move |_| {
            let at = count.fetch_add(1, Ordering::SeqCst);
            with(answer(answers[at.min(answers.len() - 1)], "why"), "location", "/elsewhere")
        })
        .await;
        let stream = Stream::writing(output(&server.url("/x"), fields.clone()));
        let outcome = stream.write(messages(["m"])).await;
        assert_eq!(outcome.is_ok(), delivered, "{fields} {answers:?}: {outcome:?}");
        assert_eq!(server.seen().len(), requests, "{fields} {answers:?}");
        if let Err(reason) = outcome {
            let begin = format!("{}: unexpected response code {}", server.url("/x"), answers[0]);
            assert!(reason.text().starts_with(&begin) && reason.text().ends_with(": why"), "{reason}");
        }
        stream.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_says_how_long_to_wait_is_heard() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => with(answer(429, ""), "retry-after", "1"),
        _ => answer(200, ""),
    })
    .await;
    let stream = Stream::writing(output(&server.url("/"), json!({})));
    let began = Instant::now();
    assert!(stream.write(messages(["m"])).await.is_ok());
    assert!(began.elapsed() >= Duration::from_secs(1));
    stream.stop().await;
}

#[tokio::test]
async fn messages_of_a_batch_go_one_by_one_and_only_what_failed_comes_again() {
    let server = Server::start(|seen| answer(if seen.text() == "b" { 500 } else { 200 }, "")).await;
    let stream = Stream::writing(output(&server.url("/"), json!({"retries": 0})));
    let outcome = stream.write(messages(["a", "b", "c"])).await;
    assert!(outcome.is_err());
    let texts: Vec<_> = server.seen().iter().map(|seen| seen.text().to_owned()).collect();
    assert_eq!(texts, ["a", "b"], "the order is kept: nothing overtakes what failed");
    stream.stop().await;
}

#[tokio::test]
async fn a_batch_becomes_one_request_of_many_parts() {
    let server = Server::start(|_| answer(200, "")).await;
    let stream = Stream::writing(output(&server.url("/"), json!({"batch_as_multipart": true})));
    assert!(stream.write(messages(["one", "two"])).await.is_ok());
    let seen = server.one();
    let boundary = multipart::boundary(seen.header("content-type")).unwrap();
    assert!(seen.header("content-type").starts_with("multipart/form-data;"));
    assert_eq!(multipart::parts(&seen.body, &boundary), Ok(vec![&b"one"[..], b"two"]));
    stream.stop().await;
}

#[tokio::test]
async fn a_body_is_built_of_parts() {
    let server = Server::start(|_| answer(200, "")).await;
    let part = json!({
        "content_type": "application/json",
        "content_disposition": "form-data; name=\"file\"; filename=\"${! json(\"name\") }\"",
        "body": "${! json(\"data\") }",
    });
    let stream = Stream::writing(output(&server.url("/"), json!({"multipart": [part, {"body": "plain"}]})));
    assert!(stream.write(messages([r#"{"name":"a.json","data":[1]}"#])).await.is_ok());
    let seen = server.one();
    let boundary = multipart::boundary(seen.header("content-type")).unwrap();
    let expected = format!(
        "--{boundary}\r\nContent-Type: application/json\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.json\"\r\n\r\n[1]\r\n--{boundary}\r\n\r\nplain\r\n--{boundary}--\r\n"
    );
    assert_eq!(seen.text(), expected);
    // A line break in a header would let a message write headers.
    let outcome = stream.write(messages([r#"{"name":"a\nX: y","data":1}"#])).await;
    assert!(outcome.is_err_and(|reason| reason.text().contains("line break")));
    stream.stop().await;
}

#[tokio::test]
async fn redirects_are_followed_up_to_ten() {
    let server = Server::start(|seen| -> Answer {
        match seen.uri.path() {
            "/once" => with(answer(307, ""), "location", "/here"),
            "/for-ever" => with(answer(302, ""), "location", "/for-ever"),
            _ => answer(200, ""),
        }
    })
    .await;
    let stream = Stream::writing(output(&server.url("/once"), json!({})));
    assert!(stream.write(messages(["body"])).await.is_ok());
    let seen = server.seen();
    assert_eq!((seen[1].uri.path(), seen[1].method.as_str(), seen[1].text()), ("/here", "POST", "body"));
    stream.stop().await;

    let stream = Stream::writing(output(&server.url("/for-ever"), json!({"retries": 0})));
    let outcome = stream.write(messages(["body"])).await;
    assert!(outcome.is_err_and(|reason| reason.text().contains("10 redirects")));
    assert_eq!(server.seen().len(), 2 + 11);
    stream.stop().await;
}

#[tokio::test]
async fn an_answer_goes_back_to_the_sender() {
    use std::sync::Arc;
    let server = Server::start(|seen| with(answer(202, format!("re: {}", seen.text())), "x-kind", "k")).await;
    let fields = json!({"propagate_response": true, "extract_headers": {"include_prefixes": ["x-"]}});
    let stream = Stream::writing(output(&server.url("/"), fields));
    let slot = Arc::new(streams::ReplySlot::default());
    let mut batch = messages(["a", "b"]);
    batch.iter_mut().for_each(|message| message.set_reply(slot.clone()));
    assert!(stream.write(batch).await.is_ok());
    let replies = slot.take();
    assert_eq!(crate::ends::texts(&replies), ["re: a", "re: b"]);
    assert_eq!(crate::ends::meta(&replies[0], "http_status_code"), "202");
    assert_eq!(crate::ends::meta(&replies[0], "x-kind"), "k");
    stream.stop().await;
}

#[tokio::test]
async fn a_server_that_comes_back_gets_what_waited() {
    let server = Server::start(|_| answer(200, "")).await;
    let address = server.address;
    let stream = Stream::writing(output(&server.url("/"), json!({"retries": 2000, "retry_period": "10ms"})));
    assert!(stream.write(messages(["first"])).await.is_ok());
    server.stop().await;
    let waiting = stream.send(messages(["second"]));
    let server = Server::listen(&address.to_string(), None, |_| answer(200, "")).await;
    assert!(crate::ends::within(waiting).await.unwrap().is_ok());
    assert_eq!(server.one().text(), "second");
    stream.stop().await;
}

#[tokio::test]
async fn what_can_never_work_is_refused_with_its_place() {
    for (fields, pointer, words) in [
        (json!({"url": "ftp://x/"}), "/url", "http://"),
        (json!({"url": "x"}), "/url", "not an address"),
        (json!({"verb": "a b"}), "/verb", "not a method"),
        (json!({"headers": {"a b": "c"}}), "/headers/a b", "header"),
        (json!({"backoff_on": ["x"]}), "/backoff_on", ""),
        (
            json!({"metadata": {"include_patterns": ["("]}}),
            "/metadata/include_patterns/0",
            "regular expression",
        ),
        (json!({"payload": "x", "multipart": [{"body": "y"}]}), "/payload", "either"),
        (json!({"proxy_url": "ftp://p"}), "/proxy_url", "ftp"),
        (json!({"negotiate": {"enabled": true}}), "/negotiate", "Kerberos"),
        (json!({"jwt": {"enabled": true, "signing_method": "RS256"}}), "/jwt/private_key_file", "file"),
        (json!({"jwt": {"enabled": true, "private_key_file": "k"}}), "/jwt/signing_method", "RS256"),
        (json!({"oauth2": {"enabled": true}}), "/oauth2/token_url", "token server"),
        (json!({"oauth": {"enabled": true}, "basic_auth": {"enabled": true}}), "/basic_auth", "enable one"),
    ] {
        let mut config = output("http://x.example/", json!({}));
        config["http_client"].as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let faults =
            build(&json!({"input": {"generate": {"mapping": "root = 1"}}, "output": config}), &settings());
        let faults = faults.unwrap_err();
        assert!(faults.contains(&format!("/output/http_client{pointer}")), "{fields}: {faults}");
        assert!(faults.contains(words), "{fields}: {faults}");
    }
}
