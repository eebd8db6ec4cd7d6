//! Input `redis_pubsub` (streams contract 3.9).

use async_trait::async_trait;
use document::Fault;
use redis::Msg;
use streams::{Ack, Batch, BuildContext, ConnectError, Input, Message, Node, ReadError};

use super::heard::{Heard, Losses};
use super::link::Link;

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let input = PubSubInput {
        link: Link::read(node, context)?,
        channels: crate::fields::comma_list(node, "channels")?,
        patterns: node.boolean("use_patterns")?,
        losses: Losses { stream: context.stream.clone(), probe: context.probe.clone() },
        heard: None,
    };
    context.with_replay(node, input)
}

struct PubSubInput {
    link: Link,
    channels: Vec<String>,
    patterns: bool,
    losses: Losses,
    heard: Option<Heard<Msg>>,
}

#[async_trait]
impl Input for PubSubInput {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        self.heard = None;
        let mut subscription = self.link.subscription().await.map_err(ConnectError)?;
        for channel in &self.channels {
            let subscribed = match self.patterns {
                true => subscription.psubscribe(channel).await,
                false => subscription.subscribe(channel).await,
            };
            subscribed.map_err(|error| ConnectError(format!("redis: {channel}: {error}")))?;
        }
        let size = |message: &Msg| message.get_payload_bytes().len();
        self.heard = Some(Heard::listen(subscription.into_on_message(), size, self.losses.clone()));
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        let Some(heard) = &mut self.heard else { return Err(ReadError::NotConnected) };
        let Some(published) = heard.next().await else {
            tracing::warn!(stream = %self.losses.stream, "redis subscription lost");
            self.heard = None;
            return Err(ReadError::NotConnected);
        };
        let mut message = Message::new(published.get_payload_bytes().to_vec());
        message.set_meta("redis_pubsub_channel", published.get_channel_name());
        if let Ok(Some(pattern)) = published.get_pattern::<Option<String>>() {
            message.set_meta("redis_pubsub_pattern", pattern);
        }
        Ok((vec![message], Ack::none()))
    }

    async fn close(&mut self) {
        self.heard = None;
    }
}
