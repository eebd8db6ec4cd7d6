//! Long poll: a GET gets one message, or all of a batch.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use http_body::Frame;
use streams::multipart::{self, Part};
use streams::{CloseReason, Delivery, Feed, Subscriber};
use tokio::time::{Instant, timeout_at};

use super::bare::Connection;
use super::{begin, limited, start};
use crate::auth::disallowed;
use crate::backend::stream::watched::Subscription;
use crate::body::{Body, BodyError};
use crate::exchange::Exchange;
use crate::http1::last_head;
use crate::limits::Passed;
use crate::listen::Takeover;
use crate::respond::{self, Refusal};

/// Long poll: waits for one message; `headers` go with it.
pub(in crate::backend::stream) async fn next(
    exchange: &mut Exchange,
    feed: &Arc<Feed>,
    mut headers: HeaderMap,
) -> Result<Response<Body>, Refusal> {
    let mut subscriber = feed.subscribe(start(exchange));
    let subscription = begin(exchange, &subscriber).await?;
    let at_hand = message(&mut subscriber).now_or_never();
    let has_waited = at_hand.is_none();
    let outcome = match at_hand {
        Some(None) => Outcome::Closed,
        Some(Some(delivery)) if !subscription.is_limited() => {
            Outcome::Answer(Answer::of(delivery, &mut subscriber))
        }
        first => {
            let until = Instant::now() + feed.options.timeout;
            answer(&subscription, &mut subscriber, first.flatten(), until).await
        }
    };
    let mut response = match outcome {
        Outcome::Late => respond::text(StatusCode::REQUEST_TIMEOUT, "Timed out waiting for message"),
        Outcome::Closed if subscriber.close_reason() == CloseReason::Revoked => return Err(disallowed()),
        Outcome::Closed => respond::text(StatusCode::SERVICE_UNAVAILABLE, "Server closing"),
        Outcome::Limited(wait) => return Err(limited(wait)),
        Outcome::Answer(answer) => {
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

/// What becomes of a GET.
enum Outcome {
    Answer(Answer),
    /// The key's limits do not let it pass for so long.
    Limited(Duration),
    /// Nothing came in time.
    Late,
    /// The subscriber was sent away, or the feed has ended.
    Closed,
}

/// The answer to one GET, once there is a message and the key's limits let it pass.
async fn answer(
    subscription: &Subscription,
    subscriber: &mut Subscriber,
    mut first: Option<Delivery>,
    until: Instant,
) -> Outcome {
    loop {
        let delivery = match first.take() {
            Some(delivery) => delivery,
            None => match timeout_at(until, message(subscriber)).await {
                Err(_) => return Outcome::Late,
                Ok(None) => return Outcome::Closed,
                Ok(Some(delivery)) => delivery,
            },
        };
        let answer = Answer::of(delivery, subscriber);
        loop {
            // What is drawn is not drawn twice: a look is not given up half-way, only the wait for the next one.
            match subscription.look(answer.messages, answer.body.len() as u64).await {
                Ok(Passed::Yes) => return Outcome::Answer(answer),
                Ok(Passed::Dropped) => break subscriber.confirm(answer.up_to),
                Ok(Passed::Limited(wait)) => return Outcome::Limited(wait),
                Ok(Passed::Closed) => return Outcome::Closed,
                Err(wait) => match timeout_at(until, subscription.wait(wait)).await {
                    Ok(false) => {}
                    Ok(true) => return Outcome::Closed,
                    Err(_) => return Outcome::Late,
                },
            }
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
            let mut connection = Connection::new(io, subscriber, subscription, false);
            if let Err(error) = connection.give(head, &answer.body, answer.up_to).await {
                tracing::debug!(%error, "a subscriber's connection ended");
            }
            connection.carried
        })
        .await;
    match never {}
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
