//! The edge towards producers: requests become messages, and wait for their ack.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bloblang::Template;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::ack::{Ack, NackKind, Transaction};
use crate::message::{Batch, Message, View};
use crate::multipart;
use crate::rate_limit::{Access, RateLimit, pass};
use crate::reply::ReplySlot;
use crate::selection::Selection;

/// Batches that wait between the edge and the stream; more producers wait outside, each within its own timeout.
const QUEUE: usize = 64;

/// The settings of one ingest (streams contract 2.4).
pub struct IngestOptions {
    /// Covers queueing and waiting for the ack.
    pub timeout: Duration,
    /// Sent once when a WebSocket connects, as a binary frame; empty: nothing.
    pub welcome: String,
    /// Status of an answer, interpolated against its first message.
    pub status: Template,
    /// Headers of an answer, interpolated against its first message.
    pub headers: Vec<(String, Template)>,
    /// Which metadata of its first message becomes headers of an answer.
    pub metadata: Selection,
    /// Asked before messages are taken.
    pub rate_limit: Option<Arc<dyn RateLimit>>,
    /// What a WebSocket is told, as a binary frame, instead of taking what exceeds the limit; empty: it waits.
    pub limit_message: String,
}

/// Takes batches from producers and tells each what became of its own.
pub struct Ingest {
    /// Times and the form of answers.
    pub options: IngestOptions,
    sender: mpsc::Sender<Transaction>,
    open: AtomicBool,
}

/// Why a batch was not taken, or not answered. But for [`IngestError::Answer`], never told for a batch that was
/// delivered within the timeout, and its absence is never told for one that was not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    /// No ack within the timeout (408). The messages may still be delivered.
    #[error("the stream did not take the message in time")]
    Timeout,
    /// The stream is not running, or stops (503).
    #[error("the stream is closing")]
    Closing,
    /// The stream refused the messages (502).
    #[error("{0}")]
    Rejected(String),
    /// Delivered, but its answer could not be made (502): handing it in again would deliver it twice.
    #[error("the message was delivered, but its answer could not be made: {0}")]
    Answer(String),
    /// The limit is exceeded (429). Nothing was taken.
    #[error("the rate limit is exceeded")]
    RateLimited {
        /// When it makes sense to come again.
        retry_after: Duration,
    },
    /// The limit cannot be asked (502). Nothing was taken: a limit that is away is not no limit.
    #[error("the rate limit cannot be asked: {0}")]
    LimitAway(String),
}

/// What a stream answers to a producer (streams contract 5.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncResponse {
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// Headers by name; `Content-Type` is among them.
    pub headers: Vec<(String, String)>,
    /// The message, or all of them as `multipart/mixed`.
    pub body: Bytes,
}

impl Ingest {
    /// An ingest, closed until the stream starts, and the end from which the stream reads.
    pub fn new(options: IngestOptions) -> (Ingest, mpsc::Receiver<Transaction>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Ingest { options, sender, open: AtomicBool::new(false) }, receiver)
    }

    pub(crate) fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Release);
    }

    /// Whether the stream takes messages.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Batches that wait for the stream now, of at most 64.
    pub fn queued(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }

    /// Asks the rate limit, where there is one, whether this batch may be handed in now.
    ///
    /// # Errors
    /// [`IngestError::RateLimited`] and [`IngestError::LimitAway`].
    pub async fn admit(&self, batch: &[Message]) -> Result<(), IngestError> {
        let Some(limit) = &self.options.rate_limit else { return Ok(()) };
        match limit.access(bytes(batch)).await {
            Ok(Access::Go) => Ok(()),
            Ok(Access::Wait(retry_after)) => Err(IngestError::RateLimited { retry_after }),
            Err(fault) => Err(IngestError::LimitAway(fault.0)),
        }
    }

    /// As [`Ingest::admit`] for a sender that cannot be told: waits until the batch may be handed in. Cancel safe.
    pub async fn admit_in_time(&self, batch: &[Message]) {
        if let Some(limit) = &self.options.rate_limit {
            pass(&**limit, bytes(batch)).await;
        }
    }

    /// Hands a batch to the stream and waits for what becomes of it: `Ok` only after the ack, with the answer that
    /// the stream has stored, if any.
    ///
    /// # Errors
    /// See [`IngestError`].
    pub async fn submit(&self, batch: Batch) -> Result<Option<SyncResponse>, IngestError> {
        match tokio::time::timeout(self.options.timeout, self.pass(batch)).await {
            Ok(result) => result,
            Err(_) => Err(IngestError::Timeout),
        }
    }

    /// As [`Ingest::submit`] for a sender that cannot be told of a failure, such as a WebSocket: hands the batch in
    /// again, with growing pauses of 100 ms to 5 s, until it is acked or the stream closes (streams contract 2.4, WS).
    ///
    /// # Errors
    /// [`IngestError::Closing`], and [`IngestError::Answer`] for what was taken.
    pub async fn submit_until_taken(&self, batch: Batch) -> Result<Option<SyncResponse>, IngestError> {
        let mut pause = Duration::from_millis(100);
        loop {
            match self.pass(batch.clone()).await {
                Err(IngestError::Rejected(text)) => {
                    tracing::debug!(%text, "message refused, handing it in again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
                result => return result,
            }
        }
    }

    async fn pass(&self, mut batch: Batch) -> Result<Option<SyncResponse>, IngestError> {
        if !self.is_open() {
            return Err(IngestError::Closing);
        }
        let slot = Arc::new(ReplySlot::default());
        for message in &mut batch {
            message.set_reply(slot.clone());
        }
        let (resolved, outcome) = oneshot::channel();
        let ack = Ack::new(move |outcome| {
            let _ = resolved.send(outcome);
        });
        if self.sender.send(Transaction { batch, ack }).await.is_err() {
            return Err(IngestError::Closing);
        }
        match outcome.await {
            Ok(Ok(())) => self.answer(&slot.take()),
            Ok(Err(reason)) if reason.kind() == NackKind::Failed => {
                Err(IngestError::Rejected(reason.text().to_owned()))
            }
            Ok(Err(_)) | Err(_) => Err(IngestError::Closing),
        }
    }

    fn answer(&self, messages: &[Message]) -> Result<Option<SyncResponse>, IngestError> {
        let Some(first) = messages.first() else { return Ok(None) };
        let view = View(messages);
        // The messages are delivered: a fault in the answer's template is the stream's, not the producer's.
        let wrong =
            |what: &str, fault: String| IngestError::Answer(format!("the response's {what}: {fault}"));
        let status =
            self.options.status.render(&view, 0).map_err(|fault| wrong("status", fault.to_string()))?;
        let status = match status.trim().parse::<u16>() {
            Ok(status @ 200..=599) => status,
            _ => return Err(wrong("status", format!("`{status}` is not an HTTP status from 200 to 599"))),
        };
        let mut headers = Vec::with_capacity(self.options.headers.len());
        for (name, template) in &self.options.headers {
            let value = template.render(&view, 0).map_err(|fault| wrong(name, fault.to_string()))?;
            headers.push((name.clone(), value));
        }
        headers.extend(self.options.metadata.of(first).map(|(name, value)| (name.to_owned(), value)));
        if messages.len() == 1 {
            return Ok(Some(SyncResponse { status, headers, body: first.bytes().clone() }));
        }
        let part_type = headers
            .iter()
            .position(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .map(|index| headers.swap_remove(index).1);
        let boundary = multipart::new_boundary();
        headers.push(("Content-Type".to_owned(), format!("multipart/mixed; boundary={boundary}")));
        let typed = part_type.as_deref().map(|part_type| [("Content-Type", part_type)]);
        let typed = typed.as_ref().map_or(&[][..], |header| &header[..]);
        let parts =
            messages.iter().map(|message| multipart::Part { headers: typed, payload: message.bytes() });
        let body = multipart::write(parts, &boundary);
        Ok(Some(SyncResponse { status, headers, body }))
    }
}

impl fmt::Debug for IngestOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IngestOptions").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest").field("open", &self.is_open()).field("queued", &self.queued()).finish()
    }
}

/// Payload bytes of a batch.
fn bytes(batch: &[Message]) -> usize {
    batch.iter().map(|message| message.bytes().len()).sum()
}
