//! The inputs: the stream's side of a consumer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use streams::{Ack, Batch, ConnectError, Input, NackKind, ReadError, pass};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::assignment::Shared;
use super::batching::{Gather, Gathered, Rules, Run};
use super::connection::{Link, Monitor, permitted_brokers, reached};
use super::consumer::{CHUNKS, Plan, Poller, Positions};
use crate::refusals::Refusals;

/// How long closing waits for the consumer's thread, which has the last commit and the farewell to the group to do.
const FAREWELL: Duration = Duration::from_secs(10);

/// How messages become batches.
pub(super) enum Gathering {
    /// Each goes alone.
    Alone,
    /// Those of one partition that are here at the same time go together: nothing behind can tell.
    Together,
    /// By rules.
    By(Rules),
}

/// The stream's side of a consumer.
pub(super) struct KafkaInput {
    plan: Arc<Plan>,
    gathered: Gathering,
    /// Where explicit partitions go on when no group keeps their offsets.
    positions: Positions,
    refusals: Refusals,
    running: Option<Running>,
    chunk: VecDeque<Run>,
    /// Messages that wait for others, one entry for each partition.
    gathering: Vec<Gather>,
}

/// A consumer and the ways to its thread.
struct Running {
    shared: Arc<Shared>,
    chunks: mpsc::Receiver<Vec<Run>>,
    link: watch::Receiver<Link>,
    ended: oneshot::Receiver<Positions>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl KafkaInput {
    pub(super) fn new(plan: Plan, gathered: Gathering) -> KafkaInput {
        KafkaInput {
            plan: Arc::new(plan),
            gathered,
            positions: Positions::new(),
            refusals: Refusals::default(),
            running: None,
            chunk: VecDeque::new(),
            gathering: Vec::new(),
        }
    }

    fn start(&self) -> Result<Running, ConnectError> {
        let monitor = Arc::new(Monitor::new(self.plan.credentials.clone(), self.plan.stream.clone()));
        let link = monitor.watch();
        let shared = Arc::new(Shared::new());
        let (sender, chunks) = mpsc::channel(CHUNKS);
        let (end, ended) = oneshot::channel();
        let poller = Poller::new(self.plan.clone(), monitor, shared.clone(), sender, &self.positions)
            .map_err(|fault| ConnectError(format!("no kafka consumer could be made: {fault}")))?;
        std::thread::Builder::new()
            .name("kafka-input".to_owned())
            .spawn(move || {
                let _ = end.send(poller.run());
            })
            .map_err(|fault| ConnectError(format!("no thread for a kafka consumer: {fault}")))?;
        Ok(Running { shared, chunks, link, ended })
    }

    /// Ends the consumer and waits for its last commit. May be cancelled and called again.
    async fn end(&mut self) {
        if let Some(running) = &mut self.running {
            running.shared.stop();
            running.chunks.close();
            if let Ok(Ok(positions)) = tokio::time::timeout(FAREWELL, &mut running.ended).await {
                self.positions.extend(positions);
            }
        }
        self.running = None;
        self.chunk.clear();
        self.gathering.clear();
    }

    /// The next batch that can be made of what is here.
    fn next(&mut self) -> Option<Gathered> {
        while let Some(run) = self.chunk.front_mut() {
            let gathered = match &self.gathered {
                Gathering::Alone => run.one(),
                Gathering::Together => run.rest(),
                Gathering::By(rules) => run.gather(rules, &mut self.gathering),
            };
            if run.is_empty() {
                self.chunk.pop_front();
            }
            if gathered.is_some() {
                return gathered;
            }
        }
        self.gathering.retain(|gather| !gather.partition.is_revoked());
        let now = Instant::now();
        let due = |gather: &Gather| gather.deadline.is_some_and(|deadline| deadline <= now);
        let at = self.gathering.iter().position(due)?;
        Some(self.gathering.swap_remove(at).flush())
    }
}

/// The stream takes a batch, unless its partition was given away meanwhile.
fn take(gathered: Gathered, shared: &Arc<Shared>) -> Option<(Batch, Ack)> {
    let Gathered { batch, partition, first, last } = gathered;
    if !partition.take(batch.len()) {
        return None;
    }
    let shared = shared.clone();
    let ack = Ack::new(move |outcome| {
        if partition.resolve(first, last, outcome.is_ok()) {
            shared.wake();
        }
        if outcome.is_err_and(|reason| reason.kind() != NackKind::Stopping) {
            shared.refuse();
        }
    });
    Some((batch, ack))
}

#[async_trait]
impl Input for KafkaInput {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        if self.running.as_ref().is_some_and(|running| running.chunks.is_closed()) {
            self.end().await;
        }
        if self.running.is_none() {
            self.refusals.wait().await;
            permitted_brokers(&self.plan.egress, &self.plan.config).await.map_err(ConnectError)?;
            self.running = Some(self.start()?);
        }
        let link = self.running.as_ref().map(|running| running.link.clone());
        match link {
            Some(link) => reached(link).await.map_err(ConnectError),
            None => Ok(()),
        }
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        loop {
            let Some(running) = &self.running else { return Err(ReadError::NotConnected) };
            let shared = running.shared.clone();
            if shared.was_refused() {
                tracing::warn!(stream = %self.plan.stream, "a message was refused; kafka is read again from the last acknowledged offset");
                self.refusals.refused();
                self.end().await;
                return Err(ReadError::NotConnected);
            }
            if let Some(limit) = &self.plan.rate_limit
                && !self.chunk.is_empty()
            {
                // Given up meanwhile, only the permission is lost.
                pass(&**limit, 0).await;
            }
            if let Some(gathered) = self.next() {
                match take(gathered, &shared) {
                    Some(taken) => return Ok(taken),
                    None => continue,
                }
            }
            let due = self.gathering.iter().filter_map(|gather| gather.deadline).min();
            let Some(running) = &mut self.running else { continue };
            tokio::select! {
                biased;
                chunk = running.chunks.recv() => match chunk {
                    Some(chunk) => {
                        self.chunk = chunk.into();
                        shared.wake();
                    }
                    None if shared.was_refused() => {}
                    None => {
                        self.end().await;
                        return Err(ReadError::NotConnected);
                    }
                },
                // The thread goes on connecting; the next `connect` waits for it.
                () = lost(&mut running.link) => return Err(ReadError::NotConnected),
                () = until(due) => {}
            }
        }
    }

    fn drain(&mut self) -> bool {
        if let Some(running) = &self.running {
            running.shared.drain();
        }
        // What was read ahead is not needed: it is not acknowledged, so it comes again.
        false
    }

    async fn close(&mut self) {
        self.end().await;
    }
}

/// Waits until no broker is reached any more. When the thread has ended, its channel says so, not this.
async fn lost(link: &mut watch::Receiver<Link>) {
    if link.wait_for(|link| *link != Link::Up).await.is_err() {
        std::future::pending().await
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
