//! Input `redis_list` (streams contract 3.9).
//!
//! An element is moved to a list beside the one that is read, and leaves Redis when it is delivered ([`super::holding`]).
//! With `crash_safe: false` taking it removes it from Redis, as in the original: then a process that is killed loses what
//! it holds. Whatever is not delivered is put back where it was taken from: a nack where nothing replays it, and what is
//! under way when the stream stops.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use document::Fault;
use redis::RedisResult;
use streams::{Ack, Batch, BuildContext, ConnectError, Input, Message, Node, ReadError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::holding::{End, Holder, Holding, Word};
use super::link::{Link, Trouble};
use super::reach::Connection;

/// Longest wait of one request: a stream that stops waits for the request under way, which may have taken an element.
const LONGEST: Duration = Duration::from_secs(1);
/// How long putting elements back may take when the stream stops.
const FAREWELL: Duration = Duration::from_secs(5);
/// Pause before an element is put back once more.
const AGAIN: Duration = Duration::from_millis(500);

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let end = match &*node.text("command")? {
        "brpop" => End::Right,
        _ => End::Left,
    };
    let limit = match node.count("max_in_flight")? {
        0 => Semaphore::MAX_PERMITS,
        limit => limit.min(Semaphore::MAX_PERMITS),
    };
    let wait = node.duration("timeout")?.unwrap_or(LONGEST);
    let (link, key) = (Arc::new(Link::read(node, context)?), node.text("key")?.into_owned());
    let holding = match node.boolean("crash_safe")? {
        true => Some(Arc::new(Holding::new(link.clone(), &key, end, context.stream.clone()))),
        false => None,
    };
    let input = ListInput {
        link,
        key,
        end,
        wait: wait.clamp(Duration::from_millis(1), LONGEST),
        free: Arc::new(Semaphore::new(limit)),
        stream: context.stream.clone(),
        holding,
        connection: None,
        holder: None,
        taking: None,
        settling: None,
    };
    context.with_replay(node, input)
}

struct ListInput {
    link: Arc<Link>,
    key: String,
    end: End,
    wait: Duration,
    free: Arc<Semaphore>,
    stream: Arc<str>,
    holding: Option<Arc<Holding>>,
    connection: Option<Connection>,
    // In whose name elements are taken on this connection; nobody's when taking removes them.
    holder: Option<Arc<Holder>>,
    taking: Option<Taking>,
    settling: Option<Settling>,
}

/// A request under way. It outlives the future that waits for it, which may be dropped at any time.
struct Taking {
    request: JoinHandle<RedisResult<Option<Vec<u8>>>>,
    permit: OwnedSemaphorePermit,
    holder: Option<Arc<Holder>>,
}

/// Tells Redis what has become of elements; of as many as are under way at most.
struct Settling {
    words: Words,
    task: JoinHandle<()>,
}

#[derive(Clone)]
enum Words {
    /// Of those that Redis holds.
    Held(mpsc::UnboundedSender<Word>),
    /// Of those that it does not: what must be put back.
    Removed(mpsc::UnboundedSender<Bytes>),
}

impl Words {
    fn resolved(&self, holder: Option<Arc<Holder>>, element: Bytes, delivered: bool) {
        match (self, holder) {
            (Words::Held(words), Some(holder)) => drop(words.send(Word { holder, element, delivered })),
            (Words::Removed(elements), _) if !delivered => drop(elements.send(element)),
            _ => {}
        }
    }
}

impl ListInput {
    fn take(&self, permit: OwnedSemaphorePermit) -> Option<Taking> {
        let mut connection = self.connection.clone()?;
        let (wait, holder) = (self.wait.as_secs_f64(), self.holder.clone());
        let mut command;
        if let Some(holder) = &holder {
            command = redis::cmd("BLMOVE");
            command.arg(&self.key).arg(&holder.list).arg(self.end.name()).arg("RIGHT").arg(wait);
        } else {
            command = redis::cmd(if self.end == End::Left { "BLPOP" } else { "BRPOP" });
            command.arg(&self.key).arg(wait);
        }
        let held = holder.is_some();
        let request = tokio::spawn(async move {
            if held {
                return command.query_async(&mut connection).await;
            }
            let popped: Option<(String, Vec<u8>)> = command.query_async(&mut connection).await?;
            Ok(popped.map(|(_, element)| element))
        });
        Some(Taking { request, permit, holder })
    }

    fn words(&mut self) -> Words {
        let settling = self.settling.get_or_insert_with(|| match &self.holding {
            Some(holding) => {
                let (words, told) = mpsc::unbounded_channel();
                Settling { words: Words::Held(words), task: tokio::spawn(holding.clone().keep(told)) }
            }
            None => {
                let (elements, failed) = mpsc::unbounded_channel();
                let push = self.end.push();
                let put = put_back(self.link.clone(), self.key.clone(), push, self.stream.clone(), failed);
                Settling { words: Words::Removed(elements), task: tokio::spawn(put) }
            }
        });
        settling.words.clone()
    }

    fn lost(&mut self, fault: &str) -> ReadError {
        tracing::warn!(stream = %self.stream, %fault, "redis connection lost");
        self.connection = None;
        ReadError::NotConnected
    }
}

async fn put_back(
    link: Arc<Link>,
    key: String,
    push: &'static str,
    stream: Arc<str>,
    mut failed: mpsc::UnboundedReceiver<Bytes>,
) {
    while let Some(element) = failed.recv().await {
        let mut command = redis::cmd(push);
        command.arg(&key).arg(&element[..]);
        while let Err(trouble) = link.run::<i64>(&command).await {
            tracing::warn!(%stream, fault = %trouble.text(), "an element cannot be put back yet");
            tokio::time::sleep(AGAIN).await;
        }
    }
}

#[async_trait]
impl Input for ListInput {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        let connection = self.link.waiting(LONGEST).await.map_err(ConnectError)?;
        if let Some(holding) = &self.holding {
            let refused = |text: String| {
                format!(
                    "{text}; what is under way cannot be kept beside the list: `crash_safe: false` does without"
                )
            };
            self.holder = Some(holding.begin().await.map_err(|trouble| {
                ConnectError(match trouble {
                    Trouble::Refused(text) => refused(text),
                    Trouble::Away(text) => text,
                })
            })?);
            self.words();
        }
        self.connection = Some(connection);
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        loop {
            if self.taking.is_none() {
                if self.holder.as_ref().is_some_and(|holder| holder.is_over()) {
                    return Err(self.lost("a confirmation was not answered"));
                }
                let permit = self.free.clone().acquire_owned().await.map_err(|_| ReadError::End)?;
                self.taking = self.take(permit);
            }
            let Some(taking) = &mut self.taking else { return Err(ReadError::NotConnected) };
            let taken = (&mut taking.request).await;
            let Some(Taking { permit, holder, .. }) = self.taking.take() else { continue };
            match taken {
                Ok(Ok(None)) => {}
                Ok(Ok(Some(element))) => {
                    if let Some(holder) = &holder {
                        holder.took();
                    }
                    let element = Bytes::from(element);
                    let message = Message::new(element.clone());
                    let words = self.words();
                    let ack = Ack::new(move |outcome| {
                        words.resolved(holder, element, outcome.is_ok());
                        drop(permit);
                    });
                    return Ok((vec![message], ack));
                }
                Ok(Err(error)) => match Trouble::from(error) {
                    Trouble::Refused(text) if text.contains("unknown command") => {
                        return Err(ReadError::Other(format!(
                            "{text}; before Redis 6.2, write `crash_safe: false`"
                        )));
                    }
                    Trouble::Refused(text) => return Err(ReadError::Other(text)),
                    Trouble::Away(fault) => return Err(self.lost(&fault)),
                },
                Err(_) => return Err(ReadError::Other("the request broke down".to_owned())),
            }
        }
    }

    async fn close(&mut self) {
        let leave = async {
            if let Some(Taking { request, holder, .. }) = self.taking.take()
                && let Ok(Ok(Some(element))) = request.await
            {
                if let Some(holder) = &holder {
                    holder.took();
                }
                self.words().resolved(holder, element.into(), false);
            }
            if let Some(Settling { words, task }) = self.settling.take() {
                drop(words);
                let _ = task.await;
            }
        };
        if tokio::time::timeout(FAREWELL, leave).await.is_err() {
            tracing::warn!(stream = %self.stream, "elements could not be put back in time");
        }
        self.connection = None;
    }
}
