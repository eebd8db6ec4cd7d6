//! Outputs below another output: each runs on its own and takes batches with their acks.

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::ack::{Ack, NackReason, Outcome, Transaction};
use crate::build::OutputNode;
use crate::message::Batch;
use crate::sink;
use crate::task::Tasks;

/// The outputs below one. One batch waits before each of them; then whoever writes does.
pub(super) struct Children {
    running: Mutex<Running>,
    limit: usize,
}

struct Running {
    // Until they are started.
    nodes: Vec<OutputNode>,
    senders: Vec<mpsc::Sender<Transaction>>,
    // Ends them when the parent is dropped.
    tasks: Tasks,
}

impl Children {
    pub(super) fn new(nodes: Vec<OutputNode>) -> Children {
        let limit = nodes.iter().map(|node| node.output.max_in_flight()).max().unwrap_or(1);
        let running = Running { nodes, senders: Vec::new(), tasks: Tasks::default() };
        Children { running: Mutex::new(running), limit }
    }

    /// How many batches the most capable child has under way at once.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Starts them; they connect by themselves.
    pub(super) fn start(&self) {
        let running = &mut *self.running.lock();
        for node in running.nodes.drain(..) {
            let (sender, receiver) = mpsc::channel(1);
            running.senders.push(sender);
            running.tasks.spawn(node.probe.clone(), sink::run(node, receiver));
        }
    }

    /// The way to a child; `None` when it is not running.
    pub(super) fn sender(&self, child: usize) -> Option<mpsc::Sender<Transaction>> {
        self.running.lock().senders.get(child).cloned()
    }

    /// Hands a batch to a child. One that is gone drops it, which is a nack.
    pub(super) async fn send(&self, child: usize, batch: Batch, ack: Ack) {
        if let Some(sender) = self.sender(child) {
            let _ = sender.send(Transaction { batch, ack }).await;
        }
    }

    /// Hands a batch to a child and waits for what becomes of it.
    pub(super) async fn deliver(&self, child: usize, batch: Batch) -> Outcome {
        let (resolved, outcome) = oneshot::channel();
        let ack = Ack::new(move |outcome| {
            let _ = resolved.send(outcome);
        });
        self.send(child, batch, ack).await;
        outcome.await.unwrap_or_else(|_| Err(NackReason::stopping()))
    }

    /// Waits until everything handed over is resolved and the children have left their other sides.
    pub(super) async fn close(&self) {
        let mut tasks = {
            let mut running = self.running.lock();
            running.senders.clear();
            std::mem::take(&mut running.tasks)
        };
        tasks.finish().await;
    }
}
