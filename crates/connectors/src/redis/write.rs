//! What the outputs share: one command for each message, sent together.

use std::sync::Arc;

use futures_util::future::join_all;
use redis::{Cmd, Pipeline, RedisResult, Value};
use streams::{ConnectError, Message, WriteError};

use super::link::{Connection, Link, Trouble};

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
            let answers = match send(&mut connection, &pipeline).await {
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

/// Sends the commands; what became of each. In a cluster each goes to the node of its own key, all at the same time: a
/// pipeline may only hold keys of one slot there.
async fn send(connection: &mut Connection, pipeline: &Pipeline) -> Result<Vec<RedisResult<Value>>, Trouble> {
    match connection {
        Connection::Server(_) => pipeline.query_async(connection).await.map_err(Trouble::from),
        Connection::Cluster(_) => {
            let one = |command: &Cmd| {
                let (command, mut connection) = (command.clone(), connection.clone());
                async move { command.query_async::<Value>(&mut connection).await }
            };
            Ok(join_all(pipeline.cmd_iter().map(one)).await)
        }
    }
}
