//! Processor `http` (streams contract 3.8).

use async_trait::async_trait;
use document::Fault;
use futures_util::StreamExt as _;
use futures_util::stream;
use streams::{Batch, BuildContext, Message, Node, Processor};

use super::client::{Client, Failure, status_value};

/// Requests of one batch that are under way at the same time with `parallel`.
const PARALLEL: usize = 64;

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    Ok(Box::new(Http {
        client: Client::read(node, context)?,
        together: node.boolean("batch_as_multipart")?,
        parallel: node.boolean("parallel")?,
    }))
}

struct Http {
    client: Client,
    together: bool,
    parallel: bool,
}

impl Http {
    /// The answer to one request: for all of the batch, or for the message at `index`.
    async fn ask(&self, batch: &[Message], index: usize, whole: bool) -> Result<Batch, Failure> {
        let plan = &self.client.plan;
        let content = if whole { plan.content_of_all(batch) } else { plan.content(batch, index) };
        let failed = |text| Failure { text, status: None };
        let reply = self.client.ask(batch, index, content.map_err(failed)?).await?;
        let status = Some(reply.head.status);
        let answers = reply.into_batch(&self.client.extract);
        let answers = answers.map_err(|text| Failure { text, status })?;
        // Nothing in the place of a message would be a message that is gone.
        if answers.is_empty() {
            return Err(Failure { text: "the answer has no parts".to_owned(), status });
        }
        Ok(answers)
    }
}

/// The message with an answer in its place; its own metadata stays under that of the answer.
fn answered(message: &Message, answer: &Message) -> Message {
    let mut message = message.clone();
    message.set_bytes(answer.bytes().clone());
    for (name, value) in answer.meta_iter() {
        message.set_meta(name, value.clone());
    }
    message
}

/// The message as it was, with the fault on it.
fn flagged(message: &Message, failure: &Failure) -> Message {
    let mut message = message.clone();
    if let Some(status) = status_value(failure) {
        message.set_meta("http_status_code", status);
    }
    message.set_error(failure.text.as_str());
    message
}

#[async_trait]
impl Processor for Http {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        if batch.len() == 1 || self.together {
            return vec![match self.ask(&batch, 0, true).await {
                Err(failure) => batch.iter().map(|message| flagged(message, &failure)).collect(),
                Ok(answers) => {
                    let own = |index: usize| batch.get(index).or(batch.first());
                    let one_each = answers.len() == batch.len();
                    let pairs = answers.iter().enumerate().filter_map(|(index, answer)| {
                        let mut message = answered(own(index)?, answer);
                        if !one_each {
                            message.clear_place();
                        }
                        Some(message)
                    });
                    pairs.collect()
                }
            }];
        }
        let one = |index: usize| {
            let (batch, own) = (&batch, &batch[index]);
            async move {
                match self.ask(batch, index, false).await {
                    Ok(answers) => match answers.first() {
                        Some(answer) => answered(own, answer),
                        None => flagged(
                            own,
                            &Failure { text: "the answer has no parts".to_owned(), status: None },
                        ),
                    },
                    Err(failure) => flagged(own, &failure),
                }
            }
        };
        let at_once = if self.parallel { PARALLEL } else { 1 };
        vec![stream::iter(0..batch.len()).map(one).buffered(at_once).collect().await]
    }
}
