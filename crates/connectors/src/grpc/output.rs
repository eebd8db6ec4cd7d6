//! Output `grpc_client`.

use async_trait::async_trait;
use bloblang::Template;
use document::Fault;
use http::{HeaderMap, HeaderName, HeaderValue};
use streams::{BuildContext, ConnectError, Message, Node, Output, View, WriteError};

use super::call::{Call, LONGEST, PATIENCE};

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    context.with_batching(node)?;
    let mut metadata = Vec::new();
    for (name, template) in node.templates("metadata", context)? {
        let header = HeaderName::try_from(name.as_str())
            .map_err(|_| node.get("metadata").field_fault(&name, "this is not a name of metadata"))?;
        metadata.push((header, template));
    }
    Ok(Box::new(GrpcOutput {
        call: Call::read(node, context)?,
        metadata,
        propagate: node.boolean("propagate_response")?,
        max_in_flight: node.count("max_in_flight")?.max(1),
    }))
}

struct GrpcOutput {
    call: Call,
    metadata: Vec<(HeaderName, Template)>,
    propagate: bool,
    max_in_flight: usize,
}

impl GrpcOutput {
    /// Calls the method for these messages of the batch.
    async fn call(&self, batch: &[Message], which: std::ops::Range<usize>) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        for (name, template) in &self.metadata {
            let text = template.render(&View(batch), which.start);
            let text = text.map_err(|fault| format!("metadata `{name}`: {fault}"))?;
            let value = HeaderValue::from_str(&text)
                .map_err(|_| format!("metadata `{name}` cannot hold its value"))?;
            headers.append(name, value);
        }
        let documents = batch[which.clone()].iter().map(|message| &**message.bytes());
        let mut answers = self.call.open(documents, headers).await?;
        let (mut replies, mut kept) = (Vec::new(), 0);
        while let Some(message) = answers.frame().await? {
            // Also read where nobody wants it: a message that is none of the method's is told.
            let document = self.call.document(&message)?;
            if self.propagate {
                kept += document.len();
                if kept > LONGEST {
                    return Err(format!("the answers to one call are longer than {LONGEST} bytes"));
                }
                replies.push(Message::new(document));
            }
        }
        if let Some(slot) = batch.get(which.start).and_then(Message::reply) {
            slot.store(replies);
        }
        Ok(())
    }

    async fn in_time(&self, batch: &[Message], which: std::ops::Range<usize>) -> Result<(), String> {
        let called = tokio::time::timeout(PATIENCE, self.call(batch, which)).await;
        called.unwrap_or_else(|_| Err(format!("the call did not end within {PATIENCE:?}")))
    }
}

#[async_trait]
impl Output for GrpcOutput {
    async fn connect(&self) -> Result<(), ConnectError> {
        self.call.check().await.map_err(ConnectError)
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        if self.call.takes_stream() {
            return self.in_time(batch, 0..batch.len()).await.map_err(WriteError::Failed);
        }
        for index in 0..batch.len() {
            if let Err(text) = self.in_time(batch, index..index + 1).await {
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
