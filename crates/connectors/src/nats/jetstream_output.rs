//! Output `nats_jetstream`.

use async_nats::jetstream;
use async_nats::jetstream::context::{Context, PublishErrorKind};
use async_trait::async_trait;
use bloblang::Template;
use document::Fault;
use parking_lot::Mutex;
use streams::{BuildContext, ConnectError, Message, Node, Output, View, WriteError};

use super::connection::{Link, Settings, chain};
use super::headers::Headers;
use crate::parting::Parting;

/// Builds the output.
pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    Ok(Box::new(JetStreamOutput {
        settings: Settings::read(node, context)?,
        subject: node.template("subject", context)?,
        headers: Headers::read(node, context)?,
        max_in_flight: node.count("max_in_flight")?.max(1),
        link: Mutex::new(None),
    }))
}

struct JetStreamOutput {
    settings: Settings,
    subject: Template,
    headers: Headers,
    max_in_flight: usize,
    link: Mutex<Option<(Link, Context)>>,
}

/// Why one message was not stored.
enum Unstored {
    /// The connection is gone.
    Ended,
    Refused(String),
}

impl From<jetstream::context::PublishError> for Unstored {
    fn from(fault: jetstream::context::PublishError) -> Unstored {
        match fault.kind() {
            PublishErrorKind::BrokenPipe => Unstored::Ended,
            PublishErrorKind::StreamNotFound => {
                Unstored::Refused("no stream of the server takes this subject".to_owned())
            }
            _ => Unstored::Refused(chain(&fault)),
        }
    }
}

impl JetStreamOutput {
    async fn publish(
        &self,
        context: &Context,
        batch: &[Message],
        index: usize,
    ) -> Result<jetstream::context::PublishAckFuture, Unstored> {
        let subject = self.subject.render(&View(batch), index);
        let subject = subject.map_err(|fault| Unstored::Refused(format!("`subject`: {fault}")))?;
        let headers = self.headers.of(batch, index).map_err(Unstored::Refused)?;
        let payload = batch[index].bytes().clone();
        Ok(context.publish_with_headers(subject, headers, payload).await?)
    }

    async fn write_all(&self, link: &Link, context: &Context, batch: &[Message]) -> Result<(), WriteError> {
        let mut sent = Vec::with_capacity(batch.len());
        let mut parting = Parting::default();
        for index in 0..batch.len() {
            let published = parting.answer(self.publish(context, batch, index), link.lost()).await;
            sent.push(published.unwrap_or(Err(Unstored::Ended)));
        }
        let (mut failures, mut lost) = (Vec::new(), Vec::new());
        for (index, stored) in sent.into_iter().enumerate() {
            let stored = match stored {
                Ok(stored) => match parting.answer(stored.into_future(), link.lost()).await {
                    Some(stored) => stored.map_err(Unstored::from),
                    None => Err(Unstored::Ended),
                },
                Err(fault) => Err(fault),
            };
            match stored {
                Ok(_) => {}
                Err(Unstored::Ended) => lost.push(index),
                Err(Unstored::Refused(text)) => failures.push((index, text)),
            }
        }
        if !lost.is_empty() {
            return Err(WriteError::lost(lost, failures));
        }
        if failures.is_empty() { Ok(()) } else { Err(WriteError::Partial(failures)) }
    }
}

#[async_trait]
impl Output for JetStreamOutput {
    async fn connect(&self) -> Result<(), ConnectError> {
        self.link.lock().take();
        let link = self.settings.connect().await.map_err(ConnectError)?;
        // Who waits for the server is bounded by `max_in_flight`, and by the size of batches.
        let builder = jetstream::context::ContextBuilder::new().backpressure_on_inflight(true);
        let context = builder.build(link.client.clone());
        *self.link.lock() = Some((link, context));
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let Some((link, context)) = self.link.lock().clone() else { return Err(WriteError::NotConnected) };
        if link.is_lost() {
            return Err(WriteError::NotConnected);
        }
        self.write_all(&link, &context, batch).await
    }

    fn max_in_flight(&self) -> usize {
        self.max_in_flight
    }

    async fn close(&self) {
        let link = self.link.lock().take();
        if let Some((link, _)) = link {
            link.leave().await;
        }
    }
}
