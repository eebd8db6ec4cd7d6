//! Runs one output: processes, gathers, connects, writes up to its limit at once, and closes it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::ack::{Ack, Transaction};
use crate::backoff::OUTPUT_CONNECT;
use crate::batching::Gather;
use crate::build::OutputNode;
use crate::component::ConnectError;
use crate::message::Batch;
use crate::panics::guarded;
use crate::pipeline::{Pipeline, process};
use crate::places::apart;
use crate::source::due;

/// Runs until nothing more arrives and everything that arrived is written, then closes the output.
pub(crate) async fn run(mut node: OutputNode, from: impl Into<Pipeline>) {
    let gather = node.batching.take().map(Gather::new);
    write_all(&node, gather, &mut from.into()).await;
    let _ = guarded(&node.probe, "closing", node.output.close()).await;
}

async fn write_all(node: &OutputNode, gather: Option<Gather>, from: &mut Pipeline) {
    let limit = node.output.max_in_flight().max(1);
    node.probe.queue_limit.set(limit as u64);
    let mut before = Before::new(node, gather);
    let mut writing = FuturesUnordered::new();
    let mut open = true;
    let mut connected = false;
    // Connections lost in a row without anything written in between.
    let mut fruitless = 0;
    loop {
        if !connected && writing.is_empty() {
            // A connection that comes at once and carries nothing is not made again and again without a pause.
            if fruitless > 1 {
                tokio::time::sleep(OUTPUT_CONNECT.pause(fruitless - 2)).await;
            }
            connect(node).await;
            connected = true;
        }
        while connected && writing.len() < limit {
            let Some(transaction) = before.ready.pop_front() else { break };
            writing.push(consume(node, transaction));
        }
        node.probe.queued.set((before.len() + writing.len()) as u64);
        if !open && before.len() == 0 && writing.is_empty() {
            return;
        }
        let due = due(before.gather.as_ref());
        tokio::select! {
            biased;
            Some(written) = writing.next(), if !writing.is_empty() => {
                if let Err((batch, ack)) = written {
                    node.probe.lost();
                    if connected {
                        fruitless += 1;
                    }
                    connected = false;
                    before.ready.push_front(Transaction { batch, ack });
                } else {
                    fruitless = 0;
                }
            }
            () = before.work(), if before.working.is_some() => {}
            () = due, if before.len() == 0 => before.flush(),
            // One more than may be written is taken, so that it is processed meanwhile.
            arrived = from.next(), if open && connected && before.len() == 0 => match arrived {
                Some(transaction) => before.take(transaction),
                None => {
                    open = false;
                    before.flush();
                }
            }
        }
    }
}

/// Hands a batch to the output. A panic has dropped the ack, which is a nack.
async fn consume(node: &OutputNode, Transaction { batch, ack }: Transaction) -> Result<(), (Batch, Ack)> {
    guarded(&node.probe, "writing", node.output.consume(batch, ack)).await.unwrap_or(Ok(()))
}

/// What happens to batches before they are written, while others are being written: processors, a batching policy, its
/// processors.
struct Before<'n> {
    node: &'n OutputNode,
    gather: Option<Gather>,
    // One batch is processed at a time, which keeps the order.
    working: Option<Pin<Box<dyn Future<Output = Made> + Send + 'n>>>,
    // Processed, and not yet gathered.
    processed: VecDeque<Transaction>,
    // To be written.
    ready: VecDeque<Transaction>,
}

/// What processors have made.
enum Made {
    /// Of a batch that arrived.
    OfOne(Vec<Transaction>),
    /// Of one that was gathered.
    OfGathered(Vec<Transaction>),
}

impl<'n> Before<'n> {
    fn new(node: &'n OutputNode, gather: Option<Gather>) -> Before<'n> {
        Before { node, gather, working: None, processed: VecDeque::new(), ready: VecDeque::new() }
    }

    /// Batches held, without what is gathered.
    fn len(&self) -> usize {
        self.ready.len() + self.processed.len() + usize::from(self.working.is_some())
    }

    /// Takes a batch in, when nothing else is held.
    fn take(&mut self, transaction: Transaction) {
        let node = self.node;
        if node.stages.is_empty() {
            self.processed.push_back(transaction);
            self.go_on();
        } else {
            let working = async { Made::OfOne(process(&node.stages, transaction).await) };
            self.working = Some(Box::pin(working));
        }
    }

    /// Goes on processing; never returns when there is nothing to process. Cancel safe.
    async fn work(&mut self) {
        let Some(working) = &mut self.working else { return std::future::pending().await };
        let made = working.await;
        self.working = None;
        match made {
            Made::OfOne(made) => self.processed.extend(made),
            Made::OfGathered(made) => self.ready.extend(made.into_iter().map(apart)),
        }
        self.go_on();
    }

    /// Hands on what is processed, until a gathered batch has to be processed first.
    fn go_on(&mut self) {
        while self.working.is_none()
            && let Some(transaction) = self.processed.pop_front()
        {
            let transaction = counted(self.node, transaction);
            match &mut self.gather {
                None => self.ready.push_back(apart(transaction)),
                Some(gather) => {
                    if gather.add(transaction) {
                        self.flush();
                    }
                }
            }
        }
    }

    /// What is gathered is a batch now.
    fn flush(&mut self) {
        let Some(gather) = &mut self.gather else { return };
        let Some((transaction, stages)) = gather.take(&self.node.probe) else { return };
        if stages.is_empty() {
            self.ready.push_back(transaction);
        } else {
            let working = async move { Made::OfGathered(process(&stages, transaction).await) };
            self.working = Some(Box::pin(working));
        }
    }
}

/// Counts what becomes of a batch.
fn counted(node: &OutputNode, transaction: Transaction) -> Transaction {
    let Transaction { mut batch, ack } = transaction;
    let messages = batch.len() as u64;
    let probe = node.probe.clone();
    let started = Instant::now();
    let ack = Ack::new(move |outcome| {
        match &outcome {
            Ok(()) => {
                probe.sent.add(messages);
                probe.latency.since(started);
            }
            Err(reason) => {
                probe.errors.add(1);
                probe.set_error(reason.text());
            }
        }
        ack.done(outcome);
    });
    let ack = match &node.spans {
        Some(spans) => spans.write(&mut batch, ack),
        None => ack,
    };
    Transaction { batch, ack }
}

async fn connect(node: &OutputNode) {
    let probe = &node.probe;
    for attempt in 0.. {
        let connected = guarded(probe, "connecting", node.output.connect()).await;
        match connected.unwrap_or_else(|panicked| Err(ConnectError(panicked.to_string()))) {
            Ok(()) => return probe.up(),
            Err(fault) => {
                tracing::warn!(path = %probe.path, kind = probe.type_name, label = probe.label(), %fault, "output cannot connect");
                probe.failed(&fault.to_string());
            }
        }
        tokio::time::sleep(OUTPUT_CONNECT.pause(attempt)).await;
    }
}
