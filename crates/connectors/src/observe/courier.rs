//! Brings spans to where they go: a bounded queue, batches, attempts with pauses. No message ever waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use document::Fault;
use streams::{Node, Span, Tracer};
use tokio::sync::{Mutex, Notify, mpsc};
use tokio::time::timeout;

/// How the service is called where nothing else is said.
pub(super) const SERVICE: &str = "bento";

/// Spans that wait; one more is dropped and counted.
const QUEUE: usize = 16_384;
/// Spans of one message.
const BATCH: usize = 512;
/// How long the first span of a batch waits for more.
pub(super) const GATHER: Duration = Duration::from_millis(500);
/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pauses before further attempts; then the batch is dropped and counted.
const PAUSES: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refused {
    pub(super) text: String,
    /// It may be taken later.
    pub(super) later: bool,
}

impl Refused {
    pub(super) fn later(text: String) -> Refused {
        Refused { text, later: true }
    }

    pub(super) fn never(text: String) -> Refused {
        Refused { text, later: false }
    }

    pub(super) fn of(self, told: impl Fn(String) -> String) -> Refused {
        Refused { text: told(self.text), ..self }
    }
}

/// Writes spans and sends them.
#[async_trait]
pub(super) trait Route: Send + Sync {
    /// How many places they go to.
    fn targets(&self) -> usize;

    /// Messages of these spans, the same for all targets.
    fn message(&self, spans: &[Span]) -> Vec<Bytes>;

    /// Sends a message once.
    async fn send(&self, target: usize, message: &Bytes) -> Result<(), Refused>;
}

/// Which traces are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Sampling {
    /// Those that whoever began them records, and those that begin here.
    AsParent,
    /// A part of all, from 0 to 1.
    Ratio(f64),
}

/// A tracer that sends what it records.
pub(super) struct Courier<R> {
    stream: Arc<str>,
    sampling: Sampling,
    sender: mpsc::Sender<Span>,
    // Held while something is sent.
    queue: Mutex<Queue>,
    finishing: Notify,
    dropped: AtomicU64,
    route: R,
    gather: Duration,
}

/// What is not sent yet.
struct Queue {
    receiver: mpsc::Receiver<Span>,
    /// Taken out of it. It stays here until it is sent, so that nothing is lost when whoever gathers it is cut off.
    batch: Vec<Span>,
}

impl<R: Route> Courier<R> {
    pub(super) fn new(stream: Arc<str>, sampling: Sampling, route: R) -> Courier<R> {
        Courier::with_period(stream, sampling, route, GATHER)
    }

    pub(super) fn with_period(
        stream: Arc<str>,
        sampling: Sampling,
        route: R,
        gather: Duration,
    ) -> Courier<R> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let queue = Queue { receiver, batch: Vec::with_capacity(BATCH) };
        Courier {
            stream,
            sampling,
            sender,
            queue: Mutex::new(queue),
            dropped: AtomicU64::new(0),
            finishing: Notify::new(),
            route,
            gather,
        }
    }

    async fn deliver(&self, spans: &[Span]) {
        let dropped = self.dropped.swap(0, Relaxed);
        if dropped > 0 {
            tracing::warn!(stream = %self.stream, dropped, "spans were dropped: they come faster than they are sent");
        }
        for message in self.route.message(spans) {
            let all = (0..self.route.targets()).map(|target| self.attempts(target, &message, spans.len()));
            futures_util::future::join_all(all).await;
        }
    }

    async fn attempts(&self, target: usize, message: &Bytes, spans: usize) {
        let mut pauses = PAUSES.iter();
        loop {
            let sent = timeout(PATIENCE, self.route.send(target, message)).await;
            let Err(refused) =
                sent.unwrap_or_else(|_| Err(Refused::later(format!("no answer within {PATIENCE:?}"))))
            else {
                return;
            };
            match pauses.next().filter(|_| refused.later) {
                Some(pause) => tokio::time::sleep(*pause).await,
                None => {
                    let fault = refused.text;
                    tracing::warn!(stream = %self.stream, fault, spans, "spans were not taken");
                    return;
                }
            }
        }
    }
}

#[async_trait]
impl<R: Route> Tracer for Courier<R> {
    fn sample(&self, trace_id: u128, parent: Option<bool>) -> bool {
        match self.sampling {
            Sampling::AsParent => parent.unwrap_or(true),
            // As the SDKs of OpenTelemetry decide, so that all services decide alike: by 63 bits of the id.
            Sampling::Ratio(ratio) => {
                ratio >= 1.0 || (trace_id as u64) >> 1 < (ratio * (1u64 << 63) as f64) as u64
            }
        }
    }

    fn record(&self, span: Span) {
        if self.sender.try_send(span).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    async fn run(&self) {
        let Queue { receiver, batch } = &mut *self.queue.lock().await;
        loop {
            tokio::select! {
                biased;
                () = self.finishing.notified() => return,
                () = gather(receiver, batch, self.gather) => {}
            }
            self.deliver(batch).await;
            batch.clear();
        }
    }

    async fn finish(&self) {
        self.finishing.notify_one();
        let Queue { receiver, batch } = &mut *self.queue.lock().await;
        loop {
            while batch.len() < BATCH
                && let Ok(span) = receiver.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() {
                return;
            }
            self.deliver(batch).await;
            batch.clear();
        }
    }
}

/// Waits for a span, and a while for more. Cancel safe.
async fn gather(receiver: &mut mpsc::Receiver<Span>, batch: &mut Vec<Span>, period: Duration) {
    // Never ends, since the courier itself holds a sender.
    receiver.recv_many(batch, BATCH).await;
    let deadline = tokio::time::Instant::now() + period;
    while batch.len() < BATCH {
        let room = BATCH - batch.len();
        if tokio::time::timeout_at(deadline, receiver.recv_many(batch, room)).await.is_err() {
            return;
        }
    }
}

/// A field that says which part of the traces is recorded.
pub(super) fn ratio(node: &Node<'_>, name: &str) -> Result<f64, Fault> {
    let ratio = node.float(name)?;
    if node.has(name) && (0.0..=1.0).contains(&ratio) {
        return Ok(ratio);
    }
    Err(node.field_fault(name, format!("`{name}` must be a number from 0 to 1")))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nowhere;

    #[async_trait]
    impl Route for Nowhere {
        fn targets(&self) -> usize {
            0
        }

        fn message(&self, _: &[Span]) -> Vec<Bytes> {
            Vec::new()
        }

        async fn send(&self, _: usize, _: &Bytes) -> Result<(), Refused> {
            Ok(())
        }
    }

    #[test]
    fn traces_are_recorded_as_their_parents_or_by_a_part_of_their_ids() {
        const LOW: u128 = 1 << 64;
        const MIDDLE: u128 = LOW | (1 << 63) | 1;
        const HIGH: u128 = LOW | u64::MAX as u128;
        for (sampling, trace_id, parent, recorded) in [
            (Sampling::AsParent, HIGH, None, true),
            (Sampling::AsParent, HIGH, Some(true), true),
            (Sampling::AsParent, LOW, Some(false), false),
            (Sampling::Ratio(0.0), LOW, Some(true), false),
            (Sampling::Ratio(0.5), LOW, Some(false), true),
            (Sampling::Ratio(0.5), MIDDLE, Some(true), false),
            (Sampling::Ratio(0.51), MIDDLE, None, true),
            (Sampling::Ratio(1.0), HIGH, Some(false), true),
        ] {
            let courier = Courier::new("s".into(), sampling, Nowhere);
            assert_eq!(courier.sample(trace_id, parent), recorded, "{sampling:?} {trace_id:x} {parent:?}");
        }
    }
}
