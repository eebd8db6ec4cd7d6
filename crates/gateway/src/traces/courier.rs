//! Brings spans to the collector: a bounded queue, batches, attempts with pauses. No exchange ever waits for it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::{Mutex, Notify, mpsc};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::otlp::{self, Refused};
use super::settings::TraceSettings;
use super::span::Finished;
use super::transport::Transport;

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pauses before further attempts; then the batch is dropped and counted.
const PAUSES: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];
/// How long an ending gate waits for its spans to be taken.
const SETTLING: Duration = Duration::from_secs(5);
/// Complaints of the same sort are told so often.
const COMPLAIN_EVERY: Duration = Duration::from_secs(30);

/// What brings spans to the collector.
#[derive(Debug)]
pub(super) struct Courier {
    settings: TraceSettings,
    sender: mpsc::UnboundedSender<Finished>,
    /// Spans that wait or are being sent: never more than the configuration says.
    waiting: AtomicUsize,
    /// Spans that found no room, since that was told.
    without_room: AtomicU64,
    taken: AtomicU64,
    lost: AtomicU64,
    finishing: Notify,
    // Held while something is sent.
    work: Mutex<Work>,
}

/// What is not sent yet.
#[derive(Debug)]
struct Work {
    receiver: mpsc::UnboundedReceiver<Finished>,
    transport: Transport,
    /// Who sends; known once it is run.
    resource: Resource,
    traces: Vec<Finished>,
    spans: Vec<Span>,
    /// A message on its way, and how many spans it holds. It stays here until it is taken or given up, so that nothing is
    /// lost when whoever sends it is cut off.
    message: Option<(Bytes, usize)>,
    full: Complaint,
    refused: Complaint,
}

/// When something was told the last time, and what was counted since.
#[derive(Debug, Default)]
struct Complaint {
    told: Option<Instant>,
    since: u64,
}

impl Complaint {
    /// Counts; gives the whole count when it is time to tell it.
    fn count(&mut self, spans: u64) -> Option<u64> {
        self.since += spans;
        let due = self.told.is_none_or(|told| told.elapsed() >= COMPLAIN_EVERY);
        (due && self.since > 0).then(|| {
            self.told = Some(Instant::now());
            std::mem::take(&mut self.since)
        })
    }
}

impl Courier {
    /// Blocking: reads files.
    pub(super) fn new(settings: TraceSettings) -> Result<Self, String> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let work = Work {
            receiver,
            transport: Transport::new(&settings)?,
            resource: Resource::default(),
            traces: Vec::new(),
            spans: Vec::new(),
            message: None,
            full: Complaint::default(),
            refused: Complaint::default(),
        };
        Ok(Self {
            settings,
            sender,
            waiting: AtomicUsize::new(0),
            without_room: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            finishing: Notify::new(),
            work: Mutex::new(work),
        })
    }

    /// Takes a trace, if there is room for all of its spans.
    pub(super) fn take(&self, finished: Finished) {
        let spans = finished.count();
        let before = self.waiting.fetch_add(spans, Relaxed);
        if before + spans > self.settings.most_waiting || self.sender.send(finished).is_err() {
            self.waiting.fetch_sub(spans, Relaxed);
            self.without_room.fetch_add(spans as u64, Relaxed);
            self.lost.fetch_add(spans as u64, Relaxed);
        }
    }

    /// Spans that wait, room for them, spans that were taken, and spans that were not.
    pub(super) fn counts(&self) -> [u64; 4] {
        [
            self.waiting.load(Relaxed) as u64,
            self.settings.most_waiting as u64,
            self.taken.load(Relaxed),
            self.lost.load(Relaxed),
        ]
    }

    pub(super) async fn run(&self, node: &str) {
        let work = &mut *self.work.lock().await;
        work.resource = otlp::resource(&self.settings, node);
        loop {
            tokio::select! {
                biased;
                () = self.finishing.notified() => return,
                () = self.round(work) => {}
            }
        }
    }

    /// One batch. Cancel safe: what is not sent stays in `work`.
    async fn round(&self, work: &mut Work) {
        if work.message.is_none() && work.spans.is_empty() {
            gather(work, self.settings.most_at_once, self.settings.gather).await;
        }
        self.deliver(work).await;
    }

    pub(super) async fn finish(&self) {
        self.finishing.notify_one();
        let rest = async {
            let work = &mut *self.work.lock().await;
            while let Ok(finished) = work.receiver.try_recv() {
                work.traces.push(finished);
            }
            self.deliver(work).await;
        };
        if timeout(SETTLING, rest).await.is_err() {
            let spans = self.waiting.load(Relaxed);
            tracing::warn!(spans, "the last spans were not taken in time by the collector of traces");
        }
    }

    /// Sends all that was gathered.
    async fn deliver(&self, work: &mut Work) {
        if let Some(spans) = work.full.count(self.without_room.swap(0, Relaxed)) {
            tracing::warn!(
                spans,
                "spans were dropped: the collector of traces does not take them as fast as they come"
            );
        }
        work.spans.extend(work.traces.drain(..).flat_map(|finished| finished.spans().collect::<Vec<_>>()));
        loop {
            if work.message.is_none() {
                if work.spans.is_empty() {
                    return;
                }
                let count = work.spans.len().min(self.settings.most_at_once);
                let request = otlp::request(&work.resource, work.spans.drain(..count).collect());
                work.message = Some((otlp::encoded(&request, self.settings.grpc), count));
            }
            let Some((message, count)) = work.message.clone() else { return };
            let sent = attempts(&mut work.transport, &message).await;
            work.message = None;
            self.waiting.fetch_sub(count, Relaxed);
            self.tell(work, count as u64, sent);
        }
    }

    fn tell(&self, work: &mut Work, count: u64, sent: Result<Option<(u64, String)>, Refused>) {
        let (lost, why) = match sent {
            Ok(None) => (0, String::new()),
            Ok(Some((unwanted, why))) => (unwanted.min(count), why),
            Err(refused) => (count, refused.text),
        };
        self.taken.fetch_add(count - lost, Relaxed);
        self.lost.fetch_add(lost, Relaxed);
        if lost > 0
            && let Some(spans) = work.refused.count(lost)
        {
            let endpoint = &self.settings.endpoint;
            tracing::warn!(endpoint, spans, why, "the collector of traces did not take spans");
        }
    }
}

/// Waits for a trace, and a while for more. Cancel safe.
async fn gather(work: &mut Work, most: usize, period: Duration) {
    // Never ends, since the courier itself holds a sender.
    work.receiver.recv_many(&mut work.traces, most).await;
    let deadline = Instant::now() + period;
    loop {
        let spans: usize = work.traces.iter().map(Finished::count).sum();
        if spans >= most {
            return;
        }
        let more = work.receiver.recv_many(&mut work.traces, most - spans);
        if timeout_at(deadline, more).await.is_err() {
            return;
        }
    }
}

async fn attempts(transport: &mut Transport, message: &Bytes) -> Result<Option<(u64, String)>, Refused> {
    let mut pauses = PAUSES.iter();
    loop {
        let sent = timeout(PATIENCE, transport.send(message)).await;
        let sent = sent.unwrap_or_else(|_| Err(Refused::later(format!("no answer within {PATIENCE:?}"))));
        match (sent, pauses.next()) {
            (Err(refused), Some(pause)) if refused.later => sleep(*pause).await,
            (sent, _) => return sent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn complaints_are_told_once_in_a_while() {
        let mut complaint = Complaint::default();
        assert_eq!(complaint.count(0), None);
        assert_eq!(complaint.count(2), Some(2));
        assert_eq!(complaint.count(3), None);
        tokio::time::advance(COMPLAIN_EVERY).await;
        assert_eq!(complaint.count(1), Some(4));
        assert_eq!(complaint.count(0), None);
    }
}
