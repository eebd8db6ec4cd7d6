//! What the configuration says of traces.

use std::path::PathBuf;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::{Propagation, Sampling};

/// Where traces go, and which.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// The collector speaks OTLP over gRPC; else over HTTP.
    pub grpc: bool,
    /// `host:port`, or an address with a scheme and a path.
    pub endpoint: String,
    /// What every request to it carries; marked as secret.
    pub headers: HeaderMap,
    /// How long opening a connection may take.
    pub connect_within: Duration,
    /// What the gate is called (`service.name`).
    pub name: String,
    /// TLS to the collector; `None`: in clear, unless the endpoint says `https`.
    pub tls: Option<CollectorTls>,
    /// The tags that this node loads APIs by, where it does.
    pub tags: Option<Vec<String>>,
    /// Spans that may wait; what comes then is dropped and counted.
    pub most_waiting: usize,
    /// Spans that are sent at once.
    pub most_at_once: usize,
    /// How long the first of them waits for more; zero: not at all.
    pub gather: Duration,
    /// How traces go on through the gate.
    pub propagation: Propagation,
    /// Which are recorded.
    pub sampling: Sampling,
}

/// TLS to a collector.
#[derive(Debug, Clone, Default)]
pub struct CollectorTls {
    /// Its certificate is not checked.
    pub insecure: bool,
    /// Who vouches for it, PEM; empty: whoever usually does.
    pub ca_file: PathBuf,
    /// What the gate shows, PEM; may be empty.
    pub cert_file: PathBuf,
    /// Its key, PEM.
    pub key_file: PathBuf,
    /// Lowest version, as TLS counts: 771 is 1.2, 772 is 1.3; 0: any.
    pub min_version: u16,
    /// Highest version; 0: any.
    pub max_version: u16,
}

impl TraceSettings {
    /// Fields for the collector, by name and value. They may hold credentials, so that none is ever shown.
    ///
    /// # Errors
    /// Which of them cannot be sent.
    pub fn headers<'t>(fields: impl IntoIterator<Item = (&'t str, &'t str)>) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let wrong = |what| format!("`headers`: {what} of `{name}` cannot be sent in a header");
            let known = HeaderName::try_from(name).map_err(|_| wrong("the name"))?;
            let mut value = HeaderValue::try_from(value).map_err(|_| wrong("the value"))?;
            value.set_sensitive(true);
            headers.insert(known, value);
        }
        Ok(headers)
    }
}
