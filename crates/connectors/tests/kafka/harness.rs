//! What the tests share: streams whose other end is the test, brokers, and kcat as a client that is not ours.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bloblang::Value;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use streams::{
    Ack, Batch, CloseReason, ConnectError, Input, InputSpec, Kind, Message, Outcome, Output, OutputSpec,
    ReadError, Registry, RunningStream, Settings, WriteError,
};
use tokio::sync::{mpsc, oneshot};

/// How long anything may take before a test calls it lost. Generous: machines are shared.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

type Delivered = (Batch, Ack);
type Slot<T> = LazyLock<Mutex<HashMap<String, T>>>;
static SINKS: Slot<mpsc::UnboundedSender<Delivered>> = LazyLock::new(Mutex::default);
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

struct Sink(mpsc::UnboundedSender<Delivered>);

#[async_trait]
impl Output for Sink {
    async fn connect(&self) -> Result<(), ConnectError> {
        Ok(())
    }
    async fn write(&self, _: &[Message]) -> Result<(), WriteError> {
        Err(WriteError::NotConnected)
    }
    async fn consume(&self, batch: Batch, ack: Ack) -> Result<(), (Batch, Ack)> {
        self.0.send((batch, ack)).map_err(|back| back.0)
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

fn settings() -> Settings {
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

/// Lints and builds; the faults as text.
pub(crate) fn build(config: &Json) -> Result<streams::Built, String> {
    streams::build("test", config, "", &settings()).map_err(|faults| {
        faults.iter().map(|fault| format!("{}: {}\n", fault.pointer, fault.message)).collect()
    })
}

/// A stream from Kafka to the test.
pub(crate) struct Reader {
    stream: RunningStream,
    batches: mpsc::UnboundedReceiver<Delivered>,
}

impl Reader {
    /// Reads `topics`; `fields` are further fields of the input.
    pub(crate) fn start(broker: &str, topics: &[&str], fields: Json) -> Reader {
        let mut kafka = json!({"addresses": [broker], "topics": topics, "commit_period": "100ms"});
        merge(&mut kafka, fields);
        Reader::of(json!({"kafka": kafka}))
    }

    /// The same with the other field set.
    pub(crate) fn franz(broker: &str, topics: &[&str], fields: Json) -> Reader {
        let mut kafka = json!({"seed_brokers": [broker], "topics": topics, "commit_period": "100ms"});
        merge(&mut kafka, fields);
        Reader::of(json!({"kafka_franz": kafka}))
    }

    fn of(input: Json) -> Reader {
        let name = unique("sink");
        let (sender, batches) = mpsc::unbounded_channel();
        SINKS.lock().insert(name.clone(), sender);
        let built = build(&json!({"input": input, "output": {"test_sink": name}})).expect("configuration");
        Reader { stream: built.start(), batches }
    }

    /// The next batch with its ack.
    pub(crate) async fn next(&mut self) -> Delivered {
        let batch = tokio::time::timeout(PATIENCE, self.batches.recv()).await.expect("a batch in time");
        batch.expect("the stream goes on")
    }

    /// The next message, acknowledged.
    pub(crate) async fn take(&mut self) -> Message {
        let (mut batch, ack) = self.next().await;
        ack.done(Ok(()));
        assert_eq!(batch.len(), 1);
        batch.remove(0)
    }

    /// The texts of the next messages, acknowledged.
    pub(crate) async fn texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::with_capacity(count);
        while texts.len() < count {
            let (batch, ack) = self.next().await;
            texts.extend(batch.iter().map(text));
            ack.done(Ok(()));
        }
        texts
    }

    /// What arrives until nothing more does, acknowledged. Only for asserting that something does not come.
    pub(crate) async fn rest(&mut self, quiet: Duration) -> Vec<String> {
        let mut texts = Vec::new();
        while let Ok(Some((batch, ack))) = tokio::time::timeout(quiet, self.batches.recv()).await {
            texts.extend(batch.iter().map(text));
            ack.done(Ok(()));
        }
        texts
    }

    pub(crate) fn connected(&self) -> bool {
        self.stream.status().connected()
    }

    pub(crate) fn last_error(&self) -> String {
        last_error(&self.stream)
    }

    pub(crate) async fn stop(self) {
        drop(self.batches);
        self.stream.stop(Duration::from_secs(20), CloseReason::ShuttingDown).await;
    }
}

/// A stream from the test to Kafka.
pub(crate) struct Writer {
    stream: RunningStream,
    batches: mpsc::UnboundedSender<Delivered>,
}

impl Writer {
    /// Writes to `topic`; `fields` are further fields of the output.
    pub(crate) fn start(broker: &str, topic: &str, fields: Json) -> Writer {
        let mut kafka = json!({"addresses": [broker], "topic": topic});
        merge(&mut kafka, fields);
        Writer::of(json!({"kafka": kafka}))
    }

    /// The same with the other field set.
    pub(crate) fn franz(broker: &str, topic: &str, fields: Json) -> Writer {
        let mut kafka = json!({"seed_brokers": [broker], "topic": topic});
        merge(&mut kafka, fields);
        Writer::of(json!({"kafka_franz": kafka}))
    }

    fn of(output: Json) -> Writer {
        let name = unique("source");
        let (batches, receiver) = mpsc::unbounded_channel();
        SOURCES.lock().insert(name.clone(), receiver);
        let built = build(&json!({"input": {"test_source": name}, "output": output})).expect("configuration");
        Writer { stream: built.start(), batches }
    }

    /// Sends a batch; what becomes of it.
    pub(crate) fn send(&self, batch: Batch) -> oneshot::Receiver<Outcome> {
        let (sender, outcome) = oneshot::channel();
        let ack = Ack::new(move |result| drop(sender.send(result)));
        assert!(self.batches.send((batch, ack)).is_ok(), "the stream goes on");
        outcome
    }

    /// Sends a batch and waits until it is resolved.
    pub(crate) async fn write(&self, batch: Batch) -> Outcome {
        tokio::time::timeout(PATIENCE, self.send(batch))
            .await
            .expect("an outcome in time")
            .expect("one outcome")
    }

    pub(crate) fn connected(&self) -> bool {
        self.stream.status().connected()
    }

    pub(crate) fn last_error(&self) -> String {
        last_error(&self.stream)
    }

    pub(crate) async fn stop(self) {
        drop(self.batches);
        self.stream.stop(Duration::from_secs(20), CloseReason::ShuttingDown).await;
    }
}

/// The last error of any component.
fn last_error(stream: &RunningStream) -> String {
    stream
        .status()
        .components
        .iter()
        .filter_map(|probe| probe.last_error())
        .map(|text| text.to_string())
        .collect()
}

fn merge(object: &mut Json, fields: Json) {
    let (Some(object), Json::Object(fields)) = (object.as_object_mut(), fields) else {
        panic!("objects are expected")
    };
    object.extend(fields);
}

pub(crate) fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.bytes()).into_owned()
}

pub(crate) fn meta(message: &Message, name: &str) -> String {
    message.meta(name).map_or_else(|| "(none)".to_owned(), Value::to_text)
}

/// The broker of `scripts/services`.
pub(crate) fn broker() -> &'static str {
    static BROKER: OnceLock<String> = OnceLock::new();
    BROKER.get_or_init(|| {
        let address = std::env::var("SLUICEGATE_TEST_KAFKA").unwrap_or_else(|_| "127.0.0.1:29092".to_owned());
        assert!(
            TcpStream::connect(&address).is_ok(),
            "these tests need a Kafka broker at {address}; start it with `scripts/services up kafka`"
        );
        address
    })
}

/// A broker for one test alone, so that it can be killed.
pub(crate) struct OwnBroker {
    pub(crate) address: String,
    pub(crate) port: u16,
    pub(crate) state: PathBuf,
    environment: Vec<(String, String)>,
}

impl OwnBroker {
    pub(crate) fn start() -> OwnBroker {
        let broker = OwnBroker::prepare();
        broker.services("up");
        broker
    }

    /// A broker with further settings and arguments for formatting its storage, made from its first port and its folder.
    pub(crate) fn with(more: impl FnOnce(u16, &Path) -> String, format: &str) -> OwnBroker {
        let mut broker = OwnBroker::prepare();
        std::fs::create_dir_all(&broker.state).expect("a folder");
        let properties = broker.state.join("more.properties");
        std::fs::write(&properties, more(broker.port, &broker.state)).expect("a file");
        let path = properties.display().to_string();
        broker.environment = vec![
            ("SLUICEGATE_TEST_KAFKA_PROPERTIES".to_owned(), path),
            ("SLUICEGATE_TEST_KAFKA_FORMAT".to_owned(), format.to_owned()),
        ];
        broker.services("up");
        broker
    }

    fn prepare() -> OwnBroker {
        let state = std::env::temp_dir().join(unique("sluicegate-kafka"));
        // Below the ports that the kernel gives to clients; the next one is the controller's, then come those for
        // further listeners.
        let free =
            |port: &u16| (*port..port + 5).all(|port| TcpStream::connect(("127.0.0.1", port)).is_err());
        let port = (20_000..29_000)
            .step_by(8)
            .skip(usize::from(rand::random::<u8>()))
            .find(free)
            .expect("a free port");
        OwnBroker { address: format!("127.0.0.1:{port}"), port, state, environment: Vec::new() }
    }

    pub(crate) fn kill(&self) {
        self.services("kill");
    }

    pub(crate) fn restart(&self) {
        self.services("start");
    }

    fn services(&self, command: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/services");
        let mut process = Command::new(script);
        process.args([command, "kafka"]).env("SLUICEGATE_SERVICES_DIR", &self.state);
        process.env("SLUICEGATE_TEST_KAFKA_PORT", self.port.to_string());
        process.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if command == "down" {
            process.arg("--wipe");
        }
        let output = process.output().expect("scripts/services runs");
        assert!(
            output.status.success(),
            "scripts/services {command}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        self.services("down");
        let _ = std::fs::remove_dir_all(&self.state);
    }
}

/// Runs kcat with this input; what it prints.
pub(crate) fn kcat(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("kcat")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kcat is installed by `scripts/services up kafka`");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("kcat reads");
    let output = child.wait_with_output().expect("kcat ends");
    assert!(output.status.success(), "kcat {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Creates a topic with so many partitions, through the broker's own protocol.
pub(crate) async fn create_topic(broker: &str, topic: &str, partitions: i32) {
    use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
    use rdkafka::client::DefaultClientContext;
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", broker);
    let admin: AdminClient<DefaultClientContext> = config.create().expect("client");
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let results = admin.create_topics([&new], &AdminOptions::new()).await.expect("answer");
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}
