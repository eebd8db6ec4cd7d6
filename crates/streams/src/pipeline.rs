//! Processors: in order, and several batches at once where the stream has threads.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;

use crate::ack::{NackReason, Transaction};
use crate::added::AllAdded;
use crate::build::Stage;
use crate::message::{Batch, Message};
use crate::panics::{Panicked, guarded};
use crate::task::Task;

/// Runs a batch through a list of processors, one after the other: for components that have processors of their own.
/// What comes out are the batches to go on with; none when everything was filtered.
pub async fn run_stages(stages: &[Stage], batch: Batch) -> Vec<Batch> {
    run_noting(stages, batch, None).await
}

/// The same, taking note of what is added for the messages on their way.
async fn run_noting(stages: &[Stage], batch: Batch, added: Option<&AllAdded>) -> Vec<Batch> {
    let mut batches = vec![batch];
    for stage in stages {
        let mut next = Vec::with_capacity(batches.len());
        for batch in batches {
            let mut made = stage.process(batch).await;
            if let Some(added) = added.filter(|_| stage.adds_keys) {
                added.take(&mut made);
            }
            next.extend(made);
        }
        batches = next;
    }
    batches
}

impl Stage {
    /// Runs one batch through the processor and counts what it does. Empty batches are left out. A panic of the processor is
    /// counted and goes on to whoever holds the ack.
    pub async fn process(&self, mut batch: Batch) -> Vec<Batch> {
        let probe = &self.probe;
        let started = Instant::now();
        probe.received.add(batch.len() as u64);
        probe.batches_received.add(1);
        // Only failures of this stage count here, not those that came with the message.
        let failed_before = failures(&batch);
        let inside = self.spans.as_ref().map(|spans| (spans, spans.enter(&mut batch)));
        let made = guarded(probe, "processing", self.processor.process(batch)).await;
        let mut made = made.unwrap_or_else(|panicked| panicked.pass_on());
        made.retain(|batch| !batch.is_empty());
        if let Some((spans, inside)) = inside {
            spans.leave(inside, &mut made);
        }
        let mut failed = 0;
        for message in made.iter_mut().flatten().filter(|message| message.error().is_some()) {
            message.failed_at(probe);
            failed += 1;
        }
        if failed > failed_before {
            made.iter().flatten().filter_map(Message::error).for_each(|text| probe.set_error(text));
            probe.errors.add((failed - failed_before) as u64);
        }
        for batch in &made {
            probe.sent.add(batch.len() as u64);
        }
        probe.batches_sent.add(made.len() as u64);
        probe.latency.since(started);
        made
    }
}

fn failures(batch: &[Message]) -> usize {
    batch.iter().filter(|message| message.error().is_some()).count()
}

/// Runs a batch through the stages. What comes out shares the ack; nothing out means delivered (5.1),
/// a panic that it comes again.
pub(crate) async fn process(stages: &[Stage], transaction: Transaction) -> Vec<Transaction> {
    if stages.is_empty() {
        return vec![transaction];
    }
    let Transaction { batch, mut ack } = transaction;
    let added = stages.iter().any(|stage| stage.adds_keys).then(AllAdded::default);
    if let Some(added) = &added {
        ack = added.guard(ack);
    }
    let batches = match AssertUnwindSafe(run_noting(stages, batch, added.as_ref())).catch_unwind().await {
        Ok(batches) => batches,
        // The processor has counted it.
        Err(panic) => {
            ack.done(Err(NackReason::failed(Panicked::caught(panic).to_string())));
            return Vec::new();
        }
    };
    let acks = ack.share(batches.len());
    batches.into_iter().zip(acks).map(|(batch, ack)| Transaction { batch, ack }).collect()
}

/// Processing that takes longer than this on average is worth a task of its own, which other cores can run.
const WORTH_A_TASK: Duration = Duration::from_micros(20);
/// One batch in so many is timed, while batches are processed in place.
const TIMED: u32 = 32;

/// What comes out of the processors, in the order of arrival whatever the number of threads (unlike the original).
///
/// It runs in the task of whoever asks: short work is done in place, where handing it over would cost more than doing
/// it. A batch that has to wait for something, or that takes long, gets a task of its own; so up to `threads` batches
/// are processed at once.
pub(crate) struct Pipeline {
    stages: Arc<[Stage]>,
    threads: usize,
    from: mpsc::Receiver<Transaction>,
    open: bool,
    running: FuturesOrdered<Task<Worked>>,
    ready: VecDeque<Transaction>,
    // What processing a batch takes, averaged over the last ones that were timed.
    cost: Duration,
    taken: u32,
}

impl From<mpsc::Receiver<Transaction>> for Pipeline {
    /// No processors: what arrives comes out.
    fn from(from: mpsc::Receiver<Transaction>) -> Pipeline {
        Pipeline::new(Vec::new(), 1, from)
    }
}

impl Pipeline {
    pub(crate) fn new(stages: Vec<Stage>, threads: usize, from: mpsc::Receiver<Transaction>) -> Pipeline {
        Pipeline {
            stages: stages.into(),
            threads: threads.max(1),
            from,
            open: true,
            running: FuturesOrdered::new(),
            ready: VecDeque::new(),
            cost: Duration::ZERO,
            taken: 0,
        }
    }

    /// The next processed batch; `None` when there will be none any more. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Transaction> {
        loop {
            if let Some(transaction) = self.ready.pop_front() {
                return Some(transaction);
            }
            tokio::select! {
                biased;
                // A task that broke down has dropped its batch, which is a nack.
                Some(processed) = self.running.next(), if !self.running.is_empty() => {
                    if let Ok(worked) = processed {
                        self.done(worked);
                    }
                }
                arrived = self.from.recv(), if self.open && self.running.len() < self.threads => match arrived {
                    Some(transaction) if self.stages.is_empty() => return Some(transaction),
                    Some(transaction) => self.take(transaction),
                    None => self.open = false,
                },
                else => return None,
            }
        }
    }

    /// Processes a batch in place, or starts to.
    fn take(&mut self, transaction: Transaction) {
        self.taken = self.taken.wrapping_add(1);
        let timed = self.taken.is_multiple_of(TIMED);
        let short = self.threads == 1 || self.cost < WORTH_A_TASK;
        if !short || !self.running.is_empty() {
            self.running.push_back(Task::spawn(work(self.stages.clone(), transaction, true)));
            return;
        }
        let mut working = Box::pin(work(self.stages.clone(), transaction, timed));
        // Nobody is to be woken yet: when it is not done at once, its task asks again.
        let mut nobody = Context::from_waker(Waker::noop());
        match catch_unwind(AssertUnwindSafe(|| working.as_mut().poll(&mut nobody))) {
            Ok(Poll::Ready(worked)) => self.done(worked),
            Ok(Poll::Pending) => self.running.push_back(Task::spawn(working)),
            // As in a task: the batch is dropped, which is a nack.
            Err(_) => {}
        }
    }

    fn done(&mut self, (processed, took): Worked) {
        self.ready.extend(processed);
        if let Some(took) = took {
            self.cost = (self.cost * 7 + took) / 8;
        }
    }
}

/// What became of a batch, and how long it took if that was measured.
type Worked = (Vec<Transaction>, Option<Duration>);

async fn work(stages: Arc<[Stage]>, transaction: Transaction, timed: bool) -> Worked {
    let started = timed.then(Instant::now);
    let processed = process(&stages, transaction).await;
    (processed, started.map(|started| started.elapsed()))
}
