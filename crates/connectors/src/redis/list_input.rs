//! Input `redis_list` (streams contract 3.9).
//!
//! Taking an element removes it from Redis. Whatever is not delivered is put back where it was taken from: a nack where
//! nothing replays it, and what is under way when the stream stops. Only a process that is killed loses what it holds.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use document::Fault;
use redis::RedisResult;
use streams::{Ack, Batch, BuildContext, ConnectError, Input, Message, Node, ReadError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::link::{Connection, Link, Trouble};

/// Longest wait of one request: a stream that stops waits for the request under way, which may have taken an element.
const LONGEST: Duration = Duration::from_secs(1);
/// How long putting elements back may take when the stream stops.
const FAREWELL: Duration = Duration::from_secs(5);
/// Pause before an element is put back once more.
const AGAIN: Duration = Duration::from_millis(500);

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let (take, back) = match &*node.text("command")? {
        "brpop" => ("BRPOP", "RPUSH"),
        _ => ("BLPOP", "LPUSH"),
    };
    let limit = match node.count("max_in_flight")? {
        0 => Semaphore::MAX_PERMITS,
        limit => limit,
    };
    let wait = node.duration("timeout")?.unwrap_or(LONGEST);
    let input = ListInput {
        link: Arc::new(Link::read(node)?),
        key: node.text("key")?.into_owned(),
        take,
        back,
        wait: wait.clamp(Duration::from_millis(1), LONGEST),
        free: Arc::new(Semaphore::new(limit)),
        stream: context.stream.clone(),
        connection: None,
        taking: None,
        returning: None,
    };
    context.with_replay(node, input)
}

struct ListInput {
    link: Arc<Link>,
    key: String,
    take: &'static str,
    back: &'static str,
    wait: Duration,
    free: Arc<Semaphore>,
    stream: Arc<str>,
    connection: Option<Connection>,
    taking: Option<Taking>,
    returning: Option<Returning>,
}

/// The key and an element; nothing when there was none in time.
type Popped = Option<(String, Vec<u8>)>;

/// A request under way. It outlives the future that waits for it, which may be dropped at any time.
struct Taking {
    request: JoinHandle<RedisResult<Popped>>,
    permit: OwnedSemaphorePermit,
}

/// Puts elements back that were not delivered; as many as are under way at most.
struct Returning {
    elements: mpsc::UnboundedSender<Vec<u8>>,
    task: JoinHandle<()>,
}

impl ListInput {
    fn take(&self, permit: OwnedSemaphorePermit) -> Option<Taking> {
        let mut connection = self.connection.clone()?;
        let mut command = redis::cmd(self.take);
        command.arg(&self.key).arg(self.wait.as_secs_f64());
        let request = tokio::spawn(async move { command.query_async(&mut connection).await });
        Some(Taking { request, permit })
    }

    fn returning(&mut self) -> mpsc::UnboundedSender<Vec<u8>> {
        let returning = self.returning.get_or_insert_with(|| {
            let (elements, failed) = mpsc::unbounded_channel();
            let put = put_back(self.link.clone(), self.key.clone(), self.back, self.stream.clone(), failed);
            Returning { elements, task: tokio::spawn(put) }
        });
        returning.elements.clone()
    }
}

async fn put_back(
    link: Arc<Link>,
    key: String,
    back: &'static str,
    stream: Arc<str>,
    mut failed: mpsc::UnboundedReceiver<Vec<u8>>,
) {
    while let Some(element) = failed.recv().await {
        let mut command = redis::cmd(back);
        command.arg(&key).arg(element);
        while let Err(trouble) = link.run::<i64>(&command).await {
            tracing::warn!(%stream, fault = %trouble.text(), "an element cannot be put back yet");
            tokio::time::sleep(AGAIN).await;
        }
    }
}

#[async_trait]
impl Input for ListInput {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        self.connection = Some(self.link.waiting(LONGEST).await.map_err(ConnectError)?);
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        loop {
            if self.taking.is_none() {
                let permit = self.free.clone().acquire_owned().await.map_err(|_| ReadError::End)?;
                self.taking = self.take(permit);
            }
            let Some(taking) = &mut self.taking else { return Err(ReadError::NotConnected) };
            let taken = (&mut taking.request).await;
            let permit = self.taking.take().map(|taking| taking.permit);
            match taken {
                Ok(Ok(None)) => {}
                Ok(Ok(Some((_, element)))) => {
                    let message = Message::new(element.clone());
                    let returning = self.returning();
                    let ack = Ack::new(move |outcome| {
                        if outcome.is_err() {
                            let _ = returning.send(element);
                        }
                        drop(permit);
                    });
                    return Ok((vec![message], ack));
                }
                Ok(Err(error)) => match Trouble::from(error) {
                    Trouble::Refused(text) => return Err(ReadError::Other(text)),
                    Trouble::Away(fault) => {
                        tracing::warn!(stream = %self.stream, %fault, "redis connection lost");
                        self.connection = None;
                        return Err(ReadError::NotConnected);
                    }
                },
                Err(_) => return Err(ReadError::Other("the request broke down".to_owned())),
            }
        }
    }

    async fn close(&mut self) {
        let leave = async {
            if let Some(taking) = self.taking.take()
                && let Ok(Ok(Some((_, element)))) = taking.request.await
            {
                let _ = self.returning().send(element);
            }
            if let Some(Returning { elements, task }) = self.returning.take() {
                drop(elements);
                let _ = task.await;
            }
        };
        if tokio::time::timeout(FAREWELL, leave).await.is_err() {
            tracing::warn!(stream = %self.stream, "elements could not be put back in time");
        }
        self.connection = None;
    }
}
