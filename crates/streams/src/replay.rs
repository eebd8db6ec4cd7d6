//! stub
use crate::ack::Ack;
use crate::component::{ConnectError, Input, ReadError};
use crate::message::Batch;
use async_trait::async_trait;

/// An input whose failed batches come again before new ones (streams contract 5.3).
#[derive(Debug)]
pub struct Replay<I> {
    input: I,
}
impl<I: Input> Replay<I> {
    /// Wraps an input.
    pub fn new(input: I) -> Replay<I> {
        Replay { input }
    }
}
#[async_trait]
impl<I: Input> Input for Replay<I> {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        self.input.connect().await
    }
    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        self.input.read().await
    }
    async fn close(&mut self) {
        self.input.close().await
    }
}
