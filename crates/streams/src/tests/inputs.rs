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
