//! The real servers of `scripts/services`, asked by clients that are not ours.

use std::process::Stdio;
use std::time::{Duration, Instant};

use e2e::tools::{kafka_consume, kafka_produce, program, service, up};
use e2e::{soon, until};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

/// The address of a service, whole and as host and port.
async fn address(name: &'static str) -> (String, String, String) {
    // It may have to be installed and started.
    let whole = tokio::task::spawn_blocking(move || service(name)).await.unwrap();
    let (host, port) = whole.rsplit_once(':').unwrap();
    (whole.clone(), host.to_owned(), port.to_owned())
}

/// A name that no other run uses.
fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

#[tokio::test]
async fn redis_answers() {
    let (_, host, port) = address("redis").await;
    assert_eq!(program("redis-cli", &["-h", &host, "-p", &port, "PING"], b"").await.trim(), "PONG");
}

#[tokio::test]
async fn mosquitto_carries_messages() {
    let (_, host, port) = address("mosquitto").await;
    let topic = unique("services/mqtt");
    let server = ["-h", &host, "-p", &port, "-t", &topic];
    // Kept by the server, so that the subscriber need not be there first.
    program("mosquitto_pub", &[&server[..], &["-r", "-s"]].concat(), b"hello").await;
    assert_eq!(program("mosquitto_sub", &[&server[..], &["-C", "1"]].concat(), b"").await, "hello\n");
    program("mosquitto_pub", &[&server[..], &["-r", "-n"]].concat(), b"").await;
}

#[tokio::test]
async fn kafka_keeps_messages() {
    let (brokers, ..) = address("kafka").await;
    let metadata = program("kcat", &["-b", &brokers, "-L"], b"").await;
    assert!(metadata.contains("1 brokers"), "{metadata}");
    let topic = unique("services-kafka");
    let mut sent: Vec<String> = (0..100).map(|number| format!("{{\"n\":{number}}}")).collect();
    kafka_produce(&brokers, &topic, sent.join("\n").as_bytes()).await;
    let mut read = kafka_consume(&brokers, &topic, sent.len()).await;
    sent.sort();
    read.sort();
    assert_eq!(read, sent);
    let partitions = program("kcat", &["-b", &brokers, "-L", "-t", &topic], b"").await;
    assert!(partitions.contains("with 4 partitions"), "{partitions}");
}

#[tokio::test]
async fn nats_introduces_itself() {
    let (whole, ..) = address("nats").await;
    let mut socket = BufReader::new(TcpStream::connect(whole).await.unwrap());
    let mut line = String::new();
    soon("the first line of NATS", socket.read_line(&mut line)).await.unwrap();
    let info: serde_json::Value = serde_json::from_str(line.strip_prefix("INFO ").expect(&line)).unwrap();
    assert_eq!(info["jetstream"], true, "{line}");
    socket.write_all(b"CONNECT {\"verbose\":false}\r\nPING\r\n").await.unwrap();
    line.clear();
    soon("the answer to PING", socket.read_line(&mut line)).await.unwrap();
    assert_eq!(line.trim(), "PONG");
}

#[tokio::test]
async fn rabbitmq_greets_in_both_versions_of_amqp() {
    let (whole, ..) = address("rabbitmq").await;
    // AMQP 0.9.1: a method frame (1) on channel 0, connection.start (10, 10), version 0.9. AMQP 1.0: its own header.
    for (header, expected) in [
        (b"AMQP\x00\x00\x09\x01", &[0, 10, 0, 10, 0, 9][..]),
        (b"AMQP\x00\x01\x00\x00", b"AMQP\x00\x01\x00\x00"),
    ] {
        let mut socket = TcpStream::connect(&whole).await.unwrap();
        socket.write_all(header).await.unwrap();
        let mut answer = vec![0; 13];
        let length = if expected.len() == 8 { 8 } else { 13 };
        soon("RabbitMQ's greeting", socket.read_exact(&mut answer[..length])).await.unwrap();
        assert_eq!(&answer[length - expected.len()..length], expected, "{answer:?}");
    }
}

#[tokio::test]
async fn postgresql_and_mariadb_keep_rows() {
    let (_, host, port) = address("postgresql").await;
    let postgresql = ["-h", &host, "-p", &port, "-U", "postgres", "-d", "postgres", "-w", "-At"];
    let (_, host, port) = address("mariadb").await;
    let mariadb = ["-h", &host, "-P", &port, "-u", "root", "-N", "-B", "test"];
    let table = unique("services_rows").replace('-', "_");
    for (client, server, statement) in [("psql", &postgresql[..], "-c"), ("mariadb", &mariadb[..], "-e")] {
        let ask = async |query: &str| program(client, &[server, &[statement, query]].concat(), b"").await;
        ask(&format!("CREATE TABLE {table} (n INT PRIMARY KEY, t VARCHAR(20))")).await;
        ask(&format!("INSERT INTO {table} VALUES (1, 'one'), (2, 'zwei')")).await;
        let sum = ask(&format!("SELECT SUM(n) FROM {table}")).await;
        let last = ask(&format!("SELECT t FROM {table} ORDER BY n DESC LIMIT 1")).await;
        ask(&format!("DROP TABLE {table}")).await;
        assert_eq!((sum.trim(), last.trim()), ("3", "zwei"), "{client}");
    }
}

fn script(arguments: &[&str]) -> Command {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/services"));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

#[tokio::test]
async fn status_tells_by_its_exit_code_what_runs() {
    tokio::task::spawn_blocking(|| up("redis")).await.unwrap();
    until("redis is ready", async || script(&["status", "redis"]).output().await.unwrap().status.success())
        .await;
    let output = script(&["status", "redis"]).output().await.unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    let row = table.lines().find(|line| line.starts_with("redis")).expect(&table);
    assert!(row.ends_with("yes"), "{table}");

    // In a folder of its own nothing runs.
    let nowhere = std::env::temp_dir().join(unique("sluicegate-e2e-services"));
    let output =
        script(&["status", "redis"]).env("SLUICEGATE_SERVICES_DIR", &nowhere).output().await.unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert!(table.lines().any(|line| line.starts_with("redis") && line.ends_with("no")), "{table}");

    let output = script(&["status", "postgres"]).output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("no service 'postgres'"), "{error}");
}

#[tokio::test]
async fn what_runs_already_is_not_started_again() {
    let table = async || {
        let output = script(&["status"]).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    tokio::task::spawn_blocking(|| ["redis", "mosquitto", "nats", "postgresql", "mariadb"].map(up))
        .await
        .unwrap();
    let before = table().await;
    let started = Instant::now();
    let again = soon(
        "services that run",
        script(&["up", "redis", "mosquitto", "nats", "postgresql", "mariadb"]).output(),
    )
    .await
    .unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    assert!(started.elapsed() < Duration::from_secs(5), "took {:?}", started.elapsed());
    let after = table().await;
    for name in ["redis", "mosquitto", "nats", "postgresql", "mariadb"] {
        let row = |table: &str| table.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        assert_eq!(row(&after), row(&before), "another process runs now");
    }
}
