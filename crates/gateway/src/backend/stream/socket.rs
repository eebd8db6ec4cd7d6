//! WebSockets of an event API: feeds to subscribers, and frames from producers (RFC 6455; streams contract 2.4, 2.5).

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use apidef::Auth;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};
use streams::feed::{From, SocketMessage};
use streams::{CloseReason, Delivery, Feed, Ingest, IngestError, Message, SyncResponse};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message as Frame, Utf8Bytes};

use super::ingest::current;
use super::metadata::Metadata;
use super::subscribe::{LAST_WORDS, begin, explain};
use super::watched::Subscription;
use crate::body::Body;
use crate::exchange::{Carried, Exchange};
use crate::gate::Gate;
use crate::http1::last_head;
use crate::limits::Passed;
use crate::listen::{ClientStream, Takeover};
use crate::respond::Refusal;

/// Largest frame that a subscriber may send; it has nothing to say.
const SUBSCRIBER_FRAME: usize = 512;
/// Largest message that a producer may send when the configuration sets no limit.
const PRODUCER_MESSAGE: usize = 32 << 20;
/// How often a producer is pinged. These times are those that subscribers have unless their feed says otherwise.
const PING_PERIOD: Duration = Duration::from_secs(54);
/// Longest silence of a producer.
const PONG_WAIT: Duration = Duration::from_secs(60);
/// Longest time one frame to a producer may take.
const WRITE_WAIT: Duration = Duration::from_secs(10);
/// How long a client that is sent away may take to answer.
const HEARD_OUT: Duration = Duration::from_secs(1);

type Socket = WebSocketStream<ClientStream>;

/// Whether the client asks for a WebSocket.
pub(super) fn wanted(exchange: &Exchange) -> bool {
    let upgrade = exchange.head.headers.get(header::UPGRADE);
    upgrade.is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Sends a feed's messages as frames.
pub(super) async fn feed(exchange: &mut Exchange, feed: &Arc<Feed>) -> Result<Response<Body>, Refusal> {
    let (takeover, head) = accept(exchange)?;
    let subscriber = feed.subscribe(From::Live);
    let subscription = begin(exchange, &subscriber).await?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(SUBSCRIBER_FRAME))
        .max_frame_size(Some(SUBSCRIBER_FRAME))
        .read_buffer_size(SUBSCRIBER_FRAME)
        .write_buffer_size(0);
    let never = exchange
        .take_over(&takeover, StatusCode::SWITCHING_PROTOCOLS, move |io, read| async move {
            match open(io, read, head, config).await {
                Ok(socket) => {
                    let carried = Carried::default();
                    Feeding { socket, subscriber, subscription, carried }.run().await
                }
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
    let gate = Arc::clone(&exchange.gate);
    let (api, auth) = (exchange.api.model.id.clone(), exchange.api.model.auth.clone());
    let (path, method) = (exchange.path_in_api().into(), exchange.head.method.clone());
    let own = exchange.peer.own.clone();
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
                Ok(socket) => {
                    let carried = Carried::default();
                    Producer { socket, ingest, metadata, gate, api, auth, path, method, own, carried }
                        .run()
                        .await
                }
                Err(error) => never_began(&error),
            }
        })
        .await;
    match never {}
}

/// Checks the opening handshake and makes its answer.
fn accept(exchange: &Exchange) -> Result<(Takeover, Bytes), Refusal> {
    let (takeover, answer) = accept_socket(exchange)?;
    Ok((takeover, last_head(StatusCode::SWITCHING_PROTOCOLS, &answer)))
}

/// The same; the fields of the answer, to which more may be added.
pub(crate) fn accept_socket(exchange: &Exchange) -> Result<(Takeover, HeaderMap), Refusal> {
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
    Ok((takeover, answer))
}

async fn open(
    mut io: ClientStream,
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
    subscription: Subscription,
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
                        if delivery.message().is_some() && self.subscription.is_limited() {
                            match self.pass(delivery.raw().len() as u64, &mut heard, &mut ping).await? {
                                Some(Passed::Yes) => {}
                                Some(Passed::Dropped) => {
                                    self.subscriber.confirm(number);
                                    continue;
                                }
                                Some(Passed::Limited(wait)) => return self.leave_limited(wait).await,
                                // The next poll of the feed tells why.
                                Some(Passed::Closed) => continue,
                                None => return Ok(()),
                            }
                        }
                        if let Some(frame) = frame(&delivery, options.socket_message) {
                            self.carried.bytes += frame.len() as u64;
                            self.send(frame).await?;
                        }
                        self.subscriber.confirm(number);
                        // Deliveries are numbered from 1.
                        self.carried.messages = number;
                    }
                    None => {
                        let reason = self.subscriber.close_reason();
                        let revoked = reason == CloseReason::Revoked;
                        let limit = if revoked { LAST_WORDS.min(times.write_wait) } else { times.write_wait };
                        return in_time(limit, self.socket.close(Some(goodbye(reason)))).await;
                    }
                },
                received = self.socket.next() => match received {
                    Some(Ok(Frame::Close(_))) => return part(&mut self.socket, None).await,
                    Some(Err(wrong)) => return part(&mut self.socket, Some(wrong)).await,
                    None => return Ok(()),
                    Some(Ok(_)) => heard = Instant::now(),
                },
                _ = ping.tick() => {
                    if heard.elapsed() > times.pong_wait {
                        return Ok(());
                    }
                    self.send(Frame::Ping(Bytes::new())).await?;
                }
            }
        }
    }
}

impl Feeding {
    /// Passes one message on, now or later; `None` when the client went meanwhile. Pings go on.
    async fn pass(
        &mut self,
        bytes: u64,
        heard: &mut Instant,
        ping: &mut Interval,
    ) -> Result<Option<Passed>, tungstenite::Error> {
        let times = self.subscriber.feed().options.socket;
        loop {
            // What is drawn is not drawn twice: a look is not given up half-way.
            let wait = match self.subscription.look(1, bytes).await {
                Ok(passed) => return Ok(Some(passed)),
                Err(wait) => wait,
            };
            tokio::select! {
                closed = self.subscription.wait(wait) => {
                    if closed {
                        return Ok(Some(Passed::Closed));
                    }
                }
                received = self.socket.next() => match received {
                    Some(Ok(Frame::Close(_))) => return part(&mut self.socket, None).await.map(|()| None),
                    Some(Err(wrong)) => return part(&mut self.socket, Some(wrong)).await.map(|()| None),
                    None => return Ok(None),
                    Some(Ok(_)) => *heard = Instant::now(),
                },
                _ = ping.tick() => {
                    if heard.elapsed() > times.pong_wait {
                        return Ok(None);
                    }
                    self.send(Frame::Ping(Bytes::new())).await?;
                }
            }
        }
    }

    /// Sends a frame, unless the client takes nothing for too long, or takes nothing while it is sent away.
    async fn send(&mut self, frame: Frame) -> Result<(), tungstenite::Error> {
        let limit = self.subscriber.feed().options.socket.write_wait;
        let Self { socket, subscription, .. } = self;
        let closed = async {
            subscription.closed().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::select! {
            biased;
            sent = in_time(limit, socket.send(frame)) => sent,
            () = closed => Err(too_late()),
        }
    }

    /// Sends away whoever has received what it may for now.
    async fn leave_limited(&mut self, wait: Duration) -> Result<(), tungstenite::Error> {
        let seconds = wait.as_millis().div_ceil(1000);
        let reason = format!("{}; Retry-After: {seconds}", explain(CloseReason::Limited));
        let goodbye = CloseFrame { code: CloseCode::Again, reason: reason.into() };
        let wait = self.subscriber.feed().options.socket.write_wait;
        in_time(wait, self.socket.close(Some(goodbye))).await
    }
}

async fn in_time(
    limit: Duration,
    sending: impl Future<Output = Result<(), tungstenite::Error>>,
) -> Result<(), tungstenite::Error> {
    tokio::time::timeout(limit, sending).await.unwrap_or_else(|_| Err(too_late()))
}

/// The end that a client has begun, or brought about: its close frame is answered, or it is told which kind of rule it
/// broke (RFC 6455, sections 5.5.1 and 7.1.7).
async fn part(socket: &mut Socket, wrong: Option<tungstenite::Error>) -> Result<(), tungstenite::Error> {
    let code = match &wrong {
        None => None,
        Some(tungstenite::Error::Protocol(_)) => Some(CloseCode::Protocol),
        Some(tungstenite::Error::Utf8(_)) => Some(CloseCode::Invalid),
        Some(tungstenite::Error::Capacity(_)) => Some(CloseCode::Size),
        Some(_) => return wrong.map_or(Ok(()), Err),
    };
    let parting = async {
        if let Some(code) = code {
            let reason = Utf8Bytes::default();
            socket.close(Some(CloseFrame { code, reason })).await?;
        }
        // The answer to a close frame is sent when more is asked for.
        while let Some(Ok(_)) = socket.next().await {}
        Ok(())
    };
    // Whoever does not listen is left.
    let parted = tokio::time::timeout(HEARD_OUT, parting).await.unwrap_or(Ok(()));
    wrong.map_or(parted, Err)
}

fn too_late() -> tungstenite::Error {
    tungstenite::Error::Io(std::io::Error::new(
        std::io::ErrorKind::TimedOut,
        "the client took nothing in time",
    ))
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
        CloseReason::Slow | CloseReason::Limited => CloseCode::Again,
        CloseReason::Revoked => CloseCode::Policy,
        CloseReason::Ended => CloseCode::Normal,
    };
    CloseFrame { code, reason: Utf8Bytes::from_static(explain(reason)) }
}

/// A WebSocket whose frames become messages. Keeps no API alive, so that one that was replaced can go.
struct Producer {
    socket: Socket,
    ingest: Arc<Ingest>,
    metadata: Metadata,
    gate: Arc<Gate>,
    api: Box<str>,
    auth: Auth,
    path: Box<str>,
    method: Method,
    own: Option<Arc<str>>,
    carried: Carried,
}

impl Producer {
    async fn run(mut self) -> Carried {
        if let Err(error) = self.take_frames().await {
            tracing::debug!(%error, "a producer's websocket ended");
        }
        self.carried
    }

    async fn take_frames(&mut self) -> Result<(), tungstenite::Error> {
        if !self.ingest.options.welcome.is_empty() {
            let welcome = Frame::Binary(self.ingest.options.welcome.clone().into());
            self.send(welcome).await?;
        }
        let gate = Arc::clone(&self.gate);
        let mut closing = pin!(gate.closed());
        let mut heard = Instant::now();
        let mut ping = tokio::time::interval_at(heard + PING_PERIOD, PING_PERIOD);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let received = tokio::select! {
                biased;
                // First of all: a busy producer must not hold the gate.
                () = &mut closing => return self.leave(CloseReason::ShuttingDown).await,
                received = self.socket.next() => received,
                () = tokio::time::sleep_until(heard + PONG_WAIT) => return Ok(()),
                _ = ping.tick() => {
                    self.send(Frame::Ping(Bytes::new())).await?;
                    continue;
                }
            };
            let payload = match received {
                Some(Ok(Frame::Text(text))) => Some(Bytes::from(text)),
                Some(Ok(Frame::Binary(bytes))) => Some(bytes),
                Some(Ok(Frame::Close(_))) => return part(&mut self.socket, None).await,
                None => return Ok(()),
                Some(Ok(_)) => None,
                Some(Err(wrong)) => return part(&mut self.socket, Some(wrong)).await,
            };
            if let Some(payload) = payload {
                let mut message = Message::new(payload);
                self.metadata.write(&mut message);
                let batch = [message];
                if self.ingest.options.limit_message.is_empty() {
                    // The frame waits, and with it all that the client sends after it.
                    tokio::select! {
                        biased;
                        () = &mut closing => return self.leave(CloseReason::ShuttingDown).await,
                        () = self.ingest.admit_in_time(&batch) => {}
                    }
                } else if let Err(error) = self.ingest.admit(&batch).await {
                    tracing::debug!(%error, "a frame of a producer is not taken");
                    let told = Frame::Binary(self.ingest.options.limit_message.clone().into());
                    self.send(told).await?;
                    heard = Instant::now();
                    continue;
                }
                let [message] = batch;
                match self.submit(message).await {
                    Ok(None) => {}
                    Ok(Some(answer)) => {
                        self.carried.bytes += answer.body.len() as u64;
                        self.send(reply(answer.body)).await?;
                    }
                    Err(error @ IngestError::Answer(_)) => {
                        tracing::debug!(%error, "a producer gets no answer");
                    }
                    Err(
                        IngestError::Timeout
                        | IngestError::Closing
                        | IngestError::Rejected(_)
                        | IngestError::RateLimited { .. }
                        | IngestError::LimitAway(_),
                    ) => {
                        let over = self.gate.is_closing();
                        let reason = if over { CloseReason::ShuttingDown } else { CloseReason::Changed };
                        return self.leave(reason).await;
                    }
                }
                self.carried.messages += 1;
            }
            // Nobody listened while the message was on its way.
            heard = Instant::now();
        }
    }

    /// Submits a message until it is taken, by the successor of a stream that is being replaced if need be.
    async fn submit(&mut self, message: Message) -> Result<Option<SyncResponse>, IngestError> {
        loop {
            match self.ingest.submit_until_taken(vec![message.clone()]).await {
                Err(IngestError::Closing) => match self.successor() {
                    Some(successor) if !Arc::ptr_eq(&successor, &self.ingest) => self.ingest = successor,
                    _ => return Err(IngestError::Closing),
                },
                outcome => return outcome,
            }
        }
    }

    /// Where the frames go now. An API that asks for other credentials than this producer has shown takes none.
    fn successor(&self) -> Option<Arc<Ingest>> {
        let snapshot = self.gate.snapshot();
        let api = snapshot.apis.get(&*self.api).filter(|api| api.model.auth == self.auth)?;
        current(api, &self.path, &self.method, true, self.own.as_deref())
    }

    async fn send(&mut self, frame: Frame) -> Result<(), tungstenite::Error> {
        in_time(WRITE_WAIT, self.socket.send(frame)).await
    }

    /// Says goodbye and hears the client out for a moment: a socket that is closed with unread frames is reset, and
    /// the goodbye is lost with it.
    async fn leave(&mut self, reason: CloseReason) -> Result<(), tungstenite::Error> {
        in_time(WRITE_WAIT, self.socket.close(Some(goodbye(reason)))).await?;
        let rest = async { while let Some(Ok(_)) = self.socket.next().await {} };
        // Whoever does not answer is left.
        let _ = tokio::time::timeout(HEARD_OUT, rest).await;
        Ok(())
    }
}

/// Replies are text frames (streams contract 2.4), as far as they are text.
fn reply(body: Bytes) -> Frame {
    Utf8Bytes::try_from(body.clone()).map_or(Frame::Binary(body), Frame::Text)
}
