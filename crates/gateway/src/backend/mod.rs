//! What is behind a chain.

pub(crate) mod mock;
pub(crate) mod stream;
pub mod upstream;

use std::sync::Arc;

use streams::Probe;

use self::stream::StreamBackend;
use self::upstream::Upstream;

/// The backend of one API.
#[derive(Debug)]
pub enum Backend {
    /// A proxied HTTP server.
    Upstream(Upstream),
    /// Another API of the gate, or the same one: `tyk://name/path`.
    Api(Box<str>),
    /// Streams with their endpoints.
    Stream(StreamBackend),
}

impl Backend {
    /// The counters of every stream component, with the name of its stream.
    pub(crate) fn probes(&self) -> Vec<(Arc<str>, Arc<Probe>)> {
        match self {
            Self::Upstream(_) | Self::Api(_) => Vec::new(),
            Self::Stream(stream) => stream.probes(),
        }
    }

    /// Every number that the components of every stream count, or that their `metric` processors do (`own`), with the
    /// name of the stream.
    pub(crate) fn samples(&self, own: bool) -> Vec<(Arc<str>, streams::Sample)> {
        match self {
            Self::Upstream(_) | Self::Api(_) => Vec::new(),
            Self::Stream(stream) => stream.samples(own),
        }
    }
}
