//! Processor `redis` (streams contract 3.8).

use std::time::Duration;

use async_trait::async_trait;
use bloblang::{Mapping, Template};
use document::Fault;
use redis::{Cmd, Value};
use streams::{Batch, BuildContext, Message, Node, Processor, View};

use super::link::{Link, Trouble};
use super::reply;

/// How often and after which pause a message is tried again.
pub(super) struct Retries {
    count: usize,
    period: Duration,
}

impl Retries {
    pub(super) fn read(node: &Node<'_>) -> Result<Retries, Fault> {
        let period = node.duration("retry_period")?.unwrap_or_default();
        Ok(Retries { count: node.count("retries")?, period })
    }

    /// Tries until it succeeds, is refused for good, or was tried often enough.
    pub(super) async fn run<F: Future<Output = Result<Value, Trouble>>>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<Value, String> {
        for _ in 0..self.count {
            match attempt().await {
                Ok(reply) => return Ok(reply),
                Err(_) => tokio::time::sleep(self.period).await,
            }
        }
        attempt().await.map_err(Trouble::text)
    }
}

/// The message with a reply in its place, or flagged.
pub(super) fn answered(message: &Message, answer: Result<Value, String>) -> Message {
    let mut message = message.clone();
    match answer {
        Ok(answer) => message.set_value(reply::value(answer)),
        Err(fault) => message.set_error(fault),
    }
    message
}

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let Some(command) = node.optional_template("command", context)? else {
        return Err(node.field_fault("command", "`command` must be written"));
    };
    Ok(Box::new(Command {
        link: Link::read(node, context)?,
        command,
        arguments: node.mapping("args_mapping", context)?,
        retries: Retries::read(node)?,
    }))
}

struct Command {
    link: Link,
    command: Template,
    arguments: Option<Mapping>,
    retries: Retries,
}

impl Command {
    fn command(&self, batch: &[Message], index: usize) -> Result<Cmd, String> {
        let view = View(batch);
        let name = self.command.render(&view, index).map_err(|fault| format!("`command`: {fault}"))?;
        let mut words = name.split_ascii_whitespace();
        let mut command = redis::cmd(words.next().ok_or("`command` is empty for this message")?);
        for word in words {
            command.arg(word);
        }
        if let Some(mapping) = &self.arguments {
            let made = mapping.query(&view, index).map_err(|fault| format!("`args_mapping`: {fault}"))?;
            for argument in reply::arguments(&made).map_err(|fault| format!("`args_mapping`: {fault}"))? {
                command.arg(argument);
            }
        }
        Ok(command)
    }

    async fn ask(&self, batch: &[Message], index: usize) -> Result<Value, String> {
        let command = self.command(batch, index)?;
        self.retries.run(|| self.link.run(&command)).await
    }
}

#[async_trait]
impl Processor for Command {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        let mut done = Batch::with_capacity(batch.len());
        for index in 0..batch.len() {
            done.push(answered(&batch[index], self.ask(&batch, index).await));
        }
        vec![done]
    }
}
