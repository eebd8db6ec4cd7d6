//! Outputs that hold outputs: where messages go, and of which failures their source hears.

use super::*;

/// A stream whose output is this one.
fn start(bench: &Bench, output: Json, processors: Json) -> RunningStream {
    bench.start(&json!({
        "input": { "inproc": "in" },
        "pipeline": { "processors": processors },
        "output": output,
        "cache_resources": [{ "label": "c", "memory": {} }],
    }))
}

/// Hands a batch in and tells which of its messages come again.
async fn given(
    bench: &Bench,
    batch: &[&'static str],
) -> tokio::task::JoinHandle<Result<(), (String, Vec<String>)>> {
    let mut messages: Batch = batch.iter().map(|text| Message::new(*text)).collect();
    crate::message::number(&mut messages);
    let kept = messages.clone();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let ack = Ack::new(move |outcome| {
        let _ = sender.send(outcome);
    });
    bench.topic("in").write(Transaction { batch: messages, ack }).await;
    tokio::spawn(async move {
        receiver.await.unwrap().map_err(|reason: NackReason| {
            let failed: Batch = kept.into_iter().filter(|message| reason.concerns(message.place())).collect();
            (reason.text().to_owned(), texts(&failed))
        })
    })
}

fn failed(text: &str, messages: &[&str]) -> Result<(), (String, Vec<String>)> {
    Err((text.to_owned(), messages.iter().map(|text| (*text).to_owned()).collect()))
}

/// Takes a batch, fails the messages that are named, delivers the others.
async fn taken(topic: &Topic, fails: &[&str]) -> Vec<String> {
    let (batch, transaction) = take(topic).await;
    let wrong: Vec<&Message> = transaction
        .batch
        .iter()
        .filter(|message| fails.iter().any(|text| text.as_bytes() == &**message.bytes()))
        .collect();
    let outcome =
        if wrong.is_empty() { Ok(()) } else { Err(NackReason::failed("x").only(wrong.iter().copied())) };
    transaction.ack.done(outcome);
    batch
}

#[tokio::test(start_paused = true)]
async fn fallback_writes_what_failed_to_the_next_one() {
    let bench = Bench::default();
    let (one, two) = (bench.topic("one"), bench.topic("two"));
    let tell = json!([{ "mapping": "root = content().string() + \" \" + @fallback_error" }]);
    let output = json!({ "fallback": [{ "inproc": "one" }, { "inproc": "two", "processors": tell }] });
    let _stream = start(&bench, output, json!([]));
    let told = given(&bench, &["a", "b", "c"]).await;
    assert_eq!(taken(&one, &["a", "c"]).await, ["a", "b", "c"]);
    let (batch, transaction) = take(&two).await;
    assert_eq!(batch, ["a x", "c x"], "dead letters carry the reason");
    transaction.ack.done(Err(NackReason::failed("y").only([&transaction.batch[1]])));
    assert_eq!(told.await.unwrap(), failed("y", &["c"]));
    let told = given(&bench, &["d"]).await;
    taken(&one, &[]).await;
    assert_eq!(told.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn switch_sends_each_message_where_it_belongs() {
    for (strict, outcome) in
        [(false, failed("x", &["b"])), (true, failed("no case of the switch takes the message", &["b", "z"]))]
    {
        let bench = Bench::default();
        let (one, two) = (bench.topic("one"), bench.topic("two"));
        let output = json!({ "switch": { "strict_mode": strict, "cases": [
            { "check": "content().string() < \"c\"", "output": { "inproc": "one" }, "continue": true },
            { "check": "if content().string() == \"z\" { throw(\"x\") } else { content().string() > \"a\" }", "output": { "inproc": "two" } },
        ] } });
        let _stream = start(&bench, output, json!([]));
        let told = given(&bench, &["a", "b", "c", "z"]).await;
        assert_eq!(taken(&one, &[]).await, ["a", "b"]);
        assert_eq!(taken(&two, &["b"]).await, ["b", "c"]);
        assert_eq!(told.await.unwrap(), outcome, "strict {strict}");
    }
    let bench = Bench::default();
    let one = bench.topic("one");
    let output = json!({ "switch": { "retry_until_success": true, "cases": [
        { "check": "content().string() == \"a\"", "output": { "inproc": "one" } },
        { "output": { "drop": {} } },
    ] } });
    let _stream = start(&bench, output, json!([]));
    let told = given(&bench, &["a", "b"]).await;
    for _ in 0..9 {
        assert_eq!(taken(&one, &["a"]).await, ["a"]);
    }
    taken(&one, &[]).await;
    assert_eq!(told.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn retry_writes_what_failed_again_until_it_gives_up() {
    for (fields, attempts) in [
        (json!({ "max_retries": 2 }), 3),
        (json!({ "backoff": { "initial_interval": "1s", "max_elapsed_time": "2s" } }), 3),
    ] {
        let bench = Bench::default();
        let one = bench.topic("one");
        let mut retry = fields.clone();
        retry["output"] = json!({ "inproc": "one" });
        let _stream = start(&bench, json!({ "retry": retry }), json!([]));
        let told = given(&bench, &["a", "b"]).await;
        assert_eq!(taken(&one, &["b"]).await, ["a", "b"]);
        for _ in 1..attempts {
            assert_eq!(taken(&one, &["b"]).await, ["b"], "{fields}");
        }
        assert_eq!(told.await.unwrap(), failed("x", &["b"]), "{fields}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_rejected_is_told_with_its_reason() {
    let bench = Bench::default();
    let _stream = start(&bench, json!({ "reject": "not ${! content() }" }), json!([]));
    assert_eq!(given(&bench, &["a", "b"]).await.await.unwrap(), failed("not a", &["a", "b"]));

    let bench = Bench::default();
    let one = bench.topic("one");
    let check = json!([{ "mapping": "root = if content().string() == \"b\" { throw(\"no b\") }" }]);
    let _stream = start(&bench, json!({ "reject_errored": { "inproc": "one" } }), check);
    let told = given(&bench, &["a", "b", "c"]).await;
    assert_eq!(taken(&one, &["c"]).await, ["a", "c"]);
    let (text, messages) = told.await.unwrap().unwrap_err();
    assert!(text.contains("no b"), "{text}");
    assert_eq!(messages, ["b", "c"]);
    assert!(given(&bench, &["b"]).await.await.unwrap().is_err(), "nothing is left to be written");
}

#[tokio::test(start_paused = true)]
async fn drop_on_drops_what_it_was_told_to() {
    for (condition, reasons, dropped) in [
        (json!({ "error": true }), vec!["anything"], true),
        (json!({ "error_patterns": ["^too"] }), vec!["too large"], true),
        (json!({ "error_patterns": ["^too"] }), vec!["away"], false),
        (json!({ "error_patterns": ["^too"] }), vec!["too large", "away"], false),
        (json!({ "error_patterns": ["^too", "away"] }), vec!["too large", "away"], true),
    ] {
        let bench = Bench::default();
        let mut drop_on = condition.clone();
        let text = reasons.join(",");
        drop_on["output"] =
            json!({ "reject": format!("${{! \"{text}\".split(\",\").index(batch_index()) }}") });
        let _stream = start(&bench, json!({ "drop_on": drop_on }), json!([]));
        let told = given(&bench, &["a", "b"][..reasons.len()]).await.await.unwrap();
        assert_eq!(told.is_ok(), dropped, "{condition} {reasons:?}");
    }
    let bench = Bench::default();
    let _one = bench.topic("one");
    let output = json!({ "drop_on": { "back_pressure": "2s", "output": { "inproc": "one" } } });
    let _stream = start(&bench, output, json!([]));
    let mut told = Vec::new();
    for _ in 0..5 {
        told.push(given(&bench, &["a"]).await);
    }
    assert_eq!(told.pop().unwrap().await.unwrap(), Ok(()), "nobody takes it");
    assert!(!told[0].is_finished(), "what was taken is not dropped");
}

#[tokio::test(start_paused = true)]
async fn the_cache_output_stores_messages() {
    let bench = Bench::default();
    let output = json!({ "cache": { "target": "c", "key": "${! content() }", "ttl": "${! if content() == \"b\" { \"soon\" } else { \"5s\" } }" } });
    let _stream = start(&bench, output, json!([]));
    let (text, messages) = given(&bench, &["a", "b"]).await.await.unwrap().unwrap_err();
    assert!(text.contains("soon"), "{text}");
    assert_eq!(messages, ["b"], "the others are stored");
}

#[tokio::test(start_paused = true)]
async fn failed_messages_are_rejected_unless_an_output_handles_them_wherever_it_stands() {
    let handler = json!({ "fallback": [{ "reject_errored": { "drop": {} } }, { "drop": {} }] });
    let rows = ["reject", "retry"].into_iter().flat_map(|strategy| {
        [
            (json!({ "drop": {} }), false),
            (json!({ "retry": { "max_retries": 1, "output": { "drop": {} } } }), false),
            (json!({ "resource": "plain" }), false),
            (handler.clone(), true),
            (json!({ "retry": { "max_retries": 1, "output": handler } }), true),
            (json!({ "broker": { "pattern": "round_robin", "outputs": [handler] } }), true),
            (json!({ "resource": "handler" }), true),
        ]
        .map(|(output, delivered)| (strategy, output, delivered))
    });
    for (strategy, output, delivered) in rows {
        let bench = Bench::default();
        let mut handling = handler.clone();
        handling["label"] = json!("handler");
        let _stream = bench.start(&json!({
            "error_handling": { "strategy": strategy },
            "input": { "inproc": "in" },
            "pipeline": { "processors": [{ "mapping": "root = throw(\"wrong\")" }] },
            "output": output,
            "output_resources": [handling, { "label": "plain", "drop": {} }],
        }));
        bench.topic("in").write(bench.transaction(&["a"])).await;
        assert_eq!(bench.until(1).await, [("a", delivered)], "{strategy} {output}");
    }
}

/// What processors have made of one message shares its place in the batch that its source knows.
#[tokio::test(start_paused = true)]
async fn of_what_was_made_of_one_message_only_what_failed_is_written_again() {
    let many = json!([
        { "select_parts": { "parts": [0, 0, 0] } },
        { "insert_part": { "content": "m" } },
        { "mapping": "root = content().string() + batch_index().string()" },
    ]);
    for (output, inner) in [
        (json!({ "retry": { "output": { "inproc": "one" } } }), json!([])),
        (
            json!({ "fallback": [{ "reject": "no" }, { "retry": { "output": { "inproc": "one" } } }] }),
            json!([]),
        ),
        (
            json!({ "broker": { "pattern": "fan_out", "outputs": [{ "inproc": "one" }, { "drop": {} }] } }),
            json!([]),
        ),
        (
            json!({ "broker": { "pattern": "fan_out_sequential", "outputs": [{ "inproc": "one" }, { "drop": {} }] } }),
            json!([]),
        ),
        (json!({ "retry": { "output": { "inproc": "one" } }, "processors": many }), many.clone()),
    ] {
        let bench = Bench::default();
        let one = bench.topic("one");
        let stages = if inner == json!([]) { many.clone() } else { json!([]) };
        let _stream = start(&bench, output.clone(), stages);
        let told = given(&bench, &["a"]).await;
        assert_eq!(taken(&one, &["a1", "m3"]).await, ["a0", "a1", "a2", "m3"], "{output}");
        assert_eq!(taken(&one, &["m3"]).await, ["a1", "m3"], "{output}");
        assert_eq!(taken(&one, &[]).await, ["m3"], "{output}");
        assert_eq!(told.await.unwrap(), Ok(()), "{output}");
    }
    // What is given up is told to the source by its own message.
    let bench = Bench::default();
    let one = bench.topic("one");
    let each = json!([
        { "select_parts": { "parts": [0, 0, 1, 1] } },
        { "mapping": "root = content().string() + batch_index().string()" },
    ]);
    let _stream = start(&bench, json!({ "inproc": "one" }), each);
    let told = given(&bench, &["a", "b"]).await;
    assert_eq!(taken(&one, &["b3"]).await, ["a0", "a1", "b2", "b3"]);
    assert_eq!(told.await.unwrap(), failed("x", &["b"]));
}

/// Takes a second for each write.
struct Slow(usize);

#[async_trait]
impl Output for Slow {
    async fn connect(&self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn write(&self, _: &[Message]) -> Result<(), WriteError> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    }

    fn max_in_flight(&self) -> usize {
        self.0
    }

    async fn close(&self) {}
}

static SLOW: crate::registry::OutputSpec = crate::registry::OutputSpec {
    name: "slow",
    summary: "",
    config: Kind::Object(&[
        Field::new("max_in_flight", Kind::Int, crate::registry::Default::Int(4), ""),
        crate::fields::BATCHING_FIELD,
    ]),
    build: |node, context| {
        context.with_batching(node)?;
        Ok(Box::new(Slow(node.count("max_in_flight")?)))
    },
};

#[tokio::test(start_paused = true)]
async fn writes_go_on_while_processors_run() {
    let sleep = json!([{ "sleep": { "duration": "${! content() }" } }]);
    for output in [
        json!({ "slow": {}, "processors": sleep }),
        json!({ "slow": { "max_in_flight": 1 }, "processors": sleep }),
        json!({ "slow": { "batching": { "count": 1, "processors": sleep } } }),
    ] {
        let bench = Bench::default();
        let mut registry = Registry::standard();
        registry.add_output(&SLOW);
        let settings = Settings { registry: Arc::new(registry), ..bench.settings() };
        let config = json!({ "input": { "inproc": "in" }, "output": output });
        let _stream = build("test", &config, "", &settings).unwrap().start();
        let input = bench.topic("in");
        let started = tokio::time::Instant::now();
        for text in ["1ms", "1m", "2ms"] {
            input.write(bench.transaction(&[text])).await;
        }
        bench.until(1).await;
        assert!(started.elapsed() < Duration::from_secs(2), "{output}: {:?}", started.elapsed());
        assert_eq!(bench.until(3).await, [("1ms", true), ("1m", true), ("2ms", true)], "{output}");
    }
}

#[test]
fn what_cannot_work_is_refused() {
    for (output, expected) in [
        (json!({ "fallback": [{ "drop": {} }] }), "at least two outputs"),
        (json!({ "switch": { "cases": [{ "output": { "drop": {} } }] } }), "at least two cases"),
        (json!({ "drop_on": { "output": { "drop": {} } } }), "needs a condition"),
        (
            json!({ "drop_on": { "error_patterns": ["("], "output": { "drop": {} } } }),
            "not a regular expression",
        ),
        (json!({ "reject": "${! ( }" }), "bloblang"),
    ] {
        let config = json!({ "input": { "inproc": "in" }, "output": output });
        let faults = build("test", &config, "", &Bench::default().settings()).unwrap_err();
        assert!(faults.iter().any(|fault| fault.message.contains(expected)), "{output}: {faults:?}");
    }
}
