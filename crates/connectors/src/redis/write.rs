//! What the outputs share: one command for each message, sent together.

use std::sync::Arc;

use redis::{Pipeline, Value};
use streams::{ConnectError, Message, WriteError};

use super::link::{Link, Trouble};

/// An output's end of Redis.
pub(super) struct Writer {
    pub(super) link: Link,
    pub(super) stream: Arc<str>,
}

impl Writer {
    pub(super) async fn connect(&self) -> Result<(), ConnectError> {
        self.link.forget().await;
        self.link.connection().await.map(drop).map_err(ConnectError)
    }

    /// Sends the batch; `add` adds exactly one command for the message of this index, or says why there is none.
    pub(super) async fn write(
        &self,
        batch: &[Message],
        mut add: impl FnMut(&mut Pipeline, usize) -> Result<(), String>,
    ) -> Result<(), WriteError> {
        let mut pipeline = Pipeline::with_capacity(batch.len());
        pipeline.ignore_errors();
        let mut failures = Vec::new();
        let mut sent = Vec::with_capacity(batch.len());
        for index in 0..batch.len() {
            match add(&mut pipeline, index) {
                Ok(()) => sent.push(index),
                Err(fault) => failures.push((index, fault)),
            }
        }
        if !sent.is_empty() {
            let mut connection = self.link.connection().await.map_err(|fault| self.lost(&fault))?;
            // A cluster sends each command to its own node; it has no pipelines over several of them.
            let answers: Result<Vec<Result<Value, redis::RedisError>>, _> =
                pipeline.query_async(&mut connection).await;
            let answers = match answers.map_err(Trouble::from) {
                Ok(answers) => answers,
                Err(Trouble::Refused(fault)) => return Err(WriteError::Failed(fault)),
                Err(Trouble::Away(fault)) => {
                    self.link.forget().await;
                    return Err(self.lost(&fault));
                }
            };
            for (index, answer) in sent.into_iter().zip(answers) {
                match answer.map_err(Trouble::from) {
                    Ok(_) => {}
                    Err(Trouble::Refused(fault)) => failures.push((index, fault)),
                    Err(Trouble::Away(fault)) => return Err(self.lost(&fault)),
                }
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(WriteError::Partial(failures)) }
    }

    fn lost(&self, fault: &str) -> WriteError {
        tracing::warn!(stream = %self.stream, %fault, "redis does not take messages now");
        WriteError::NotConnected
    }
}
