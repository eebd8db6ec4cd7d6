//! A GraphQL server that is not ours: graphql-core, started by `scripts/graphql-server`.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::curl;

/// It ends when dropped.
#[derive(Debug)]
pub struct GraphqlServer {
    port: u16,
    _child: Child,
}

impl GraphqlServer {
    /// Starts one. The first start on a machine installs it.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a part of a supergraph: `accounts`, `products`, `reviews` or `stock`.
    pub async fn part(name: &str) -> Self {
        Self::with(&[name]).await
    }

    async fn with(arguments: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/graphql-server");
        let mut child = Command::new(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("scripts/graphql-server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        // Installing takes what the network takes.
        let line = lines.next_line().await.expect("its output is text").expect("it tells its port");
        Self { port: line.trim().parse().expect("a port"), _child: child }
    }

    /// Where it is.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// How many subscriptions are under way at it.
    pub async fn streams(&self) -> u64 {
        curl(&[&self.url("/streams")]).await.json().as_u64().expect("a number")
    }

    /// How many requests reached it.
    pub async fn hits(&self) -> u64 {
        let reply = curl(&[&self.url("/hits")]).await;
        // The question itself is one.
        reply.json().as_u64().expect("a number")
    }
}
