//! Synchronous responses: what a stream answers to the sender of a message (streams contract 5.9).

use parking_lot::Mutex;

use crate::message::{Batch, Message};

/// Collects the answer to one request while its messages pass through the stream.
///
/// It travels with the messages, so that it works across brokers and mappings. The input that made it reads it
/// only after the ack.
#[derive(Debug, Default)]
pub struct ReplySlot {
    stored: Mutex<Batch>,
}

impl ReplySlot {
    /// Adds these messages to the answer.
    pub fn store(&self, messages: impl IntoIterator<Item = Message>) {
        // The answer must not keep its own slot alive: that would be a circle of counted references.
        let messages = messages.into_iter().map(|mut message| {
            message.drop_reply();
            message
        });
        self.stored.lock().extend(messages);
    }

    /// Takes the answer out; empty when nothing was stored.
    pub fn take(&self) -> Batch {
        std::mem::take(&mut self.stored.lock())
    }
}

/// Stores each message in the slot it came with; messages without one are passed over.
pub(crate) fn store_all(batch: &[Message]) {
    for message in batch {
        if let Some(slot) = message.reply() {
            slot.store([message.clone()]);
        }
    }
}
