//! Processor `http`: answers in the place of messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bloblang::Value;
use serde_json::{Value as Json, json};
use streams::Message;

use crate::ends::{Stream, messages, meta, text, texts};
use crate::server::{Server, answer, with};

fn processor(url: &str, fields: Json) -> Json {
    let mut config = json!({"url": url, "retry_period": "1ms", "retries": 1});
    config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!([{"http": config}])
}

#[tokio::test]
async fn an_answer_takes_the_place_of_its_message() {
    let server = Server::start(|seen| match seen.text() {
        "bad" => answer(500, "no"),
        body => with(with(answer(200, format!("re: {body}")), "x-one", "1"), "x-one", "2"),
    })
    .await;
    for (parallel, whole) in [(false, false), (true, false), (false, true)] {
        let fields = json!({
            "parallel": parallel, "batch_as_multipart": whole,
            "extract_headers": {"include_patterns": ["^x-"]},
        });
        let mut stream = Stream::through(processor(&server.url("/"), fields));
        let mut batch = if whole { messages(["a"]) } else { messages(["a", "bad", "c"]) };
        batch[0].set_meta("own", Value::from("kept"));
        let sent = stream.send(batch);
        let batch = stream.batch().await;
        assert!(crate::ends::within(sent).await.unwrap().is_ok());
        assert_eq!(text(&batch[0]), "re: a");
        assert_eq!(meta(&batch[0], "own"), "kept");
        assert_eq!(
            (meta(&batch[0], "http_status_code"), meta(&batch[0], "x-one")),
            ("200".into(), "1".into())
        );
        if !whole {
            assert_eq!(texts(&batch), ["re: a", "bad", "re: c"]);
            assert_eq!(meta(&batch[1], "http_status_code"), "500");
            assert!(batch[1].error().is_some_and(|fault| fault.contains("500")), "{:?}", batch[1]);
            assert!(batch[0].error().is_none() && batch[2].error().is_none());
        }
        stream.stop().await;
    }
}

/// 2.1, metrics.
#[tokio::test]
async fn answers_are_counted_by_their_class_and_timed_those_of_each_attempt() {
    let server = Server::start(|seen| match seen.text() {
        "bad" => answer(503, "no"),
        "gone" => answer(410, "no"),
        "moved" => answer(304, ""),
        _ => answer(201, "yes"),
    })
    .await;
    let fields = json!({"drop_on": [410], "successful_on": [304]});
    let mut stream = Stream::through(processor(&server.url("/"), fields));
    drop(stream.send(messages(["good", "bad", "gone", "moved", "fine"])));
    stream.batch().await;
    let counted = ["2", "3", "4", "5"].map(|class| stream.counted(&format!("http_request_code_{class}xx")));
    assert_eq!(counted, [2, 1, 1, 2], "one is tried twice");
    assert_eq!(stream.counted("http_request_latency_ns"), 6);
    stream.stop().await;
}

#[tokio::test]
async fn parts_of_one_answer_become_messages() {
    let body = "--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b\r\n\r\nthree\r\n--b--\r\n";
    let server =
        Server::start(move |_| with(answer(200, body), "content-type", "multipart/mixed; boundary=b")).await;
    let mut stream = Stream::through(processor(&server.url("/"), json!({"batch_as_multipart": true})));
    let sent = stream.send(messages(["a", "b"]));
    assert_eq!(texts(&stream.batch().await), ["one", "two", "three"]);
    assert!(crate::ends::within(sent).await.unwrap().is_ok());
    assert_eq!(server.seen().len(), 1);
    stream.stop().await;
}

#[tokio::test]
async fn an_answer_without_parts_deletes_no_message() {
    let server =
        Server::start(|_| with(answer(200, "--b--\r\n"), "content-type", "multipart/mixed; boundary=b"))
            .await;
    for (together, sent) in [(true, messages(["a", "b"])), (false, messages(["a", "b"]))] {
        let mut stream =
            Stream::through(processor(&server.url("/"), json!({"batch_as_multipart": together})));
        drop(stream.send(sent));
        let batch = stream.batch().await;
        assert_eq!(texts(&batch), ["a", "b"], "{together}");
        for message in &batch {
            assert_eq!(message.error(), Some("the answer has no parts"), "{together}");
            assert_eq!(meta(message, "http_status_code"), "200", "{together}");
        }
        stream.stop().await;
    }
    let mut stream = Stream::through(processor(&server.url("/"), json!({})));
    drop(stream.send(messages(["alone"])));
    assert_eq!(texts(&stream.batch().await), ["alone"]);
    stream.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_requests_are_under_way_together_and_keep_their_places() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let barrier = Arc::new(std::sync::Barrier::new(2));
    let (counted, highest) = (now.clone(), most.clone());
    let server = Server::start(move |seen| {
        highest.fetch_max(counted.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // Both must be here before one is answered.
        tokio::task::block_in_place(|| barrier.wait());
        counted.fetch_sub(1, Ordering::SeqCst);
        answer(200, seen.body.clone())
    });
    let server = server.await;
    let mut stream = Stream::through(processor(&server.url("/"), json!({"parallel": true})));
    drop(stream.send(messages(["a", "b"])));
    assert_eq!(texts(&stream.batch().await), ["a", "b"]);
    assert_eq!(most.load(Ordering::SeqCst), 2);
    stream.stop().await;
}

#[tokio::test]
async fn a_long_answer_is_refused_and_the_message_kept() {
    let server = Server::start(|_| answer(200, "x".repeat(2000))).await;
    let mut stream =
        Stream::through(processor(&server.url("/"), json!({"max_response_bytes": "1KB", "retries": 0})));
    drop(stream.send(vec![Message::new("m")]));
    let batch = stream.batch().await;
    assert_eq!(text(&batch[0]), "m");
    assert!(batch[0].error().is_some_and(|fault| fault.contains("max_response_bytes")));
    stream.stop().await;
}

#[tokio::test]
async fn every_attempt_waits_for_the_rate_limit() {
    let server = Server::start(|seen| match seen.text() {
        "bad" => answer(500, "no"),
        body => answer(200, body.to_owned()),
    })
    .await;
    let config = json!({
        "pipeline": {"processors": processor(&server.url("/"), json!({"rate_limit": "calm"}))},
        "rate_limit_resources": [{"label": "calm", "local": {"count": 1, "interval": "200ms"}}],
    });
    let mut stream = Stream::start(config, &crate::ends::settings());
    let started = std::time::Instant::now();
    let sent = stream.send(messages(["bad", "b"]));
    stream.batch().await;
    // Two attempts for the first message and one for the second: two windows lie between them.
    assert!(started.elapsed() >= std::time::Duration::from_millis(200), "{:?}", started.elapsed());
    assert!(crate::ends::within(sent).await.unwrap().is_ok());
    stream.stop().await;
}
