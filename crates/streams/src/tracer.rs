//! What an exporter of spans must do (streams contract 2.16).

use std::sync::Arc;

use async_trait::async_trait;

/// One step of a message, finished.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace it belongs to.
    pub trace_id: u128,
    /// Itself.
    pub span_id: u64,
    /// The step it is part of; 0: none.
    pub parent_id: u64,
    /// Another span that it has to do with: the trace and the span.
    pub link: Option<(u128, u64)>,
    /// Such as `input_kafka`, `mapping` or `output_http_client`.
    pub name: String,
    /// The `tracestate` that the trace came with.
    pub state: Option<Arc<str>>,
    /// Nanoseconds since the Unix epoch.
    pub start_ns: u64,
    /// Nanoseconds since the Unix epoch.
    pub end_ns: u64,
    /// What is known of it.
    pub tags: Arc<[(String, String)]>,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

/// Takes spans somewhere. It never makes a message wait.
#[async_trait]
pub trait Tracer: Send + Sync {
    /// Whether spans of a trace are wanted. `parent`: whether whoever began it records it; none: it begins here.
    fn sample(&self, trace_id: u128, parent: Option<bool>) -> bool;

    /// Takes a span; when the tracer's queue is full, the span is dropped and counted.
    fn record(&self, span: Span);

    /// Sends for as long as it is polled, or until [`Tracer::finish`] is called; whoever runs it drops it.
    async fn run(&self) {}

    /// Sends what is left, when what `run` is sending is sent.
    async fn finish(&self) {}
}
