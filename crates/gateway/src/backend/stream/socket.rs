//! WebSockets of an event API: feeds to subscribers, and frames from producers (RFC 6455; streams contract 2.4, 2.5).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use streams::feed::{From, SocketMessage};
use streams::{CloseReason, Delivery, Feed, Ingest, IngestError, Message};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message as Frame, Utf8Bytes};

use super::metadata::Metadata;
use super::subscribe::explain;
use crate::body::Body;
use crate::exchange::{Carried, Exchange};
use crate::listen::{ClientIo, Takeover, write_head};
use crate::respond::Refusal;

/// Largest frame that a subscriber may send; it has nothing to say.
const SUBSCRIBER_FRAME: usize = 512;
/// Largest message that a producer may send when the configuration sets no limit.
const PRODUCER_MESSAGE: usize = 32 << 20;

type Socket = WebSocketStream<ClientIo>;

/// Whether the client asks for a WebSocket.
pub(super) fn wanted(exchange: &Exchange) -> bool {
    let upgrade = exchange.head.headers.get(header::UPGRADE);
    upgrade.is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Sends a feed's messages as frames.
pub(super) async fn feed(exchange: &mut Exchange, feed: &Arc<Feed>) -> Result<Response<Body>, Refusal> {
    let (takeover, head) = accept(exchange)?;
    let subscriber = feed.subscribe(From::Live);
    let config = WebSocketConfig::default()
        .max_message_size(Some(SUBSCRIBER_FRAME))
        .max_frame_size(Some(SUBSCRIBER_FRAME))
        .read_buffer_size(SUBSCRIBER_FRAME)
        .write_buffer_size(0);
    let never = exchange
        .take_over(&takeover, StatusCode::SWITCHING_PROTOCOLS, move |io, read| async move {
            match open(io, read, head, config).await {
                Ok(socket) => Feeding { socket, subscriber, carried: Carried::default() }.run().await,
                Err(error) => never_began(&error),
            }
        })
        .await;
    match never {}
}

/// Submits every frame, one after the other; the next is read when the last was acknowledged.
pub(super) async fn ingest(
    exchange: &mut Exchange,
    ingest: Arc<Ingest>,
    captures: Vec<(String, String)>,
) -> Result<Response<Body>, Refusal> {
    let (takeover, head) = accept(exchange)?;
    let metadata = Metadata::of(exchange, captures);
    let limit = match exchange.gate.settings.max_request_body {
        0 => PRODUCER_MESSAGE,
        limit => usize::try_from(limit).unwrap_or(PRODUCER_MESSAGE),
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit))
        .write_buffer_size(0);
    let never = exchange
        .take_over(&takeover, StatusCode::SWITCHING_PROTOCOLS, move |io, read| async move {
            match open(io, read, head, config).await {
                Ok(socket) => take_frames(socket, &ingest, &metadata).await,
                Err(error) => never_began(&error),
            }
        })
        .await;
    match never {}
}

/// Checks the opening handshake and makes its answer.
fn accept(exchange: &Exchange) -> Result<(Takeover, Bytes), Refusal> {
    let refused = |text: &'static str| Refusal::client(StatusCode::BAD_REQUEST, "UPG", text);
    if !exchange.gate.upstream.websockets {
        return Err(Refusal::client(StatusCode::FORBIDDEN, "UPG", "websockets are not allowed"));
    }
    let takeover = exchange
        .peer
        .takeover
        .clone()
        .ok_or_else(|| refused("connections can only be upgraded over HTTP/1.1"))?;
    let headers = &exchange.head.headers;
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(refused("only version 13 of the WebSocket protocol is spoken here"));
    }
    let key =
        headers.get(header::SEC_WEBSOCKET_KEY).ok_or_else(|| refused("Sec-WebSocket-Key is missing"))?;
    let mut answer = HeaderMap::new();
    answer.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()))
        .map_err(|_| refused("Sec-WebSocket-Key is malformed"))?;
    answer.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok((takeover, write_head(StatusCode::SWITCHING_PROTOCOLS, &answer)))
}

async fn open(
    mut io: ClientIo,
    read: Bytes,
    head: Bytes,
    config: WebSocketConfig,
) -> std::io::Result<Socket> {
    io.write_all(&head).await?;
    io.flush().await?;
    Ok(WebSocketStream::from_partially_read(io, read.into(), Role::Server, Some(config)).await)
}

fn never_began(error: &std::io::Error) -> Carried {
    tracing::debug!(%error, "a websocket ended before it began");
    Carried::default()
}

struct Feeding {
    socket: Socket,
    subscriber: streams::Subscriber,
    carried: Carried,
}

impl Feeding {
    async fn run(mut self) -> Carried {
        if let Err(error) = self.pump().await {
            tracing::debug!(%error, "a subscriber's websocket ended");
        }
        self.carried
    }

    async fn pump(&mut self) -> Result<(), tungstenite::Error> {
        let options = self.subscriber.feed().options.clone();
        let times = options.socket;
        let mut heard = Instant::now();
        let mut ping = tokio::time::interval_at(Instant::now() + times.ping_period, times.ping_period);
        loop {
            tokio::select! {
                delivery = self.subscriber.next() => match delivery {
                    Some(delivery) => {
                        let number = delivery.number();
                        if let Some(frame) = frame(&delivery, options.socket_message) {
                            self.carried.bytes += frame.len() as u64;
                            in_time(times.write_wait, self.socket.send(frame)).await?;
                        }
                        self.subscriber.confirm(number);
                        // Deliveries are numbered from 1.
                        self.carried.messages = number;
                    }
                    None => {
                        let goodbye = goodbye(self.subscriber.close_reason());
                        return in_time(times.write_wait, self.socket.close(Some(goodbye))).await;
                    }
                },
                received = self.socket.next() => match received {
                    Some(Ok(Frame::Close(_)) | Err(_)) | None => return Ok(()),
                    Some(Ok(_)) => heard = Instant::now(),
                },
                _ = ping.tick() => {
                    if heard.elapsed() > times.pong_wait {
                        return Ok(());
                    }
                    in_time(times.write_wait, self.socket.send(Frame::Ping(Bytes::new()))).await?;
                }
            }
        }
    }
}

async fn in_time(
    limit: Duration,
    sending: impl Future<Output = Result<(), tungstenite::Error>>,
) -> Result<(), tungstenite::Error> {
    tokio::time::timeout(limit, sending).await.unwrap_or_else(|_| {
        Err(tungstenite::Error::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            "the client took nothing in time",
        )))
    })
}

fn frame(delivery: &Delivery, kind: SocketMessage) -> Option<Frame> {
    delivery.message()?;
    let payload = delivery.raw().clone();
    Some(match kind {
        SocketMessage::Binary => Frame::Binary(payload),
        SocketMessage::Text => match Utf8Bytes::try_from(payload.clone()) {
            Ok(text) => Frame::Text(text),
            Err(_) => Frame::Binary(payload),
        },
    })
}

fn goodbye(reason: CloseReason) -> CloseFrame {
    let code = match reason {
        CloseReason::Changed | CloseReason::Removed => CloseCode::Restart,
        CloseReason::ShuttingDown => CloseCode::Away,
        CloseReason::Slow => CloseCode::Again,
        CloseReason::Ended => CloseCode::Normal,
    };
    CloseFrame { code, reason: Utf8Bytes::from_static(explain(reason)) }
}

async fn take_frames(mut socket: Socket, ingest: &Ingest, metadata: &Metadata) -> Carried {
    let mut carried = Carried::default();
    let outcome = async {
        if !ingest.options.welcome.is_empty() {
            socket.send(Frame::Binary(ingest.options.welcome.clone().into())).await?;
        }
        while let Some(received) = socket.next().await {
            let payload = match received? {
                Frame::Text(text) => Bytes::from(text),
                Frame::Binary(bytes) => bytes,
                Frame::Close(_) => return Ok(()),
                _ => continue,
            };
            let mut message = Message::new(payload);
            metadata.write(&mut message);
            match ingest.submit_until_taken(vec![message]).await {
                Ok(None) => carried.messages += 1,
                Err(error @ IngestError::Answer(_)) => {
                    tracing::debug!(%error, "a producer gets no answer");
                    carried.messages += 1;
                }
                Ok(Some(answer)) => {
                    carried.messages += 1;
                    carried.bytes += answer.body.len() as u64;
                    socket.send(reply(answer.body)).await?;
                }
                Err(
                    IngestError::Timeout
                    | IngestError::Closing
                    | IngestError::Rejected(_)
                    | IngestError::RateLimited { .. },
                ) => {
                    return socket.close(Some(goodbye(CloseReason::Changed))).await;
                }
            }
        }
        Ok::<_, tungstenite::Error>(())
    };
    if let Err(error) = outcome.await {
        tracing::debug!(%error, "a producer's websocket ended");
    }
    carried
}

/// Replies are text frames (streams contract 2.4), as far as they are text.
fn reply(body: Bytes) -> Frame {
    Utf8Bytes::try_from(body.clone()).map_or(Frame::Binary(body), Frame::Text)
}
