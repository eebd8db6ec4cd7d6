//! A subscriber over HTTP/1 that has left the HTTP engine.

use std::future::{pending, poll_fn};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use streams::feed::StreamFormat;
use streams::{CloseReason, Subscriber};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::{LAST_WORDS, WRITE_SIZE, farewell, gather};
use crate::backend::stream::watched::Subscription;
use crate::exchange::Carried;
use crate::limits::Passed;
use crate::listen::ClientStream;

/// A client that takes nothing for so long is gone or stuck; whatever it did not take goes to others or is lost to it.
const STALLED: Duration = Duration::from_secs(60);

/// A subscriber that holds its bare socket.
pub(super) struct Connection {
    io: ClientStream,
    subscriber: Subscriber,
    subscription: Subscription,
    chunked: bool,
    pub(super) carried: Carried,
}

impl Connection {
    pub(super) fn new(
        io: ClientStream,
        subscriber: Subscriber,
        subscription: Subscription,
        chunked: bool,
    ) -> Self {
        Self { io, subscriber, subscription, chunked, carried: Carried::default() }
    }

    /// Sends messages until there are no more, or nobody takes them.
    pub(super) async fn run(&mut self, head: Bytes) -> std::io::Result<()> {
        let options = self.subscriber.feed().options.clone();
        self.io.write_all(&head).await?;
        self.io.flush().await?;
        drop(head);
        let heartbeat = options.heartbeat.filter(|_| options.format == StreamFormat::EventSource);
        let mut limited = None;
        loop {
            let is_limited = self.subscription.is_limited();
            let most = if is_limited { 1 } else { WRITE_SIZE };
            let event = {
                let Self { io, subscriber, .. } = self;
                tokio::select! {
                    biased;
                    // First of all: who has left takes nothing along.
                    () = gone(io) => Event::Gone,
                    gathered = poll_fn(|cx| gather(subscriber, options.format, most, cx)) => Event::Messages(gathered),
                    () = idle(heartbeat) => Event::Heartbeat,
                }
            };
            match event {
                Event::Messages(Some((up_to, bytes))) => {
                    // A notice of missed messages is none.
                    if is_limited && up_to > self.carried.messages {
                        match self.pass(bytes.len() as u64, heartbeat).await? {
                            Some(Passed::Yes) => {}
                            Some(Passed::Dropped) => {
                                self.subscriber.confirm(up_to);
                                self.carried.messages = up_to;
                                continue;
                            }
                            Some(Passed::Limited(wait)) => {
                                limited = Some(wait);
                                break;
                            }
                            Some(Passed::Closed) => break,
                            None => return Ok(()),
                        }
                    }
                    self.write(&bytes).await?;
                    self.subscriber.confirm(up_to);
                    // Deliveries are numbered from 1.
                    self.carried.messages = up_to;
                }
                Event::Messages(None) => break,
                Event::Heartbeat => self.write(b": heartbeat\n\n").await?,
                Event::Gone => return Ok(()),
            }
        }
        if options.format == StreamFormat::EventSource {
            let reason = limited.map_or_else(|| self.subscriber.close_reason(), |_| CloseReason::Limited);
            let farewell = farewell(reason, limited.unwrap_or_default());
            self.write(farewell.as_bytes()).await?;
        }
        let Self { io, chunked, subscription, .. } = self;
        let end = async {
            if *chunked {
                io.write_all(b"0\r\n\r\n").await?;
            }
            io.shutdown().await
        };
        patiently(subscription, end).await
    }

    /// Passes one message on, now or later; `None` when the client went meanwhile. Heartbeats go on.
    async fn pass(&mut self, bytes: u64, heartbeat: Option<Duration>) -> std::io::Result<Option<Passed>> {
        let next_beat = || heartbeat.map(|after| Instant::now() + after);
        let mut beat = next_beat();
        loop {
            // What is drawn is not drawn twice: a look is not given up half-way.
            let wait = match self.subscription.look(1, bytes).await {
                Ok(passed) => return Ok(Some(passed)),
                Err(wait) => wait,
            };
            let Self { io, subscription, .. } = self;
            let closed = tokio::select! {
                biased;
                () = gone(io) => return Ok(None),
                () = at(beat) => None,
                closed = subscription.wait(wait) => Some(closed),
            };
            match closed {
                Some(true) => return Ok(Some(Passed::Closed)),
                Some(false) => {}
                None => {
                    self.write(b": heartbeat\n\n").await?;
                    beat = next_beat();
                }
            }
        }
    }

    /// Sends a whole answer, unless the client has gone.
    pub(super) async fn give(&mut self, head: Bytes, body: &[u8], up_to: u64) -> std::io::Result<()> {
        if gone(&mut self.io).now_or_never().is_some() {
            return Ok(());
        }
        self.io.write_all(&head).await?;
        self.write(body).await?;
        self.subscriber.confirm(up_to);
        // Deliveries are numbered from 1.
        self.carried.messages = up_to;
        self.io.shutdown().await
    }

    /// Writes a piece of the response until the kernel has it, or the client has been stuck for too long.
    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.carried.bytes += bytes.len() as u64;
        let Self { io, chunked, subscription, .. } = self;
        let writing = async {
            if *chunked {
                let mut chunk = Vec::with_capacity(bytes.len() + 16);
                chunk.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
                chunk.extend_from_slice(bytes);
                chunk.extend_from_slice(b"\r\n");
                io.write_all(&chunk).await?;
            } else {
                io.write_all(bytes).await?;
            }
            io.flush().await
        };
        patiently(subscription, writing).await
    }
}

/// Waits for a client to take what is written to it; for one that is sent away meanwhile, only a moment.
async fn patiently(
    subscription: &Subscription,
    writing: impl Future<Output = std::io::Result<()>>,
) -> std::io::Result<()> {
    let too_long = async {
        tokio::select! {
            () = async { subscription.closed().await; tokio::time::sleep(LAST_WORDS).await } => {}
            () = tokio::time::sleep(STALLED) => {}
        }
        std::io::Error::new(std::io::ErrorKind::TimedOut, "the client took nothing for too long")
    };
    tokio::select! {
        biased;
        written = writing => written,
        error = too_long => Err(error),
    }
}

enum Event {
    Messages(Option<(u64, Vec<u8>)>),
    Heartbeat,
    Gone,
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => pending().await,
    }
}

async fn idle(heartbeat: Option<Duration>) {
    match heartbeat {
        Some(after) => tokio::time::sleep(after).await,
        None => pending().await,
    }
}

/// Resolves when the client has closed its side. What it sends meanwhile has no meaning and is thrown away.
async fn gone(io: &mut ClientStream) {
    let mut ignored = [0; 64];
    while !matches!(io.read(&mut ignored).await, Ok(0) | Err(_)) {}
}
