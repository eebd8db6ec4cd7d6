//! How `http_server` components ask for paths under an API, without knowing what serves them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::feed::Feed;
use crate::ingest::Ingest;

/// Gives paths to components. The gateway serves them under an API's chain; a stand-alone runner on its own listener.
pub trait EndpointPort: Send + Sync {
    /// Takes an endpoint that a component of this stream offers. Called while a stream is built; the endpoint's
    /// [`Ingest`] and [`Feed`] answer "closing" until the stream is started.
    ///
    /// # Errors
    /// Why the path cannot be given, such as another stream having it.
    fn offer(&self, endpoint: Endpoint) -> Result<(), String>;
}

/// A port that takes every endpoint and serves none: for dry builds.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEndpoints;

impl EndpointPort for NoEndpoints {
    fn offer(&self, _: Endpoint) -> Result<(), String> {
        Ok(())
    }
}

/// One path that a component serves.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The stream whose component it is.
    pub stream: Arc<str>,
    /// Below the API's listen path, with a leading `/`. A final `/` makes it a prefix; `{name}` segments capture
    /// (streams contract 2.4).
    pub path: String,
    /// Upper case; empty for WebSockets, whose verb is always GET. Others get 405.
    pub verbs: Vec<String>,
    /// What happens there.
    pub role: Role,
    /// Cross-origin rules of the component.
    pub cors: Cors,
    /// Where it is, when it is not on the server that all endpoints share.
    pub listener: Option<Arc<OwnListener>>,
    /// Nobody wrote this path, it is the component's default: where it is taken, it is left out with a warning.
    pub implied: bool,
}

/// A listener that a component opens for itself (streams contract 2.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnListener {
    /// `host:port`; no host means every address of the machine.
    pub address: String,
    /// The files of certificate and key, when it speaks TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// What an endpoint does.
#[derive(Clone)]
pub enum Role {
    /// A request's body is submitted; the answer waits for the ack.
    Ingest(Arc<Ingest>),
    /// Every WebSocket frame is submitted, one after the other.
    IngestSocket(Arc<Ingest>),
    /// One message per request.
    Next(Arc<Feed>),
    /// An endless response, raw or as server-sent events by [`FeedOptions::format`](crate::feed::FeedOptions).
    Stream(Arc<Feed>),
    /// One WebSocket frame per message.
    Socket(Arc<Feed>),
}

impl Role {
    /// What happens there, for whoever lists endpoints.
    pub fn describe(&self) -> &'static str {
        match self {
            Role::Ingest(_) => "Takes messages, one request after the other.",
            Role::IngestSocket(_) => "Takes messages as frames of a WebSocket.",
            Role::Next(_) => "Gives the next message to each request.",
            Role::Stream(_) => "Gives messages in a response without end.",
            Role::Socket(_) => "Gives messages as frames of a WebSocket.",
        }
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Ingest(_) => "Ingest",
            Role::IngestSocket(_) => "IngestSocket",
            Role::Next(_) => "Next",
            Role::Stream(_) => "Stream",
            Role::Socket(_) => "Socket",
        })
    }
}

/// The `cors` block of `http_server` (streams contract 2.4, 2.5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cors {
    /// Nothing below counts without it.
    pub enabled: bool,
    /// Origins, or `*`.
    pub allowed_origins: Vec<String>,
    /// Request headers.
    pub allowed_headers: Vec<String>,
    /// Verbs.
    pub allowed_methods: Vec<String>,
}

/// How WebSocket peers are watched (streams contract 2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketTimes {
    /// Longest time that one write may take.
    pub write_wait: Duration,
    /// Longest silence of the peer.
    pub pong_wait: Duration,
    /// How often it is pinged; below `pong_wait`.
    pub ping_period: Duration,
}
