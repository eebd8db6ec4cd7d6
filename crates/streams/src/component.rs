//! What a component must do.

use async_trait::async_trait;

use crate::ack::{Ack, NackReason};
use crate::message::{Batch, Message};

/// A component could not reach its other side; the stream tries again with back-off.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct ConnectError(pub String);

/// Why an input gave no batch.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The connection was lost; the stream connects again.
    #[error("not connected")]
    NotConnected,
    /// The input has given all it had.
    #[error("the input has ended")]
    End,
    /// Something else; the stream logs it, waits a moment and reads again.
    #[error("{0}")]
    Other(String),
}

/// Why an output did not deliver a batch.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError {
    /// The connection was lost; the stream connects again and writes the same batch again.
    #[error("not connected")]
    NotConnected,
    /// The connection was lost when all but the messages at these indices, in ascending order, were delivered; the
    /// stream connects again and writes only these again.
    #[error("not connected")]
    Lost(Vec<usize>),
    /// Nothing of the batch counts as delivered.
    #[error("{0}")]
    Failed(String),
    /// The messages at these indices failed, the others are delivered.
    #[error("{} messages of the batch failed, the first: {}", .0.len(), .0.first().map_or("", |first| &first.1))]
    Partial(Vec<(usize, String)>),
}

impl WriteError {
    /// The connection was lost before the messages at `lost` were confirmed. Those that were refused before that are
    /// written once more, too.
    pub fn lost(mut lost: Vec<usize>, refused: Vec<(usize, String)>) -> WriteError {
        lost.extend(refused.into_iter().map(|(index, _)| index));
        lost.sort_unstable();
        WriteError::Lost(lost)
    }

    /// The nack for a batch that failed so.
    pub fn into_nack(self, batch: &[Message]) -> NackReason {
        match self {
            WriteError::Partial(failures) => {
                let text = failures.first().map_or_else(String::new, |(_, text)| text.clone());
                let mut reason = NackReason::failed(text);
                failures.iter().for_each(|(_, text)| reason.add_text(&text.as_str().into()));
                reason.only(failures.iter().filter_map(|(index, _)| batch.get(*index)))
            }
            other => NackReason::failed(other.to_string()).only(batch),
        }
    }
}

/// Where batches come from.
#[async_trait]
pub trait Input: Send {
    /// Connects. Called again after [`ReadError::NotConnected`].
    ///
    /// # Errors
    /// When the other side cannot be reached now.
    async fn connect(&mut self) -> Result<(), ConnectError>;

    /// The next batch, with the ack that tells the source what became of it.
    ///
    /// Must be cancel safe: the future may be dropped at any await point, and nothing may be lost then. Waiting on
    /// a channel or on a deadline that is kept in `self` is; keeping half a batch in the future is not.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn read(&mut self) -> Result<(Batch, Ack), ReadError>;

    /// The stream stops: nothing new is wanted. `true` means that work was already accepted which must still be read
    /// until [`ReadError::End`]; `false` that `read` needs not be called again. Acks keep arriving until `close`.
    fn drain(&mut self) -> bool {
        false
    }

    /// Leaves the other side. Called last, after the acks of everything delivered have come back.
    async fn close(&mut self);
}

/// What changes batches on their way.
#[async_trait]
pub trait Processor: Send + Sync {
    /// Turns one batch into none (filtered: counts as delivered), one or several. A message that cannot be processed
    /// is flagged with [`Message::set_error`] and passed on, never swallowed.
    async fn process(&self, batch: Batch) -> Vec<Batch>;
}

/// Where batches go.
#[async_trait]
pub trait Output: Send + Sync {
    /// Connects. Called again after [`WriteError::NotConnected`], never at the same time as a write.
    ///
    /// # Errors
    /// When the other side cannot be reached now.
    async fn connect(&self) -> Result<(), ConnectError>;

    /// Delivers a batch; `Ok` only when the other side has confirmed all of it.
    ///
    /// # Errors
    /// See [`WriteError`].
    async fn write(&self, batch: &[Message]) -> Result<(), WriteError>;

    /// Takes over a batch with its ack. Implement it instead of `write` only where the ack outlives the call (an
    /// edge to subscribers, an in-process topic).
    ///
    /// # Errors
    /// The batch and its ack come back when the output is not connected; any other failure goes to the ack.
    async fn consume(&self, mut batch: Batch, ack: Ack) -> Result<(), (Batch, Ack)> {
        match self.write(&batch).await {
            Ok(()) => ack.done(Ok(())),
            Err(WriteError::NotConnected) => return Err((batch, ack)),
            Err(WriteError::Lost(left)) => {
                let mut index = 0..;
                batch.retain(|_| index.next().is_some_and(|index: usize| left.binary_search(&index).is_ok()));
                return Err((batch, ack));
            }
            Err(fault) => ack.done(Err(fault.into_nack(&batch))),
        }
        Ok(())
    }

    /// How many batches may be under way at once; 1 keeps their order.
    fn max_in_flight(&self) -> usize {
        1
    }

    /// Leaves the other side. Called last, when no write is under way.
    async fn close(&self);
}
