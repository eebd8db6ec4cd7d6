//! The real servers of `scripts/services`, and command-line clients that are not ours.

use std::path::Path;
use std::process::{Command as Blocking, Stdio};
use std::sync::OnceLock;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::soon;

fn script() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("scripts/services")
}

/// The address of a service (`kafka`, `redis`, `mosquitto` ...), started when it does not run.
///
/// # Panics
/// When it cannot be started; the text says why.
pub fn service(name: &str) -> String {
    static ENVIRONMENT: OnceLock<String> = OnceLock::new();
    up(name);
    let environment = ENVIRONMENT.get_or_init(|| {
        let output = Blocking::new(script()).arg("env").output().expect("scripts/services can be run");
        String::from_utf8(output.stdout).unwrap()
    });
    let variable = format!("SLUICEGATE_TEST_{}", name.to_uppercase());
    let value = environment
        .lines()
        .filter_map(|line| line.trim_start_matches("export ").split_once('='))
        .find(|(known, _)| *known == variable)
        .unwrap_or_else(|| panic!("scripts/services env does not name {variable}:\n{environment}"))
        .1;
    // The port alone follows on the same line.
    value.split_whitespace().next().unwrap_or_default().to_owned()
}

/// Starts a service, or sees that it runs.
pub fn up(name: &str) {
    run(&["up", name]);
}

/// Ends a service at once, as a crash does.
pub fn kill(name: &str) {
    run(&["kill", name]);
}

fn run(arguments: &[&str]) {
    let output = Blocking::new(script()).args(arguments).output().expect("scripts/services can be run");
    assert!(
        output.status.success(),
        "scripts/services {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs a client program with `input` and gives what it printed.
///
/// # Panics
/// When it fails or takes too long.
pub async fn program(name: &str, arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new(name)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let feed = async move {
        let _ = stdin.write_all(input).await;
    };
    let (output, ()) = soon(name, async { tokio::join!(child.wait_with_output(), feed) }).await;
    let output = output.unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Produces one message a line with kcat.
pub async fn kafka_produce(brokers: &str, topic: &str, lines: &[u8]) {
    program("kcat", &["-b", brokers, "-t", topic, "-P"], lines).await;
}

/// Reads `count` messages from the start of a topic with kcat, one a line.
pub async fn kafka_consume(brokers: &str, topic: &str, count: usize) -> Vec<String> {
    let count = count.to_string();
    let arguments = ["-b", brokers, "-t", topic, "-C", "-q", "-o", "beginning", "-c", &count, "-u"];
    program("kcat", &arguments, b"").await.lines().map(str::to_owned).collect()
}

/// Waits for `count` messages on an MQTT topic with mosquitto_sub, one a line. Start it before they are sent.
pub async fn mqtt_subscribe(port: u16, topic: &str, count: usize) -> Vec<String> {
    let (port, count) = (port.to_string(), count.to_string());
    let arguments = ["-h", "127.0.0.1", "-p", &port, "-t", topic, "-C", &count];
    program("mosquitto_sub", &arguments, b"").await.lines().map(str::to_owned).collect()
}
