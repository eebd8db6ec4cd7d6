//! Processors: in order, and several batches at once where the stream has threads.

use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::ack::Transaction;
use crate::build::Stage;
use crate::message::{Batch, Message};

/// Runs a batch through a list of processors, one after the other: for components that have processors of their own.
/// What comes out are the batches to go on with; none when everything was filtered.
pub async fn run_stages(stages: &[Stage], batch: Batch) -> Vec<Batch> {
    let mut batches = vec![batch];
    for stage in stages {
        let mut next = Vec::with_capacity(batches.len());
        for batch in batches {
            next.extend(stage.process(batch).await);
        }
        batches = next;
    }
    batches
}

impl Stage {
    /// Runs one batch through the processor and counts what it does. Empty batches are left out.
    pub async fn process(&self, batch: Batch) -> Vec<Batch> {
        let probe = &self.probe;
        let started = Instant::now();
        probe.received.add(batch.len() as u64);
        probe.batches_received.add(1);
        // Only failures of this stage count here, not those that came with the message.
        let failed_before = failures(&batch);
        let mut made = self.processor.process(batch).await;
        made.retain(|batch| !batch.is_empty());
        let failed: usize = made.iter().map(|batch| failures(batch)).sum();
        if failed > failed_before {
            made.iter().flatten().filter_map(Message::error).for_each(|text| probe.set_error(text));
            probe.errors.add((failed - failed_before) as u64);
        }
        for batch in &made {
            probe.sent.add(batch.len() as u64);
        }
        probe.batches_sent.add(made.len() as u64);
        probe.latency_ns.add(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
        made
    }
}

fn failures(batch: &[Message]) -> usize {
    batch.iter().filter(|message| message.error().is_some()).count()
}

/// Runs a batch through the stages. What comes out shares the ack; nothing out means delivered (5.1).
pub(crate) async fn process(stages: &[Stage], transaction: Transaction) -> Vec<Transaction> {
    if stages.is_empty() {
        return vec![transaction];
    }
    let Transaction { batch, ack } = transaction;
    let batches = run_stages(stages, batch).await;
    let acks = ack.share(batches.len());
    batches.into_iter().zip(acks).map(|(batch, ack)| Transaction { batch, ack }).collect()
}

/// Processes what arrives, up to `threads` batches at once, and hands it on in the order of arrival.
///
/// Unlike the original, order is kept whatever the number of threads.
pub(crate) async fn run(
    stages: Vec<Stage>,
    threads: usize,
    mut from: mpsc::Receiver<Transaction>,
    to: mpsc::Sender<Transaction>,
) {
    if threads <= 1 {
        while let Some(transaction) = from.recv().await {
            for processed in process(&stages, transaction).await {
                if to.send(processed).await.is_err() {
                    return;
                }
            }
        }
        return;
    }
    let stages = Arc::new(stages);
    let mut running: FuturesOrdered<JoinHandle<Vec<Transaction>>> = FuturesOrdered::new();
    let mut open = true;
    while open || !running.is_empty() {
        tokio::select! {
            biased;
            Some(processed) = running.next(), if !running.is_empty() => {
                // A panic in a processor has dropped its batch, which is a nack.
                for transaction in processed.unwrap_or_default() {
                    if to.send(transaction).await.is_err() {
                        return;
                    }
                }
            }
            arrived = from.recv(), if open && running.len() < threads => match arrived {
                Some(transaction) => {
                    let stages = stages.clone();
                    running.push_back(tokio::spawn(async move { process(&stages, transaction).await }));
                }
                None => open = false,
            },
        }
    }
}
