//! An output that several writers share.

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::ack::Transaction;
use crate::build::OutputNode;
use crate::sink;
use crate::task::Tasks;

/// Runs once, however many writers there are.
pub(crate) struct SharedOutput {
    state: Mutex<State>,
}

struct State {
    // Until it is started.
    node: Option<OutputNode>,
    sender: Option<mpsc::Sender<Transaction>>,
    // Ends the output when it is dropped.
    task: Tasks,
    writers: usize,
}

impl SharedOutput {
    pub(crate) fn new(node: OutputNode) -> SharedOutput {
        let state = State { node: Some(node), sender: None, task: Tasks::default(), writers: 0 };
        SharedOutput { state: Mutex::new(state) }
    }

    /// One more writer will come.
    pub(crate) fn join(&self) {
        self.state.lock().writers += 1;
    }

    pub(crate) fn start(&self) {
        let mut state = self.state.lock();
        if let Some(node) = state.node.take() {
            // One batch waits here; then the writers do.
            let (sender, receiver) = mpsc::channel(1);
            state.task.spawn(node.probe.clone(), sink::run(node, receiver));
            state.sender = Some(sender);
        }
    }

    /// Hands a batch on. An output that is gone drops it, which is a nack.
    pub(crate) async fn write(&self, transaction: Transaction) {
        let sender = self.state.lock().sender.clone();
        if let Some(sender) = sender {
            let _ = sender.send(transaction).await;
        }
    }

    /// A writer that was never started is gone.
    pub(crate) fn forget(&self) {
        let mut state = self.state.lock();
        state.writers = state.writers.saturating_sub(1);
    }

    /// A writer leaves; the last one waits until everything is written.
    pub(crate) async fn leave(&self) {
        let mut task = {
            let mut state = self.state.lock();
            state.writers = state.writers.saturating_sub(1);
            if state.writers > 0 {
                return;
            }
            state.sender = None;
            std::mem::take(&mut state.task)
        };
        task.finish().await;
    }
}
