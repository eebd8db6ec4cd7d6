//! Producers and subscribers.

use super::*;

fn http_to(output: Json) -> Json {
    json!({ "input": { "http_server": { "path": "/in", "ws_path": "", "timeout": "2s" } }, "output": output })
}

#[tokio::test(start_paused = true)]
async fn a_producer_is_told_the_truth() {
    let bench = Bench::default();
    let output = bench.topic("out");
    let built = build("test", &http_to(json!({ "inproc": "out" })), "", &bench.settings()).unwrap();
    let ingest = bench.ingest();
    let submit = |text: &'static str| {
        let ingest = ingest.clone();
        tokio::spawn(async move { ingest.submit(vec![Message::new(text)]).await })
    };
    assert_eq!(submit("early").await.unwrap(), Err(IngestError::Closing), "not started");
    let stream = built.start();
    tokio::time::sleep(Duration::from_millis(5)).await;

    let producer = submit("good");
    let (_, transaction) = take(&output).await;
    assert!(!producer.is_finished(), "no success before the ack");
    transaction.ack.done(Ok(()));
    assert_eq!(producer.await.unwrap(), Ok(None));

    let producer = submit("bad");
    take(&output).await.1.ack.done(Err(NackReason::failed("broker says no")));
    assert_eq!(producer.await.unwrap(), Err(IngestError::Rejected("broker says no".into())));

    let producer = submit("slow");
    let (_, transaction) = take(&output).await;
    let started = tokio::time::Instant::now();
    assert_eq!(producer.await.unwrap(), Err(IngestError::Timeout));
    assert_eq!(started.elapsed().as_secs(), 2);
    drop(transaction);

    let producer = submit("late");
    let (_, transaction) = take(&output).await;
    let stopping = tokio::spawn(stream.stop(Duration::from_millis(100), CloseReason::ShuttingDown));
    stopping.await.unwrap();
    drop(transaction);
    assert_eq!(producer.await.unwrap(), Err(IngestError::Closing));
    assert_eq!(submit("after").await.unwrap(), Err(IngestError::Closing));
}

#[tokio::test(start_paused = true)]
async fn a_stream_can_answer_its_producers() {
    let bench = Bench::default();
    let mut config = http_to(json!({ "sync_response": {} }));
    config["input"]["http_server"]["sync_response"] =
        json!({ "status": "201", "headers": { "X-Kind": "echo" } });
    let _stream = bench.start(&config);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let answer = bench.ingest().submit(vec![Message::new("hello")]).await.unwrap().unwrap();
    assert_eq!((answer.status, &*answer.body), (201, &b"hello"[..]));
    assert_eq!(answer.headers, [("X-Kind".to_owned(), "echo".to_owned())]);
    let answer = bench.ingest().submit(vec![Message::new("a"), Message::new("b")]).await.unwrap().unwrap();
    let body = String::from_utf8_lossy(&answer.body);
    assert!(body.contains("\r\n\r\na\r\n--") && body.contains("\r\n\r\nb\r\n--"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_post_is_acked_by_the_subscriber_that_got_it() {
    let bench = Bench::default();
    let stream = bench.start(&http_to(json!({ "http_server": {} })));
    tokio::time::sleep(Duration::from_millis(5)).await;
    let (ingest, feed) = (bench.ingest(), bench.feed());
    let mut subscriber = feed.subscribe(From::Live);
    let producer = tokio::spawn(async move { ingest.submit(vec![Message::new("m")]).await });
    let delivery = subscriber.next().await.unwrap();
    assert!(!producer.is_finished());
    subscriber.confirm(delivery.number());
    assert_eq!(producer.await.unwrap(), Ok(None));
    let stopping = tokio::spawn(stream.stop(Duration::from_secs(1), CloseReason::Changed));
    assert!(subscriber.next().await.is_none());
    assert_eq!(subscriber.close_reason(), CloseReason::Changed);
    stopping.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_subscribers_that_are_not_there() {
    let bench = Bench::default();
    let stream = bench.start(&http_to(json!({ "http_server": { "ring": 1 } })));
    tokio::time::sleep(Duration::from_millis(5)).await;
    let producers: Vec<_> = (0..4)
        .map(|_| {
            let ingest = bench.ingest();
            tokio::spawn(async move { ingest.submit(vec![Message::new("m")]).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!((bench.feed().queued(), bench.feed().unsettled()), (1, 1));
    let started = tokio::time::Instant::now();
    stream.stop(Duration::from_secs(60), CloseReason::Changed).await;
    assert!(started.elapsed() < Duration::from_secs(1));
    for producer in producers {
        assert_eq!(producer.await.unwrap(), Err(IngestError::Closing));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_delivered_is_not_handed_in_again_for_its_answer() {
    let cases = [
        (json!({ "status": "${! content() }" }), "the response's status: `m` is not an HTTP status"),
        (json!({ "headers": { "X-Kind": "${! json(\"kind\") }" } }), "the response's X-Kind: "),
    ];
    for (answer, fault) in cases {
        let bench = Bench::default();
        let output = bench.topic("out");
        let mut config = http_to(json!({
            "broker": { "pattern": "fan_out_sequential", "outputs": [{ "inproc": "out" }, { "sync_response": {} }] }
        }));
        config["input"]["http_server"]["sync_response"] = answer;
        let _stream = bench.start(&config);
        tokio::time::sleep(Duration::from_millis(5)).await;
        let ingest = bench.ingest();
        for until_taken in [false, true] {
            let ingest = ingest.clone();
            let producer = tokio::spawn(async move {
                let batch = vec![Message::new("m")];
                if until_taken { ingest.submit_until_taken(batch).await } else { ingest.submit(batch).await }
            });
            take(&output).await.1.ack.done(Ok(()));
            // Handing it in again would begin 100 ms later.
            let outcome = tokio::time::timeout(Duration::from_secs(1), producer).await;
            let error = outcome.expect("it is over").unwrap().unwrap_err();
            assert!(matches!(&error, IngestError::Answer(text) if text.starts_with(fault)), "{error:?}");
        }
    }
}

#[test]
fn times_of_websockets_that_leave_no_time_are_refused() {
    let cases = [
        (json!({ "ping_period": "0s" }), "ping_period"),
        (json!({ "pong_wait": "0s" }), "pong_wait"),
        (json!({ "write_wait": "0s" }), "write_wait"),
        (json!({ "ping_period": "60s" }), "ping_period"),
    ];
    for (times, field) in cases {
        let faults =
            build("test", &http_to(json!({ "http_server": times })), "", &Bench::default().settings())
                .unwrap_err();
        let faults: Vec<_> = faults.iter().filter(|fault| fault.is_error()).collect();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(faults[0].pointer, format!("/output/http_server/{field}"), "{faults:?}");
    }
}
