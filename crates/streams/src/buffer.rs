//! What a buffer must do (streams contract 3.11).

use async_trait::async_trait;

use crate::ack::Transaction;
use crate::component::WriteError;

/// Keeps batches between input and pipeline. Both ends are used at the same time by tasks of their own.
#[async_trait]
pub trait Buffer: Send + Sync {
    /// Makes it ready; called once, before anything else.
    ///
    /// # Errors
    /// When it cannot be used, such as a file that cannot be opened. The stream tries again.
    async fn open(&self) -> Result<(), String> {
        Ok(())
    }

    /// Takes a batch over. When the ack is resolved is the buffer's promise: a durable one acks when the batch is on
    /// disk, one in memory only when it was delivered. Waits while the buffer is full.
    ///
    /// # Errors
    /// When the batch can never be taken; its ack is resolved in any case.
    async fn write(&self, transaction: Transaction) -> Result<(), WriteError>;

    /// The next batch; `None` once [`Buffer::end_of_input`] was said and everything was given out. Cancel safe.
    async fn read(&self) -> Option<Transaction>;

    /// Nothing more will be written: what is kept is given out, then the end.
    fn end_of_input(&self);

    /// The stream stops before everything was given out: a durable buffer keeps the rest, others nack it.
    async fn close(&self);
}
