//! Output `amqp_0_9`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bloblang::Template;
use document::Fault;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ExchangeKind, PublisherConfirm};
use parking_lot::Mutex;
use streams::{BuildContext, ConnectError, Message, Node, Output, View, WriteError};

use super::connection::Settings;
use super::message::{headers, short};

/// How long taking leave may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// Sets one property.
type Set = fn(BasicProperties, ShortString) -> BasicProperties;

/// The properties that are text.
const PROPERTIES: [(&str, Set); 9] = [
    ("type", BasicProperties::with_type),
    ("content_type", BasicProperties::with_content_type),
    ("content_encoding", BasicProperties::with_content_encoding),
    ("correlation_id", BasicProperties::with_correlation_id),
    ("reply_to", BasicProperties::with_reply_to),
    ("expiration", BasicProperties::with_expiration),
    ("message_id", BasicProperties::with_message_id),
    ("user_id", BasicProperties::with_user_id),
    ("app_id", BasicProperties::with_app_id),
];

/// Builds the output.
pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    let mut properties = Vec::new();
    for (name, set) in PROPERTIES {
        if let Some(template) = node.optional_template(name, context)? {
            properties.push((name, template, set));
        }
    }
    let declare = node.get("exchange_declare");
    let declare = match declare.boolean("enabled")? {
        false => None,
        true => {
            let kind = match &*declare.text("type")? {
                "direct" => ExchangeKind::Direct,
                "fanout" => ExchangeKind::Fanout,
                "topic" => ExchangeKind::Topic,
                other => ExchangeKind::Custom(other.to_owned()),
            };
            Some((kind, declare.boolean("durable")?))
        }
    };
    Ok(Box::new(AmqpOutput {
        settings: Settings::read(node, context)?,
        exchange: node.template("exchange", context)?,
        declare,
        key: node.template("key", context)?,
        properties,
        priority: node.optional_template("priority", context)?,
        excluded: node.get("metadata").texts("exclude_prefixes")?,
        max_in_flight: node.count("max_in_flight")?.max(1),
        persistent: node.boolean("persistent")?,
        options: BasicPublishOptions {
            mandatory: node.boolean("mandatory")?,
            immediate: node.boolean("immediate")?,
        },
        timeout: node.duration("timeout")?,
        link: Mutex::new(None),
    }))
}

struct AmqpOutput {
    settings: Settings,
    exchange: Template,
    declare: Option<(ExchangeKind, bool)>,
    key: Template,
    properties: Vec<(&'static str, Template, Set)>,
    priority: Option<Template>,
    excluded: Vec<String>,
    max_in_flight: usize,
    persistent: bool,
    options: BasicPublishOptions,
    timeout: Option<Duration>,
    link: Mutex<Option<Arc<Link>>>,
}

struct Link {
    connection: Connection,
    channel: Channel,
    declared: Mutex<HashSet<String>>,
}

/// Why one message was not delivered.
enum Undelivered {
    /// The channel is gone, perhaps because of this very message.
    Ended(String),
    Refused(String),
}

impl AmqpOutput {
    fn properties(&self, batch: &[Message], index: usize) -> Result<BasicProperties, String> {
        let view = View(batch);
        let mut properties =
            BasicProperties::default().with_delivery_mode(if self.persistent { 2 } else { 1 });
        for (name, template, set) in &self.properties {
            let text = template.render(&view, index).map_err(|fault| format!("`{name}`: {fault}"))?;
            if !text.is_empty() {
                properties = set(properties, short(text).map_err(|fault| format!("`{name}`: {fault}"))?);
            }
        }
        if let Some(template) = &self.priority {
            let text = template.render(&view, index).map_err(|fault| format!("`priority`: {fault}"))?;
            if !text.is_empty() {
                let priority = text.trim().parse::<u8>().ok().filter(|priority| *priority <= 9);
                let priority = priority.ok_or_else(|| format!("`priority` is `{text}`, not 0 to 9"))?;
                properties = properties.with_priority(priority);
            }
        }
        Ok(properties.with_headers(headers(&batch[index], &self.excluded)))
    }

    async fn publish(
        &self,
        link: &Link,
        batch: &[Message],
        index: usize,
    ) -> Result<PublisherConfirm, Undelivered> {
        let view = View(batch);
        let render = |name: &str, template: &Template| {
            template
                .render(&view, index)
                .map_err(|fault| fault.to_string())
                .and_then(short)
                .map_err(|fault| Undelivered::Refused(format!("`{name}`: {fault}")))
        };
        let exchange = render("exchange", &self.exchange)?;
        let key = render("key", &self.key)?;
        let properties = self.properties(batch, index).map_err(Undelivered::Refused)?;
        let ended = |fault: lapin::Error| Undelivered::Ended(fault.to_string());
        let name = exchange.to_string();
        if let Some((kind, durable)) = &self.declare
            && !name.is_empty()
            && !link.declared.lock().contains(&name)
        {
            let options = ExchangeDeclareOptions { durable: *durable, ..ExchangeDeclareOptions::default() };
            let declared =
                link.channel.exchange_declare(exchange.clone(), kind.clone(), options, FieldTable::default());
            let declared = async { declared.await.map_err(|fault| fault.to_string()) };
            Settings::set_up(declared).await.map_err(Undelivered::Ended)?;
            link.declared.lock().insert(name);
        }
        let payload = batch[index].bytes();
        link.channel.basic_publish(exchange, key, self.options, payload, properties).await.map_err(ended)
    }

    async fn confirmed(&self, confirm: PublisherConfirm) -> Result<(), Undelivered> {
        let answer = match self.timeout {
            None => confirm.await,
            Some(timeout) => match tokio::time::timeout(timeout, confirm).await {
                Ok(answer) => answer,
                Err(_) => {
                    let late = "the broker has not confirmed it within `timeout`";
                    return Err(Undelivered::Refused(late.to_owned()));
                }
            },
        };
        match answer {
            Ok(Confirmation::Ack(None)) => Ok(()),
            Ok(Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned))) => {
                Err(Undelivered::Refused(format!("the broker returned it: {}", returned.reply_text)))
            }
            Ok(Confirmation::Nack(None)) => Err(Undelivered::Refused("the broker refused it".to_owned())),
            Ok(Confirmation::NotRequested) => {
                Err(Undelivered::Refused("the broker does not confirm".to_owned()))
            }
            Err(fault) => Err(Undelivered::Ended(fault.to_string())),
        }
    }
}

#[async_trait]
impl Output for AmqpOutput {
    async fn connect(&self) -> Result<(), ConnectError> {
        self.link.lock().take();
        let connection = self.settings.connect().await.map_err(ConnectError)?;
        let fault = |fault: lapin::Error| fault.to_string();
        let channel = async {
            let channel = connection.create_channel().await.map_err(fault)?;
            channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(fault)?;
            Ok(channel)
        };
        let channel = Settings::set_up(channel).await.map_err(ConnectError)?;
        *self.link.lock() = Some(Arc::new(Link { connection, channel, declared: Mutex::default() }));
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let Some(link) = self.link.lock().clone() else { return Err(WriteError::NotConnected) };
        if !link.channel.status().connected() {
            return Err(WriteError::NotConnected);
        }
        let mut confirms = Vec::with_capacity(batch.len());
        for index in 0..batch.len() {
            confirms.push(self.publish(&link, batch, index).await);
        }
        let (mut failures, mut lost) = (Vec::new(), Vec::new());
        for (index, confirm) in confirms.into_iter().enumerate() {
            let done = match confirm {
                Ok(confirm) => self.confirmed(confirm).await,
                Err(fault) => Err(fault),
            };
            match done {
                Ok(()) => {}
                // A channel that the broker closed while the connection stands was closed for what was asked of it.
                Err(Undelivered::Ended(text)) if link.connection.status().connected() => {
                    failures.push((index, text));
                }
                Err(Undelivered::Ended(_)) => lost.push(index),
                Err(Undelivered::Refused(text)) => failures.push((index, text)),
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
        if let Some(link) = link {
            let leave = async {
                let _ = link.channel.close(200, "done".into()).await;
                let _ = link.connection.close(200, "done".into()).await;
            };
            let _ = tokio::time::timeout(FAREWELL, leave).await;
        }
    }
}
