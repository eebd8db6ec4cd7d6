//! Components that panic: nothing is lost, and it is told.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::registry::{InputSpec, OutputSpec, ProcessorSpec};

/// Panics on messages that say so, and passes the others on.
struct Fragile;

fn touch(batch: &[Message]) {
    assert!(!batch.iter().any(|message| &**message.bytes() == b"break"), "broken on purpose");
}

#[async_trait]
impl Processor for Fragile {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        tokio::task::yield_now().await;
        touch(&batch);
        vec![batch]
    }
}

#[async_trait]
impl Output for Fragile {
    async fn connect(&self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        touch(batch);
        Ok(())
    }

    async fn close(&self) {
        panic!("broken on purpose");
    }
}

/// Panics at first whatever it is asked for, then gives two messages.
#[derive(Default)]
struct Stumbling {
    asked: AtomicU32,
}

#[async_trait]
impl Input for Stumbling {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        assert!(self.asked.fetch_add(1, Ordering::Relaxed) > 0, "broken on purpose");
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        match self.asked.fetch_add(1, Ordering::Relaxed) {
            2 => panic!("broken on purpose"),
            3 | 4 => Ok((vec![Message::new("m")], Ack::none())),
            _ => Err(ReadError::End),
        }
    }

    async fn close(&mut self) {
        panic!("broken on purpose");
    }
}

static PROCESSOR: ProcessorSpec = ProcessorSpec {
    name: "fragile",
    summary: "",
    config: Kind::Object(&[]),
    build: |_, _| Ok(Box::new(Fragile)),
};

static OUTPUT: OutputSpec = OutputSpec {
    name: "fragile",
    summary: "",
    config: Kind::Object(&[]),
    build: |_, _| Ok(Box::new(Fragile)),
};

static INPUT: InputSpec = InputSpec {
    name: "stumbling",
    summary: "",
    config: Kind::Object(&[]),
    build: |_, _| Ok(Box::new(Stumbling::default())),
};

fn start(bench: &Bench, config: &Json) -> RunningStream {
    let mut registry = Registry::standard();
    registry.add_processor(&PROCESSOR);
    registry.add_output(&OUTPUT);
    registry.add_input(&INPUT);
    let settings = Settings { registry: Arc::new(registry), ..bench.settings() };
    build("test", config, "", &settings).unwrap().start()
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_one_batch_which_is_nacked_counted_and_told() {
    let good = json!({ "drop": {} });
    let bad = json!({ "fragile": {} });
    let processors = json!([{ "fragile": {} }]);
    // Where it panics, and at which component that is counted.
    for (config, at) in [
        (json!({ "input": { "inproc": "in" }, "output": bad }), "root.output"),
        (
            json!({ "input": { "inproc": "in" }, "pipeline": { "threads": 3, "processors": processors }, "output": good }),
            "root.pipeline.processors.0",
        ),
        (
            json!({ "input": { "inproc": "in" }, "pipeline": { "processors": [{ "try": processors }] }, "output": good }),
            "root.pipeline.processors.0.try.0",
        ),
        (
            json!({ "input": { "inproc": "in", "processors": processors }, "output": good }),
            "root.input.processors.0",
        ),
        (
            json!({ "input": { "broker": { "inputs": [{ "inproc": "in", "processors": processors }] } }, "output": good }),
            "root.input.broker.inputs.0.processors.0",
        ),
        (
            json!({ "input": { "inproc": "in" }, "output": { "drop": {}, "processors": processors } }),
            "root.output.processors.0",
        ),
        (
            json!({ "input": { "inproc": "in" }, "output": { "retry": { "max_retries": 1, "output": bad } } }),
            "root.output.retry.output",
        ),
        (
            json!({ "input": { "inproc": "in" }, "output": { "broker": { "pattern": "fan_out_fail_fast", "outputs": [good, bad] } } }),
            "root.output.broker.outputs.1",
        ),
        (
            json!({ "input": { "inproc": "in" }, "output": { "resource": "r" },
                "output_resources": [{ "label": "r", "fragile": {} }] }),
            "root.output_resources.0",
        ),
        (
            json!({ "input": { "inproc": "in" }, "output": { "broker": { "outputs": [good],
                "batching": { "count": 1, "processors": processors } } } }),
            "root.output.broker.batching.processors.0",
        ),
    ] {
        let bench = Bench::default();
        let stream = start(&bench, &config);
        let input = bench.topic("in");
        for text in ["a", "break", "b"] {
            input.write(bench.transaction(&[text])).await;
        }
        let told = tokio::time::timeout(Duration::from_secs(60), bench.until(3)).await;
        let mut told = told.unwrap_or_else(|_| panic!("{at}: only {:?}", bench.results()));
        told.sort_unstable();
        assert_eq!(told, [("a", true), ("b", true), ("break", false)], "{at}");
        let status = stream.status();
        let probe = status.components.iter().find(|probe| probe.path == at).unwrap();
        assert!(probe.errors.get() > 0, "{at}");
        let said = probe.last_error();
        assert!(said.as_ref().is_some_and(|text| text.contains("panicked")), "{at}: {said:?}");
        stream.stop(Duration::from_secs(4), CloseReason::Removed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_panic_kept_from_an_output_is_a_dead_letter() {
    let bench = Bench::default();
    let config = json!({
        "input": { "inproc": "in" },
        "output": { "fallback": [{ "fragile": {} }, { "inproc": "dead" }] },
    });
    let _stream = start(&bench, &config);
    bench.topic("in").write(bench.transaction(&["break"])).await;
    let (batch, transaction) = take(&bench.topic("dead")).await;
    assert_eq!(batch, ["break"]);
    transaction.ack.done(Ok(()));
    assert_eq!(bench.until(1).await, [("break", true)]);
}

#[tokio::test(start_paused = true)]
async fn an_input_that_panics_is_asked_again() {
    for input in [json!({ "stumbling": {} }), json!({ "sequence": { "inputs": [{ "stumbling": {} }] } })] {
        let bench = Bench::default();
        let config = json!({ "input": input, "output": { "inproc": "out" } });
        let mut stream = start(&bench, &config);
        for _ in 0..2 {
            take(&bench.topic("out")).await.1.ack.done(Ok(()));
        }
        assert!(stream.ended().await);
        let errors: u64 = stream.status().components.iter().map(|probe| probe.errors.get()).sum();
        assert!(errors >= 3, "{errors} of connect, read and close");
    }
}
