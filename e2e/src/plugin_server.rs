//! The example of a server of plugins, which is not ours but for its hooks: grpcio, started by `scripts/plugin-server`.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// It ends when dropped: with its standard input.
#[derive(Debug)]
pub struct PluginServer {
    port: u16,
    _child: Child,
}

impl PluginServer {
    /// Starts it. The first start on a machine installs what it needs.
    pub async fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/plugin-server");
        let mut child = Command::new(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/plugin-server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        // Installing takes what the network takes.
        let line = lines.next_line().await.expect("its output is text").expect("it tells its port");
        let port = line.rsplit(' ').next().and_then(|port| port.parse().ok()).expect("a port");
        Self { port, _child: child }
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }
}
