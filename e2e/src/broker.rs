//! A Kafka that a test may kill: it is nobody else's.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command as Blocking, Stdio};

use tokio::process::Command;

/// A broker on ports and with data of its own. Dropping it ends it and removes the data.
#[derive(Debug)]
pub struct Broker {
    dir: PathBuf,
    port: u16,
}

impl Broker {
    /// Starts one and waits until it answers.
    pub async fn start() -> Self {
        // Two ports in a row, below the range from which the kernel serves outgoing connections.
        let first = 21_000 + u16::try_from(std::process::id() % 1_000).unwrap() * 4;
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        let port = (first..30_000).step_by(2).find(|port| is_free(*port) && is_free(port + 1)).unwrap();
        let dir = std::env::temp_dir().join(format!("sluicegate-e2e-broker-{}", std::process::id()));
        let broker = Self { dir, port };
        broker.run("up").await;
        broker
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends it at once, as a crash does.
    pub async fn kill(&self) {
        self.run("kill").await;
    }

    /// Starts it again with its data, and waits until it answers.
    pub async fn restart(&self) {
        self.run("start").await;
    }

    fn settings(&self) -> [(&'static str, String); 2] {
        [
            ("SLUICEGATE_SERVICES_DIR", self.dir.display().to_string()),
            ("SLUICEGATE_TEST_KAFKA_PORT", self.port.to_string()),
        ]
    }

    async fn run(&self, command: &str) {
        let output = Command::new(script())
            .args([command, "kafka"])
            .envs(self.settings())
            .stdin(Stdio::null())
            .output()
            .await
            .expect("scripts/services can be run");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "scripts/services {command} kafka: {error}");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = Blocking::new(script())
            .args(["kill", "kafka"])
            .envs(self.settings())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("scripts/services")
}
