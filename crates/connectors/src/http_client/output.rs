//! Output `http_client` (streams contract 2.3).

use async_trait::async_trait;
use document::Fault;
use streams::{BuildContext, ConnectError, Message, Node, Output, WriteError};

use super::client::Client;

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    context.with_batching(node)?;
    Ok(Box::new(HttpClient {
        client: Client::read(node, context)?,
        together: node.boolean("batch_as_multipart")?,
        propagate: node.boolean("propagate_response")?,
        max_in_flight: node.count("max_in_flight")?.max(1),
    }))
}

struct HttpClient {
    client: Client,
    together: bool,
    propagate: bool,
    max_in_flight: usize,
}

impl HttpClient {
    /// Sends one request; `whole`: for all of the batch, else for the message at `index`.
    async fn send(&self, batch: &[Message], index: usize, whole: bool) -> Result<(), String> {
        let plan = &self.client.plan;
        let content = if whole { plan.content_of_all(batch) } else { plan.content(batch, index) }?;
        let reply = self.client.ask(batch, index, content).await.map_err(|failure| failure.text)?;
        if self.propagate
            && let Some(slot) = batch.get(index).and_then(Message::reply)
        {
            slot.store(reply.into_batch(&self.client.extract)?);
        }
        Ok(())
    }
}

#[async_trait]
impl Output for HttpClient {
    async fn connect(&self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        if self.together {
            return self.send(batch, 0, true).await.map_err(WriteError::Failed);
        }
        for index in 0..batch.len() {
            if let Err(text) = self.send(batch, index, false).await {
                // What was delivered is not sent again; what was not tried yet stays behind, which keeps the order.
                let untried = (index + 1..batch.len())
                    .map(|later| (later, format!("not sent after a failure: {text}")));
                let failed = std::iter::once((index, text.clone())).chain(untried).collect();
                return Err(WriteError::Partial(failed));
            }
        }
        Ok(())
    }

    fn max_in_flight(&self) -> usize {
        self.max_in_flight
    }

    async fn close(&self) {}
}
