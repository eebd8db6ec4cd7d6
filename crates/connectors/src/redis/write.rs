//! What the outputs share: one command for each message, sent together.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use redis::{Arg, Cmd, Pipeline, RedisResult, Value};
use streams::{ConnectError, Message, WriteError};

use super::link::{Link, Trouble, hash_tag};
use super::reach::Connection;

/// An output's end of Redis.
pub(super) struct Writer {
    pub(super) link: Link,
    pub(super) stream: Arc<str>,
}

impl Writer {
    pub(super) async fn connect(&self) -> Result<(), ConnectError> {
        self.link.forget();
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
        let (mut failures, mut lost) = (Vec::new(), Vec::new());
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
                    self.link.forget();
                    return Err(self.lost(&fault));
                }
            };
            for (index, answer) in sent.into_iter().zip(answers) {
                match answer.map_err(Trouble::from) {
                    Ok(_) => {}
                    Err(Trouble::Refused(fault)) => failures.push((index, fault)),
                    Err(Trouble::Away(fault)) => lost.push((index, fault)),
                }
            }
        }
        if let Some((_, fault)) = lost.first() {
            self.tell(fault);
            return Err(WriteError::lost(lost.into_iter().map(|(index, _)| index).collect(), failures));
        }
        if failures.is_empty() { Ok(()) } else { Err(WriteError::Partial(failures)) }
    }

    fn lost(&self, fault: &str) -> WriteError {
        self.tell(fault);
        WriteError::NotConnected
    }

    fn tell(&self, fault: &str) {
        tracing::warn!(stream = %self.stream, %fault, "redis does not take messages now");
    }
}

/// Sends the commands; what became of each. In a cluster those of one slot go together, since a pipeline may hold no
/// others there, and in their order; the slots at the same time.
async fn send(connection: &mut Connection, pipeline: &Pipeline) -> Result<Vec<RedisResult<Value>>, Trouble> {
    if matches!(connection, Connection::Server(_)) {
        return pipeline.query_async(connection).await.map_err(Trouble::from);
    }
    let mut slots: HashMap<Vec<u8>, Vec<(usize, &Cmd)>> = HashMap::new();
    for (index, command) in pipeline.cmd_iter().enumerate() {
        slots.entry(slot(command)).or_default().push((index, command));
    }
    let together = slots.into_values().map(|commands| {
        let mut connection = connection.clone();
        async move {
            let mut own = Pipeline::with_capacity(commands.len());
            own.ignore_errors();
            for (_, command) in &commands {
                own.add_command((*command).clone());
            }
            let sent = own.query_async::<Vec<RedisResult<Value>>>(&mut connection).await;
            let mut answers = sent.map_err(Trouble::from)?;
            for ((_, command), answer) in commands.iter().zip(&mut answers) {
                // The slot is moving: a command by itself is sent after it.
                if answer.as_ref().is_err_and(|error| matches!(error.code(), Some("MOVED" | "ASK"))) {
                    *answer = command.query_async(&mut connection).await;
                }
            }
            Ok::<_, Trouble>(commands.into_iter().map(|(index, _)| index).zip(answers).collect::<Vec<_>>())
        }
    });
    let mut answers = Vec::new();
    for slot in join_all(together).await {
        answers.extend(slot?);
    }
    answers.sort_by_key(|(index, _)| *index);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}

/// What decides on the slot of a command: its key, or a part of it.
fn slot(command: &Cmd) -> Vec<u8> {
    match command.args_iter().nth(1) {
        Some(Arg::Simple(key)) => {
            let text = std::str::from_utf8(key).ok();
            text.and_then(hash_tag).map_or(key, str::as_bytes).to_vec()
        }
        _ => Vec::new(),
    }
}
