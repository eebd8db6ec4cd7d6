//! What a subscription has heard and the stream has not taken yet.
//!
//! The client library reads a subscription without end, whether somebody takes what it reads or not. Redis itself keeps
//! nothing of it: beyond the bound here, messages are dropped, counted and told.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use streams::Probe;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Most messages that wait.
const MESSAGES: usize = 4096;
/// Most bytes that wait; a message that is larger may wait alone.
const BYTES: u32 = 32 << 20;
/// How often it is told that messages were dropped.
const TOLD: Duration = Duration::from_secs(1);

/// See the module. Dropping it ends the subscription.
pub(super) struct Heard<T> {
    waiting: mpsc::Receiver<(T, OwnedSemaphorePermit)>,
    listener: JoinHandle<()>,
    over: Arc<Notify>,
}

/// Who is told of what is dropped.
#[derive(Clone)]
pub(super) struct Losses {
    pub(super) stream: Arc<str>,
    pub(super) probe: Arc<Probe>,
}

impl<T: Send + 'static> Heard<T> {
    /// Listens until the subscription ends.
    pub(super) fn listen(
        heard: impl Stream<Item = T> + Send + 'static,
        size: fn(&T) -> usize,
        losses: Losses,
    ) -> Heard<T> {
        let (to, waiting) = mpsc::channel(MESSAGES);
        let over = Arc::new(Notify::new());
        let ends = over.clone();
        let room = Arc::new(Semaphore::new(BYTES as usize));
        let mut keeper = Keeper { to, room, size, losses, lost: 0, told: None };
        let listener = tokio::spawn(async move {
            let mut heard = pin!(heard);
            loop {
                let message = tokio::select! {
                    biased;
                    message = heard.next() => message,
                    () = ends.notified() => break,
                };
                let Some(message) = message else { return };
                if !keeper.keep(message) {
                    return;
                }
            }
            // All that is here: a task that has done its share would be told that there is nothing.
            while let Some(Some(message)) = tokio::task::unconstrained(heard.next()).now_or_never() {
                if !keeper.keep(message) {
                    return;
                }
            }
        });
        Heard { waiting, listener, over }
    }

    /// Nothing more is published to it: what was heard can be taken, and then it has ended.
    pub(super) fn finish(&self) {
        self.over.notify_one();
    }

    /// The next message; `None` when the subscription has ended.
    pub(super) async fn next(&mut self) -> Option<T> {
        self.waiting.recv().await.map(|(message, _)| message)
    }
}

/// What is done with one message after the other.
struct Keeper<T> {
    to: mpsc::Sender<(T, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    size: fn(&T) -> usize,
    losses: Losses,
    lost: u64,
    told: Option<Instant>,
}

impl<T> Keeper<T> {
    /// Keeps a message, or drops it for want of room; false when nobody takes any more.
    fn keep(&mut self, message: T) -> bool {
        let bytes = u32::try_from((self.size)(&message)).unwrap_or(BYTES).min(BYTES);
        let kept = match self.room.clone().try_acquire_many_owned(bytes) {
            Ok(permit) => self.to.try_send((message, permit)).is_ok(),
            Err(_) => false,
        };
        if kept || self.to.is_closed() {
            return kept;
        }
        self.lost += 1;
        let Losses { stream, probe } = &self.losses;
        probe.errors.add(1);
        if self.told.is_none_or(|told| told.elapsed() >= TOLD) {
            self.told = Some(Instant::now());
            probe.set_error("messages are published faster than the stream takes them");
            tracing::warn!(%stream, lost = self.lost, "redis publishes faster than the stream takes it: messages were dropped");
        }
        true
    }
}

impl<T> Drop for Heard<T> {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use streams::ComponentKind;

    use super::*;

    async fn flooded(messages: usize, bytes: usize) -> (usize, u64) {
        let probe = Arc::new(Probe::new(ComponentKind::Input, "redis_pubsub", String::new(), None));
        let losses = Losses { stream: "s".into(), probe: probe.clone() };
        let flood = stream::iter((0..messages).map(move |_| vec![0_u8; bytes]));
        let mut heard = Heard::listen(flood, Vec::len, losses);
        // It has heard everything before anybody takes a message.
        (&mut heard.listener).await.expect("ends");
        let mut kept = 0;
        while heard.next().await.is_some() {
            kept += 1;
        }
        (kept, probe.errors.get())
    }

    #[tokio::test]
    async fn what_nobody_takes_is_bounded_and_counted() {
        assert_eq!(flooded(100, 10).await, (100, 0));
        assert_eq!(flooded(5000, 0).await, (MESSAGES, 904));
        assert_eq!(flooded(40, 1 << 20).await, (32, 8));
        assert_eq!(flooded(1, 40 << 20).await, (1, 0), "alone, a large one waits");
    }

    #[tokio::test]
    async fn what_was_heard_is_there_when_it_ends() {
        let probe = Arc::new(Probe::new(ComponentKind::Input, "redis_pubsub", String::new(), None));
        let losses = Losses { stream: "s".into(), probe };
        let (publisher, published) = mpsc::unbounded_channel();
        let subscription = stream::unfold(published, |mut published| async move {
            let message = published.recv().await?;
            Some((message, published))
        });
        let mut heard = Heard::listen(subscription, Vec::len, losses);
        // More than a task may take in one turn.
        for _ in 0..1000 {
            publisher.send(vec![0_u8]).expect("it listens");
        }
        heard.finish();
        let mut taken = 0;
        while heard.next().await.is_some() {
            taken += 1;
        }
        assert_eq!(taken, 1000);
    }
}
