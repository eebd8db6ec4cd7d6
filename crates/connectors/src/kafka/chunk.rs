//! Messages that were admitted and not handed over to the stream yet, in runs of one partition each.

use std::sync::Arc;

use streams::Message;

use super::batching::Run;
use super::partition::Partition;

/// See the module.
#[derive(Default)]
pub(super) struct Chunk {
    runs: Vec<Run>,
    open: Option<Open>,
    pub(super) len: usize,
}

/// The run that still grows.
struct Open {
    partition: Arc<Partition>,
    first: u64,
    messages: Vec<Message>,
}

impl Chunk {
    /// Adds an admitted message.
    pub(super) fn push(&mut self, partition: &Arc<Partition>, sequence: u64, message: Message) {
        self.len += 1;
        match &mut self.open {
            Some(open) if Arc::ptr_eq(&open.partition, partition) => open.messages.push(message),
            _ => {
                self.close();
                let messages = vec![message];
                self.open = Some(Open { partition: partition.clone(), first: sequence, messages });
            }
        }
    }

    fn close(&mut self) {
        if let Some(Open { partition, first, messages }) = self.open.take() {
            self.runs.push(Run::new(partition, first, messages));
        }
    }

    /// All of it, for the stream.
    pub(super) fn take(&mut self) -> Vec<Run> {
        self.close();
        self.len = 0;
        std::mem::take(&mut self.runs)
    }
}
