//! Output `amqp_1`.

use std::sync::Arc;

use async_trait::async_trait;
use bloblang::Mapping;
use document::Fault;
use fe2o3_amqp::Sender;
use fe2o3_amqp::link::SendError;
use fe2o3_amqp::link::delivery::DeliveryFut;
use fe2o3_amqp::types::messaging::Outcome;
use parking_lot::Mutex;
use streams::{BuildContext, ConnectError, Message, Node, Output, View, WriteError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::connection::{FAREWELL, Opened, Settings};
use super::message::{Carried, to_amqp};
use crate::parting::Parting;

/// Most messages that wait for the link.
const QUEUE: usize = 64;

/// Builds the output.
pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    Ok(Box::new(AmqpOutput {
        settings: Settings::read(node, context)?,
        address: node.text("target_address")?.into_owned(),
        properties: node.mapping("application_properties_map", context)?,
        excluded: node.get("metadata").texts("exclude_prefixes")?,
        as_text: node.text("content_type")? == "string",
        max_in_flight: node.count("max_in_flight")?.max(1),
        stream: context.stream.clone(),
        running: Mutex::new(None),
    }))
}

struct AmqpOutput {
    settings: Settings,
    address: String,
    properties: Option<Mapping>,
    excluded: Vec<String>,
    as_text: bool,
    max_in_flight: usize,
    stream: Arc<str>,
    running: Mutex<Option<Owner>>,
}

/// The task that holds the link. It ends with its owner, whatever the server keeps it waiting for.
struct Owner {
    running: Running,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Running {
    asks: mpsc::Sender<Ask>,
    lost: watch::Receiver<bool>,
}

/// A message for the link, and where its settlement is awaited.
struct Ask {
    message: Carried,
    sent: oneshot::Sender<Result<Settlement, SendError>>,
}

type Settlement = DeliveryFut<Result<Outcome, SendError>>;

/// Why one message was not delivered.
enum Undelivered {
    /// The connection is gone.
    Ended,
    Refused(String),
}

impl From<SendError> for Undelivered {
    fn from(fault: SendError) -> Undelivered {
        match fault {
            SendError::MessageSizeExceeded(_) | SendError::MessageEncodeError => {
                Undelivered::Refused(fault.to_string())
            }
            _ => Undelivered::Ended,
        }
    }
}

/// Sends what is asked for, until either side ends.
async fn serve(
    mut opened: Opened,
    mut sender: Sender,
    mut asks: mpsc::Receiver<Ask>,
    lost: watch::Sender<bool>,
    mut stopped: watch::Receiver<bool>,
    stream: Arc<str>,
) {
    let reason = loop {
        tokio::select! {
            closed = opened.connection.on_close() => break match closed {
                Ok(()) => "the server closed the connection".to_owned(),
                Err(fault) => fault.to_string(),
            },
            () = end(&mut stopped) => return leave(opened, sender).await,
            ask = asks.recv() => {
                let Some(Ask { message, sent }) = ask else { return leave(opened, sender).await };
                // A server that gives no credit keeps a message waiting for as long as it likes.
                let result = tokio::select! {
                    result = sender.send_batchable(message) => result,
                    () = end(&mut stopped) => return leave(opened, sender).await,
                    closed = opened.connection.on_close() => break match closed {
                        Ok(()) => "the server closed the connection".to_owned(),
                        Err(fault) => fault.to_string(),
                    },
                };
                let ended = result.as_ref().err().map(ToString::to_string);
                let fatal = result.as_ref().is_err_and(|fault| {
                    !matches!(fault, SendError::MessageSizeExceeded(_) | SendError::MessageEncodeError)
                });
                let _ = sent.send(result);
                if let Some(reason) = ended.filter(|_| fatal) {
                    break reason;
                }
            }
        }
    };
    tracing::warn!(%stream, %reason, "amqp connection lost");
    lost.send_replace(true);
}

/// Resolves when it is true, or nobody is left who could say so.
async fn end(told: &mut watch::Receiver<bool>) {
    let _ = told.wait_for(|told| *told).await;
}

async fn leave(opened: Opened, sender: Sender) {
    let _ = tokio::time::timeout(FAREWELL / 2, sender.close()).await;
    opened.leave().await;
}

impl AmqpOutput {
    fn message(&self, batch: &[Message], index: usize) -> Result<Carried, String> {
        let properties = match &self.properties {
            None => None,
            Some(query) => {
                let value = query.query(&View(batch), index);
                Some(value.map_err(|fault| format!("`application_properties_map`: {fault}"))?)
            }
        };
        to_amqp(&batch[index], &self.excluded, properties.as_ref(), self.as_text)
    }

    async fn deliver(&self, running: &Running, batch: &[Message]) -> Result<(), WriteError> {
        let mut sent = Vec::with_capacity(batch.len());
        for index in 0..batch.len() {
            sent.push(match self.message(batch, index) {
                Err(text) => Err(text),
                Ok(message) => {
                    let (sender, receiver) = oneshot::channel();
                    // Where the link is gone, the question is dropped, and with it the sender of its answer.
                    let _ = running.asks.send(Ask { message, sent: sender }).await;
                    Ok(receiver)
                }
            });
        }
        let (mut failures, mut lost) = (Vec::new(), Vec::new());
        let (mut parting, mut gone) = (Parting::default(), running.lost.clone());
        for (index, sent) in sent.into_iter().enumerate() {
            let done = match sent {
                Err(text) => Err(Undelivered::Refused(text)),
                Ok(sent) => {
                    let settled = parting.answer(settled(sent), end(&mut gone)).await;
                    settled.unwrap_or(Err(Undelivered::Ended))
                }
            };
            match done {
                Ok(()) => {}
                Err(Undelivered::Ended) => lost.push(index),
                Err(Undelivered::Refused(text)) => failures.push((index, text)),
            }
        }
        if !lost.is_empty() {
            return Err(WriteError::lost(lost, failures));
        }
        if failures.is_empty() { Ok(()) } else { Err(WriteError::Partial(failures)) }
    }
}

/// Waits until the server has said what became of a message.
async fn settled(sent: oneshot::Receiver<Result<Settlement, SendError>>) -> Result<(), Undelivered> {
    let refused = |text: String| Err(Undelivered::Refused(text));
    match sent.await.map_err(|_| Undelivered::Ended)??.await? {
        Outcome::Accepted(_) => Ok(()),
        Outcome::Rejected(rejected) => refused(match rejected.error {
            Some(error) => format!("the server rejected it: {}", error.description.unwrap_or_default()),
            None => "the server rejected it".to_owned(),
        }),
        Outcome::Released(_) => refused("the server did not take it".to_owned()),
        Outcome::Modified(_) => refused("the server gave it back".to_owned()),
        #[allow(unreachable_patterns, reason = "more outcomes with features that other crates may switch on")]
        _ => refused("the server gave an outcome that is not known here".to_owned()),
    }
}

#[async_trait]
impl Output for AmqpOutput {
    async fn connect(&self) -> Result<(), ConnectError> {
        self.running.lock().take();
        let mut opened = self.settings.connect().await.map_err(ConnectError)?;
        let name = format!("sluicegate-{:x}", rand::random::<u64>());
        let attached = Sender::attach(&mut opened.session, name, self.address.as_str());
        let sender = match tokio::time::timeout(FAREWELL, attached).await {
            Ok(Ok(sender)) => sender,
            Ok(Err(fault)) => {
                opened.leave().await;
                return Err(ConnectError(format!("`{}` cannot be written to: {fault}", self.address)));
            }
            Err(_) => {
                return Err(ConnectError(format!("`{}`: the server does not answer", self.address)));
            }
        };
        let (asks, asked) = mpsc::channel(QUEUE);
        let (lose, lost) = watch::channel(false);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(serve(opened, sender, asked, lose, stopped, self.stream.clone()));
        *self.running.lock() = Some(Owner { running: Running { asks, lost }, stop, task });
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let running = self.running.lock().as_ref().map(|owner| owner.running.clone());
        let Some(running) = running else { return Err(WriteError::NotConnected) };
        if *running.lost.borrow() {
            return Err(WriteError::NotConnected);
        }
        self.deliver(&running, batch).await
    }

    fn max_in_flight(&self) -> usize {
        self.max_in_flight
    }

    async fn close(&self) {
        let owner = self.running.lock().take();
        if let Some(mut owner) = owner {
            owner.stop.send_replace(true);
            let _ = tokio::time::timeout(FAREWELL, &mut owner.task).await;
        }
    }
}
