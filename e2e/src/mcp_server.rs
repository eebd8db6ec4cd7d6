//! An MCP server and a client that are not ours: the SDK of the protocol's authors, started by `scripts/mcp-server`.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::curl;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/mcp-server");

/// It ends when dropped.
#[derive(Debug)]
pub struct McpServer {
    port: u16,
    _child: Child,
}

impl McpServer {
    /// One that answers with JSON, without sessions.
    pub async fn json() -> Self {
        Self::start("json").await
    }

    /// One that answers with events, without sessions.
    pub async fn events() -> Self {
        Self::start("sse").await
    }

    /// One that answers with events, within sessions.
    pub async fn stateful() -> Self {
        Self::start("stateful").await
    }

    async fn start(mode: &str) -> Self {
        let mut child = Command::new(SCRIPT)
            .arg(mode)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("scripts/mcp-server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        // Installing takes what the network takes.
        let line = lines.next_line().await.expect("its output is text").expect("it tells its port");
        Self { port: line.trim().parse().expect("a port"), _child: child }
    }

    /// Where it is; its endpoint is `/mcp`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What came in, in its order: `method`, `name` of what it was called for, and those `fields` that begin with `x-`.
    pub async fn seen(&self) -> Vec<Value> {
        curl(&[&format!("{}/seen", self.url())]).await.json().as_array().expect("a list").clone()
    }

    /// How many calls of this method came in.
    pub async fn calls(&self, method: &str) -> usize {
        self.seen().await.iter().filter(|one| one["method"] == method).count()
    }
}

/// What a client sees at an endpoint with a key: its capabilities, tools, resources and prompts, and what came of calls; a tool is
/// named alone, or with its arguments behind `=`.
///
/// # Panics
/// When it cannot open a session.
pub async fn mcp_client(url: &str, key: &str, tools: &[&str]) -> Value {
    let output = Command::new(SCRIPT)
        .args(["client", url, key])
        .args(tools)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("scripts/mcp-server starts");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}
