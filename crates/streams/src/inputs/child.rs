//! An input below another input: runs on its own and hands its batches up with their acks.

use tokio::sync::{mpsc, watch};

use crate::ack::Transaction;
use crate::build::InputNode;
use crate::source::{self, Phase};
use crate::task::Tasks;

/// One batch waits between the child and its parent; then the child does.
pub(super) struct Child {
    // Until it is started.
    node: Option<InputNode>,
    // Ends it when the parent is dropped.
    task: Tasks,
    receiver: Option<mpsc::Receiver<Transaction>>,
    phase: watch::Sender<Phase>,
}

impl Child {
    pub(super) fn new(node: InputNode) -> Child {
        let (phase, _) = watch::channel(Phase::Running);
        Child { node: Some(node), task: Tasks::default(), receiver: None, phase }
    }

    /// One that has nothing to give.
    pub(super) fn ended() -> Child {
        let (phase, _) = watch::channel(Phase::Running);
        Child { node: None, task: Tasks::default(), receiver: None, phase }
    }

    /// Starts it, if it is not; it connects by itself.
    pub(super) fn start(&mut self) {
        if let Some(node) = self.node.take() {
            let (sender, receiver) = mpsc::channel(1);
            self.task.spawn(node.probe.clone(), source::run(node, sender, self.phase.subscribe()));
            self.receiver = Some(receiver);
        }
    }

    /// Its next batch; `None` when it has ended. Cancel safe.
    pub(super) async fn read(&mut self) -> Option<Transaction> {
        self.receiver.as_mut()?.recv().await
    }

    /// It takes nothing new; what it has accepted is still to be read.
    pub(super) fn stop(&self) {
        self.phase.send_replace(Phase::Stopping);
    }

    /// Waits until it has left its source.
    pub(super) async fn close(&mut self) {
        // What nobody reads any more is nacked before.
        self.receiver = None;
        self.phase.send_replace(Phase::Drained);
        self.task.finish().await;
    }
}
