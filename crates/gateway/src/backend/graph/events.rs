//! Subscriptions of a graph whose events come from streams or from sources that were asked for them: over events (SSE) and
//! over WebSockets, in both protocols.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use graphql::engine::Engine;
use graphql::{Checked, Problem};
use http::Response;
use http::header::{self, HeaderValue};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::{Map, Value, json};
use streams::feed::From;
use streams::{Feed, Subscriber};

use super::wires::Wires;
use crate::body::{Body, BodyError};

/// A comment is sent after so long without an event.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The answers to one subscription, one for each event, until its stream ends.
pub(super) type Answers = BoxStream<'static, Value>;

/// A subscription under way.
type Under = (Subscriber, Arc<Engine>, Checked, Map<String, Value>, Wires);

/// Begins a subscription.
pub(super) fn answers(
    engine: Arc<Engine>,
    feed: &Arc<Feed>,
    checked: Checked,
    variables: Map<String, Value>,
    wires: Wires,
) -> Answers {
    let subscriber = feed.subscribe(From::Live);
    let state = (subscriber, engine, checked, variables, wires);
    let next = |(mut subscriber, engine, checked, variables, wires): Under| async move {
        loop {
            let delivery = subscriber.next().await?;
            let number = delivery.number();
            if delivery.message().is_none() {
                // It tells of messages that were missed.
                subscriber.confirm(number);
                continue;
            }
            let event = serde_json::from_slice::<Value>(delivery.raw());
            let answer = match event {
                Ok(event) => engine.event(&checked, &variables, event, &wires).await,
                Err(_) => Err(Problem::Errors(graphql::answer_of("an event of the source is no JSON"))),
            };
            subscriber.confirm(number);
            let answer = answer.unwrap_or_else(|problem| told(&problem));
            return Some((answer, (subscriber, engine, checked, variables, wires)));
        }
    };
    stream::unfold(state, next).boxed()
}

/// Events that a source was asked for, and what others have to say to each.
type Asked = (Answers, Arc<Engine>, Checked, Map<String, Value>, Wires);

/// The answers to a subscription whose events a source was asked for.
pub(super) fn asked(
    engine: Arc<Engine>,
    coming: Answers,
    checked: Checked,
    variables: Map<String, Value>,
    wires: Wires,
) -> Answers {
    let next = |(mut coming, engine, checked, variables, wires): Asked| async move {
        let event = coming.next().await?;
        let answer = engine.event(&checked, &variables, event, &wires).await;
        let answer = answer.unwrap_or_else(|problem| told(&problem));
        Some((answer, (coming, engine, checked, variables, wires)))
    };
    stream::unfold((coming, engine, checked, variables, wires), next).boxed()
}

/// What is wrong with an operation, as an answer to it.
pub(super) fn told(problem: &Problem) -> Value {
    match problem {
        Problem::Errors(errors) => errors.clone(),
        Problem::Depth => graphql::answer_of("depth limit exceeded"),
        Problem::Introspection => graphql::answer_of("introspection is disabled"),
    }
}

/// The answers as server-sent events (the protocol of `graphql-sse`, distinct connections).
pub(super) fn response(answers: Answers) -> Response<Body> {
    let frame = |text: String| Ok::<_, BodyError>(Frame::data(Bytes::from(text)));
    let begin = stream::once(std::future::ready(frame(": open\n\n".to_owned())));
    let events = stream::unfold(answers, move |mut answers| async move {
        let text = match tokio::time::timeout(HEARTBEAT, answers.next()).await {
            Ok(answer) => format!("event: next\ndata: {}\n\n", answer?),
            // So that a client that is gone is noticed.
            Err(_) => ":\n\n".to_owned(),
        };
        Some((frame(text), answers))
    });
    let end = stream::once(std::future::ready(frame("event: complete\ndata:\n\n".to_owned())));
    let body = StreamBody::new(begin.chain(events).chain(end).boxed());
    let mut response = Response::new(Body::boxed(Box::pin(body)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Subscriptions of one connection, by the names that its client gave them.
#[derive(Default)]
pub(super) struct Open(Vec<(Value, Answers)>);

/// What one of them brings.
pub(super) enum Brought {
    Answer(Value, Value),
    End(Value),
}

impl Open {
    /// Subscriptions that one connection may have at the same time.
    pub(super) const MOST: usize = 100;

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn has(&self, id: &Value) -> bool {
        self.0.iter().any(|(open, _)| open == id)
    }

    pub(super) fn begin(&mut self, id: Value, answers: Answers) {
        self.0.push((id, answers));
    }

    pub(super) fn end(&mut self, id: &Value) {
        self.0.retain(|(open, _)| open != id);
    }

    /// The next of any of them; waits for ever where there is none.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Brought> {
        for index in 0..self.0.len() {
            let Some((id, answers)) = self.0.get_mut(index) else { break };
            match Pin::new(answers).poll_next_unpin(cx) {
                Poll::Ready(Some(answer)) => {
                    let brought = Brought::Answer(id.clone(), answer);
                    // The others come first the next time.
                    self.0.rotate_left(index + 1);
                    return Poll::Ready(brought);
                }
                Poll::Ready(None) => {
                    let (id, _) = self.0.remove(index);
                    return Poll::Ready(Brought::End(id));
                }
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }
}

/// A message of the server.
pub(super) fn message(kind: &str, id: &Value, payload: Option<Value>) -> String {
    let mut message = json!({"id": id, "type": kind});
    if let Some(payload) = payload {
        message["payload"] = payload;
    }
    message.to_string()
}
