//! Output `websocket` (streams contract 3.10): a message counts as delivered when the operating system has taken it.

use std::sync::Arc;

use async_trait::async_trait;
use document::Fault;
use parking_lot::Mutex;
use streams::{BuildContext, ConnectError, Message, Node, Output, WriteError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message as Frame;

use super::link::{Form, Link, Plan};

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    Ok(Box::new(WebSocket {
        plan: Plan::read(node, context)?,
        form: Form::read(node, "message_type")?,
        owner: Mutex::new(None),
    }))
}

struct WebSocket {
    plan: Plan,
    form: Form,
    owner: Mutex<Option<Owner>>,
}

/// The task that owns the connection.
struct Owner {
    frames: mpsc::Sender<Order>,
    task: JoinHandle<()>,
}

/// A frame to be written, and whom to tell.
type Order = (Frame, oneshot::Sender<Result<(), Arc<str>>>);

/// Writes what it is asked to, answers pings, and ends with the connection or with the last who could ask.
async fn own(mut link: Link, mut orders: mpsc::Receiver<Order>) {
    loop {
        // Neither side goes first: a server that talks without end does not keep messages from being written.
        tokio::select! {
            // What the server says is of no interest here, but that it has left is.
            read = link.next() => if let Err(reason) = read {
                tracing::warn!(%reason, "websocket lost");
                return;
            },
            order = orders.recv() => {
                let Some((frame, told)) = order else { return link.leave().await };
                let written = link.send(frame).await.map_err(Arc::from);
                let lost = written.is_err();
                let _ = told.send(written);
                if lost {
                    return;
                }
            }
        }
    }
}

impl WebSocket {
    /// Writes one frame; false when the connection is gone.
    async fn send(&self, frame: Frame) -> bool {
        let Some(frames) = self.owner.lock().as_ref().map(|owner| owner.frames.clone()) else { return false };
        let (told, written) = oneshot::channel();
        if frames.send((frame, told)).await.is_err() {
            return false;
        }
        match written.await {
            Ok(Ok(())) => true,
            Ok(Err(reason)) => {
                tracing::warn!(%reason, "a message could not be written to a websocket");
                false
            }
            Err(_) => false,
        }
    }
}

#[async_trait]
impl Output for WebSocket {
    async fn connect(&self) -> Result<(), ConnectError> {
        let link = self.plan.connect().await.map_err(ConnectError)?;
        // One batch is written at a time, and waits for each of its frames.
        let (frames, orders) = mpsc::channel(1);
        let task = tokio::spawn(own(link, orders));
        *self.owner.lock() = Some(Owner { frames, task });
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        for (index, message) in batch.iter().enumerate() {
            let text = match self.form.frame(message.bytes().clone()) {
                Ok(frame) => {
                    if self.send(frame).await {
                        continue;
                    }
                    if index == 0 {
                        return Err(WriteError::NotConnected);
                    }
                    // What was written is not written again; the next batch finds the connection gone.
                    "the connection was lost".to_owned()
                }
                Err(fault) => fault,
            };
            // What follows waits, which keeps the order.
            let behind =
                (index + 1..batch.len()).map(|later| (later, format!("not sent after a failure: {text}")));
            return Err(WriteError::Partial(std::iter::once((index, text.clone())).chain(behind).collect()));
        }
        Ok(())
    }

    async fn close(&self) {
        let owner = self.owner.lock().take();
        if let Some(Owner { frames, task }) = owner {
            drop(frames);
            let _ = task.await;
        }
    }
}
