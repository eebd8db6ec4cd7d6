//! `kill -9` of a process that runs a stream from a broker to a broker, again and again, with messages on their way:
//! all of them arrive nevertheless.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use e2e::{Gate, binary, tools};
use serde_json::{Value, json};

/// How many messages travel. Mosquitto keeps 1000 for a client, and drops more.
const COUNT: usize = 900;
/// How often the process in the middle is killed.
const KILLS: usize = 3;
/// How many messages it tells of before. It is some 70 ahead, which is what the pipe to this test holds.
const STEP: usize = 50;
/// How long the whole of it may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where messages wait in a broker: who reads from there, and who writes to it.
struct Place {
    input: Value,
    output: Value,
}

/// A running `sluicegate stream run`. Dropping it kills it.
struct Run {
    child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
    log: std::path::PathBuf,
}

impl Run {
    fn start(folder: &Path, name: &str, mut config: Value) -> Self {
        config["http"] = json!({"enabled": false});
        let file = folder.join(format!("{name}.yaml"));
        std::fs::write(&file, config.to_string()).unwrap();
        let log = folder.join(format!("{name}.log"));
        let errors = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let mut child = Command::new(binary())
            .args(["stream", "run"])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("the binary can be started");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines: Some(lines), log }
    }

    /// The next line, if the process does not end before.
    fn line(&mut self) -> Option<String> {
        self.lines.as_mut().expect("somebody reads the lines").next()?.ok()
    }

    /// Reads all lines as they come.
    fn collect(&mut self) -> Receiver<String> {
        let lines = self.lines.take().expect("nobody reads the lines yet");
        let (sender, receiver) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        receiver
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it ends by itself.
    fn ended(mut self) {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}\n{}", std::fs::read_to_string(&self.log).unwrap_or_default());
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "--- {}\n{}",
                self.log.display(),
                std::fs::read_to_string(&self.log).unwrap_or_default()
            );
        }
    }
}

/// A process that writes these to a place, and ends when the broker has them.
fn fill(folder: &Path, output: &Value, count: usize, mapping: &str) {
    let input = json!({"generate": {"count": count, "interval": "0s", "mapping": mapping}});
    Run::start(folder, "filler", json!({"input": input, "output": output})).ended();
}

/// The number in front of a message.
fn number(line: &str) -> Option<usize> {
    line.split(' ').next()?.parse().ok()
}

/// From `from` to `to` and on to the test, with kills on the way; then `to` must hold all.
fn survives(from: &Place, to: &Place) {
    let folder = Gate::setup().prepare();
    let folder = folder.dir();
    let mut reader = Run::start(folder, "reader", json!({"input": to.input, "output": {"stdout": {}}}));
    let arrived = reader.collect();
    // A message is on standard output only when it is in the second place, and confirmed only after both.
    let outputs = json!([to.output, {"stdout": {}}]);
    let moving = json!({
        "input": from.input,
        "pipeline": {"processors": [{"mapping": "meta = deleted()"}]},
        "output": {"broker": {"pattern": "fan_out_sequential", "outputs": outputs}},
    });
    let begin = Instant::now();
    let mut mover = Run::start(folder, "mover", moving.clone());
    // All are subscribed when this comes through.
    while arrived.recv_timeout(Duration::from_millis(500)).is_err() {
        assert!(begin.elapsed() < PATIENCE, "the way is not open");
        fill(folder, &from.output, 1, "root = \"knock\"");
    }
    // Larger than what the pipe to this test holds: a process that nobody reads from is stuck in the midst of them.
    let mapping = format!("root = counter().string() + \" {}\"", "x".repeat(1000));
    fill(folder, &from.output, COUNT, &mapping);

    for _ in 0..KILLS {
        let mut told = 0;
        while told < STEP {
            let line = mover.line().expect("the process goes on");
            told += usize::from(number(&line).is_some());
        }
        // With messages read, messages sent, and messages that wait for their confirmation.
        mover.kill();
        mover = Run::start(folder, "mover", moving.clone());
    }
    let _told = mover.collect();
    let mut seen = BTreeSet::new();
    while seen.len() < COUNT {
        assert!(begin.elapsed() < PATIENCE, "only {} of {COUNT} arrived", seen.len());
        seen.extend(arrived.recv_timeout(Duration::from_millis(500)).ok().as_deref().and_then(number));
    }
    assert_eq!(seen, (1..=COUNT).collect());
}

/// A name that nobody else uses, in this run or another.
fn unique(broker: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("kills-{broker}-{now}-{}", std::process::id())
}

fn test(service: &str, place: fn(&str, &str) -> Place) {
    let address = tools::service(service);
    let name = unique(service);
    survives(&place(&address, &format!("{name}-from")), &place(&address, &format!("{name}-to")));
}

#[test]
fn kafka() {
    test("kafka", |address, name| Place {
        input: json!({"kafka": {
            "addresses": [address], "topics": [name], "consumer_group": name,
            // The group gives a dead member's partitions away when its session is over.
            "group": {"session_timeout": "2s", "heartbeat_interval": "300ms"},
        }}),
        output: json!({"kafka": {"addresses": [address], "topic": name}}),
    });
}

#[test]
fn mqtt() {
    test("mosquitto", |address, name| {
        let urls = [format!("tcp://{address}")];
        Place {
            input: json!({"mqtt": {"urls": urls, "topics": [name], "client_id": name, "clean_session": false}}),
            output: json!({"mqtt": {"urls": urls, "topic": name}}),
        }
    });
}

#[test]
fn amqp_0_9() {
    test("rabbitmq", |address, name| {
        let urls = [format!("amqp://guest:guest@{address}/")];
        Place {
            input: json!({"amqp_0_9": {"urls": urls, "queue": name, "queue_declare": {"enabled": true}}}),
            output: json!({"amqp_0_9": {"urls": urls, "exchange": "", "key": name, "persistent": true}}),
        }
    });
}

#[test]
fn amqp_1() {
    test("rabbitmq", |address, name| {
        let urls = [format!("amqp://guest:guest@{address}/")];
        let queue = format!("/queue/{name}");
        Place {
            input: json!({"amqp_1": {"urls": urls, "source_address": queue}}),
            output: json!({"amqp_1": {"urls": urls, "target_address": queue}}),
        }
    });
}

#[test]
fn nats_jetstream() {
    test("nats", |address, name| {
        let urls = [format!("nats://{address}")];
        let folder = Gate::setup().prepare();
        let create = json!({"urls": urls, "subject": format!("$JS.API.STREAM.CREATE.{name}")});
        let config = json!({
            "input": {"generate": {
                "count": 1, "interval": "0s", "mapping": format!("root = {}", json!({"name": name, "subjects": [name]})),
            }},
            "pipeline": {"processors": [{"nats_request_reply": create}]},
            "output": {"drop": {}},
        });
        Run::start(folder.dir(), "stream", config).ended();
        Place {
            // What a dead consumer held is given out again when its time is over.
            input: json!({"nats_jetstream": {"urls": urls, "stream": name, "durable": name, "ack_wait": "2s"}}),
            output: json!({"nats_jetstream": {"urls": urls, "subject": name}}),
        }
    });
}

#[test]
fn redis_streams() {
    test("redis", |address, name| {
        let url = format!("redis://{address}");
        Place {
            input: json!({"redis_streams": {
                "url": url, "streams": [name], "consumer_group": "g", "client_id": "c", "timeout": "200ms",
            }}),
            output: json!({"redis_streams": {"url": url, "stream": name}}),
        }
    });
}

#[test]
fn redis_list() {
    test("redis", |address, name| {
        let url = format!("redis://{address}");
        Place {
            input: json!({"redis_list": {"url": url, "key": name}}),
            output: json!({"redis_list": {"url": url, "key": name}}),
        }
    });
}
