//! What is behind a chain.

pub(crate) mod graph;
pub(crate) mod mock;
pub(crate) mod stream;
pub(crate) mod tools;
pub mod upstream;

use std::sync::Arc;

use streams::Probe;

use self::graph::GraphBackend;
use self::stream::StreamBackend;
use self::tools::Tools;
use self::upstream::Upstream;
use crate::pass_through::PassThrough;

/// The backend of one API.
#[derive(Debug)]
pub enum Backend {
    /// A proxied HTTP server.
    Upstream(Upstream),
    /// Another API of the gate, or the same one: `tyk://name/path`.
    Api(Box<str>),
    /// The gate itself, with tools that are made of another of its APIs.
    Tools(Tools),
    /// Sources of a graph.
    Graph(GraphBackend),
    /// Streams with their endpoints.
    Stream(StreamBackend),
    /// Connections as they are, on a port of their own.
    PassThrough(PassThrough),
}

impl Backend {
    /// The streams that run behind it.
    pub(crate) fn streams(&self) -> Option<&StreamBackend> {
        match self {
            Self::Stream(stream) => Some(stream),
            Self::Graph(graph) => graph.streams(),
            Self::Upstream(_) | Self::Api(_) | Self::Tools(_) | Self::PassThrough(_) => None,
        }
    }

    /// The counters of every stream component, with the name of its stream.
    pub(crate) fn probes(&self) -> Vec<(Arc<str>, Arc<Probe>)> {
        self.streams().map(StreamBackend::probes).unwrap_or_default()
    }

    /// Every number that the components of every stream count, or that their `metric` processors do (`own`), with the
    /// name of the stream.
    pub(crate) fn samples(&self, own: bool) -> Vec<(Arc<str>, streams::Sample)> {
        self.streams().map(|streams| streams.samples(own)).unwrap_or_default()
    }
}
