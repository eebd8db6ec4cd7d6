//! Hands messages to HTTP subscribers through a feed (streams contract 2.5, and our own fields for delivery).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use document::Fault;

use crate::ack::Ack;
use crate::build::BuildContext;
use crate::component::{ConnectError, Output, WriteError};
use crate::endpoint::{Role, SocketTimes};
use crate::feed::{DeliveryMode, Feed, FeedOptions, SlowRule, SocketMessage, StreamFormat};
use crate::fields::{CORS_FIELD, OWN_LISTENER, offer, verbs};
use crate::message::{Batch, Message};
use crate::node::Node;
use crate::registry::{Default, Field, Kind, OutputSpec};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "http_server",
    summary: "Hands messages to subscribers under the API's listen path: one per GET, as an endless response, as server-sent events, or over WebSockets.",
    config: Kind::Object(&[
        OWN_LISTENER[0],
        Field::new(
            "path",
            Kind::Text,
            Default::Text("/get"),
            "Gives one message per GET, or a batch of several as `multipart/mixed`. Empty: none.",
        ),
        Field::new(
            "stream_path",
            Kind::Text,
            Default::Text("/get/stream"),
            "Gives an endless response. Empty: none.",
        ),
        Field::new(
            "stream_format",
            Kind::Choice(&["raw_bytes", "event_source"]),
            Default::Text("raw_bytes"),
            "Form of the endless response: every message and a newline, or server-sent events.",
        ),
        Field::optional(
            "heartbeat",
            Kind::Duration,
            "A comment is sent after this long without a message, so that proxies keep the connection and a lost client is noticed. Default 15s for `event_source`, else none; `0s` turns it off.",
        ).advanced(),
        Field::new(
            "ws_path",
            Kind::Text,
            Default::Text("/get/ws"),
            "Gives one WebSocket frame per message. Empty: none.",
        ),
        Field::new(
            "ws_message_type",
            Kind::Choice(&["binary", "text"]),
            Default::Text("binary"),
            "Kind of WebSocket frames.",
        ),
        Field::new(
            "allowed_verbs",
            Kind::List(&Kind::Text),
            Default::Texts(&["GET"]),
            "Others get 405. Not for WebSockets.",
        ),
        Field::new(
            "timeout",
            Kind::Duration,
            Default::Text("5s"),
            "How long a GET waits for a message; then it gets 408.",
        ).advanced(),
        OWN_LISTENER[1],
        OWN_LISTENER[2],
        CORS_FIELD,
        Field::new(
            "write_wait",
            Kind::Duration,
            Default::Text("10s"),
            "Longest time one write to a subscriber may take.",
        ).advanced(),
        Field::new("pong_wait", Kind::Duration, Default::Text("60s"), "Longest silence of a WebSocket peer.").advanced(),
        Field::new(
            "ping_period",
            Kind::Duration,
            Default::Text("54s"),
            "How often WebSocket peers are pinged; below `pong_wait`.",
        ).advanced(),
        Field::new(
            "delivery",
            Kind::Choice(&["shared", "broadcast"]),
            Default::Text("shared"),
            "`shared`: each message goes to exactly one subscriber, as in Tyk Streams; when `ring` is full and nobody takes any, the stream waits, and with it what else a `broker` writes to (`drop_on` with `back_pressure` around it lets the others go on). `broadcast`: each goes to all.",
        ),
        Field::optional(
            "slow_subscriber",
            Kind::Choice(&["wait", "skip", "close"]),
            "What happens when a subscriber does not keep up. `wait` (default for `shared`): the stream waits for it. `skip` (default for `broadcast`, and only there): it is moved on to the oldest message kept and told how many it missed. `close`: it is closed; it may come back with its token.",
        ).advanced(),
        Field::new(
            "ring",
            Kind::Int,
            Default::Int(1024),
            "Most messages kept for subscribers, from 1 to 1000000.",
        ).advanced(),
        Field::new(
            "ring_bytes",
            Kind::Size,
            Default::Text("64MiB"),
            "Most payload bytes kept for subscribers.",
        ).advanced(),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    let feed = Feed::new(options(node)?, rand::random());
    context.feed(feed.clone());
    let verbs = verbs(node)?;
    offer(node, context, "path", &verbs, Role::Next(feed.clone()))?;
    offer(node, context, "stream_path", &verbs, Role::Stream(feed.clone()))?;
    offer(node, context, "ws_path", &[], Role::Socket(feed.clone()))?;
    Ok(Box::new(HttpServer { feed }))
}

fn options(node: &Node<'_>) -> Result<FeedOptions, Fault> {
    let delivery = match &*node.text("delivery")? {
        "broadcast" => DeliveryMode::Broadcast,
        _ => DeliveryMode::Shared,
    };
    let slow = match (node.optional_text("slow_subscriber")?.as_deref(), delivery) {
        (Some("close"), _) => SlowRule::Close,
        (Some("skip"), DeliveryMode::Shared) => {
            return Err(node
                .field_fault(
                    "slow_subscriber",
                    "`skip` would lose or repeat messages where each goes to one subscriber",
                )
                .hint("write `wait` or `close`, or `delivery: broadcast`"));
        }
        (Some("skip") | None, DeliveryMode::Broadcast) => SlowRule::Skip,
        _ => SlowRule::Wait,
    };
    let format = match &*node.text("stream_format")? {
        "event_source" => StreamFormat::EventSource,
        _ => StreamFormat::RawBytes,
    };
    let heartbeat = match (node.duration("heartbeat")?, format) {
        (None, StreamFormat::EventSource) => Some(Duration::from_secs(15)),
        (time, _) => time.filter(|time| !time.is_zero()),
    };
    let ring = node.count("ring")?;
    if !(1..=1_000_000).contains(&ring) {
        return Err(node.field_fault("ring", "`ring` must be from 1 to 1000000"));
    }
    let time = |name: &str, default: u64| {
        Ok::<_, Fault>(node.duration(name)?.unwrap_or(Duration::from_secs(default)))
    };
    let some_time = |name: &str, default: u64| match time(name, default)? {
        Duration::ZERO => Err(node.field_fault(name, format!("`{name}` must be longer than no time"))),
        time => Ok(time),
    };
    let socket = SocketTimes {
        write_wait: some_time("write_wait", 10)?,
        pong_wait: some_time("pong_wait", 60)?,
        ping_period: some_time("ping_period", 54)?,
    };
    if socket.ping_period >= socket.pong_wait {
        return Err(node.field_fault("ping_period", "`ping_period` must be below `pong_wait`"));
    }
    Ok(FeedOptions {
        delivery,
        slow,
        ring,
        ring_bytes: usize::try_from(node.size("ring_bytes")?.unwrap_or(64 << 20)).unwrap_or(usize::MAX),
        format,
        heartbeat,
        timeout: time("timeout", 5)?,
        socket_message: match &*node.text("ws_message_type")? {
            "text" => SocketMessage::Text,
            _ => SocketMessage::Binary,
        },
        socket,
    })
}

struct HttpServer {
    feed: Arc<Feed>,
}

#[async_trait]
impl Output for HttpServer {
    async fn connect(&self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn write(&self, _: &[Message]) -> Result<(), WriteError> {
        Err(WriteError::Failed("a feed takes batches with their ack".to_owned()))
    }

    async fn consume(&self, batch: Batch, ack: Ack) -> Result<(), (Batch, Ack)> {
        self.feed.publish(batch, ack).await;
        Ok(())
    }

    async fn close(&self) {
        self.feed.close().await;
    }
}
