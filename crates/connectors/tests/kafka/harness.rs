//! What the tests share beside [`ends`](crate::ends): streams from and to Kafka, brokers, and kcat as a client that is not
//! ours.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value as Json, json};

use crate::ends::{self, Stream, unique};
pub(crate) use crate::ends::{PATIENCE, meta, text};

/// Lints and builds; the faults as text.
pub(crate) fn build(config: &Json) -> Result<streams::Built, String> {
    ends::build(config, &ends::settings())
}

/// Streams from Kafka to the test.
pub(crate) struct Reader;

impl Reader {
    /// Reads `topics`; `fields` are further fields of the input.
    pub(crate) fn start(broker: &str, topics: &[&str], fields: Json) -> Stream {
        let mut kafka = json!({"addresses": [broker], "topics": topics, "commit_period": "100ms"});
        merge(&mut kafka, fields);
        Stream::reading(json!({"kafka": kafka}))
    }

    /// The same with the other field set.
    pub(crate) fn franz(broker: &str, topics: &[&str], fields: Json) -> Stream {
        let mut kafka = json!({"seed_brokers": [broker], "topics": topics, "commit_period": "100ms"});
        merge(&mut kafka, fields);
        Stream::reading(json!({"kafka_franz": kafka}))
    }
}

/// Streams from the test to Kafka.
pub(crate) struct Writer;

impl Writer {
    /// Writes to `topic`; `fields` are further fields of the output.
    pub(crate) fn start(broker: &str, topic: &str, fields: Json) -> Stream {
        let mut kafka = json!({"addresses": [broker], "topic": topic});
        merge(&mut kafka, fields);
        Stream::writing(json!({"kafka": kafka}))
    }

    /// The same with the other field set.
    pub(crate) fn franz(broker: &str, topic: &str, fields: Json) -> Stream {
        let mut kafka = json!({"seed_brokers": [broker], "topic": topic});
        merge(&mut kafka, fields);
        Stream::writing(json!({"kafka_franz": kafka}))
    }
}

fn merge(object: &mut Json, fields: Json) {
    let (Some(object), Json::Object(fields)) = (object.as_object_mut(), fields) else {
        panic!("objects are expected")
    };
    object.extend(fields);
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
