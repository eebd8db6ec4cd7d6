//! stub
use crate::feed::CloseReason;
use crate::metrics::Probe;
use crate::settings::Settings;
use document::Fault;
use std::sync::Arc;
use std::time::Duration;

/// Checks a stream's configuration and makes its components; connects and starts nothing.
///
/// # Errors
/// Every fault that can be found.
pub fn build(
    _name: &str,
    _value: &serde_json::Value,
    _base_pointer: &str,
    _settings: &Settings,
) -> Result<Built, Vec<Fault>> {
    Err(Vec::new())
}

/// A stream that was built and not started.
#[derive(Debug)]
pub struct Built {
    /// Faults that do not refuse it.
    pub warnings: Vec<Fault>,
}

impl Built {
    /// Starts it; must be called within a tokio runtime.
    pub fn start(self) -> RunningStream {
        RunningStream {}
    }
}

/// A stream that runs.
#[derive(Debug)]
pub struct RunningStream {}

/// How a stream is.
#[derive(Debug)]
pub struct Status {
    /// Its components.
    pub components: Vec<Arc<Probe>>,
}

impl RunningStream {
    /// How it is now.
    pub fn status(&self) -> Status {
        Status { components: Vec::new() }
    }

    /// Stops it: inputs first, then what is under way is delivered, then outputs. What is not delivered at the
    /// deadline is nacked. Subscribers are told the reason.
    pub async fn stop(self, _deadline: Duration, _reason: CloseReason) {}
}
