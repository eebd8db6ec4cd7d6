//! Output `nats`.

use std::sync::Arc;

use async_nats::PublishErrorKind;
use async_trait::async_trait;
use bloblang::Template;
use document::Fault;
use parking_lot::Mutex;
use streams::{BuildContext, ConnectError, Message, Node, Output, View, WriteError};

use super::confirm::Confirmer;
use super::connection::{Link, Settings, chain};
use super::headers::Headers;

/// Builds the output.
pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    Ok(Box::new(NatsOutput {
        settings: Settings::read(node, context)?,
        subject: node.template("subject", context)?,
        headers: Headers::read(node, context)?,
        max_in_flight: node.count("max_in_flight")?.max(1),
        link: Mutex::new(None),
    }))
}

struct NatsOutput {
    settings: Settings,
    subject: Template,
    headers: Headers,
    max_in_flight: usize,
    link: Mutex<Option<Arc<Connected>>>,
}

struct Connected {
    link: Link,
    confirmer: Confirmer,
}

impl NatsOutput {
    /// Hands one message to the connection; its subject. `Err(None)`: the connection is gone.
    async fn publish(&self, link: &Link, batch: &[Message], index: usize) -> Result<String, Option<String>> {
        let subject = self.subject.render(&View(batch), index);
        let subject = subject.map_err(|fault| Some(format!("`subject`: {fault}")))?;
        let headers = self.headers.of(batch, index).map_err(Some)?;
        let payload = batch[index].bytes().clone();
        let sent = if headers.is_empty() {
            link.client.publish(subject.clone(), payload).await
        } else {
            link.client.publish_with_headers(subject.clone(), headers, payload).await
        };
        match sent {
            Ok(()) => Ok(subject),
            Err(fault) if fault.kind() == PublishErrorKind::Send => Err(None),
            Err(fault) => Err(Some(chain(&fault))),
        }
    }
}

#[async_trait]
impl Output for NatsOutput {
    async fn connect(&self) -> Result<(), ConnectError> {
        self.link.lock().take();
        let link = self.settings.connect().await.map_err(ConnectError)?;
        let confirmer = Confirmer::start(&link).await.map_err(ConnectError)?;
        *self.link.lock() = Some(Arc::new(Connected { link, confirmer }));
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let Some(connected) = self.link.lock().clone() else { return Err(WriteError::NotConnected) };
        let Connected { link, confirmer } = &*connected;
        if link.is_lost() {
            return Err(WriteError::NotConnected);
        }
        let (mut sent, mut failures) = (Vec::with_capacity(batch.len()), Vec::new());
        for index in 0..batch.len() {
            match self.publish(link, batch, index).await {
                Ok(subject) => sent.push((index, subject)),
                Err(Some(text)) => failures.push((index, text)),
                Err(None) => return Err(WriteError::NotConnected),
            }
        }
        if !sent.is_empty() && !confirmer.confirmed(link).await {
            return Err(WriteError::NotConnected);
        }
        for (index, subject) in sent {
            failures.extend(link.denials.of_publishing(&subject).map(|text| (index, text)));
        }
        if failures.is_empty() { Ok(()) } else { Err(WriteError::Partial(failures)) }
    }

    fn max_in_flight(&self) -> usize {
        self.max_in_flight
    }

    async fn close(&self) {
        let connected = self.link.lock().take();
        if let Some(connected) = connected {
            connected.link.clone().leave().await;
        }
    }
}
