//! The network of a graph: its sources are reached by the gate's own clients, or are APIs of the gate.

use std::sync::Arc;
use std::time::Duration;

use apidef::Target;
use futures_util::future::{BoxFuture, FutureExt};
use graphql::engine::{Call, Fetched, Network};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use tokio::sync::Semaphore;

use crate::body::{Body, RequestBody};
use crate::exchange::{Exchange, Peer};
use crate::fetch::{self, Ask, FetchError};
use crate::gate::Gate;
use crate::respond::JSON;
use crate::serve;
use crate::traces::{Calls, Open};

/// Sources that one operation asks at the same time.
const AT_ONCE: usize = 16;
/// How often a graph may be a source of a graph.
const DEEPEST: u8 = 5;

/// How often graphs have asked graphs for a request.
#[derive(Debug, Clone, Copy)]
struct Within(u8);

/// What an operation reaches its sources by.
pub(super) struct Wires {
    pub(super) gate: Arc<Gate>,
    peer: Arc<Peer>,
    /// Of the client.
    headers: HeaderMap,
    turns: Semaphore,
    /// How long one call may take.
    pub(super) time: Duration,
    largest: usize,
    within: u8,
    /// Where calls are spans of the exchange.
    calls: Option<Calls>,
}

impl Wires {
    pub(super) fn of(exchange: &Exchange) -> Self {
        Self {
            gate: Arc::clone(&exchange.gate),
            peer: Arc::clone(&exchange.peer),
            headers: exchange.head.headers.clone(),
            turns: Semaphore::new(AT_ONCE),
            time: exchange.gate.upstream.timeout,
            largest: exchange.gate.settings.most_kept_of_answers(),
            within: exchange.head.extensions.get::<Within>().map_or(0, |within| within.0),
            calls: None,
        }
    }

    /// The same, for what is over before the exchange is: its calls are spans of that.
    pub(super) fn traced(mut self, exchange: &Exchange) -> Self {
        self.calls = Calls::of(exchange);
        self
    }

    /// There are no more calls.
    pub(super) fn end(self, exchange: &mut Exchange) {
        if let Some(calls) = self.calls {
            calls.end(exchange);
        }
    }

    /// For another operation of the same client.
    pub(super) fn again(&self) -> Self {
        Self {
            gate: Arc::clone(&self.gate),
            peer: Arc::clone(&self.peer),
            headers: self.headers.clone(),
            turns: Semaphore::new(AT_ONCE),
            calls: None,
            ..*self
        }
    }
}

impl Network for Wires {
    fn call<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Fetched, String>> {
        async move {
            let _turn = self.turns.acquire().await.map_err(|error| error.to_string())?;
            let mut headers = headers(call);
            let span = self.begin(call, &mut headers);
            let asked = async {
                if Target::is_inner(&call.url) {
                    self.inner(call, headers).await
                } else {
                    self.outer(call, headers).await
                }
            };
            let late = || format!("no answer within {} s", self.time.as_secs());
            let answer = tokio::time::timeout(self.time, asked).await.unwrap_or_else(|_| Err(late()));
            if let Some(calls) = &self.calls {
                let status = |fetched: &Fetched| StatusCode::from_u16(fetched.status).unwrap_or_default();
                calls.answered(span, answer.as_ref().map(status).map_err(String::as_str));
            }
            answer
        }
        .boxed()
    }

    fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name)?.to_str().ok().map(str::to_owned)
    }
}

impl Wires {
    /// A call is told which trace it belongs to.
    fn begin(&self, call: &Call, headers: &mut HeaderMap) -> Option<Open> {
        let calls = self.calls.as_ref()?;
        if Target::is_inner(&call.url) {
            calls.hand_on(headers);
            return None;
        }
        let target = Target::parse(&call.url).ok()?;
        calls.ask(&target, &target.path, &method(call).ok()?, headers)
    }

    async fn outer(&self, call: &Call, headers: HeaderMap) -> Result<Fetched, String> {
        let ask = self.outer_ask(call, headers)?;
        let fetched = fetch::send(&self.gate.upstream, false, ask).await;
        let fetched = fetched.map_err(|error| told(&error))?;
        Ok(Fetched { status: fetched.status.as_u16(), body: fetched.body.to_vec() })
    }

    async fn inner(&self, call: &Call, headers: HeaderMap) -> Result<Fetched, String> {
        let response = self.inner_response(call, headers).await?;
        let status = response.status().as_u16();
        let body = response.into_body().whole(self.largest).await.map_err(|error| error.to_string())?;
        Ok(Fetched { status, body: body.to_vec() })
    }

    /// Asks an API of the gate, with all that guards it.
    pub(super) async fn inner_response(
        &self,
        call: &Call,
        headers: HeaderMap,
    ) -> Result<Response<Body>, String> {
        if self.within >= DEEPEST {
            return Err("graphs ask each other in a circle".to_owned());
        }
        let inner = Target::inner(&call.url).map_err(|why| format!("its URL {why}"))?;
        let api = self.gate.snapshot().api_called(inner.name);
        let api = api.ok_or_else(|| format!("there is no API `{}`", inner.name))?;
        let query = inner.query.map(|query| format!("?{query}")).unwrap_or_default();
        let body = if call.body.is_empty() {
            RequestBody::none()
        } else {
            RequestBody::full(call.body.clone().into())
        };
        let mut request = Request::new(body);
        *request.method_mut() = method(call)?;
        *request.uri_mut() =
            format!("{}{query}", inner.path).parse().map_err(|_| "its URL is none".to_owned())?;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers;
        // Its answer is read here.
        request.headers_mut().remove(header::ACCEPT_ENCODING);
        if !call.body.is_empty() {
            request.headers_mut().insert(header::CONTENT_LENGTH, call.body.len().into());
        }
        request.extensions_mut().insert(Within(self.within + 1));
        // The client's connection stays with the graph.
        let peer = Arc::new(self.peer.alone());
        Ok(serve::carry(&self.gate, &peer, api, request, 0).await)
    }

    /// How to ask somebody else.
    pub(super) fn outer_ask(&self, call: &Call, headers: HeaderMap) -> Result<Ask, String> {
        let target = Target::parse(&call.url).map_err(|why| format!("its URL {why}"))?;
        let ask = Ask::of(method(call)?, target, headers, call.body.clone());
        Ok(ask.within(self.time, self.largest))
    }
}

fn method(call: &Call) -> Result<Method, String> {
    Method::from_bytes(call.method.as_bytes()).map_err(|_| format!("`{}` is no method", call.method))
}

/// What clients are told where nobody answers: not where the gate must not ask.
pub(super) fn told(error: &FetchError) -> String {
    match error {
        FetchError::Denied { .. } => {
            tracing::warn!(%error, "a source of a graph is not asked");
            "it is not asked".to_owned()
        }
        error => error.to_string(),
    }
}

/// The fields of a request for JSON.
pub(super) fn headers(call: &Call) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if !call.body.is_empty() {
        headers.insert(header::CONTENT_TYPE, JSON);
    }
    for (name, value) in &call.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(&**name), HeaderValue::try_from(&**value)) {
            headers.insert(name, value);
        }
    }
    headers
}
