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
    // Until it is started, with where its batches go.
    node: Option<(InputNode, mpsc::Sender<Transaction>)>,
    // Ends the input when it is dropped.
    task: Tasks,
    readers: usize,
}

impl SharedInput {
    pub(crate) fn new(node: InputNode) -> SharedInput {
        let (phase, _) = watch::channel(Phase::Running);
        // One batch waits here; then the input does.
        let (sender, receiver) = mpsc::channel(1);
        let state = State { node: Some((node, sender)), task: Tasks::default(), readers: 0 };
        SharedInput { state: Mutex::new(state), phase, merged: tokio::sync::Mutex::new(Some(receiver)) }
    }

    /// One more reader will come.
    pub(crate) fn join(&self) {
        self.state.lock().readers += 1;
    }

    /// Starts it, if nobody has before. It does not wait for who reads now.
    pub(crate) fn start(&self) {
        let mut state = self.state.lock();
        if let Some((node, sender)) = state.node.take() {
            let probe = node.probe.clone();
            state.task.spawn(probe, source::run(node, sender, self.phase.subscribe()));
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
