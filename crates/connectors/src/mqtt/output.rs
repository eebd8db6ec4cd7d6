//! Output `mqtt`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bloblang::Template;
use document::Fault;
use parking_lot::Mutex;
use streams::{BuildContext, ConnectError, Message, Node, Output, View, WriteError};

use super::link::{Client, Link, Outgoing, PublishFault, Receipt};
use super::settings::{Settings, qos};

/// Most handshakes of quality of service 2 at a time. Version 3.1.1 has no way to agree on it. With many more, messages
/// to Mosquitto 2.0.11 stalled; its own window is this large by default, so no more are begun.
const HANDSHAKES: u16 = 20;

/// Builds the output.
pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    let mut settings = Settings::read(node, context)?;
    let max_in_flight = node.count("max_in_flight")?.max(1);
    let qos = qos(node)?;
    settings.in_flight = match qos {
        2 => HANDSHAKES,
        _ => u16::try_from(max_in_flight).unwrap_or(u16::MAX).max(100),
    };
    Ok(Box::new(MqttOutput {
        settings,
        topic: node.template("topic", context)?,
        qos,
        retained: node.boolean("retained")?,
        retained_template: node.optional_template("retained_interpolated", context)?,
        write_timeout: node.duration("write_timeout")?.unwrap_or(Duration::from_secs(3)),
        max_in_flight,
        stream: context.stream.clone(),
        link: Mutex::new(None),
    }))
}

struct MqttOutput {
    settings: Settings,
    topic: Template,
    qos: u8,
    retained: bool,
    retained_template: Option<Template>,
    write_timeout: Duration,
    max_in_flight: usize,
    stream: Arc<str>,
    link: Mutex<Option<Link>>,
}

impl MqttOutput {
    fn outgoing(&self, batch: &[Message], index: usize) -> Result<Outgoing, String> {
        let view = View(batch);
        let topic =
            self.topic.render(&view, index).map_err(|fault| format!("`topic` cannot be told: {fault}"))?;
        if topic.is_empty() {
            return Err("`topic` is empty for this message".to_owned());
        }
        let retain = match &self.retained_template {
            None => self.retained,
            Some(template) => {
                let text = template
                    .render(&view, index)
                    .map_err(|fault| format!("`retained_interpolated` cannot be told: {fault}"))?;
                text.trim().parse().map_err(|_| {
                    format!("`retained_interpolated` is `{text}` for this message, not true or false")
                })?
            }
        };
        Ok(Outgoing { topic, payload: batch[index].bytes().clone(), qos: self.qos, retain })
    }

    async fn send(&self, client: &Client, batch: &[Message], index: usize) -> Result<Receipt, PublishFault> {
        let outgoing = self.outgoing(batch, index).map_err(PublishFault::Refused)?;
        client.publish(outgoing).await
    }

    /// The connection's end of publishing; `None` when it has ended.
    fn client(&self) -> Option<Client> {
        let mut link = self.link.lock();
        if let Some(reason) = link.as_ref().and_then(Link::reason) {
            tracing::warn!(stream = %self.stream, %reason, "mqtt connection lost");
            *link = None;
        }
        link.as_ref().map(|link| link.client.clone())
    }
}

#[async_trait]
impl Output for MqttOutput {
    async fn connect(&self) -> Result<(), ConnectError> {
        if self.link.lock().as_ref().is_some_and(Link::is_up) {
            return Ok(());
        }
        let link = Link::connect(&self.settings).await.map_err(ConnectError)?;
        *self.link.lock() = Some(link);
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let Some(client) = self.client() else { return Err(WriteError::NotConnected) };
        let mut receipts = Vec::with_capacity(batch.len());
        for index in 0..batch.len() {
            receipts.push(tokio::time::timeout(self.write_timeout, self.send(&client, batch, index)).await);
        }
        let late = || "the mqtt broker has not confirmed it within `write_timeout`".to_owned();
        let (mut failures, mut lost) = (Vec::new(), Vec::new());
        for (index, receipt) in receipts.into_iter().enumerate() {
            let done = match receipt {
                Ok(Ok(receipt)) => tokio::time::timeout(self.write_timeout, receipt).await,
                Ok(Err(fault)) => Ok(Err(fault)),
                Err(late) => Err(late),
            };
            match done {
                Ok(Ok(())) => {}
                Ok(Err(PublishFault::Lost)) => lost.push(index),
                Ok(Err(PublishFault::Refused(text))) => failures.push((index, text)),
                Err(_) => failures.push((index, late())),
            }
        }
        if !lost.is_empty() {
            return Err(WriteError::lost(lost, failures));
        }
        if failures.is_empty() { Ok(()) } else { Err(WriteError::Partial(failures)) }
    }

    fn max_in_flight(&self) -> usize {
        self.max_in_flight
    }

    async fn close(&self) {
        let link = self.link.lock().take();
        if let Some(mut link) = link {
            link.leave().await;
        }
    }
}
