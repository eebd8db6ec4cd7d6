//! Whether the server has taken what was published. NATS confirms nothing, but it reads a connection in order: when a
//! message to oneself comes back, all that was sent before it has been taken.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::{Client, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use super::connection::Link;

/// Most refusals that are remembered.
const REMEMBERED: usize = 64;
/// Most writers that one message to oneself speaks for.
const TOGETHER: usize = 1024;

/// What the server refused on this connection. It tells so without saying which message it means.
#[derive(Default)]
pub(super) struct Denials {
    texts: Mutex<VecDeque<String>>,
    added: Notify,
    overruns: AtomicU64,
}

impl Denials {
    pub(super) fn add(&self, text: String) {
        let mut texts = self.texts.lock();
        if texts.len() >= REMEMBERED {
            texts.pop_front();
        }
        texts.push_back(text);
        drop(texts);
        self.added.notify_waiters();
    }

    /// Counts a message that found no room; how many there were before.
    pub(super) fn overrun(&self) -> u64 {
        self.overruns.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes out the refusal of publishing to this subject.
    pub(super) fn of_publishing(&self, subject: &str) -> Option<String> {
        let mut texts = self.texts.lock();
        let wanted = format!("publish to \"{}\"", subject.to_lowercase());
        let found = texts.iter().position(|text| text.to_lowercase().contains(&wanted))?;
        texts.remove(found)
    }

    /// Whether subscribing to this subject was refused.
    pub(super) fn of_subscribing(&self, subject: &str) -> bool {
        let wanted = format!("subscription to \"{}\"", subject.to_lowercase());
        self.texts.lock().iter().any(|text| text.to_lowercase().contains(&wanted))
    }

    fn mentions(&self, subject: &str) -> bool {
        self.texts.lock().iter().any(|text| text.contains(subject))
    }

    /// Waits until the server has read all that was sent before. Does not end when the connection is lost.
    pub(super) async fn settle(&self, client: &Client) -> Result<(), String> {
        let mut own = Echo::new(client).await?;
        if own.round(client, self).await { Ok(()) } else { Err("the connection ended".to_owned()) }
    }
}

/// A subject of one's own.
struct Echo {
    subject: String,
    subscriber: Subscriber,
    /// This user may not subscribe to inboxes: that the bytes have left must do.
    blind: bool,
}

impl Echo {
    async fn new(client: &Client) -> Result<Echo, String> {
        let subject = client.new_inbox();
        let subscriber = client.subscribe(subject.clone()).await.map_err(|fault| fault.to_string())?;
        Ok(Echo { subject, subscriber, blind: false })
    }

    /// `false`: the connection has ended.
    async fn round(&mut self, client: &Client, denials: &Denials) -> bool {
        if !self.blind {
            if client.publish(self.subject.clone(), Bytes::new()).await.is_err() {
                return false;
            }
            loop {
                let added = denials.added.notified();
                if denials.mentions(&self.subject) {
                    self.blind = true;
                    tracing::warn!(
                        "this nats user may not subscribe to inboxes: what is published cannot be confirmed"
                    );
                    break;
                }
                tokio::select! {
                    back = self.subscriber.next() => {
                        // Refusals come before it, but through a task of the library's that must have its turn.
                        for _ in 0..3 {
                            tokio::task::yield_now().await;
                        }
                        return back.is_some();
                    }
                    () = added => {}
                }
            }
        }
        client.flush().await.is_ok()
    }
}

/// Confirms what several writers publish on one connection.
pub(super) struct Confirmer {
    asks: mpsc::Sender<oneshot::Sender<()>>,
}

impl Confirmer {
    /// Starts it; it ends with the connection, or when it is dropped.
    pub(super) async fn start(link: &Link) -> Result<Confirmer, String> {
        let (asks, mut asked) = mpsc::channel(TOGETHER);
        let mut echo = Echo::new(&link.client).await?;
        let (client, denials) = (link.client.clone(), link.denials.clone());
        tokio::spawn(async move {
            let mut waiting: Vec<oneshot::Sender<()>> = Vec::new();
            // All that ask while one round is under way share the next.
            while asked.recv_many(&mut waiting, TOGETHER).await > 0 {
                if !echo.round(&client, &denials).await {
                    break;
                }
                for asker in waiting.drain(..) {
                    let _ = asker.send(());
                }
            }
        });
        Ok(Confirmer { asks })
    }

    /// Waits until the server has taken what was published before; `false` when the connection ended first.
    pub(super) async fn confirmed(&self, link: &Link) -> bool {
        let (sender, taken) = oneshot::channel();
        if self.asks.send(sender).await.is_err() {
            return false;
        }
        tokio::select! {
            taken = taken => taken.is_ok(),
            () = link.lost() => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_found_by_subject_and_forgotten() {
        let denials = Denials::default();
        for number in 0..2 * REMEMBERED {
            denials.add(format!("nats: Permissions Violation for Publish to \"Some.{number}\""));
        }
        assert_eq!(denials.of_publishing("Some.0"), None, "only the latest are kept");
        assert_eq!(denials.of_publishing("Some.12"), None, "a subject that another begins with");
        let last = format!("Some.{}", 2 * REMEMBERED - 1);
        assert!(denials.of_publishing(&last).is_some_and(|text| text.contains(&last)));
        assert_eq!(denials.of_publishing(&last), None, "told once");
    }
}
