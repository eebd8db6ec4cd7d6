//! How a feed behaves.

use std::time::Duration;

use crate::endpoint::SocketTimes;

/// Who gets a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryMode {
    /// Exactly one subscriber.
    Shared,
    /// Every subscriber.
    Broadcast,
}

/// What happens when a subscriber does not keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowRule {
    /// The stream waits for it.
    Wait,
    /// It is moved on to the oldest message kept and told how many it missed. `broadcast` only.
    Skip,
    /// It is closed with [`CloseReason::Slow`](super::CloseReason::Slow).
    Close,
}

/// The form of an endless response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFormat {
    /// Every message and a newline.
    RawBytes,
    /// Server-sent events.
    EventSource,
}

/// The kind of WebSocket frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketMessage {
    /// Opcode 2.
    Binary,
    /// Opcode 1; a payload that is not UTF-8 is sent as binary.
    Text,
}

/// The settings of one feed.
#[derive(Debug, Clone)]
pub struct FeedOptions {
    /// Who gets a message.
    pub delivery: DeliveryMode,
    /// What happens to slow subscribers.
    pub slow: SlowRule,
    /// Most messages kept; at least 1.
    pub ring: usize,
    /// Most payload bytes kept, counting some overhead per message. One message is kept whatever its size.
    pub ring_bytes: usize,
    /// Form of the endless response.
    pub format: StreamFormat,
    /// A comment is sent after this long without a message (server-sent events).
    pub heartbeat: Option<Duration>,
    /// How long one GET waits for a message.
    pub timeout: Duration,
    /// Kind of WebSocket frames.
    pub socket_message: SocketMessage,
    /// How WebSocket peers are watched.
    pub socket: SocketTimes,
}

impl Default for FeedOptions {
    fn default() -> FeedOptions {
        FeedOptions {
            delivery: DeliveryMode::Shared,
            slow: SlowRule::Wait,
            ring: 1024,
            ring_bytes: 64 << 20,
            format: StreamFormat::RawBytes,
            heartbeat: None,
            timeout: Duration::from_secs(5),
            socket_message: SocketMessage::Binary,
            socket: SocketTimes {
                write_wait: Duration::from_secs(10),
                pong_wait: Duration::from_secs(60),
                ping_period: Duration::from_secs(54),
            },
        }
    }
}
