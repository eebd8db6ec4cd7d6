//! Processors that look at one message at a time.

use async_trait::async_trait;
use streams::{Batch, Message, Processor};

/// What happens to one message.
pub(crate) trait Change: Send + Sync {
    /// Changes the message, or says why it could not and leaves it as it was.
    fn change(&self, message: &mut Message) -> Result<(), String>;
}

/// A processor of such a change: messages that it fails for are flagged and passed on.
pub(crate) struct Each<C>(pub(crate) C);

#[async_trait]
impl<C: Change> Processor for Each<C> {
    async fn process(&self, mut batch: Batch) -> Vec<Batch> {
        for message in &mut batch {
            if let Err(fault) = self.0.change(message) {
                message.set_error(fault);
            }
        }
        vec![batch]
    }
}

/// Makes any number of messages of one.
pub(crate) trait Split: Send + Sync {
    /// The new messages, or why there are none; the old one is then passed on as it was, flagged.
    fn split(&self, message: &Message) -> Result<Vec<Message>, String>;
}

/// A processor of such a split.
pub(crate) struct Splitting<S>(pub(crate) S);

#[async_trait]
impl<S: Split> Processor for Splitting<S> {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        let mut made = Batch::with_capacity(batch.len());
        for mut message in batch {
            match self.0.split(&message) {
                Ok(parts) => made.extend(parts),
                Err(fault) => {
                    message.set_error(fault);
                    made.push(message);
                }
            }
        }
        if made.is_empty() { Vec::new() } else { vec![made] }
    }
}
