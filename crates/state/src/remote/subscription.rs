//! The connection that listens to other nodes. Apart from that of the commands, because a subscriber can do nothing else.

use std::sync::Arc;

use futures_util::StreamExt;
use redis::{Client, aio::PubSub};
use tokio::{sync::broadcast, time::timeout};

use super::link::{Link, backoff};
use super::tls::Dialler;
use crate::{Signal, signal::CHANNEL, trust::Trust};

/// Listens for ever, and reconnects when Redis is back.
pub(super) struct Listener {
    pub(super) link: Arc<Link>,
    pub(super) trust: Trust,
    pub(super) node: u64,
    pub(super) signals: broadcast::Sender<Signal>,
}

impl Listener {
    pub(super) async fn run(self) {
        let mut health = self.link.health_changes();
        let mut first = true;
        let mut failures = 0;
        loop {
            if health.wait_for(|health| health.connected).await.is_err() {
                return;
            }
            let Some(subscription) = self.subscribe().await else {
                tokio::time::sleep(backoff(failures)).await;
                failures += 1;
                continue;
            };
            failures = 0;
            if !std::mem::take(&mut first) {
                self.signals.send(Signal::Missed).ok();
            }
            let mut messages = subscription.into_on_message();
            loop {
                tokio::select! {
                    message = messages.next() => match message {
                        Some(message) => self.receive(message.get_payload_bytes()),
                        None => break,
                    },
                    // The probe of the commands' connection notices a server that went silent; so does this one then.
                    gone = health.wait_for(|health| !health.connected) => {
                        if gone.is_err() {
                            return;
                        }
                        break;
                    }
                }
            }
        }
    }

    async fn subscribe(&self) -> Option<PubSub> {
        for client in self.link.subscribe_at() {
            match timeout(self.link.timeout() * 2, subscribe_at(&client, self.link.dialler())).await {
                Ok(Ok(subscription)) => return Some(subscription),
                Ok(Err(error)) => tracing::warn!(%error, "cannot subscribe to signals between nodes"),
                Err(_) => tracing::warn!("cannot subscribe to signals between nodes: no answer"),
            }
        }
        None
    }

    fn receive(&self, message: &[u8]) {
        match Signal::decode(message, &self.trust, self.node) {
            // An error says that nobody listens, which is nobody's fault.
            Ok(signal) => drop(self.signals.send(signal)),
            Err(reason) => tracing::warn!(reason, "a signal between nodes is ignored"),
        }
    }
}

async fn subscribe_at(client: &Client, dialler: Option<&Dialler>) -> redis::RedisResult<PubSub> {
    let mut subscription = match dialler {
        Some(dialler) => dialler.subscription(client).await?,
        None => client.get_async_pubsub().await?,
    };
    subscription.subscribe(CHANNEL).await?;
    Ok(subscription)
}
