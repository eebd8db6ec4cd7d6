//! Input `amqp_0_9`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use document::Fault;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
    BasicRejectOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{Acker, Channel, Connection, Consumer};
use regex::Regex;
use streams::{Ack, Batch, BuildContext, ConnectError, Input, NackKind, NackReason, Node, ReadError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::connection::Settings;
use super::message::{from_delivery, short};

/// How long taking leave may take: the last acknowledgements go out before it.
const FAREWELL: Duration = Duration::from_secs(5);

/// Builds the input.
pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let text = |node: &Node<'_>, name: &str| {
        short(node.text(name)?.into_owned()).map_err(|fault| node.field_fault(name, fault))
    };
    let prefetch = u16::try_from(node.integer("prefetch_count")?)
        .map_err(|_| node.field_fault("prefetch_count", "`prefetch_count` must be between 0 and 65535"))?;
    if node.integer("prefetch_size")? != 0 {
        return Err(node.field_fault("prefetch_size", "brokers refuse it; write `prefetch_count`"));
    }
    let mut reject = Vec::new();
    for pattern in node.texts("nack_reject_patterns")? {
        reject.push(Regex::new(&pattern).map_err(|fault| {
            node.field_fault("nack_reject_patterns", format!("`{pattern}` is no regular expression: {fault}"))
        })?);
    }
    let mut bindings = Vec::new();
    for binding in node.items("bindings_declare") {
        bindings.push((text(&binding, "exchange")?, text(&binding, "key")?));
    }
    let declare = node.get("queue_declare");
    let declare = match declare.boolean("enabled")? {
        false => None,
        true => Some(QueueDeclareOptions {
            durable: declare.boolean("durable")?,
            auto_delete: declare.boolean("auto_delete")?,
            ..QueueDeclareOptions::default()
        }),
    };
    Ok(Box::new(AmqpInput {
        settings: Settings::read(node, context)?,
        queue: text(node, "queue")?,
        declare,
        bindings,
        consumer_tag: text(node, "consumer_tag")?,
        auto_ack: node.boolean("auto_ack")?,
        prefetch,
        reject: reject.into(),
        stream: context.stream.clone(),
        leaving: Leaving::No,
        running: None,
    }))
}

struct AmqpInput {
    settings: Settings,
    queue: ShortString,
    declare: Option<QueueDeclareOptions>,
    bindings: Vec<(ShortString, ShortString)>,
    consumer_tag: ShortString,
    auto_ack: bool,
    prefetch: u16,
    reject: Arc<[Regex]>,
    stream: Arc<str>,
    leaving: Leaving,
    running: Option<Running>,
}

/// How far taking leave has come where the broker wants no acknowledgements, and has forgotten what it has sent.
enum Leaving {
    No,
    /// The broker is being told that nothing more is wanted.
    Telling(BoxFuture<'static, ()>),
    /// What it sent before is all that still comes.
    Told,
}

struct Running {
    connection: Connection,
    channel: Channel,
    consumer: Consumer,
    // Bounded by the messages that the broker has sent ahead.
    resolved: mpsc::UnboundedSender<Option<(Acker, Verdict)>>,
    resolver: JoinHandle<()>,
}

/// What the broker is told of a message.
enum Verdict {
    Delivered,
    Again,
    Rejected,
}

impl AmqpInput {
    async fn start(&mut self) -> Result<Running, String> {
        let connection = self.settings.connect().await?;
        Settings::set_up(self.consume(connection)).await
    }

    async fn consume(&mut self, connection: Connection) -> Result<Running, String> {
        let wrong = |what: &str, fault: lapin::Error| format!("{what}: {fault}");
        let channel = connection.create_channel().await.map_err(|fault| wrong("no channel", fault))?;
        if let Some(options) = self.declare {
            channel
                .queue_declare(self.queue.clone(), options, FieldTable::default())
                .await
                .map_err(|fault| wrong("the queue cannot be declared", fault))?;
        }
        for (exchange, key) in &self.bindings {
            channel
                .queue_bind(
                    self.queue.clone(),
                    exchange.clone(),
                    key.clone(),
                    QueueBindOptions::default(),
                    FieldTable::default(),
                )
                .await
                .map_err(|fault| wrong("the queue cannot be bound", fault))?;
        }
        channel
            .basic_qos(self.prefetch, BasicQosOptions::default())
            .await
            .map_err(|fault| wrong("the broker does not take `prefetch_count`", fault))?;
        let options = BasicConsumeOptions { no_ack: self.auto_ack, ..BasicConsumeOptions::default() };
        let consumer = channel
            .basic_consume(self.queue.clone(), self.consumer_tag.clone(), options, FieldTable::default())
            .await
            .map_err(|fault| wrong("the queue cannot be consumed", fault))?;
        let (resolved, mut verdicts) = mpsc::unbounded_channel::<Option<(Acker, Verdict)>>();
        let resolver = tokio::spawn(async move {
            while let Some(Some((acker, verdict))) = verdicts.recv().await {
                // What cannot be told means that the channel is gone: the message goes back to the queue.
                let _ = match verdict {
                    Verdict::Delivered => acker.ack(BasicAckOptions::default()).await,
                    Verdict::Again => {
                        acker.nack(BasicNackOptions { requeue: true, ..BasicNackOptions::default() }).await
                    }
                    Verdict::Rejected => acker.reject(BasicRejectOptions { requeue: false }).await,
                };
            }
        });
        Ok(Running { connection, channel, consumer, resolved, resolver })
    }
}

fn verdict(outcome: Result<(), NackReason>, reject: &[Regex]) -> Verdict {
    match outcome {
        Ok(()) => Verdict::Delivered,
        // What was only interrupted, such as by a stop, has not failed: whatever the patterns match, it comes again.
        Err(reason)
            if reason.kind() == NackKind::Failed
                && reject.iter().any(|pattern| pattern.is_match(reason.text())) =>
        {
            Verdict::Rejected
        }
        Err(_) => Verdict::Again,
    }
}

#[async_trait]
impl Input for AmqpInput {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        self.running = None;
        self.running = Some(self.start().await.map_err(ConnectError)?);
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        let Some(running) = &mut self.running else { return Err(ReadError::NotConnected) };
        let delivered = match &mut self.leaving {
            Leaving::Telling(told) => tokio::select! {
                biased;
                delivered = running.consumer.next() => delivered,
                () = told => {
                    self.leaving = Leaving::Told;
                    running.consumer.next().await
                }
            },
            Leaving::No | Leaving::Told => running.consumer.next().await,
        };
        match delivered {
            Some(Ok(mut delivery)) => {
                let tag = running.consumer.tag().to_string();
                let message = from_delivery(&mut delivery, &tag);
                if self.auto_ack {
                    return Ok((vec![message], Ack::none()));
                }
                let (resolved, reject, acker) =
                    (running.resolved.clone(), self.reject.clone(), delivery.acker);
                let ack = Ack::new(move |outcome| {
                    let _ = resolved.send(Some((acker, verdict(outcome, &reject))));
                });
                Ok((vec![message], ack))
            }
            _ if !matches!(self.leaving, Leaving::No) => Err(ReadError::End),
            ended => {
                let reason = match ended {
                    Some(Err(fault)) => fault.to_string(),
                    _ => "the broker ended the consumer".to_owned(),
                };
                tracing::warn!(stream = %self.stream, %reason, "amqp connection lost");
                self.running = None;
                Err(ReadError::NotConnected)
            }
        }
    }

    fn drain(&mut self) -> bool {
        let Some(running) = self.running.as_ref().filter(|_| self.auto_ack) else { return false };
        let (channel, tag) = (running.channel.clone(), running.consumer.tag());
        let tell = async move {
            let cancelled = channel.basic_cancel(tag, BasicCancelOptions::default());
            if !matches!(tokio::time::timeout(FAREWELL, cancelled).await, Ok(Ok(()))) {
                // Then the consumer does not end by itself.
                let _ = channel.close(200, "done".into()).await;
            }
        };
        self.leaving = Leaving::Telling(Box::pin(tell));
        true
    }

    async fn close(&mut self) {
        let Some(running) = self.running.take() else { return };
        let Running { connection, channel, resolved, resolver, .. } = running;
        let leave = async {
            let _ = resolved.send(None);
            let _ = resolver.await;
            let _ = channel.close(200, "done".into()).await;
            let _ = connection.close(200, "done".into()).await;
        };
        let _ = tokio::time::timeout(FAREWELL, leave).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_failed_is_rejected() {
        let all = [Regex::new(".*").unwrap()];
        assert!(matches!(verdict(Err(NackReason::failed("no")), &all), Verdict::Rejected));
        assert!(matches!(verdict(Err(NackReason::failed("no")), &[]), Verdict::Again));
        assert!(matches!(verdict(Err(NackReason::stopping()), &all), Verdict::Again));
    }
}
