//! Processors and `generate`.

use super::replay::Given;
use super::*;

/// What processors make of these messages: payload, metadata, flag.
async fn processed(processors: Json, batch: Batch) -> Vec<String> {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let mut config = relay();
    config["pipeline"] = json!({ "processors": processors });
    let _stream = bench.start(&config);
    let outcomes = bench.outcomes.clone();
    let ack = Ack::new(move |outcome| outcomes.lock().push(("batch", outcome)));
    input.write(Transaction { batch, ack }).await;
    let all = tokio::select! {
        transaction = output.read() => transaction.unwrap().batch,
        results = bench.until(1) => {
            assert_eq!(results, [("batch", true)], "filtered is delivered");
            Batch::new()
        }
    };
    (all.iter())
        .map(|message| {
            let metadata: Vec<String> =
                message.meta_iter().map(|(key, value)| format!("{key}={}", value.to_text())).collect();
            let flag = if message.error().is_some() { "!" } else { "" };
            format!("{}{flag} {}", String::from_utf8_lossy(message.bytes()), metadata.join(","))
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn processors_do_what_they_say() {
    let messages = || {
        let mut first = Message::new(r#"{"a":1}"#);
        first.set_meta("k", "v");
        vec![first, Message::new("no json")]
    };
    for (processors, expected) in [
        (json!([{ "noop": {} }]), vec![r#"{"a":1} k=v"#, "no json "]),
        (json!([{ "mapping": "root.b = this.a" }]), vec![r#"{"b":1} k=v"#, "no json! "]),
        (json!([{ "mutation": "root.b = this.a" }]), vec![r#"{"a":1,"b":1} k=v"#, "no json! "]),
        (json!([{ "mapping": "meta x = \"y\"\nmeta k = deleted()" }]), vec![r#"{"a":1} x=y"#, "no json x=y"]),
        (json!([{ "mapping": "root = if batch_index() == 0 { deleted() }" }]), vec!["no json "]),
        (json!([{ "bloblang": "root = deleted()" }]), vec![]),
        (
            json!([{ "log": { "message": "${! json(\"a\") }", "fields": { "k": "${! @k }" } } }, { "mapping": "root = errored()" }]),
            vec!["false k=v", "false "],
        ),
    ] {
        assert_eq!(processed(processors.clone(), messages()).await, expected, "{processors}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_filtering_concerns_the_right_message() {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let mut config = relay();
    config["pipeline"] =
        json!({ "processors": [{ "mapping": "root = if batch_index() == 0 { deleted() }" }] });
    let _stream = bench.start(&config);
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    sender.send(bench.transaction(&["a", "b", "c"])).await.unwrap();
    let mut replay = Replay::new(Given { receiver });
    let (batch, ack) = replay.read().await.unwrap();
    input.write(Transaction { batch, ack }).await;
    let (batch, transaction) = take(&output).await;
    assert_eq!(batch, ["b", "c"]);
    transaction.ack.done(Err(NackReason::failed("x").only([&transaction.batch[1]])));
    assert_eq!(texts(&replay.read().await.unwrap().0), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn generate_keeps_its_interval() {
    let bench = Bench::default();
    let output = bench.topic("out");
    let config = json!({
        "input": { "generate": { "mapping": "root.n = counter()", "interval": "10s", "count": 5, "batch_size": 2 } },
        "output": { "inproc": "out" },
    });
    let stream = bench.start(&config);
    let started = tokio::time::Instant::now();
    for (expected, seconds) in [
        (vec![r#"{"n":1}"#, r#"{"n":2}"#], 0),
        (vec![r#"{"n":3}"#, r#"{"n":4}"#], 10),
        (vec![r#"{"n":5}"#], 20),
    ] {
        let (batch, transaction) = take(&output).await;
        assert_eq!((texts(&transaction.batch), started.elapsed().as_secs()), (batch, seconds));
        assert_eq!(texts(&transaction.batch), expected);
        transaction.ack.done(Ok(()));
    }
    while !stream.status().ended {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
