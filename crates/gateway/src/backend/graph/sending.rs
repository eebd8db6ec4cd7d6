//! WebSockets in front of an upstream that sends events by HTTP: the gate is the other end of them, and each operation is a
//! request of its own, which goes the way of a request that has been let in.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use futures_util::StreamExt;
use futures_util::stream;
use graphql::events::{Event, Reader};
use graphql::{Kind, answer_of};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, Uri, Version};
use http_body::Body as _;
use serde_json::{Value, json};

use super::events::Answers;
use super::served::Behind;
use super::socket::FROM_UPSTREAM;
use crate::auth::Caller;
use crate::body::{Body, RequestBody};
use crate::chain::is_event_stream;
use crate::exchange::{Exchange, Peer};
use crate::gate::Gate;
use crate::limits::at_once;
use crate::query;
use crate::respond::{JSON, Refusal};
use crate::serve;
use crate::snapshot::RunningApi;

/// Fields that are of the connection and not of what is asked over it.
pub(super) const OF_CONNECTION: [HeaderName; 9] = [
    header::CONNECTION,
    header::UPGRADE,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::ACCEPT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
];

/// Serves the WebSocket of a client whose upstream sends events.
pub(crate) async fn serve(exchange: &mut Exchange) -> Result<Response<Body>, Refusal> {
    let Some(watch) = exchange.watch.take() else {
        let text = "there was a problem proxying the request";
        return Err(Refusal::gate(http::StatusCode::INTERNAL_SERVER_ERROR, "UCF", text));
    };
    exchange.held = at_once::enter(exchange, at_once::Kind::Subscribers)?;
    let sending = Sending::of(exchange, watch.by_events == Some(true));
    super::served::serve(Behind::Upstream(Box::new(sending)), exchange, watch).await
}

/// What requests for the operations of one connection are made of.
#[derive(Clone)]
pub(super) struct Sending {
    gate: Arc<Gate>,
    peer: Arc<Peer>,
    /// An API that was replaced can go.
    api: Weak<RunningApi>,
    caller: Option<Arc<Caller>>,
    matched: usize,
    uri: Uri,
    headers: HeaderMap,
    post: bool,
}

impl Sending {
    fn of(exchange: &Exchange, post: bool) -> Self {
        let mut headers = exchange.head.headers.clone();
        for name in &OF_CONNECTION {
            headers.remove(name);
        }
        Self {
            gate: Arc::clone(&exchange.gate),
            peer: Arc::clone(&exchange.peer),
            api: Arc::downgrade(&exchange.api),
            caller: exchange.caller.clone(),
            matched: exchange.matched,
            uri: exchange.head.uri.clone(),
            headers,
            post,
        }
    }

    /// Asks for one operation: its answers until the upstream has no more.
    pub(super) fn answers(&self, kind: Kind, asked: graphql::Request) -> Answers {
        let sending = self.clone();
        let asking = async move { sending.ask(kind, asked).await };
        stream::once(asking).flatten().boxed()
    }

    async fn ask(self, kind: Kind, asked: graphql::Request) -> Answers {
        let request = match self.request(kind, &asked) {
            Ok(request) => request,
            Err(why) => return one(answer_of(why)),
        };
        let Some(api) = self.api.upgrade() else {
            return one(answer_of("the API was changed, connect again for its new rules"));
        };
        let Self { gate, peer, caller, matched, .. } = self;
        let response = serve::carry_on(&gate, &peer, api, request, matched, caller).await;
        answers_in(response).await
    }

    fn request(&self, kind: Kind, asked: &graphql::Request) -> Result<Request<RequestBody>, &'static str> {
        let by_events = kind == Kind::Subscription;
        let mut headers = self.headers.clone();
        let accept = if by_events { "text/event-stream" } else { "application/json" };
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        let (method, uri, body) = if by_events && !self.post {
            (Method::GET, with_query(&self.uri, asked).ok_or("the query is too long")?, RequestBody::none())
        } else {
            let mut body = json!({"query": asked.query});
            if let Some(operation) = &asked.operation {
                body["operationName"] = json!(operation);
            }
            if !asked.variables.is_empty() {
                body["variables"] = json!(asked.variables);
            }
            let body = body.to_string();
            headers.insert(header::CONTENT_TYPE, JSON);
            headers.insert(header::CONTENT_LENGTH, body.len().into());
            (Method::POST, self.uri.clone(), RequestBody::full(body.into()))
        };
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// What an upstream sends: events, or one answer.
pub(super) async fn answers_in(response: Response<Body>) -> Answers {
    let status = response.status();
    if status.is_success() && is_event_stream(response.headers()) {
        return events(response.into_body());
    }
    let whole = response.into_body().whole(FROM_UPSTREAM).await;
    let answer = whole.ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    // The words of the gate itself are `error`.
    let told = answer.as_ref().and_then(|answer| answer["error"].as_str()).map(answer_of);
    let failed = || answer_of(&format!("the upstream answers {} and no data", status.as_u16()));
    let is_answer = |answer: &Value| answer.get("data").is_some() || answer["errors"].is_array();
    one(answer.filter(is_answer).or(told).unwrap_or_else(failed))
}

pub(super) fn one(answer: Value) -> Answers {
    stream::iter([answer]).boxed()
}

/// A request as a query string has it.
pub(super) fn as_query(asked: &graphql::Request) -> String {
    let variables = json!(asked.variables).to_string();
    let mut pairs = vec![("query", &*asked.query)];
    pairs.extend(asked.operation.as_deref().map(|name| ("operationName", name)));
    pairs.extend((!asked.variables.is_empty()).then_some(("variables", &*variables)));
    query::form(&pairs)
}

/// The target of a request by GET; `None` where it cannot be one.
fn with_query(uri: &Uri, asked: &graphql::Request) -> Option<Uri> {
    let own = uri.query().filter(|own| !own.is_empty());
    let (own, mark) = own.map_or(("", ""), |own| (own, "&"));
    let target = format!("{}?{own}{mark}{}", uri.path(), as_query(asked));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target.parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// Events under way: what comes, what is read of it, what has been read.
type Under = (Option<Body>, Reader, VecDeque<Event>);

/// The answers that come as events.
fn events(body: Body) -> Answers {
    let next = |(mut body, mut reader, mut read): Under| async move {
        loop {
            match read.pop_front() {
                Some(Event::Next(answer)) => return Some((answer, (body, reader, read))),
                Some(Event::Complete) => return None,
                None => {}
            }
            let coming = body.as_mut()?;
            let failed = match std::future::poll_fn(|cx| Pin::new(&mut *coming).poll_frame(cx)).await {
                None => return None,
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    match reader.read(&data, &mut read) {
                        Ok(()) => continue,
                        Err(why) => why.to_string(),
                    }
                }
                Some(Err(_)) => "the upstream broke off".to_owned(),
            };
            // What came whole before is told before.
            read.push_back(Event::Next(answer_of(&failed)));
            body = None;
        }
    };
    let state = (Some(body), Reader::new(FROM_UPSTREAM), VecDeque::new());
    stream::unfold(state, next).boxed()
}
