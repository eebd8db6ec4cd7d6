//! Input `redis_pubsub` (streams contract 3.9).

use std::time::Duration;

use async_trait::async_trait;
use document::Fault;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use redis::Msg;
use redis::aio::PubSubSink;
use streams::{Ack, Batch, BuildContext, ConnectError, Input, Message, Node, ReadError};

use super::heard::{Heard, Losses};
use super::link::Link;

/// How long Redis may take to hear that nothing more is wanted.
const FAREWELL: Duration = Duration::from_secs(5);

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let input = PubSubInput {
        link: Link::read(node, context)?,
        channels: crate::fields::comma_list(node, "channels")?,
        patterns: node.boolean("use_patterns")?,
        losses: Losses { stream: context.stream.clone(), probe: context.probe.clone() },
        heard: None,
        leaving: Leaving::No,
    };
    context.with_replay(node, input)
}

struct PubSubInput {
    link: Link,
    channels: Vec<String>,
    patterns: bool,
    losses: Losses,
    heard: Option<(PubSubSink, Heard<Msg>)>,
    leaving: Leaving,
}

/// How far taking leave has come.
enum Leaving {
    No,
    /// Redis is being told that nothing more is wanted.
    Telling(BoxFuture<'static, ()>),
    /// What it sent before is all that still comes.
    Told,
}

/// Tells Redis that nothing more is wanted; it answers behind what it has sent.
async fn unsubscribe(mut subscription: PubSubSink, channels: Vec<String>, patterns: bool) {
    let told = async {
        for channel in channels {
            let told = match patterns {
                true => subscription.punsubscribe(channel).await,
                false => subscription.unsubscribe(channel).await,
            };
            if told.is_err() {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(FAREWELL, told).await;
}

#[async_trait]
impl Input for PubSubInput {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        self.heard = None;
        let (mut subscription, published) = self.link.subscription().await.map_err(ConnectError)?.split();
        for channel in &self.channels {
            let subscribed = match self.patterns {
                true => subscription.psubscribe(channel).await,
                false => subscription.subscribe(channel).await,
            };
            subscribed.map_err(|error| ConnectError(format!("redis: {channel}: {error}")))?;
        }
        let size = |message: &Msg| message.get_payload_bytes().len();
        self.heard = Some((subscription, Heard::listen(published, size, self.losses.clone())));
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        let Some((_, heard)) = &mut self.heard else { return Err(ReadError::NotConnected) };
        let published = match &mut self.leaving {
            Leaving::Telling(told) => tokio::select! {
                biased;
                published = heard.next() => published,
                () = told => {
                    heard.finish();
                    self.leaving = Leaving::Told;
                    heard.next().await
                }
            },
            Leaving::No | Leaving::Told => heard.next().await,
        };
        let Some(published) = published else {
            if !matches!(self.leaving, Leaving::No) {
                return Err(ReadError::End);
            }
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

    /// Redis keeps nothing: what it has sent here is delivered before the input ends.
    fn drain(&mut self) -> bool {
        let Some((subscription, _)) = &self.heard else { return false };
        let (subscription, channels) = (subscription.clone(), self.channels.clone());
        self.leaving = Leaving::Telling(unsubscribe(subscription, channels, self.patterns).boxed());
        true
    }

    async fn close(&mut self) {
        self.heard = None;
    }
}
