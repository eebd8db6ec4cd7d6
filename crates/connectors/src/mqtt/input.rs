//! Input `mqtt`.

use std::sync::Arc;

use async_trait::async_trait;
use document::Fault;
use futures_util::future::BoxFuture;
use streams::{Ack, Batch, BuildContext, ConnectError, Input, NackKind, Node, ReadError, Replay};
use tokio::sync::Notify;

use super::link::{Incoming, Link};
use super::settings::{Settings, qos};
use crate::fields::comma_list;
use crate::refusals::Refusals;

/// Builds the input.
pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let mut settings = Settings::read(node, context)?;
    settings.clean = node.boolean("clean_session")?;
    if !settings.clean && settings.client_id.is_empty() {
        return Err(node
            .field_fault("client_id", "a session that the broker keeps needs a `client_id`")
            .hint("name the client, or write `clean_session: true`"));
    }
    let clean = settings.clean;
    let input = MqttInput {
        settings,
        topics: comma_list(node, "topics")?,
        qos: qos(node)?,
        stream: context.stream.clone(),
        refused: Arc::new(Notify::new()),
        refusals: Refusals::default(),
        leaving: Leaving::No,
        link: None,
    };
    // A broker that forgets this client with its connection cannot send again what was refused: it is kept here then,
    // whatever the field says.
    if clean { Ok(Box::new(Replay::new(input))) } else { context.with_replay(node, input) }
}

struct MqttInput {
    settings: Settings,
    topics: Vec<String>,
    qos: u8,
    stream: Arc<str>,
    /// A message was refused: only a new connection makes the broker send it again.
    refused: Arc<Notify>,
    refusals: Refusals,
    leaving: Leaving,
    link: Option<Link>,
}

/// How far taking leave has come. What has arrived is delivered: messages of qos 0, and all of them where the broker
/// forgets this client, come no second time.
enum Leaving {
    No,
    /// The broker is being told that nothing more is wanted.
    Telling(BoxFuture<'static, ()>),
    /// What has arrived is all that is still delivered.
    Told,
}

impl MqttInput {
    fn take(&self, link: &Link, mut incoming: Incoming) -> (Batch, Ack) {
        let (token, permit) = (incoming.token.take(), incoming.permit.take());
        drop(permit);
        let acknowledger = link.acknowledger.clone();
        let refused = self.refused.clone();
        let ack = Ack::new(move |outcome| match (outcome, token) {
            (Ok(()), Some(token)) => acknowledger.acknowledge(token),
            (Err(reason), Some(_)) if reason.kind() != NackKind::Stopping => refused.notify_one(),
            _ => {}
        });
        (vec![incoming.into_message()], ack)
    }
}

#[async_trait]
impl Input for MqttInput {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        // The old connection stands meanwhile, so that what else is under way can still be acknowledged.
        self.refusals.wait().await;
        // What an old session's messages come to is nothing to the new one, which gets them again.
        self.refused = Arc::new(Notify::new());
        if let Some(mut old) = self.link.take() {
            old.leave().await;
        }
        let link = Link::connect(&self.settings).await.map_err(ConnectError)?;
        let subscribed = link.client.subscribe(&self.topics, self.qos);
        match tokio::time::timeout(self.settings.connect_timeout, subscribed).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => return Err(ConnectError(fault)),
            Err(_) => {
                return Err(ConnectError("the mqtt broker does not answer to subscriptions".to_owned()));
            }
        }
        self.link = Some(link);
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        let refused = self.refused.clone();
        let Some(link) = &mut self.link else { return Err(ReadError::NotConnected) };
        let incoming = tokio::select! {
            biased;
            () = refused.notified(), if matches!(self.leaving, Leaving::No) => {
                self.refusals.refused();
                tracing::warn!(stream = %self.stream, "a message was refused; mqtt connects again to get what was not acknowledged");
                return Err(ReadError::NotConnected);
            }
            incoming = link.incoming.recv() => incoming,
            () = told(&mut self.leaving) => {
                self.leaving = Leaving::Told;
                link.incoming.close();
                link.incoming.recv().await
            }
        };
        match (incoming, &self.link) {
            (Some(incoming), Some(link)) => Ok(self.take(link, incoming)),
            _ if !matches!(self.leaving, Leaving::No) => Err(ReadError::End),
            (_, link) => {
                let reason = link.as_ref().and_then(Link::reason);
                tracing::warn!(stream = %self.stream, reason = reason.as_deref().unwrap_or("unknown"), "mqtt connection lost");
                self.link = None;
                Err(ReadError::NotConnected)
            }
        }
    }

    fn drain(&mut self) -> bool {
        let Some(link) = &mut self.link else { return false };
        self.leaving = if self.settings.clean {
            Leaving::Telling(Box::pin(link.client.clone().unsubscribe(self.topics.clone())))
        } else {
            // The broker goes on gathering for this client.
            link.incoming.close();
            Leaving::Told
        };
        true
    }

    async fn close(&mut self) {
        if let Some(mut link) = self.link.take() {
            link.leave().await;
        }
    }
}

/// Returns when the broker has been told; never where it is not to be, or was before.
async fn told(leaving: &mut Leaving) {
    match leaving {
        Leaving::Telling(told) => told.await,
        Leaving::No | Leaving::Told => std::future::pending().await,
    }
}
