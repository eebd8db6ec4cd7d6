//! Inputs that hold inputs.

use super::*;

#[tokio::test(start_paused = true)]
async fn batched_gathers_and_tells_each_source_of_its_own() {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let stream = bench.start(&json!({
        "input": { "batched": { "child": { "inproc": "in" }, "policy": { "count": 2 } } },
        "output": { "inproc": "out" },
    }));
    input.write(bench.transaction(&["a"])).await;
    input.write(bench.transaction(&["b"])).await;
    let (batch, transaction) = take(&output).await;
    assert_eq!(batch, ["a", "b"]);
    let reason = NackReason::failed("x").only([&transaction.batch[1]]);
    transaction.ack.done(Err(reason));
    assert_eq!(bench.until(2).await, [("a", true), ("b", false)]);
    // What is gathered when the stream stops is delivered.
    input.write(bench.transaction(&["c"])).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let stopping = tokio::spawn(stream.stop(Duration::from_secs(4), CloseReason::Removed));
    let (batch, transaction) = take(&output).await;
    assert_eq!(batch, ["c"]);
    transaction.ack.done(Ok(()));
    stopping.await.unwrap();
    assert_eq!(bench.results()[2], ("c", true));
}

#[tokio::test(start_paused = true)]
async fn a_sequence_reads_one_input_after_the_other() {
    let bench = Bench::default();
    let output = bench.topic("out");
    let make = |text: &str| json!({ "generate": { "mapping": format!("root = \"{text}\""), "interval": "", "count": 2 } });
    let stream = bench.start(&json!({
        "input": { "sequence": { "inputs": [make("a"), make("b")] } },
        "output": { "inproc": "out" },
    }));
    // The second one waits for the acks of the first.
    for (wanted, delivered) in [("a", true), ("a", false), ("a", true), ("b", true), ("b", true)] {
        let (batch, transaction) = take(&output).await;
        assert_eq!(batch, [wanted]);
        transaction.ack.done(if delivered { Ok(()) } else { Err(NackReason::failed("x")) });
    }
    while !stream.status().ended {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    let stream = bench.start(&json!({
        "input": { "sequence": { "inputs": [{ "inproc": "in" }, make("never")] } },
        "output": { "inproc": "out" },
    }));
    tokio::time::sleep(Duration::from_millis(5)).await;
    stream.stop(Duration::from_secs(4), CloseReason::Removed).await;
    let late = tokio::time::timeout(Duration::from_secs(1), take(&output)).await;
    assert!(late.is_err(), "an input that had not begun begins after the stream was stopped");
}

/// Connects whenever it is asked to, and has lost the connection with each read.
struct Hollow {
    losses: u32,
}

#[async_trait]
impl Input for Hollow {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        if self.losses == 5 {
            return Err(ReadError::End);
        }
        self.losses += 1;
        Err(ReadError::NotConnected)
    }

    async fn close(&mut self) {}
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_gives_nothing_is_made_again_with_pauses() {
    let probe = Arc::new(Probe::new(ComponentKind::Input, "hollow", "root.input".into(), None));
    let input = Box::new(Hollow { losses: 0 });
    let (stages, flight) = (Vec::new(), Arc::default());
    let node = InputNode { input, stages, batching: None, probe, spans: None, flow_ids: false, flight };
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let (_phase, phase) = tokio::sync::watch::channel(crate::source::Phase::Running);
    let started = tokio::time::Instant::now();
    tokio::spawn(crate::source::run(node, sender, phase));
    assert!(receiver.recv().await.is_none(), "the input ends");
    // At once after the first loss, then after 100, 150, 225 and 337.5 milliseconds.
    assert!((812..=815).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn generate_gives_what_it_made_before_its_mapping_failed() {
    let bench = Bench::default();
    let output = bench.topic("out");
    let mapping = "let n = counter()\nroot = if $n == 3 { throw(\"three\") } else { $n }";
    let input = json!({ "mapping": mapping, "interval": "", "count": 5, "batch_size": 5 });
    let _stream = bench.start(&json!({ "input": { "generate": input }, "output": { "inproc": "out" } }));
    for expected in [&["1", "2"][..], &["4", "5"]] {
        let (batch, transaction) = take(&output).await;
        assert_eq!(batch, expected);
        transaction.ack.done(Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_turn_or_has_ended_needs_no_connection() {
    let bench = Bench::default();
    let first = json!({ "generate": { "mapping": "root = 1", "interval": "", "count": 1 } });
    let later = json!({ "broker": { "inputs": [{ "inproc": "later" }] } });
    let stream = bench.start(&json!({
        "input": { "sequence": { "inputs": [first, later] } },
        "output": { "inproc": "out" },
    }));
    assert!(!stream.status().connected(), "nothing runs yet");
    let transaction = take(&bench.topic("out")).await.1;
    let rests =
        |path: &str| stream.status().components.iter().find(|probe| probe.path == path).unwrap().rests();
    assert!(rests("root.input.sequence.inputs.1") && rests("root.input.sequence.inputs.1.broker.inputs.0"));
    assert!(stream.status().connected());
    transaction.ack.done(Ok(()));
    bench.topic("later").write(bench.transaction(&["a"])).await;
    take(&bench.topic("out")).await.1.ack.done(Ok(()));
    assert!(rests("root.input.sequence.inputs.0") && !rests("root.input.sequence.inputs.1.broker.inputs.0"));
    assert!(stream.status().connected());
}

#[tokio::test(start_paused = true)]
async fn copies_are_counted_each_on_its_own() {
    let bench = Bench::default();
    let inner = json!({ "broker": { "copies": 2, "inputs": [{ "inproc": "in" }] } });
    let stream = bench.start(&json!({
        "input": { "broker": { "copies": 2, "inputs": [inner, { "inproc": "other", "processors": [{ "noop": {} }] }] } },
        "output": { "broker": { "pattern": "round_robin", "copies": 2, "outputs": [{ "drop": {} }] } },
    }));
    for name in ["a", "b"] {
        bench.topic("in").write(bench.transaction(&[name])).await;
    }
    bench.until(2).await;
    let status = stream.status();
    let mut paths: Vec<&str> = status.components.iter().map(|probe| &*probe.path).collect();
    paths.sort_unstable();
    assert_eq!(
        paths,
        [
            "root.input",
            "root.input.broker.inputs.0",
            "root.input.broker.inputs.0.broker.inputs.0",
            "root.input.broker.inputs.0.broker.inputs.1",
            "root.input.broker.inputs.1",
            "root.input.broker.inputs.1.processors.0",
            "root.input.broker.inputs.2",
            "root.input.broker.inputs.2.broker.inputs.0",
            "root.input.broker.inputs.2.broker.inputs.1",
            "root.input.broker.inputs.3",
            "root.input.broker.inputs.3.processors.0",
            "root.output",
            "root.output.broker.outputs.0",
            "root.output.broker.outputs.1",
        ]
    );
    let sent = |path: &str| status.components.iter().find(|probe| probe.path == path).unwrap().sent.get();
    assert_eq!((sent("root.output.broker.outputs.0"), sent("root.output.broker.outputs.1")), (1, 1));
}
