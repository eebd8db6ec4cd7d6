//! Streams whose other end is the test: what the tests of several connectors share.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use bloblang::Value;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use streams::{
    Ack, Batch, CloseReason, ConnectError, Input, InputSpec, Kind, Message, NackReason, Outcome, Output,
    OutputSpec, ReadError, Registry, RunningStream, SampleValue, Settings, WriteError,
};
use tokio::sync::{mpsc, oneshot};

/// How long anything may take before a test calls it lost. Generous: machines are shared.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Batches that wait for a test at most; an input that polls would fill the memory otherwise.
const WAITING: usize = 16_384;

type Delivered = (Batch, Ack);
type Slot<T> = LazyLock<Mutex<HashMap<String, T>>>;
static SINKS: Slot<mpsc::Sender<Delivered>> = LazyLock::new(Mutex::default);
static SOURCES: Slot<mpsc::UnboundedReceiver<Delivered>> = LazyLock::new(Mutex::default);

/// An output that hands its batches, with their acks, to the test of this name.
static TEST_SINK: OutputSpec = OutputSpec {
    name: "test_sink",
    summary: "",
    config: Kind::Text,
    build: |node, _| {
        let name = node.as_text()?;
        let sender = SINKS.lock().get(&*name).cloned().ok_or_else(|| node.fault("no such sink"))?;
        Ok(Box::new(Sink(sender)))
    },
};

struct Sink(mpsc::Sender<Delivered>);

#[async_trait]
impl Output for Sink {
    async fn connect(&self) -> Result<(), ConnectError> {
        Ok(())
    }
    async fn write(&self, _: &[Message]) -> Result<(), WriteError> {
        Err(WriteError::NotConnected)
    }
    async fn consume(&self, batch: Batch, ack: Ack) -> Result<(), (Batch, Ack)> {
        // A test that no longer takes anything is over: nothing of its stream waits for it.
        if let Err(mpsc::error::SendError((_, ack))) = self.0.send((batch, ack)).await {
            ack.done(Err(NackReason::stopping()));
        }
        Ok(())
    }
    fn max_in_flight(&self) -> usize {
        1
    }
    async fn close(&self) {}
}

/// An input that gives what the test of this name sends.
static TEST_SOURCE: InputSpec = InputSpec {
    name: "test_source",
    summary: "",
    config: Kind::Text,
    build: |node, _| {
        let name = node.as_text()?;
        let receiver = SOURCES.lock().remove(&*name).ok_or_else(|| node.fault("no such source"))?;
        Ok(Box::new(Source(receiver)))
    },
};

struct Source(mpsc::UnboundedReceiver<Delivered>);

#[async_trait]
impl Input for Source {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        Ok(())
    }
    async fn read(&mut self) -> Result<Delivered, ReadError> {
        self.0.recv().await.ok_or(ReadError::End)
    }
    async fn close(&mut self) {}
}

/// Settings with all connectors.
pub(crate) fn settings() -> Settings {
    let mut registry = Registry::standard();
    connectors::register(&mut registry);
    registry.add_output(&TEST_SINK);
    registry.add_input(&TEST_SOURCE);
    Settings::new(registry)
}

/// A name that no other test and no earlier run has used.
pub(crate) fn unique(name: &str) -> String {
    format!("{name}-{:x}", rand::random::<u64>())
}

/// A file beside the tests: certificates and keys made for them.
pub(crate) fn sample(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(file)
}

/// Lints and builds; the faults as text.
pub(crate) fn build(config: &Json, settings: &Settings) -> Result<streams::Built, String> {
    streams::build("test", config, "", settings).map_err(|faults| {
        faults.iter().map(|fault| format!("{}: {}\n", fault.pointer, fault.message)).collect()
    })
}

/// A stream with the test at one end, or at both.
pub(crate) struct Stream {
    stream: RunningStream,
    to: Option<mpsc::UnboundedSender<Delivered>>,
    from: Option<mpsc::Receiver<Delivered>>,
}

impl Stream {
    /// A stream from this input to the test.
    pub(crate) fn reading(input: Json) -> Stream {
        Stream::start(json!({"input": input}), &settings())
    }

    /// A stream from the test to this output.
    pub(crate) fn writing(output: Json) -> Stream {
        Stream::start(json!({"output": output}), &settings())
    }

    /// A stream from the test through these processors to the test.
    pub(crate) fn through(processors: Json) -> Stream {
        Stream::start(json!({"pipeline": {"threads": 1, "processors": processors}}), &settings())
    }

    /// The test stands wherever `config` names no input and no output.
    pub(crate) fn start(config: Json, settings: &Settings) -> Stream {
        Stream::with_room(config, settings, WAITING)
    }

    /// A stream from this input to the test, which takes one batch after the other: what it has not taken waits where it is.
    pub(crate) fn reading_slowly(input: Json, settings: &Settings) -> Stream {
        Stream::with_room(json!({"input": input}), settings, 1)
    }

    fn with_room(mut config: Json, settings: &Settings, room: usize) -> Stream {
        let (mut to, mut from) = (None, None);
        if config.get("input").is_none() {
            let name = unique("source");
            let (sender, receiver) = mpsc::unbounded_channel();
            SOURCES.lock().insert(name.clone(), receiver);
            to = Some(sender);
            config["input"] = json!({"test_source": name});
        }
        if config.get("output").is_none() {
            let name = unique("sink");
            let (sender, receiver) = mpsc::channel(room);
            SINKS.lock().insert(name.clone(), sender);
            from = Some(receiver);
            config["output"] = json!({"test_sink": name});
        }
        let built = build(&config, settings).expect("configuration");
        Stream { stream: built.start(), to, from }
    }

    /// Sends a batch; what becomes of it.
    pub(crate) fn send(&self, batch: Batch) -> oneshot::Receiver<Outcome> {
        let (sender, outcome) = oneshot::channel();
        let ack = Ack::new(move |result| drop(sender.send(result)));
        let to = self.to.as_ref().expect("the test is the input");
        assert!(to.send((batch, ack)).is_ok(), "the stream goes on");
        outcome
    }

    /// Sends a batch and waits until it is resolved.
    pub(crate) async fn write(&self, batch: Batch) -> Outcome {
        within(self.send(batch)).await.expect("one outcome")
    }

    /// The next batch with its ack.
    pub(crate) async fn next(&mut self) -> Delivered {
        let from = self.from.as_mut().expect("the test is the output");
        within(from.recv()).await.expect("the stream goes on")
    }

    /// The next batch, acknowledged.
    pub(crate) async fn batch(&mut self) -> Batch {
        let (batch, ack) = self.next().await;
        ack.done(Ok(()));
        batch
    }

    /// The next message, the only one of its batch, acknowledged.
    pub(crate) async fn take(&mut self) -> Message {
        let mut batch = self.batch().await;
        assert_eq!(batch.len(), 1);
        batch.remove(0)
    }

    /// The texts of the next messages, acknowledged.
    pub(crate) async fn texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::with_capacity(count);
        while texts.len() < count {
            texts.extend(self.batch().await.iter().map(text));
        }
        texts
    }

    /// What arrives until nothing more does, acknowledged. Only for asserting that something does not come.
    pub(crate) async fn rest(&mut self, quiet: Duration) -> Vec<String> {
        let from = self.from.as_mut().expect("the test is the output");
        let mut texts = Vec::new();
        while let Ok(Some((batch, ack))) = tokio::time::timeout(quiet, from.recv()).await {
            texts.extend(batch.iter().map(text));
            ack.done(Ok(()));
        }
        texts
    }

    /// Whether the stream's input has ended and all of it was delivered.
    pub(crate) fn ended(&self) -> bool {
        self.stream.status().ended
    }

    pub(crate) fn connected(&self) -> bool {
        self.stream.status().connected()
    }

    /// What its components count under this name, whatever the labels; of timings how often something was timed.
    pub(crate) fn counted(&self, name: &str) -> u64 {
        let samples = self.stream.samples().into_iter().filter(|sample| sample.name == name);
        let counts = samples.map(|sample| match sample.value {
            SampleValue::Counter(count) => count,
            SampleValue::Gauge(value) => value as u64,
            SampleValue::Timing(timing) => timing.count,
        });
        counts.sum()
    }

    /// The last errors of all components.
    pub(crate) fn last_error(&self) -> String {
        let components = self.stream.status().components;
        components.iter().filter_map(|probe| probe.last_error()).map(|text| text.to_string()).collect()
    }

    /// Stops it while the other end still holds what it was given; that fails a little later.
    pub(crate) async fn stop_before_failing(self) {
        let Stream { stream, to, from } = self;
        let fails = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop((to, from));
        };
        tokio::join!(stream.stop(Duration::from_secs(20), CloseReason::ShuttingDown), fails);
    }

    /// Stops it in good order; what it still delivers, acknowledged.
    pub(crate) async fn stop_taking(self) -> Vec<String> {
        let Stream { stream, to, from } = self;
        drop(to);
        let mut from = from.expect("the test is the output");
        let mut texts = Vec::new();
        let stop = stream.stop(Duration::from_secs(40), CloseReason::ShuttingDown);
        tokio::pin!(stop);
        loop {
            let (batch, ack) = tokio::select! {
                biased;
                Some(delivered) = from.recv() => delivered,
                () = &mut stop => return texts,
            };
            texts.extend(batch.iter().map(text));
            ack.done(Ok(()));
        }
    }

    pub(crate) async fn stop(self) {
        drop((self.to, self.from));
        self.stream.stop(Duration::from_secs(20), CloseReason::ShuttingDown).await;
    }
}

/// Waits for something that must come.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// Asks again until it holds.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    within(async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

pub(crate) fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.bytes()).into_owned()
}

pub(crate) fn texts(batch: &[Message]) -> Vec<String> {
    batch.iter().map(text).collect()
}

pub(crate) fn meta(message: &Message, name: &str) -> String {
    message.meta(name).map_or_else(|| "(none)".to_owned(), Value::to_text)
}

/// Messages of these texts.
pub(crate) fn messages<const N: usize>(texts: [&str; N]) -> Batch {
    texts.map(|text| Message::new(text.to_owned())).into()
}
