//! What a subscription has heard and the stream has not taken yet.
//!
//! The client library reads a subscription without end, whether somebody takes what it reads or not. Redis itself keeps
//! nothing of it: beyond the bound here, messages are dropped, counted and told.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use streams::Probe;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
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
        let listener = tokio::spawn(async move {
            let room = Arc::new(Semaphore::new(BYTES as usize));
            let mut heard = pin!(heard);
            let (mut lost, mut told) = (0_u64, None::<Instant>);
            while let Some(message) = heard.next().await {
                let bytes = u32::try_from(size(&message)).unwrap_or(BYTES).min(BYTES);
                let kept = match room.clone().try_acquire_many_owned(bytes) {
                    Ok(permit) => to.try_send((message, permit)).is_ok(),
                    Err(_) => false,
                };
                if to.is_closed() {
                    return;
                }
                if kept {
                    continue;
                }
                lost += 1;
                losses.probe.errors.add(1);
                if told.is_none_or(|told| told.elapsed() >= TOLD) {
                    told = Some(Instant::now());
                    losses.probe.set_error("messages are published faster than the stream takes them");
                    tracing::warn!(stream = %losses.stream, lost, "redis publishes faster than the stream takes it: messages were dropped");
                }
            }
        });
        Heard { waiting, listener }
    }

    /// The next message; `None` when the subscription has ended.
    pub(super) async fn next(&mut self) -> Option<T> {
        self.waiting.recv().await.map(|(message, _)| message)
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
}
