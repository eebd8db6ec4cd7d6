//! The order of a batch that is taken apart and put together again.

use crate::message::{Batch, Message};

/// Remembers where the messages of a batch stood.
pub(super) struct Order {
    // The marks that an outer processor had put on them.
    outer: Vec<u32>,
}

impl Order {
    /// Marks every message with its position.
    pub(super) fn mark(batch: &mut [Message]) -> Order {
        let outer = batch.iter().map(Message::mark).collect();
        for (position, message) in batch.iter_mut().enumerate() {
            message.set_mark(u32::try_from(position).unwrap_or(u32::MAX));
        }
        Order { outer }
    }

    /// Brings messages back to where they, or those that they were made of, stood; those that are new come last.
    pub(super) fn restore(&self, batch: &mut Batch) {
        batch.sort_by_key(Message::mark);
        for message in batch {
            let position = usize::try_from(message.mark()).unwrap_or(usize::MAX);
            message.set_mark(self.outer.get(position).copied().unwrap_or(u32::MAX));
        }
    }
}
