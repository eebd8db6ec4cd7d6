//! What a component counts, readable at any time without stopping it (names: streams contract 5.13).

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

use crate::exporter::{Sample, SampleValue};
use crate::latency::Latency;
use crate::requests::Requests;

/// A number that only grows, or a gauge that is set.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    /// Takes away, from a gauge.
    pub fn sub(&self, amount: u64) {
        self.0.fetch_sub(amount, Relaxed);
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
    /// Batches taken in, by processors and buffers.
    pub batches_received: Count,
    /// Messages handed on (outputs: confirmed).
    pub sent: Count,
    /// Batches handed on, by processors and buffers.
    pub batches_sent: Count,
    /// Messages that failed here.
    pub errors: Count,
    /// The time from taking a batch in to handing it on (inputs, outputs and buffers: to its ack).
    pub latency: Latency,
    /// Connections made.
    pub connection_up: Count,
    /// Attempts to connect that failed.
    pub connection_failed: Count,
    /// Connections lost.
    pub connection_lost: Count,
    /// Batches that a batching policy made, by [`Mechanism`].
    created: [Count; MECHANISMS.len()],
    /// Batches now waiting in or before this component, of at most `queue_limit`.
    pub queued: Count,
    /// The bound of its queue.
    pub queue_limit: Count,
    /// Of the messages that an `http_server` input took in, those that came through WebSockets.
    pub(crate) sockets: Count,
    /// Batches that a full buffer refused.
    pub spilled: Count,
    /// Messages that came too late for any window.
    pub(crate) late: Count,
    /// What was asked of a cache and how it ended, by [`Operation`].
    operations: Option<Box<[Asked; 5]>>,
    /// The HTTP requests of a component that sends some.
    requests: OnceLock<Arc<Requests>>,
    connected: AtomicBool,
    resting: AtomicBool,
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
            latency: Latency::default(),
            connection_up: Count::default(),
            connection_failed: Count::default(),
            connection_lost: Count::default(),
            created: Default::default(),
            queued: Count::default(),
            queue_limit: Count::default(),
            sockets: Count::default(),
            spilled: Count::default(),
            late: Count::default(),
            operations: (kind == ComponentKind::Cache).then(Box::default),
            requests: OnceLock::new(),
            connected: AtomicBool::new(false),
            resting: AtomicBool::new(false),
            last_error: Mutex::new(None),
        }
    }

    /// Whether it is the input `http_server`, whose messages come through two kinds of endpoints.
    pub(crate) fn is_http_server(&self) -> bool {
        self.kind == ComponentKind::Input && self.type_name == "http_server"
    }

    /// Its label; empty when it has none.
    pub(crate) fn label(&self) -> &str {
        self.label.as_deref().unwrap_or_default()
    }

    /// Whether it reaches its other side. Components without one always do while they run.
    pub fn connected(&self) -> bool {
        self.connected.load(Relaxed)
    }

    /// Whether it has nothing to connect to now: an input whose turn has not come yet, or that has ended.
    pub fn rests(&self) -> bool {
        self.resting.load(Relaxed)
    }

    pub(crate) fn rest(&self, rests: bool) {
        self.resting.store(rests, Relaxed);
    }

    /// The last thing that went wrong.
    pub fn last_error(&self) -> Option<Arc<str>> {
        self.last_error.lock().clone()
    }

    /// Takes note of what went wrong.
    pub fn set_error(&self, text: &str) {
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
        let mut all = Vec::with_capacity(8);
        let mut counter =
            |name, count: &Count| all.push(Series::new(name, SampleValue::Counter(count.get())));
        match self.kind {
            ComponentKind::Input => {
                if self.is_http_server() {
                    // What is counted in between is told by the other one next time.
                    let sockets = self.sockets.get();
                    let posts = self.received.get().saturating_sub(sockets);
                    for (endpoint, count) in [("post", posts), ("websocket", sockets)] {
                        let part = Some(("endpoint", endpoint));
                        all.push(Series {
                            part,
                            ..Series::new("input_received", SampleValue::Counter(count))
                        });
                    }
                } else {
                    all.push(Series::new("input_received", SampleValue::Counter(self.received.get())));
                }
                let mut counter =
                    |name, count: &Count| all.push(Series::new(name, SampleValue::Counter(count.get())));
                counter("input_connection_up", &self.connection_up);
                counter("input_connection_failed", &self.connection_failed);
                counter("input_connection_lost", &self.connection_lost);
                all.extend(self.created());
            }
            ComponentKind::Processor => {
                counter("processor_received", &self.received);
                counter("processor_batch_received", &self.batches_received);
                counter("processor_sent", &self.sent);
                counter("processor_batch_sent", &self.batches_sent);
                counter("processor_error", &self.errors);
            }
            ComponentKind::Output => {
                counter("output_sent", &self.sent);
                counter("output_error", &self.errors);
                counter("output_connection_up", &self.connection_up);
                counter("output_connection_failed", &self.connection_failed);
                counter("output_connection_lost", &self.connection_lost);
                all.extend(self.created());
            }
            ComponentKind::Buffer => {
                counter("buffer_received", &self.received);
                counter("buffer_batch_received", &self.batches_received);
                counter("buffer_sent", &self.sent);
                counter("buffer_batch_sent", &self.batches_sent);
                counter("buffer_spillover", &self.spilled);
                if self.type_name == "system_window" {
                    counter("buffer_late", &self.late);
                }
                all.extend(self.created());
                all.push(Series::new("buffer_active", SampleValue::Gauge(self.queued.get() as f64)));
            }
            ComponentKind::Cache => return self.cache_series(),
            ComponentKind::RateLimit => {
                counter("rate_limit_checked", &self.received);
                counter("rate_limit_triggered", &self.spilled);
                counter("rate_limit_error", &self.errors);
                return all;
            }
        }
        let name = match self.kind {
            ComponentKind::Input => "input_latency_ns",
            ComponentKind::Processor => "processor_latency_ns",
            ComponentKind::Output => "output_latency_ns",
            _ => "buffer_latency_ns",
        };
        let timing = self.latency.timing();
        if self.kind == ComponentKind::Output {
            // A confirmed batch is timed once: that counts it, too.
            all.push(Series::new("output_batch_sent", SampleValue::Counter(timing.count)));
        }
        all.push(Series::new(name, SampleValue::Timing(timing)));
        all.extend(self.requests.get().into_iter().flat_map(|requests| requests.series()));
        all
    }

    /// The component sends HTTP requests: what it counts of them is told beside the rest.
    pub fn requests(&self) -> Arc<Requests> {
        self.requests.get_or_init(Arc::default).clone()
    }

    /// A batching policy has made a batch.
    pub(crate) fn batch_created(&self, mechanism: Mechanism) {
        self.created[mechanism as usize].add(1);
    }

    fn created(&self) -> impl Iterator<Item = Series> {
        MECHANISMS.iter().zip(&self.created).map(|(mechanism, count)| Series {
            part: Some(("mechanism", mechanism)),
            ..Series::new("batch_created", SampleValue::Counter(count.get()))
        })
    }

    fn cache_series(&self) -> Vec<Series> {
        let mut all = Vec::new();
        let Some(operations) = &self.operations else { return all };
        for (operation, asked) in OPERATIONS.iter().zip(operations.iter()) {
            let mut add = |name, value| {
                all.push(Series { part: Some(("operation", operation)), ..Series::new(name, value) })
            };
            for (name, count) in ANSWERS.iter().zip(&asked.answers) {
                let fits = match *name {
                    "cache_not_found" => *operation == "get",
                    "cache_duplicate" => *operation == "add",
                    _ => true,
                };
                if fits {
                    add(*name, SampleValue::Counter(count.get()));
                }
            }
            add("cache_latency_ns", SampleValue::Timing(asked.latency.timing()));
        }
        all
    }

    /// Every number under its metric name, with the labels `label` and `path`.
    pub fn samples(&self) -> impl Iterator<Item = Sample> {
        self.series().into_iter().map(|series| {
            let mut labels = self.labels();
            labels.extend(series.part.map(|(label, text)| (label.to_owned(), text.to_owned())));
            Sample { name: series.name.to_owned(), labels, value: series.value }
        })
    }

    /// The labels of every number of this component.
    pub(crate) fn labels(&self) -> Vec<(String, String)> {
        vec![
            ("label".to_owned(), self.label.clone().unwrap_or_default()),
            ("path".to_owned(), self.path.clone()),
        ]
    }

    /// One operation of a cache has ended.
    pub(crate) fn cache_did(&self, operation: Operation, answer: Answer, took: Duration) {
        if let Some(operations) = &self.operations {
            let asked = &operations[operation as usize];
            asked.answers[answer as usize].add(1);
            asked.latency.record(took);
        }
    }
}

/// One number of a component.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its metric name.
    pub name: &'static str,
    /// What tells it from others of its name: the operation of a cache, the endpoint of an input, what has ended
    /// batches.
    pub part: Option<(&'static str, &'static str)>,
    /// The number.
    pub value: SampleValue,
}

impl Series {
    pub(crate) fn new(name: &'static str, value: SampleValue) -> Series {
        Series { name, part: None, value }
    }
}

/// What became of one operation of a cache.
#[derive(Debug, Default)]
struct Asked {
    // By [`Answer`].
    answers: [Count; 4],
    latency: Latency,
}

/// What has ended a batch of a batching policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mechanism {
    Size,
    Count,
    Period,
    Check,
    /// There was no more to gather.
    End,
}

const MECHANISMS: [&str; 5] = ["size", "count", "period", "check", "end"];

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
