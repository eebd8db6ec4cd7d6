//! Runs one output: processes, gathers, connects, writes up to its limit at once, and closes it.

use std::collections::VecDeque;
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
use crate::source::due;

/// Runs until nothing more arrives and everything that arrived is written, then closes the output.
pub(crate) async fn run(mut node: OutputNode, from: impl Into<Pipeline>) {
    let gather = node.batching.take().map(Gather::new);
    write_all(&node, gather, &mut from.into()).await;
    let _ = guarded(&node.probe, "closing", node.output.close()).await;
}

async fn write_all(node: &OutputNode, mut gather: Option<Gather>, from: &mut Pipeline) {
    let limit = node.output.max_in_flight().max(1);
    node.probe.queue_limit.set(limit as u64);
    let mut ready: VecDeque<Transaction> = VecDeque::new();
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
            let Some(transaction) = ready.pop_front() else { break };
            writing.push(consume(node, transaction));
        }
        node.probe.queued.set((ready.len() + writing.len()) as u64);
        if !open && ready.is_empty() && writing.is_empty() {
            return;
        }
        tokio::select! {
            biased;
            Some(written) = writing.next(), if !writing.is_empty() => {
                if let Err((batch, ack)) = written {
                    node.probe.lost();
                    if connected {
                        fruitless += 1;
                    }
                    connected = false;
                    ready.push_front(Transaction { batch, ack });
                } else {
                    fruitless = 0;
                }
            }
            () = due(gather.as_ref()), if ready.is_empty() => {
                flush(node, &mut gather, &mut ready).await;
            }
            // One more than may be written is taken, so that it is processed meanwhile.
            arrived = from.next(), if open && connected && ready.is_empty() => {
                match arrived {
                    Some(transaction) => {
                        for Transaction { batch, ack } in process(&node.stages, transaction).await {
                            let transaction = counted(node, Transaction { batch, ack });
                            match &mut gather {
                                Some(gather_in) => {
                                    if gather_in.add(transaction) {
                                        flush(node, &mut gather, &mut ready).await;
                                    }
                                }
                                None => ready.push_back(transaction),
                            }
                        }
                    }
                    None => {
                        open = false;
                        flush(node, &mut gather, &mut ready).await;
                    }
                }
            }
        }
    }
}

/// Hands a batch to the output. A panic has dropped the ack, which is a nack.
async fn consume(node: &OutputNode, Transaction { batch, ack }: Transaction) -> Result<(), (Batch, Ack)> {
    guarded(&node.probe, "writing", node.output.consume(batch, ack)).await.unwrap_or(Ok(()))
}

async fn flush(node: &OutputNode, gather: &mut Option<Gather>, ready: &mut VecDeque<Transaction>) {
    if let Some(gather) = gather {
        ready.extend(gather.flush(&node.probe).await);
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
