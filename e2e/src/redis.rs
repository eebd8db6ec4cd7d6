//! A Redis that a test may kill: it is nobody else's.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::{gate, tools, until};

/// A Redis server with a password, on a port and with data of its own.
#[derive(Debug)]
pub struct Redis {
    dir: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Redis {
    /// Its password.
    pub const PASSWORD: &str = "canary-redis-password";

    /// Starts one and waits until it answers.
    pub async fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // Sees that the program is installed.
        tools::up("redis");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("sluicegate-e2e-redis-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mut redis = Self { dir, port: gate::free_port(), child: None };
        redis.restart().await;
        redis
    }

    /// Starts it again with its data, and waits until it answers.
    pub async fn restart(&mut self) {
        assert!(self.child.is_none(), "Redis runs already");
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--requirepass", Self::PASSWORD])
            .args(["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir"])
            .arg(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server can be started");
        self.child = Some(child);
        until("Redis answers", async || self.try_call(&["PING"]).trim() == "PONG").await;
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends it a signal: `STOP` makes it hang, `CONT` lets it go on.
    pub fn signal(&self, name: &str) {
        let id = self.child.as_ref().expect("Redis runs").id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name}");
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("Redis runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Runs one command with redis-cli and gives what it prints.
    pub fn call(&self, command: &[&str]) -> String {
        let answer = self.try_call(command);
        assert!(!answer.starts_with("ERR") && !answer.starts_with("WRONG"), "{command:?}: {answer}");
        answer.trim_end().to_owned()
    }

    fn try_call(&self, command: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .env("REDISCLI_AUTH", Self::PASSWORD)
            .args(command)
            .output()
            .expect("redis-cli can be started");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a gate's configuration says to use it, with hashed keys.
    pub fn conf(&self) -> Value {
        json!({
            "storage": {
                "type": "redis", "host": "127.0.0.1", "port": self.port, "password": Self::PASSWORD, "timeout": 1,
            },
            "hash_keys": true,
            "hash_key_function": "murmur64",
        })
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
