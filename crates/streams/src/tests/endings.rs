//! Inputs that end, begin again, and join.

use super::*;

/// Makes `count` messages of consecutive numbers from `from`.
fn numbers(from: i64, count: i64) -> Json {
    json!({ "generate": { "mapping": format!("root.n = counter(min: {from})"), "interval": "", "count": count } })
}

async fn ended(stream: &RunningStream) {
    while !stream.status().ended {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// What has ended waits for acks, and batches that gather for messages: neither may wait for the other.
#[tokio::test(start_paused = true)]
async fn an_input_that_ends_does_not_leave_half_a_batch_behind() {
    let few = json!({ "count": 10 });
    let memory = |limit: &str| json!({ "memory": { "limit": limit, "batch_policy": { "enabled": true, "count": 10 } } });
    let gathering = json!({ "broker": { "outputs": [{ "drop": {} }], "batching": few } });
    let batched = json!({ "batched": { "child": numbers(1, 25), "policy": few } });
    for stream in [
        json!({ "input": numbers(1, 25), "output": gathering }),
        json!({ "input": batched, "output": { "drop": {} } }),
        json!({ "input": batched, "output": gathering }),
        json!({ "input": numbers(1, 25), "buffer": memory("1MB"), "output": gathering }),
        // Room for four messages, where ten are to gather.
        json!({ "input": numbers(1, 25), "buffer": memory("32B"), "output": { "drop": {} } }),
    ] {
        let running = Bench::default().start(&stream);
        let done = tokio::time::timeout(Duration::from_secs(5), ended(&running)).await;
        assert!(done.is_ok(), "{stream} hangs");
        let sent = running.samples().into_iter().find(|sample| sample.name == "output_sent").unwrap();
        assert_eq!(sent.value, crate::exporter::SampleValue::Counter(25), "{stream}");
    }
}

#[tokio::test(start_paused = true)]
async fn processors_of_a_policy_that_gathers_nothing_run_all_the_same() {
    for policy in [json!({ "count": 1 }), json!({})] {
        let bench = Bench::default();
        let output = bench.topic("out");
        let mut policy = policy;
        policy["processors"] = json!([{ "mapping": "root = \"seen\"" }]);
        let out = json!({ "broker": { "outputs": [{ "inproc": "out" }], "batching": policy } });
        let stream = bench.start(&json!({ "input": numbers(1, 2), "output": out }));
        for _ in 0..2 {
            let (batch, transaction) = take(&output).await;
            assert_eq!(batch, ["seen"], "{policy}");
            transaction.ack.done(Ok(()));
        }
        ended(&stream).await;
    }
}

#[tokio::test(start_paused = true)]
async fn read_until_ends_when_the_last_batch_is_delivered() {
    let bench = Bench::default();
    let output = bench.topic("out");
    let stream = bench.start(&json!({
        "input": { "read_until": { "input": numbers(1, 0), "check": "this.n == 3" } },
        "output": { "inproc": "out" },
    }));
    // The second one fails while the last one is under way, the last one once, too: both come again.
    let first = take(&output).await.1;
    first.ack.done(Ok(()));
    for (wanted, delivered, last) in [(2, false, false), (3, false, true), (2, true, false), (3, true, true)]
    {
        let (_, transaction) = take(&output).await;
        let message = &transaction.batch[0];
        assert_eq!(String::from_utf8_lossy(message.bytes()), format!("{{\"n\":{wanted}}}"));
        let mark = message.meta("bento_read_until").map(bloblang::Value::to_text);
        assert_eq!(mark.as_deref() == Some("final"), last, "{wanted}");
        assert!(!stream.status().ended);
        transaction.ack.done(if delivered { Ok(()) } else { Err(NackReason::failed("x")) });
    }
    ended(&stream).await;
    assert!(tokio::time::timeout(Duration::from_secs(1), output.read()).await.is_err(), "it went on");
}

#[tokio::test(start_paused = true)]
async fn what_fails_late_comes_again_before_read_until_ends() {
    let bench = Bench::default();
    let output = bench.topic("out");
    let stream = bench.start(&json!({
        "input": { "read_until": { "input": numbers(1, 0), "check": "this.n == 2" } },
        "output": { "inproc": "out" },
    }));
    let one = take(&output).await.1;
    let two = take(&output).await.1;
    two.ack.done(Ok(()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!stream.status().ended);
    one.ack.done(Err(NackReason::failed("x")));
    let (again, transaction) = take(&output).await;
    assert_eq!(again, [r#"{"n":1}"#]);
    transaction.ack.done(Ok(()));
    ended(&stream).await;
}

#[tokio::test(start_paused = true)]
async fn what_read_until_has_read_ahead_is_given_back_when_it_ends_and_not_when_the_stream_does() {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let until = json!({ "input": { "inproc": "in" }, "check": r#"content() == "b""# });
    let stream = bench.start(&json!({
        "input": { "sequence": { "inputs": [{ "read_until": until }, { "inproc": "never" }] } },
        "output": { "inproc": "out" },
    }));
    let write = async {
        for text in ["a", "b", "c"] {
            input.write(bench.transaction(&[text])).await;
        }
    };
    let (one, two) = tokio::join!(write, async { (take(&output).await.1, take(&output).await.1) }).1;
    two.ack.done(Ok(()));
    assert_eq!(bench.until(1).await, [("b", true)]);
    // A child that was closed too early would give back the third one now, and not hear of the first.
    tokio::time::sleep(Duration::from_secs(1)).await;
    one.ack.done(Ok(()));
    assert_eq!(bench.until(3).await, [("b", true), ("a", true), ("c", false)]);
    assert!(!stream.status().ended);
}

#[tokio::test(start_paused = true)]
async fn read_until_ends_when_nothing_comes() {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let stream = bench.start(&json!({
        "input": { "read_until": { "input": { "inproc": "in" }, "idle_timeout": "10s" } },
        "output": { "inproc": "out" },
    }));
    tokio::time::sleep(Duration::from_secs(8)).await;
    input.write(bench.transaction(&["a"])).await;
    take(&output).await.1.ack.done(Ok(()));
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert!(!stream.status().ended);
    let started = tokio::time::Instant::now();
    ended(&stream).await;
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn an_input_begins_again_until_the_condition_holds() {
    let bench = Bench::default();
    let output = bench.topic("out");
    let stream = bench.start(&json!({
        "input": { "read_until": {
            // The counter of a mapping begins anew with each input, that of a `count` does not.
            "input": { "generate": { "mapping": "root.n = count(\"an_input_begins_again\")", "interval": "", "count": 2 }, "label": "gen" },
            "check": "this.n == 5",
            "restart_input": true,
        } },
        "output": { "inproc": "out" },
    }));
    for wanted in 1..=5 {
        let (batch, transaction) = take(&output).await;
        assert_eq!(batch, [format!("{{\"n\":{wanted}}}")]);
        transaction.ack.done(Ok(()));
    }
    ended(&stream).await;
    let status = stream.status();
    let generate = status.components.iter().find(|probe| probe.type_name == "generate").unwrap();
    assert!(generate.received.get() >= 5, "its counters go on: {}", generate.received.get());
}

/// What a join gives, in the order in which it comes.
async fn joined(join: Json) -> Vec<String> {
    let bench = Bench::default();
    let output = bench.topic("out");
    let source = |rows: Json| {
        let count = rows.as_array().unwrap().len();
        let mapping = format!("let rows = {rows}\nroot = $rows.index(counter() - 1)");
        json!({ "generate": { "mapping": mapping, "interval": "", "count": count } })
    };
    let users = source(
        json!([{ "id": "a", "name": "A", "x": { "k": 1 } }, { "id": "b", "name": "B" }, { "name": "no id" }]),
    );
    let things = source(
        json!([{ "id": "b", "thing": "t1" }, { "id": "c", "thing": "t2" }, { "id": "b", "thing": "t3", "name": "B2" }, { "id": "a", "x": { "j": 2 } }]),
    );
    let stream = bench.start(&json!({
        "input": { "sequence": { "sharded_join": join, "inputs": [users, things] } },
        "output": { "inproc": "out" },
    }));
    let mut seen = Vec::new();
    loop {
        tokio::select! {
            biased;
            (batch, transaction) = take(&output) => {
                seen.extend(batch);
                transaction.ack.done(Ok(()));
            }
            () = ended(&stream) => return seen,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sequences_join_documents() {
    let a = r#"{"id":"a","name":"A","x":{"j":2,"k":1}}"#;
    let c = r#"{"id":"c","thing":"t2"}"#;
    for (join, expected) in [
        (
            json!({ "type": "full-outer", "id_path": "id" }),
            vec![a, r#"{"id":"b","name":["B","B2"],"thing":["t1","t3"]}"#, c],
        ),
        (
            json!({ "type": "full-outter", "id_path": "id", "merge_strategy": "replace" }),
            vec![a, r#"{"id":"b","name":"B2","thing":"t3"}"#, c],
        ),
        (
            json!({ "type": "full-outer", "id_path": "id", "merge_strategy": "keep" }),
            vec![a, r#"{"id":"b","name":"B","thing":"t1"}"#, c],
        ),
        (
            json!({ "type": "outer", "id_path": "id" }),
            vec![
                r#"{"id":"b","name":"B","thing":"t1"}"#,
                c,
                r#"{"id":"b","name":["B","B2"],"thing":"t3"}"#,
                a,
            ],
        ),
    ] {
        assert_eq!(joined(join.clone()).await, expected, "{join}");
        // In several rounds the same comes, in another order.
        let mut rounds = join.clone();
        rounds["iterations"] = json!(7);
        let (mut seen, mut expected) = (joined(rounds).await, expected);
        seen.sort_unstable();
        expected.sort_unstable();
        assert_eq!(seen, expected, "{join}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_joined_comes_again_until_it_is_delivered() {
    let bench = Bench::default();
    let output = bench.topic("out");
    let stream = bench.start(&json!({
        "input": { "sequence": { "sharded_join": { "type": "full-outer", "id_path": "n" }, "inputs": [numbers(1, 2), numbers(2, 2)] } },
        "output": { "inproc": "out" },
    }));
    for (wanted, delivered) in [(1, true), (2, false), (3, true), (2, true)] {
        let (batch, transaction) = take(&output).await;
        assert_eq!(batch, [format!("{{\"n\":{wanted}}}")]);
        transaction.ack.done(if delivered { Ok(()) } else { Err(NackReason::failed("x")) });
    }
    ended(&stream).await;
}

#[tokio::test(start_paused = true)]
async fn a_schedule_makes_messages() {
    let bench = Bench::default();
    let output = bench.topic("out");
    let stream = bench.start(&json!({
        "input": { "generate": { "mapping": "root = \"x\"", "interval": "TZ=Asia/Tokyo * * * * * *", "count": 3 } },
        "output": { "inproc": "out" },
    }));
    let started = tokio::time::Instant::now();
    for _ in 0..3 {
        take(&output).await.1.ack.done(Ok(()));
    }
    let seconds = started.elapsed().as_secs_f64();
    assert!((2.0..=6.1).contains(&seconds), "{seconds}");
    ended(&stream).await;
}

#[test]
fn endings_are_checked() {
    let settings = Bench::default().settings();
    for (input, expected) in [
        (
            json!({ "read_until": { "input": numbers(1, 1) } }),
            "/input/read_until: `read_until` would never end",
        ),
        (
            json!({ "sequence": { "sharded_join": { "type": "outer" }, "inputs": [numbers(1, 1)] } }),
            "/input/sequence/sharded_join: a join needs the path of the id",
        ),
        (
            json!({ "sequence": { "sharded_join": { "type": "outer", "id_path": "n", "iterations": 0 }, "inputs": [numbers(1, 1)] } }),
            "/input/sequence/sharded_join/iterations: `iterations` must be from 1",
        ),
        (
            json!({ "sequence": { "sharded_join": { "type": "inner" }, "inputs": [numbers(1, 1)] } }),
            "/input/sequence/sharded_join/type: `inner` is no option",
        ),
        (
            json!({ "generate": { "mapping": "root = 1", "interval": "61 * * * *" } }),
            "/input/generate/interval: `61 * * * *` is neither a duration nor a cron schedule",
        ),
    ] {
        let faults =
            build("test", &json!({ "input": input, "output": { "drop": {} } }), "", &settings).unwrap_err();
        let told = format!("{}: {}", faults[0].pointer, faults[0].message);
        assert!(told.starts_with(expected), "{input}: {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_input_that_begins_again_has_its_branches() {
    let bench = Bench::default();
    let output = bench.topic("out");
    let workflow = json!({ "branch_resources": ["mark"], "meta_path": "" });
    let input = json!({ "generate": { "mapping": "root.n = 1", "interval": "", "count": 1 }, "processors": [{ "workflow": workflow }] });
    let _stream = bench.start(&json!({
        "input": { "read_until": { "input": input, "check": "false", "restart_input": true } },
        "output": { "inproc": "out" },
        "processor_resources": [
            { "label": "mark", "branch": { "processors": [{ "resource": "inner" }], "result_map": "root.mark = this.n" } },
            { "label": "inner", "mapping": "root.n = this.n + 1" },
        ],
    }));
    for _ in 0..3 {
        let taken = tokio::time::timeout(Duration::from_secs(5), take(&output)).await;
        let (batch, transaction) = taken.unwrap();
        assert_eq!(batch, [r#"{"mark":2,"n":1}"#]);
        transaction.ack.done(Ok(()));
    }
}

#[test]
fn an_input_does_not_begin_again_without_pauses() {
    for (backoff, expected) in [
        (json!({ "initial_interval": "0s" }), "`initial_interval` must be above 0"),
        (json!({ "max_interval": "0s" }), "`max_interval` must not be below `initial_interval`"),
    ] {
        let spec = json!({ "input": numbers(1, 1), "check": "false", "restart_input": true, "restart_backoff": backoff });
        let config = json!({ "input": { "read_until": spec }, "output": { "drop": {} } });
        let faults = build("test", &config, "", &Bench::default().settings()).unwrap_err();
        assert!(faults.iter().any(|fault| fault.message.contains(expected)), "{faults:?}");
    }
}
