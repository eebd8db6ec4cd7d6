//! Runs a buffer: one end takes what the input hands on, the other feeds the pipeline.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use crate::ack::{Ack, Transaction};
use crate::backoff::OUTPUT_CONNECT;
use crate::batching::Gather;
use crate::buffer::Buffer;
use crate::build::BufferNode;
use crate::metrics::Probe;
use crate::panics::guarded;
use crate::source::due;

/// Runs until the input has ended and everything that the buffer gives out was handed on, or until nobody takes it.
pub(crate) async fn run(node: BufferNode, from: mpsc::Receiver<Transaction>, to: mpsc::Sender<Transaction>) {
    let BufferNode { buffer, batching, probe } = node;
    open(&*buffer, &probe).await;
    tokio::select! {
        // Ends after the other, since it waits for the end of input.
        () = give(&*buffer, batching.map(Gather::new), &probe, to) => {}
        () = async {
            take(&*buffer, &probe, from).await;
            std::future::pending().await
        } => {}
    }
    let _ = guarded(&probe, "closing", buffer.close()).await;
}

async fn open(buffer: &dyn Buffer, probe: &Probe) {
    for attempt in 0.. {
        let opened = guarded(probe, "opening", buffer.open()).await;
        match opened.unwrap_or_else(|panicked| Err(panicked.to_string())) {
            Ok(()) => return,
            Err(fault) => {
                tracing::warn!(path = %probe.path, kind = probe.type_name, label = probe.label(), %fault, "buffer cannot be opened");
                probe.failed(&fault);
            }
        }
        tokio::time::sleep(OUTPUT_CONNECT.pause(attempt)).await;
    }
}

async fn take(buffer: &dyn Buffer, probe: &Probe, mut from: mpsc::Receiver<Transaction>) {
    while let Some(transaction) = from.recv().await {
        probe.received.add(transaction.batch.len() as u64);
        probe.batches_received.add(1);
        let written = guarded(probe, "writing", buffer.write(transaction)).await;
        if let Ok(Err(fault)) = written {
            probe.errors.add(1);
            probe.set_error(&fault.to_string());
            tracing::warn!(path = %probe.path, kind = probe.type_name, label = probe.label(), %fault, "buffer did not take a batch");
        }
    }
    buffer.end_of_input();
}

async fn give(
    buffer: &dyn Buffer,
    mut gather: Option<Gather>,
    probe: &Arc<Probe>,
    to: mpsc::Sender<Transaction>,
) {
    loop {
        let read = tokio::select! {
            biased;
            () = due(gather.as_ref()) => None,
            read = guarded(probe, "reading", buffer.read()) => match read {
                Ok(read) => Some(read),
                Err(_) => {
                    tokio::time::sleep(OUTPUT_CONNECT.pause(0)).await;
                    continue;
                }
            },
        };
        let ended = matches!(read, Some(None));
        let arrived = read.flatten();
        let ready = match &mut gather {
            None => Vec::from_iter(arrived),
            Some(gather) => {
                let enough = match arrived {
                    Some(transaction) => gather.add(transaction),
                    None => true,
                };
                if enough { gather.flush(probe).await } else { Vec::new() }
            }
        };
        for transaction in ready {
            if to.send(counted(probe, transaction)).await.is_err() {
                return;
            }
        }
        if ended {
            return;
        }
    }
}

/// Counts a batch that leaves the buffer, and how long it takes until it is resolved.
fn counted(probe: &Arc<Probe>, Transaction { batch, ack }: Transaction) -> Transaction {
    probe.sent.add(batch.len() as u64);
    probe.batches_sent.add(1);
    let (probe, started) = (probe.clone(), Instant::now());
    let ack = Ack::new(move |outcome| {
        probe.latency.since(started);
        ack.done(outcome);
    });
    Transaction { batch, ack }
}
