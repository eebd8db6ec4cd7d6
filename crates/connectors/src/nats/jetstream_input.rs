//! Input `nats_jetstream`.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use async_trait::async_trait;
use document::Fault;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use streams::{Ack, Batch, BuildContext, ConnectError, Input, Message, Node, ReadError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::connection::{FAREWELL, Link, Settings};
use super::consumer::{Messages, Wanted};
use super::headers::set_metadata;
use super::position::Position;
use super::progress::{Pending, Progress, Teller};

/// Builds the input.
pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let wanted = Wanted::read(node)?;
    if let Some(claim) = wanted.claim() {
        context.claim(claim);
    }
    Ok(Box::new(JetStreamInput {
        settings: Settings::read(node, context)?,
        wanted,
        stream: context.stream.clone(),
        position: Arc::default(),
        own: None,
        leaving: false,
        running: None,
    }))
}

/// How long a consumer without acknowledgements says nothing before it is believed to have nothing more.
const SILENCE: Duration = Duration::from_millis(100);
/// How long such a consumer may go on sending after it was told to stop.
const LAST: Duration = Duration::from_secs(1);

struct JetStreamInput {
    settings: Settings,
    wanted: Wanted,
    stream: Arc<str>,
    position: Arc<Mutex<Position>>,
    /// Stream and name of the consumer that this input made for itself.
    own: Option<(String, String)>,
    leaving: bool,
    running: Option<Running>,
}

struct Running {
    link: Link,
    progress: Progress,
    // As many as the server sends ahead.
    arrived: mpsc::Receiver<(Message, Ack)>,
    taking: Taking,
    /// The server wants acknowledgements, and so sends again what is handed back.
    acknowledged: bool,
}

/// A task that takes in what the server sends; ends with its owner.
struct Taking {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Taking {
    /// Ends it when it has taken in all that is here, and with it the subscription.
    fn stop(&self) {
        self.stop.send_replace(true);
    }

    async fn stopped(mut self) {
        self.stop();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl JetStreamInput {
    async fn start(&mut self) -> Result<Running, String> {
        let link = self.settings.connect().await?;
        let context = jetstream::new(link.client.clone());
        let open = self.wanted.open(&context, self.own.as_ref(), &self.position);
        let found = tokio::select! {
            found = open => found?,
            () = link.lost() => return Err("the connection was lost at once".to_owned()),
        };
        self.own = found.own;
        let progress = Progress::start(link.client.clone(), found.ack_wait.unwrap_or(FAREWELL));
        let (sender, arrived) = mpsc::channel(found.ahead);
        let position = self.own.is_some().then(|| self.position.clone());
        let teller = found.ack_wait.map(|_| progress.teller(position));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(take(found.messages, teller, sender, stopped, self.stream.clone()));
        let taking = Taking { task, stop };
        Ok(Running { link, progress, arrived, taking, acknowledged: found.ack_wait.is_some() })
    }
}

/// Takes messages in as they arrive, so that the server hears of each that it is being worked on.
async fn take(
    mut messages: Messages,
    teller: Option<Teller>,
    to: mpsc::Sender<(Message, Ack)>,
    mut stopped: watch::Receiver<bool>,
    stream: Arc<str>,
) {
    let mut end = None;
    loop {
        if teller.is_none()
            && *stopped.borrow()
            && *end.get_or_insert_with(|| Instant::now() + LAST) <= Instant::now()
        {
            return;
        }
        let incoming = tokio::select! {
            biased;
            incoming = messages.next() => incoming,
            () = last(&mut stopped, teller.is_none()) => return,
        };
        let incoming = match incoming {
            Some(Ok(incoming)) => incoming,
            Some(Err(reason)) => {
                tracing::warn!(%stream, %reason, "the nats consumer is read anew");
                return;
            }
            None => return,
        };
        let ack = match (&teller, pending(&incoming)) {
            (Some(teller), Some(pending)) => {
                let Some(ack) = teller.arrived(pending) else { continue };
                ack
            }
            _ => Ack::none(),
        };
        // There is room for all that the server sends ahead, unless its consumer knows no bound.
        tokio::select! {
            biased;
            sent = to.send((message(incoming), ack)) => {
                if sent.is_err() {
                    return;
                }
            }
            // What the server will not send again waits for its turn.
            _ = stopped.wait_for(|stopped| *stopped), if teller.is_some() => return,
        }
    }
}

/// Until nothing more is taken in: at once when that is said, and where the server sends nothing twice after a moment of
/// silence, since the library may still hold what has arrived.
async fn last(stopped: &mut watch::Receiver<bool>, sent_once: bool) {
    // An error says that nobody can say it any more.
    let _ = stopped.wait_for(|stopped| *stopped).await;
    if sent_once {
        tokio::time::sleep(SILENCE).await;
    }
}

fn pending(incoming: &jetstream::Message) -> Option<Pending> {
    let info = incoming.info().ok()?;
    let reply = incoming.message.reply.clone()?;
    let (sequence, delivery) = (info.stream_sequence, info.consumer_sequence);
    Some(Pending { reply, sequence, delivery, times: info.delivered })
}

fn message(incoming: jetstream::Message) -> Message {
    let mut message = Message::new(incoming.message.payload.clone());
    set_metadata(&mut message, incoming.message.headers.as_ref());
    message.set_meta("nats_subject", incoming.message.subject.as_str());
    if let Ok(info) = incoming.info() {
        for (name, number) in [
            ("nats_sequence_stream", i128::from(info.stream_sequence)),
            ("nats_sequence_consumer", i128::from(info.consumer_sequence)),
            ("nats_num_delivered", i128::from(info.delivered)),
            ("nats_num_pending", i128::from(info.pending)),
            ("nats_timestamp_unix_nano", info.published.unix_timestamp_nanos()),
        ] {
            message.set_meta(name, number.to_string());
        }
        message.set_meta("nats_domain", info.domain.unwrap_or_default());
    }
    message
}

#[async_trait]
impl Input for JetStreamInput {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        self.running = None;
        self.running = Some(self.start().await.map_err(ConnectError)?);
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        let Some(running) = &mut self.running else { return Err(ReadError::NotConnected) };
        let arrived = tokio::select! {
            biased;
            // What the server will not send again is given out first.
            () = running.link.lost(), if running.acknowledged || running.arrived.is_empty() => None,
            arrived = running.arrived.recv() => arrived,
        };
        match arrived {
            Some((message, ack)) => Ok((vec![message], ack)),
            None if self.leaving => Err(ReadError::End),
            None => {
                tracing::warn!(stream = %self.stream, "nats connection lost");
                self.running = None;
                Err(ReadError::NotConnected)
            }
        }
    }

    fn drain(&mut self) -> bool {
        // Before anything is handed back: the server would send it here again.
        let Some(running) = &self.running else { return false };
        if running.acknowledged {
            running.taking.stop();
            return false;
        }
        // What the server will not send again is delivered: all that it has sent before it answers.
        let (link, stop) = (running.link.clone(), running.taking.stop.clone());
        tokio::spawn(async move {
            let _ = tokio::time::timeout(FAREWELL, link.denials.settle(&link.client)).await;
            stop.send_replace(true);
        });
        self.leaving = true;
        true
    }

    async fn close(&mut self) {
        let Some(Running { link, progress, arrived, taking, .. }) = self.running.take() else { return };
        let leave = async {
            taking.stopped().await;
            // What nobody has read is handed back, so that others need not wait for it, when nothing is sent here any
            // more.
            let _ = link.denials.settle(&link.client).await;
            drop(arrived);
            progress.close().await;
            if let Some((stream, name)) = self.own.take() {
                let context = jetstream::new(link.client.clone());
                let _ = context.delete_consumer_from_stream(name, stream).await;
            }
        };
        tokio::select! {
            _ = tokio::time::timeout(FAREWELL, leave) => {}
            () = link.lost() => return,
        }
        link.leave().await;
    }
}
