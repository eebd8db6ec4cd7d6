//! Streams that stop: what is under way is delivered or comes again, and nobody is waited for in vain.

use super::*;
use crate::registry::{InputSpec, OutputSpec};

#[tokio::test(start_paused = true)]
async fn a_long_delay_leaves_time_to_deliver() {
    let bench = Bench::default();
    let input = bench.topic("in");
    let stream = bench.start(&json!({
        "shutdown_delay": "1h",
        "input": { "inproc": "in" },
        "pipeline": { "processors": [{ "sleep": { "duration": "1s" } }] },
        "output": { "drop": {} },
    }));
    let stopping = tokio::spawn(stream.stop(Duration::from_secs(8), CloseReason::Removed));
    let names = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let writer = tokio::spawn({
        let (bench, input) = (bench.clone(), input.clone());
        async move {
            for name in names {
                input.write(bench.transaction(&[name])).await;
            }
        }
    });
    stopping.await.unwrap();
    let results = bench.results();
    assert!(results.len() >= 3, "the stream goes on until the delay is over: {results:?}");
    assert!(results.iter().all(|(_, delivered)| *delivered), "what it took is delivered: {results:?}");
    writer.abort();
}

#[tokio::test(start_paused = true)]
async fn subscribers_that_are_not_there_are_not_waited_for() {
    let server = json!({ "http_server": {} });
    for output in [
        server.clone(),
        json!({ "broker": { "pattern": "fan_out", "outputs": [{ "drop": {} }, server] } }),
        json!({ "broker": { "pattern": "fan_out_sequential", "outputs": [{ "drop": {} }, server] } }),
        json!({ "broker": { "pattern": "fan_out_fail_fast", "outputs": [{ "drop": {} }, server] } }),
        json!({ "fallback": [server, { "inproc": "dead" }] }),
        json!({ "retry": { "output": server } }),
        json!({ "switch": { "retry_until_success": true, "cases": [{ "check": "true", "output": server }, { "output": { "drop": {} } }] } }),
    ] {
        let bench = Bench::default();
        let input = bench.topic("in");
        let stream = bench.start(&json!({ "input": { "inproc": "in" }, "output": output }));
        input.write(bench.transaction(&["a"])).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        let started = tokio::time::Instant::now();
        stream.stop(Duration::from_secs(40), CloseReason::Removed).await;
        assert!(started.elapsed() < Duration::from_secs(3), "{output} takes {:?}", started.elapsed());
        assert_eq!(bench.results(), [("a", false)], "{output}");
        let dead = bench.topic("dead");
        let letter = tokio::time::timeout(Duration::from_millis(1), dead.read()).await;
        assert!(letter.is_err(), "{output}: what was not tried to its end is no dead letter");
    }
}

/// Gives one batch and tells what happens to it, in order.
struct Told {
    given: bool,
}

static EVENTS: Mutex<Vec<&str>> = Mutex::new(Vec::new());

#[async_trait]
impl Input for Told {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        if std::mem::replace(&mut self.given, true) {
            return std::future::pending().await;
        }
        let ack = Ack::new(|outcome| EVENTS.lock().push(if outcome.is_ok() { "acked" } else { "nacked" }));
        Ok((vec![Message::new("m")], ack))
    }

    async fn close(&mut self) {
        EVENTS.lock().push("closed");
    }
}

/// Never finishes writing.
struct Stuck;

#[async_trait]
impl Output for Stuck {
    async fn connect(&self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn write(&self, _: &[Message]) -> Result<(), WriteError> {
        std::future::pending().await
    }

    async fn close(&self) {}
}

static TOLD: InputSpec = InputSpec {
    name: "told",
    summary: "",
    config: Kind::Object(&[]),
    build: |_, _| Ok(Box::new(Told { given: false })),
};

static STUCK: OutputSpec =
    OutputSpec { name: "stuck", summary: "", config: Kind::Object(&[]), build: |_, _| Ok(Box::new(Stuck)) };

#[tokio::test(start_paused = true)]
async fn an_input_leaves_its_source_only_when_all_that_it_gave_is_resolved() {
    let bench = Bench::default();
    let mut registry = Registry::standard();
    registry.add_input(&TOLD);
    registry.add_output(&STUCK);
    let settings = Settings { registry: Arc::new(registry), ..bench.settings() };
    // Each level is stopped by the one above, in a task of its own.
    let mut output = json!({ "stuck": {} });
    for _ in 0..6 {
        output = json!({ "drop_on": { "error_patterns": ["never"], "output": output } });
    }
    let config = json!({ "input": { "told": {} }, "output": output });
    let stream = build("test", &config, "", &settings).unwrap().start();
    tokio::time::sleep(Duration::from_millis(10)).await;
    stream.stop(Duration::from_secs(4), CloseReason::Removed).await;
    assert_eq!(*EVENTS.lock(), ["nacked", "closed"]);
}
