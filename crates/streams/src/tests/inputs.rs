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
