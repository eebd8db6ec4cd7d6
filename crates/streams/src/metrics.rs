//! What a component counts, readable at any time without stopping it (names: streams contract 5.13).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

/// A number that only grows, or a gauge that is set.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Reads.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Which kind of component counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComponentKind {
    /// Where batches come from.
    Input,
    /// What changes them.
    Processor,
    /// Where they go.
    Output,
    /// What remembers values by key.
    Cache,
    /// What says how often something may happen.
    RateLimit,
    /// What keeps them between input and pipeline.
    Buffer,
}

impl ComponentKind {
    /// The prefix of its metric names.
    pub fn as_str(self) -> &'static str {
        match self {
            ComponentKind::Input => "input",
            ComponentKind::Processor => "processor",
            ComponentKind::Output => "output",
            ComponentKind::Cache => "cache",
            ComponentKind::RateLimit => "rate_limit",
            ComponentKind::Buffer => "buffer",
        }
    }
}

/// The live counters and state of one component.
pub struct Probe {
    /// Input, processor or output.
    pub kind: ComponentKind,
    /// The type key, such as `http_server`.
    pub type_name: &'static str,
    /// Where it stands in the stream, such as `root.pipeline.processors.0`.
    pub path: String,
    /// Its label, if it has one.
    pub label: Option<String>,
    /// Messages taken in.
    pub received: Count,
    /// Batches taken in.
    pub batches_received: Count,
    /// Messages handed on (outputs: confirmed).
    pub sent: Count,
    /// Batches handed on (outputs: confirmed).
    pub batches_sent: Count,
    /// Messages that failed here.
    pub errors: Count,
    /// Sum of the time from taking a batch in to handing it on (inputs: to its ack), in nanoseconds.
    pub latency_ns: Count,
    /// Connections made.
    pub connection_up: Count,
    /// Attempts to connect that failed.
    pub connection_failed: Count,
    /// Connections lost.
    pub connection_lost: Count,
    /// Batches that a batching policy made.
    pub batch_created: Count,
    /// Batches now waiting in or before this component, of at most `queue_limit`.
    pub queued: Count,
    /// The bound of its queue.
    pub queue_limit: Count,
    /// Batches that a full buffer refused.
    pub spilled: Count,
    /// What was asked of a cache and how it ended, by [`Operation`] and [`Answer`].
    pub(crate) operations: Option<Box<[[Count; 4]; 5]>>,
    connected: AtomicBool,
    last_error: Mutex<Option<Arc<str>>>,
}

impl Probe {
    /// A component that has counted nothing yet.
    pub fn new(kind: ComponentKind, type_name: &'static str, path: String, label: Option<String>) -> Probe {
        Probe {
            kind,
            type_name,
            path,
            label,
            received: Count::default(),
            batches_received: Count::default(),
            sent: Count::default(),
            batches_sent: Count::default(),
            errors: Count::default(),
            latency_ns: Count::default(),
            connection_up: Count::default(),
            connection_failed: Count::default(),
            connection_lost: Count::default(),
            batch_created: Count::default(),
            queued: Count::default(),
            queue_limit: Count::default(),
            spilled: Count::default(),
            operations: (kind == ComponentKind::Cache).then(Box::default),
            connected: AtomicBool::new(false),
            last_error: Mutex::new(None),
        }
    }

    /// Whether it reaches its other side. Components without one always do while they run.
    pub fn connected(&self) -> bool {
        self.connected.load(Relaxed)
    }

    /// The last thing that went wrong.
    pub fn last_error(&self) -> Option<Arc<str>> {
        self.last_error.lock().clone()
    }

    pub(crate) fn set_error(&self, text: &str) {
        *self.last_error.lock() = Some(text.into());
    }

    pub(crate) fn up(&self) {
        self.connected.store(true, Relaxed);
        self.connection_up.add(1);
    }

    pub(crate) fn failed(&self, text: &str) {
        self.connection_failed.add(1);
        self.set_error(text);
    }

    pub(crate) fn lost(&self) {
        if self.connected.swap(false, Relaxed) {
            self.connection_lost.add(1);
        }
    }

    /// Every number under its metric name.
    pub fn series(&self) -> Vec<Series> {
        let counter = |(name, count): (&'static str, &Count)| Series::counter(name, count.get());
        match self.kind {
            ComponentKind::Input => [
                ("input_received", &self.received),
                ("input_latency_ns", &self.latency_ns),
                ("input_connection_up", &self.connection_up),
                ("input_connection_failed", &self.connection_failed),
                ("input_connection_lost", &self.connection_lost),
                ("batch_created", &self.batch_created),
            ]
            .map(counter)
            .to_vec(),
            ComponentKind::Processor => [
                ("processor_received", &self.received),
                ("processor_batch_received", &self.batches_received),
                ("processor_sent", &self.sent),
                ("processor_batch_sent", &self.batches_sent),
                ("processor_error", &self.errors),
                ("processor_latency_ns", &self.latency_ns),
            ]
            .map(counter)
            .to_vec(),
            ComponentKind::Output => [
                ("output_sent", &self.sent),
                ("output_batch_sent", &self.batches_sent),
                ("output_error", &self.errors),
                ("output_latency_ns", &self.latency_ns),
                ("output_connection_up", &self.connection_up),
                ("output_connection_failed", &self.connection_failed),
                ("output_connection_lost", &self.connection_lost),
                ("batch_created", &self.batch_created),
            ]
            .map(counter)
            .to_vec(),
            ComponentKind::Buffer => {
                let mut all = [
                    ("buffer_received", &self.received),
                    ("buffer_batch_received", &self.batches_received),
                    ("buffer_sent", &self.sent),
                    ("buffer_batch_sent", &self.batches_sent),
                    ("buffer_latency_ns", &self.latency_ns),
                    ("batch_created", &self.batch_created),
                    ("buffer_spillover", &self.spilled),
                ]
                .map(counter)
                .to_vec();
                all.push(Series { gauge: true, ..Series::counter("buffer_active", self.queued.get()) });
                all
            }
            ComponentKind::Cache => self.cache_series(),
            ComponentKind::RateLimit => [
                ("rate_limit_checked", &self.received),
                ("rate_limit_triggered", &self.spilled),
                ("rate_limit_error", &self.errors),
            ]
            .map(counter)
            .to_vec(),
        }
    }

    fn cache_series(&self) -> Vec<Series> {
        let mut all = Vec::new();
        let Some(operations) = &self.operations else { return all };
        for (answer, name) in ANSWERS.iter().enumerate() {
            for (operation, counts) in OPERATIONS.iter().zip(operations.iter()) {
                let fits = match *name {
                    "cache_not_found" => *operation == "get",
                    "cache_duplicate" => *operation == "add",
                    _ => true,
                };
                if fits {
                    all.push(Series {
                        operation: Some(operation),
                        ..Series::counter(name, counts[answer].get())
                    });
                }
            }
        }
        all.push(Series::counter("cache_latency_ns", self.latency_ns.get()));
        all
    }

    /// One operation of a cache has ended.
    pub(crate) fn cache_did(&self, operation: Operation, answer: Answer, took: Duration) {
        if let Some(operations) = &self.operations {
            operations[operation as usize][answer as usize].add(1);
        }
        self.latency_ns.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// One number of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series {
    /// Its metric name.
    pub name: &'static str,
    /// Which operation of a cache it counts.
    pub operation: Option<&'static str>,
    /// Goes up and down.
    pub gauge: bool,
    /// The number.
    pub value: u64,
}

impl Series {
    fn counter(name: &'static str, value: u64) -> Series {
        Series { name, operation: None, gauge: false, value }
    }
}

/// What a cache is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation {
    Get,
    Set,
    Add,
    Delete,
    Exists,
}

const OPERATIONS: [&str; 5] = ["get", "set", "add", "delete", "exists"];

/// How it answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    Success,
    Error,
    NotFound,
    Duplicate,
}

const ANSWERS: [&str; 4] = ["cache_success", "cache_error", "cache_not_found", "cache_duplicate"];

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("path", &self.path).field("connected", &self.connected()).finish()
    }
}
