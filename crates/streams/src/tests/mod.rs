//! Whole streams, with tests at both ends of in-process topics.

mod brokers;
mod buffers;
mod composition;
mod edges;
mod endings;
mod files;
mod inputs;
mod outputs;
mod panics;
mod pipeline;
mod processors;
mod random;
mod replay;
mod resources;
mod stopping;
mod tracing;

use std::default::Default;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};

use crate::endpoint::{Endpoint, EndpointPort, Role};
use crate::feed::From;
use crate::run::build;
use crate::topics::Topic;
use crate::*;

type Outcomes = Arc<Mutex<Vec<(&'static str, Outcome)>>>;

/// Settings whose endpoints and lines are kept for the test.
#[derive(Default, Clone)]
struct Bench {
    endpoints: Arc<Mutex<Vec<Endpoint>>>,
    topics: Topics,
    lines: Arc<Mutex<Vec<u8>>>,
    outcomes: Outcomes,
    /// By how many seconds the clock was set.
    set: Arc<Mutex<i64>>,
}

impl EndpointPort for Bench {
    fn offer(&self, endpoint: Endpoint) -> Result<(), String> {
        self.endpoints.lock().push(endpoint);
        Ok(())
    }
}

impl Lines for Bench {
    fn write_all(&self, bytes: &[u8]) -> std::io::Result<()> {
        self.lines.lock().extend_from_slice(bytes);
        Ok(())
    }
}

impl Bench {
    fn settings(&self) -> Settings {
        Settings {
            port: Arc::new(self.clone()),
            topics: self.topics.clone(),
            lines: Arc::new(self.clone()),
            clock: self.clock(),
            ..Settings::new(Registry::standard())
        }
    }

    /// Time of day that goes on with the test's own time.
    fn clock(&self) -> Clock {
        let (day, began) = (std::time::SystemTime::now(), tokio::time::Instant::now());
        let set = self.set.clone();
        Clock::new(move || {
            let now = day + began.elapsed();
            let by = *set.lock();
            let seconds = Duration::from_secs(by.unsigned_abs());
            if by < 0 { now - seconds } else { now + seconds }
        })
    }

    fn start(&self, config: &Json) -> RunningStream {
        build("test", config, "", &self.settings()).unwrap().start()
    }

    fn topic(&self, name: &str) -> Arc<Topic> {
        self.topics.get(name)
    }

    fn ingest(&self) -> Arc<Ingest> {
        let endpoints = self.endpoints.lock();
        let found = endpoints.iter().find_map(|endpoint| match &endpoint.role {
            Role::Ingest(ingest) => Some(ingest.clone()),
            _ => None,
        });
        found.unwrap()
    }

    fn feed(&self) -> Arc<Feed> {
        let endpoints = self.endpoints.lock();
        let found = endpoints.iter().find_map(|endpoint| match &endpoint.role {
            Role::Stream(feed) => Some(feed.clone()),
            _ => None,
        });
        found.unwrap()
    }

    /// A batch whose outcome is kept under its first message.
    fn transaction(&self, texts: &[&'static str]) -> Transaction {
        let outcomes = self.outcomes.clone();
        let first = texts[0];
        let ack = Ack::new(move |outcome| outcomes.lock().push((first, outcome)));
        Transaction { batch: texts.iter().map(|text| Message::new(*text)).collect(), ack }
    }

    /// What became of batches so far, by name, in order.
    fn results(&self) -> Vec<(&'static str, bool)> {
        self.outcomes.lock().iter().map(|(name, outcome)| (*name, outcome.is_ok())).collect()
    }

    async fn until(&self, count: usize) -> Vec<(&'static str, bool)> {
        while self.results().len() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.results()
    }
}

async fn take(topic: &Topic) -> (Vec<String>, Transaction) {
    let transaction = topic.read().await.unwrap();
    (texts(&transaction.batch), transaction)
}

fn texts(batch: &[Message]) -> Vec<String> {
    batch.iter().map(|message| String::from_utf8_lossy(message.bytes()).into_owned()).collect()
}

fn relay() -> Json {
    json!({ "input": { "inproc": "in" }, "output": { "inproc": "out" } })
}

#[tokio::test(start_paused = true)]
async fn acks_and_nacks_run_from_the_output_to_the_input() {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let stream = bench.start(&relay());
    input.write(bench.transaction(&["a"])).await;
    let (batch, transaction) = take(&output).await;
    assert_eq!(batch, ["a"]);
    assert!(bench.results().is_empty(), "not acked before it is delivered");
    transaction.ack.done(Ok(()));
    input.write(bench.transaction(&["b", "c", "d"])).await;
    let (_, transaction) = take(&output).await;
    let reason = NackReason::failed("no").only([&transaction.batch[1]]);
    transaction.ack.done(Err(reason));
    input.write(bench.transaction(&["e"])).await;
    drop(take(&output).await);
    assert_eq!(bench.until(3).await, [("a", true), ("b", false), ("e", false)]);
    stream.stop(Duration::from_secs(1), CloseReason::Removed).await;
}

#[tokio::test(start_paused = true)]
async fn threads_keep_the_order() {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let mut config = relay();
    config["pipeline"] = json!({ "threads": 4, "processors": [{ "noop": {} }, { "noop": {} }] });
    let stream = bench.start(&config);
    let names = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let transactions: Vec<Transaction> = names.iter().map(|name| bench.transaction(&[*name])).collect();
    tokio::spawn(async move {
        for transaction in transactions {
            input.write(transaction).await;
        }
    });
    for name in names {
        let (batch, transaction) = take(&output).await;
        assert_eq!(batch, [name]);
        transaction.ack.done(Ok(()));
    }
    let status = stream.status();
    let noop = status.components.iter().find(|probe| probe.type_name == "noop").unwrap();
    assert_eq!(
        (noop.path.as_str(), noop.received.get(), noop.sent.get()),
        ("root.pipeline.processors.0", 10, 10)
    );
    assert!(status.connected());
}

#[tokio::test(start_paused = true)]
async fn a_slow_end_slows_the_start() {
    let bench = Bench::default();
    let (input, _output) = (bench.topic("in"), bench.topic("out"));
    let _stream = bench.start(&relay());
    let mut taken = 0;
    while tokio::time::timeout(Duration::from_secs(9), input.write(bench.transaction(&["x"]))).await.is_ok() {
        taken += 1;
        assert!(taken < 20, "something between the ends has no bound");
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_delivers_what_is_under_way_and_nacks_the_rest_at_the_deadline() {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let stream = bench.start(&relay());
    input.write(bench.transaction(&["delivered"])).await;
    input.write(bench.transaction(&["stuck"])).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let stopping = tokio::spawn(stream.stop(Duration::from_secs(4), CloseReason::Removed));
    tokio::time::sleep(Duration::from_millis(5)).await;
    take(&output).await.1.ack.done(Ok(()));
    drop(take(&output).await);
    let started = tokio::time::Instant::now();
    stopping.await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1), "it ends as soon as it is drained");
    assert_eq!(bench.until(2).await, [("delivered", true), ("stuck", false)]);

    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let stream = bench.start(&relay());
    for name in ["a", "b", "c"] {
        input.write(bench.transaction(&[name])).await;
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    stream.stop(Duration::from_secs(4), CloseReason::Removed).await;
    // One waits in the topic, which is not the stream's; what the stream itself held was nacked.
    drop((input, output));
    let mut results = bench.until(3).await;
    results.sort_unstable();
    assert_eq!(results, [("a", false), ("b", false), ("c", false)]);
}

#[tokio::test]
async fn lines_go_where_the_settings_say() {
    let bench = Bench::default();
    let input = bench.topic("in");
    let stream = bench.start(&json!({ "input": { "inproc": "in" }, "output": { "stdout": {} } }));
    input.write(bench.transaction(&["a", "b"])).await;
    assert_eq!(bench.until(1).await, [("a", true)]);
    assert_eq!(&*bench.lines.lock(), b"a\nb\n");
    stream.stop(Duration::from_secs(1), CloseReason::Removed).await;
}

/// Refuses to connect, then loses the connection once, then writes.
#[derive(Default)]
struct Shaky {
    attempts: Mutex<u32>,
    written: Mutex<Vec<String>>,
}

#[async_trait]
impl Output for Arc<Shaky> {
    async fn connect(&self) -> Result<(), ConnectError> {
        *self.attempts.lock() += 1;
        if *self.attempts.lock() <= 2 { Err(ConnectError("nobody there".into())) } else { Ok(()) }
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        if *self.attempts.lock() == 3 {
            return Err(WriteError::NotConnected);
        }
        self.written.lock().extend(texts(batch));
        if texts(batch) == ["b", "c"] { Err(WriteError::Partial(vec![(1, "no".into())])) } else { Ok(()) }
    }

    async fn close(&self) {}
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_made_again_and_nothing_is_lost() {
    let shaky = Arc::new(Shaky::default());
    let probe = Arc::new(Probe::new(ComponentKind::Output, "shaky", "root.output".into(), None));
    let node = OutputNode {
        output: Box::new(shaky.clone()),
        stages: Vec::new(),
        batching: None,
        probe: probe.clone(),
        spans: None,
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let running = tokio::spawn(crate::sink::run(node, receiver));
    let bench = Bench::default();
    let mut second = bench.transaction(&["b", "c"]);
    crate::message::number(&mut second.batch);
    sender.send(bench.transaction(&["a"])).await.unwrap();
    sender.send(second).await.unwrap();
    drop(sender);
    running.await.unwrap();
    assert_eq!(*shaky.written.lock(), ["a", "b", "c"]);
    assert_eq!(bench.results(), [("a", true), ("b", false)]);
    let counts = (probe.connection_failed.get(), probe.connection_up.get(), probe.connection_lost.get());
    assert_eq!(counts, (2, 2, 1));
    assert_eq!((probe.sent.get(), probe.errors.get()), (1, 1));
    assert_eq!(probe.last_error().as_deref(), Some("no"));
}

/// Loses its connection when the first message of its first batch is delivered.
#[derive(Default)]
struct Halfway {
    written: Mutex<Vec<Vec<String>>>,
}

#[async_trait]
impl Output for Arc<Halfway> {
    async fn connect(&self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let mut written = self.written.lock();
        written.push(texts(batch));
        match written.len() {
            1 => Err(WriteError::lost(vec![2], vec![(1, "refused".to_owned())])),
            2 => Err(WriteError::Partial(vec![(0, "no".to_owned())])),
            _ => Ok(()),
        }
    }

    async fn close(&self) {}
}

#[tokio::test(start_paused = true)]
async fn what_was_delivered_before_the_connection_was_lost_is_not_written_again() {
    let halfway = Arc::new(Halfway::default());
    let probe = Arc::new(Probe::new(ComponentKind::Output, "halfway", "root.output".into(), None));
    let node = OutputNode {
        output: Box::new(halfway.clone()),
        stages: Vec::new(),
        batching: None,
        probe,
        spans: None,
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let failed: Arc<Mutex<Vec<u32>>> = Arc::default();
    let told = failed.clone();
    let ack = Ack::new(move |outcome| {
        let reason = outcome.unwrap_err();
        told.lock().extend((0..3).filter(|place| reason.concerns(Some(*place))));
    });
    let mut batch: Batch = ["a", "b", "c"].map(Message::new).into();
    crate::message::number(&mut batch);
    sender.send(Transaction { batch, ack }).await.unwrap();
    drop(sender);
    crate::sink::run(node, receiver).await;
    assert_eq!(*halfway.written.lock(), [vec!["a", "b", "c"], vec!["b", "c"]]);
    assert_eq!(*failed.lock(), [1], "only what the second attempt refused");
}

/// Connects whenever it is asked to, and loses the connection with each write.
#[derive(Default)]
struct Hollow {
    losses: Mutex<u32>,
}

#[async_trait]
impl Output for Arc<Hollow> {
    async fn connect(&self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn write(&self, _: &[Message]) -> Result<(), WriteError> {
        let mut losses = self.losses.lock();
        if *losses == 5 {
            return Ok(());
        }
        *losses += 1;
        Err(WriteError::NotConnected)
    }

    async fn close(&self) {}
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_carries_nothing_is_made_again_with_pauses() {
    let hollow = Arc::new(Hollow::default());
    let probe = Arc::new(Probe::new(ComponentKind::Output, "hollow", "root.output".into(), None));
    let node =
        OutputNode { output: Box::new(hollow), stages: Vec::new(), batching: None, probe, spans: None };
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let bench = Bench::default();
    sender.send(bench.transaction(&["a"])).await.unwrap();
    drop(sender);
    let started = tokio::time::Instant::now();
    crate::sink::run(node, receiver).await;
    assert_eq!(bench.results(), [("a", true)]);
    // At once after the first loss, then after 0.5, 0.75, 1 and 1 seconds.
    assert_eq!(started.elapsed().as_millis() / 10, 325);
}
