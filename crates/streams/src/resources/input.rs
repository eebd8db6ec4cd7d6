//! An input that several readers compete for.

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use crate::ack::Transaction;
use crate::build::InputNode;
use crate::source::{self, Phase};
use crate::task::Tasks;

/// Runs once, however many readers there are; each batch goes to one of them.
pub(crate) struct SharedInput {
    state: Mutex<State>,
    phase: watch::Sender<Phase>,
    merged: tokio::sync::Mutex<Option<mpsc::Receiver<Transaction>>>,
}

struct State {
    // Until it is started.
    node: Option<InputNode>,
    // Ends the input when it is dropped.
    task: Tasks,
    readers: usize,
}

impl SharedInput {
    pub(crate) fn new(node: InputNode) -> SharedInput {
        let (phase, _) = watch::channel(Phase::Running);
        let state = State { node: Some(node), task: Tasks::default(), readers: 0 };
        SharedInput { state: Mutex::new(state), phase, merged: tokio::sync::Mutex::new(None) }
    }

    /// One more reader will come.
    pub(crate) fn join(&self) {
        self.state.lock().readers += 1;
    }

    pub(crate) async fn start(&self) {
        let mut merged = self.merged.lock().await;
        let mut state = self.state.lock();
        if let Some(node) = state.node.take() {
            // One batch waits here; then the input does.
            let (sender, receiver) = mpsc::channel(1);
            state.task.spawn(node.probe.clone(), source::run(node, sender, self.phase.subscribe()));
            *merged = Some(receiver);
        }
    }

    /// Cancel safe.
    pub(crate) async fn read(&self) -> Option<Transaction> {
        self.merged.lock().await.as_mut()?.recv().await
    }

    pub(crate) fn stop(&self) {
        self.phase.send_replace(Phase::Stopping);
    }

    /// A reader that was never started is gone.
    pub(crate) fn forget(&self) {
        let mut state = self.state.lock();
        state.readers = state.readers.saturating_sub(1);
    }

    /// A reader leaves; the last one waits until the input has left its source.
    pub(crate) async fn leave(&self) {
        let mut task = {
            let mut state = self.state.lock();
            state.readers = state.readers.saturating_sub(1);
            if state.readers > 0 {
                return;
            }
            std::mem::take(&mut state.task)
        };
        *self.merged.lock().await = None;
        self.phase.send_replace(Phase::Drained);
        task.finish().await;
    }
}
