//! Subscribers over plain HTTP: one message for a GET, or an endless response (streams contract 2.5).
//!
//! Over HTTP/1 an endless response leaves the HTTP engine: the subscriber's task holds the bare socket, so that an
//! idle one costs little, and a message is confirmed when the kernel has taken its last byte. Over HTTP/2 it is an
//! ordinary body, and a message is confirmed when the connection asks for what comes after it.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode, Version};
use http_body::Frame;
use streams::feed::{From, StreamFormat};
use streams::multipart::{self, Part};
use streams::{CloseReason, Delivery, Feed, Subscriber};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, Sleep};

use super::watched::Subscription;
use crate::auth::disallowed;
use crate::body::{Body, BodyError};
use crate::exchange::{Carried, Exchange};
use crate::http1::last_head;
use crate::limits::Passed;
use crate::listen::{ClientStream, Takeover};
use crate::respond::{self, Refusal};

/// Bytes gathered for one write.
const WRITE_SIZE: usize = 64 << 10;
/// A client that takes nothing for so long is gone or stuck; whatever it did not take goes to others or is lost to it.
const STALLED: Duration = Duration::from_secs(60);
/// What browsers are told to wait before they connect again.
const RETRY_MS: u32 = 1_000;

/// Long poll: waits for one message; `headers` go with it.
pub(super) async fn next(
    exchange: &mut Exchange,
    feed: &Arc<Feed>,
    mut headers: HeaderMap,
) -> Result<Response<Body>, Refusal> {
    let mut subscriber = feed.subscribe(start(exchange));
    let subscription = begin(exchange, &subscriber).await?;
    let at_hand = message(&mut subscriber).now_or_never();
    let has_waited = at_hand.is_none();
    let answer = match at_hand {
        Some(None) => Ok(None),
        Some(Some(delivery)) if !subscription.is_limited() => {
            Ok(Some(Ok(Answer::of(delivery, &mut subscriber))))
        }
        first => {
            let answer = answer(&subscription, &mut subscriber, first.flatten());
            tokio::time::timeout(feed.options.timeout, answer).await
        }
    };
    let mut response = match answer {
        Err(_) => respond::text(StatusCode::REQUEST_TIMEOUT, "Timed out waiting for message"),
        Ok(None) if subscriber.close_reason() == CloseReason::Revoked => return Err(disallowed()),
        Ok(None) => respond::text(StatusCode::SERVICE_UNAVAILABLE, "Server closing"),
        Ok(Some(Err(wait))) => return Err(limited(wait)),
        Ok(Some(Ok(answer))) => {
            headers.insert(header::CONTENT_TYPE, answer.content_type.clone());
            if let Some(takeover) = exchange.peer.takeover.clone().filter(|_| has_waited) {
                return hand_over(exchange, &takeover, headers, subscriber, subscription, answer).await;
            }
            let single = Single { subscriber, up_to: answer.up_to, body: Some(answer.body) };
            drop(subscription);
            Response::new(Body::boxed(Box::pin(single)))
        }
    };
    response.headers_mut().extend(headers);
    Ok(response)
}

/// Begins to watch over a subscriber. One that would be sent away at once is not let in.
pub(super) async fn begin(exchange: &Exchange, subscriber: &Subscriber) -> Result<Subscription, Refusal> {
    let subscription = Subscription::begin(exchange, subscriber);
    match subscription.has_room().await {
        Ok(()) => Ok(subscription),
        Err(wait) => Err(limited(wait)),
    }
}

/// The refusal of a subscriber whose limit is used up.
fn limited(wait: Duration) -> Refusal {
    let seconds = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
    Refusal::client(StatusCode::TOO_MANY_REQUESTS, "RLT", "Subscription Limit Exceeded").retry_after(seconds)
}

/// The answer to one GET, once the key's limits let it pass; or how long they do not.
async fn answer(
    subscription: &Subscription,
    subscriber: &mut Subscriber,
    mut first: Option<Delivery>,
) -> Option<Result<Answer, Duration>> {
    loop {
        let delivery = match first.take() {
            Some(delivery) => delivery,
            None => message(subscriber).await?,
        };
        let answer = Answer::of(delivery, subscriber);
        match subscription.pass(answer.messages, answer.body.len() as u64).await {
            Passed::Yes => return Some(Ok(answer)),
            Passed::Dropped => subscriber.confirm(answer.up_to),
            Passed::Limited(wait) => return Some(Err(wait)),
            Passed::Closed => return None,
        }
    }
}

/// The next delivery that is a message.
async fn message(subscriber: &mut Subscriber) -> Option<Delivery> {
    loop {
        match subscriber.next().await {
            Some(delivery) if delivery.message().is_none() => {}
            other => return other,
        }
    }
}

/// What one GET gets: a message, or all of its batch as far as they are at hand (streams contract 2.5, GET).
struct Answer {
    content_type: HeaderValue,
    body: Bytes,
    /// Of the last message.
    up_to: u64,
    messages: u64,
}

impl Answer {
    fn of(first: Delivery, subscriber: &mut Subscriber) -> Self {
        let mut more = first.is_followed();
        let mut deliveries = vec![first];
        // A batch enters the feed as a whole, so its rest is there, unless it is larger than the ring or others take
        // their share of it.
        while more && let Some(Some(next)) = subscriber.next().now_or_never() {
            more = next.is_followed();
            deliveries.push(next);
        }
        let up_to = deliveries.last().map_or(0, Delivery::number);
        deliveries.retain(|delivery| delivery.message().is_some());
        let messages = deliveries.len() as u64;
        if let [only] = &deliveries[..] {
            let content_type = HeaderValue::from_static("application/octet-stream");
            return Self { content_type, body: only.raw().clone(), up_to, messages };
        }
        let boundary = multipart::new_boundary();
        let headers = [("Content-Type", "application/octet-stream")];
        let parts = deliveries.iter().map(|delivery| Part { headers: &headers, payload: delivery.raw() });
        let body = multipart::write(parts, &boundary);
        let content_type = HeaderValue::try_from(format!("multipart/mixed; boundary={boundary}"));
        let content_type =
            content_type.unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
        Self { content_type, body, up_to, messages }
    }
}

/// Answers a client that had to wait, and closes. Over HTTP/1 nobody looks at a connection whose request waits, so it
/// is looked at now: a client that gave up meanwhile must not take the message along.
async fn hand_over(
    exchange: &mut Exchange,
    takeover: &Takeover,
    mut headers: HeaderMap,
    subscriber: Subscriber,
    subscription: Subscription,
    answer: Answer,
) -> Result<Response<Body>, Refusal> {
    headers.insert(header::CONTENT_LENGTH, answer.body.len().into());
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    exchange.budget.write(&mut headers);
    let head = last_head(StatusCode::OK, &headers);
    let never = exchange
        .take_over(takeover, StatusCode::OK, move |io, _| async move {
            let mut connection =
                Connection { io, subscriber, subscription, chunked: false, carried: Carried::default() };
            if let Err(error) = connection.give(head, &answer).await {
                tracing::debug!(%error, "a subscriber's connection ended");
            }
            connection.carried
        })
        .await;
    match never {}
}

/// An endless response; `headers` go with it.
pub(super) async fn stream(
    exchange: &mut Exchange,
    feed: &Arc<Feed>,
    mut headers: HeaderMap,
) -> Result<Response<Body>, Refusal> {
    let subscriber = feed.subscribe(start(exchange));
    let subscription = begin(exchange, &subscriber).await?;
    match feed.options.format {
        StreamFormat::EventSource => {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        StreamFormat::RawBytes => {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        }
    }
    let Some(takeover) = exchange.peer.takeover.clone() else {
        let mut response = Response::new(Body::boxed(Box::pin(Endless::new(subscriber, subscription))));
        *response.headers_mut() = headers;
        return Ok(response);
    };
    exchange.budget.write(&mut headers);
    let chunked = exchange.head.version >= Version::HTTP_11;
    if chunked {
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    } else {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let head = last_head(StatusCode::OK, &headers);
    let never = exchange
        .take_over(&takeover, StatusCode::OK, move |io, _| async move {
            let mut connection =
                Connection { io, subscriber, subscription, chunked, carried: Carried::default() };
            if let Err(error) = connection.run(head).await {
                tracing::debug!(%error, "a subscriber's connection ended");
            }
            connection.carried
        })
        .await;
    match never {}
}

/// Where the subscriber wants to begin: after the event it saw last, if it says so.
fn start(exchange: &Exchange) -> From {
    let last = exchange.head.headers.get("last-event-id").and_then(|id| id.to_str().ok());
    last.filter(|id| !id.is_empty()).map_or(From::Live, |id| From::Resume(id.to_owned()))
}

/// What a delivery looks like in this feed.
fn frame(delivery: &Delivery, format: StreamFormat) -> &Bytes {
    match format {
        StreamFormat::EventSource => delivery.event_source(),
        StreamFormat::RawBytes => delivery.raw_line(),
    }
}

/// The last words of a stream of server-sent events; a client whose limit is used up is told when to come back.
fn farewell(reason: CloseReason, wait: Duration) -> String {
    let retry = wait.as_millis().max(u128::from(RETRY_MS));
    format!(": closing: {}\nretry: {retry}\n\n", explain(reason))
}

/// Why a subscriber is sent away, in words.
pub(super) fn explain(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Changed => "the API was changed, connect again for its new rules",
        CloseReason::Removed => "the API was removed",
        CloseReason::ShuttingDown => "the gate is shutting down, connect again",
        CloseReason::Slow => "the client did not keep up",
        CloseReason::Ended => "the stream has ended",
        CloseReason::Revoked => "the key may not receive this any more",
        CloseReason::Limited => "the limit of the key is reached, connect again later",
    }
}

/// A subscriber that holds its bare socket.
struct Connection {
    io: ClientStream,
    subscriber: Subscriber,
    subscription: Subscription,
    chunked: bool,
    carried: Carried,
}

impl Connection {
    async fn run(&mut self, head: Bytes) -> std::io::Result<()> {
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
        if self.chunked {
            self.io.write_all(b"0\r\n\r\n").await?;
        }
        self.io.shutdown().await
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
    async fn give(&mut self, head: Bytes, answer: &Answer) -> std::io::Result<()> {
        if gone(&mut self.io).now_or_never().is_some() {
            return Ok(());
        }
        self.io.write_all(&head).await?;
        self.write(&answer.body).await?;
        self.subscriber.confirm(answer.up_to);
        // Deliveries are numbered from 1.
        self.carried.messages = answer.up_to;
        self.io.shutdown().await
    }

    /// Writes a piece of the response until the kernel has it, or the client has been stuck for too long.
    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let confirmer = self.subscriber.confirmer();
        self.carried.bytes += bytes.len() as u64;
        let Self { io, chunked, .. } = self;
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
        let closed = async {
            let began = Instant::now();
            while confirmer.closed().is_none() && began.elapsed() < STALLED {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            biased;
            written = writing => written,
            () = closed => Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "the client took nothing for too long")),
        }
    }
}

enum Event {
    Messages(Option<(u64, Vec<u8>)>),
    Heartbeat,
    Gone,
}

/// All messages at hand, up to one write's worth, and the number of the last one.
fn gather(
    subscriber: &mut Subscriber,
    format: StreamFormat,
    most: usize,
    cx: &mut Context<'_>,
) -> Poll<Option<(u64, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let mut up_to = 0;
    while bytes.len() < most {
        match subscriber.poll_next(cx) {
            Poll::Ready(Some(delivery)) => {
                bytes.extend_from_slice(frame(&delivery, format));
                up_to = delivery.number();
            }
            // What is at hand goes out first; the end is found again afterwards.
            Poll::Ready(None) if up_to == 0 => return Poll::Ready(None),
            Poll::Ready(None) => break,
            Poll::Pending if up_to == 0 && bytes.is_empty() => return Poll::Pending,
            Poll::Pending => break,
        }
    }
    Poll::Ready(Some((up_to, bytes)))
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

/// One answer as a whole response body. It is confirmed when the connection asks for what comes after it: over HTTP/1
/// the kernel has it then.
struct Single {
    subscriber: Subscriber,
    body: Option<Bytes>,
    up_to: u64,
}

impl http_body::Body for Single {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(body) = self.body.take() {
            return Poll::Ready(Some(Ok(Frame::data(body))));
        }
        self.subscriber.confirm(self.up_to);
        Poll::Ready(None)
    }
}

/// An endless response body, for HTTP/2.
struct Endless {
    subscriber: Subscriber,
    subscription: Arc<Subscription>,
    /// What waits for its limit.
    waiting: Option<Waiting>,
    format: StreamFormat,
    heartbeat: Option<(Duration, Pin<Box<Sleep>>)>,
    handed_out: u64,
    ended: bool,
}

/// Bytes up to a message, and whether they may go.
type Waiting = (u64, Vec<u8>, Pin<Box<dyn Future<Output = Passed> + Send>>);

impl Endless {
    fn new(subscriber: Subscriber, subscription: Subscription) -> Self {
        let subscription = Arc::new(subscription);
        let options = &subscriber.feed().options;
        let format = options.format;
        let heartbeat = options.heartbeat.filter(|_| format == StreamFormat::EventSource);
        let heartbeat = heartbeat.map(|after| (after, Box::pin(tokio::time::sleep(after))));
        Self { subscriber, subscription, waiting: None, format, heartbeat, handed_out: 0, ended: false }
    }
}

/// What comes next on an endless body.
enum Next {
    Gathered(Option<(u64, Vec<u8>)>),
    Passed(Passed),
}

impl Endless {
    /// The last frame, if the format has any.
    fn end(&mut self, reason: CloseReason, wait: Duration) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.ended = true;
        Poll::Ready(match self.format {
            StreamFormat::EventSource => Some(Ok(Frame::data(farewell(reason, wait).into()))),
            StreamFormat::RawBytes => None,
        })
    }
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        // Being asked for more means that the connection had room for what was handed out before.
        if this.handed_out > 0 {
            this.subscriber.confirm(this.handed_out);
        }
        let bytes = loop {
            let next = match &mut this.waiting {
                Some((_, _, passing)) => passing.as_mut().poll(cx).map(Next::Passed),
                None => {
                    let most = if this.subscription.is_limited() { 1 } else { WRITE_SIZE };
                    gather(&mut this.subscriber, this.format, most, cx).map(Next::Gathered)
                }
            };
            match next {
                Poll::Ready(Next::Gathered(Some((up_to, bytes)))) => {
                    // A notice of missed messages is none.
                    if up_to > this.handed_out && this.subscription.is_limited() {
                        let (subscription, size) = (Arc::clone(&this.subscription), bytes.len() as u64);
                        let passing = Box::pin(async move { subscription.pass(1, size).await });
                        this.waiting = Some((up_to, bytes, passing));
                        continue;
                    }
                    this.handed_out = this.handed_out.max(up_to);
                    break bytes;
                }
                Poll::Ready(Next::Passed(passed)) => {
                    let Some((up_to, bytes, _)) = this.waiting.take() else { continue };
                    match passed {
                        Passed::Yes => {
                            this.handed_out = up_to;
                            break bytes;
                        }
                        Passed::Dropped => {
                            this.handed_out = up_to;
                            this.subscriber.confirm(up_to);
                        }
                        Passed::Limited(wait) => return this.end(CloseReason::Limited, wait),
                        Passed::Closed => return this.end(this.subscriber.close_reason(), Duration::ZERO),
                    }
                }
                Poll::Ready(Next::Gathered(None)) => {
                    return this.end(this.subscriber.close_reason(), Duration::ZERO);
                }
                Poll::Pending => {
                    let Some((after, sleep)) = &mut this.heartbeat else { return Poll::Pending };
                    std::task::ready!(sleep.as_mut().poll(cx));
                    sleep.as_mut().reset(Instant::now() + *after);
                    cx.waker().wake_by_ref();
                    break b": heartbeat\n\n".to_vec();
                }
            }
        };
        if let Some((after, sleep)) = &mut this.heartbeat {
            sleep.as_mut().reset(Instant::now() + *after);
        }
        Poll::Ready(Some(Ok(Frame::data(bytes.into()))))
    }
}
