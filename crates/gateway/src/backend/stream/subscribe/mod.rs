//! Subscribers over plain HTTP: one message for a GET, or an endless response (streams contract 2.5).
//!
//! Over HTTP/1 an endless response leaves the HTTP engine: the subscriber's task holds the bare socket, so that an
//! idle one costs little, and a message is confirmed when the kernel has taken its last byte. Over HTTP/2 it is an
//! ordinary body, and a message is confirmed when the connection asks for what comes after it.

mod bare;
mod endless;
mod poll;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode, Version};
use streams::feed::{From, StreamFormat};
use streams::{CloseReason, Delivery, Feed, Subscriber};

use self::bare::Connection;
use self::endless::Endless;
pub(super) use self::poll::next;
use super::watched::Subscription;
use crate::body::Body;
use crate::exchange::Exchange;
use crate::http1::last_head;
use crate::respond::Refusal;

/// Bytes gathered for one write.
const WRITE_SIZE: usize = 64 << 10;
/// What browsers are told to wait before they connect again.
const RETRY_MS: u32 = 1_000;
/// How long the last words to a subscriber that is sent away may take; then it goes without.
pub(crate) const LAST_WORDS: Duration = Duration::from_millis(400);

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
        let body = Endless::new(subscriber, subscription, exchange.peer.cut.clone());
        let mut response = Response::new(Body::boxed(Box::pin(body)));
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
            let mut connection = Connection::new(io, subscriber, subscription, chunked);
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
pub(crate) fn farewell(reason: CloseReason, wait: Duration) -> String {
    let retry = wait.as_millis().max(u128::from(RETRY_MS));
    format!(": closing: {}\nretry: {retry}\n\n", explain(reason))
}

/// Why a subscriber is sent away, in words.
pub(crate) fn explain(reason: CloseReason) -> &'static str {
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
