//! The harness of the black-box tests: starts the real `sluicegate` binary, real upstreams, and clients that are not
//! ours, and looks at nothing but what goes over the wire and what is logged.
//!
//! Tests start a [`Gate`] of their own, on a port of their own and with a folder of their own, so that all of them run
//! at once. Nothing sleeps for a fixed time: [`until`] asks again until it holds, and gives up after [`PATIENCE`].

use std::time::{Duration, Instant};

mod acme;
mod acme_proof;
mod admin;
pub mod bridge;
mod broker;
mod client;
mod collector;
pub mod definition;
mod dispatcher;
mod echo;
mod endless;
pub mod frames;
mod gate;
mod graphql_server;
pub mod h2;
mod http_proxy;
pub mod issuer;
mod kept;
mod mcp_server;
mod plugin_server;
mod redis;
mod redis_many;
mod spoken;
mod sse;
pub mod streaming;
mod tls_front;
pub mod tokens;
pub mod tools;
mod upstream;
mod values;
mod websocket;
mod wire;

pub use acme::{Counts, Directory};
pub use admin::Admin;
pub use bridge::Bridge;
pub use broker::Broker;
pub use client::{Reply, curl, post_form, raw, raw_socket};
pub use collector::{Collector, Traced};
pub use dispatcher::Dispatcher;
pub use echo::{Codec, Echo, Note};
pub use endless::{End, Endless, Event};
pub use gate::{Gate, Setup, binary, free_port};
pub use graphql_server::GraphqlServer;
pub use http_proxy::HttpProxy;
pub use kept::Client;
pub use mcp_server::{McpServer, mcp_client};
pub use plugin_server::PluginServer;
pub use redis::Redis;
pub use redis_many::{Masters, Sentinels, Slow};
pub use spoken::Spoken;
pub use sse::Sse;
pub use tls_front::{Authority, Shown, front};
pub use upstream::{Scripted, Upstream};
pub use values::Values;
pub use websocket::Socket;
pub use wire::{Line, Wire};

/// How long a condition may take to come true on a busy machine before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks every few milliseconds until `condition` holds.
///
/// # Panics
/// When it does not within [`PATIENCE`]; `what` says what was waited for.
pub async fn until<F: AsyncFnMut() -> bool>(what: &str, mut condition: F) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Bounds a wait by [`PATIENCE`].
///
/// # Panics
/// When the time is up; `what` says what was waited for.
pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for: {what}"))
}
