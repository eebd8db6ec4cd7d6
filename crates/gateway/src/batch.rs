//! Several requests in one (contract 4.6, "Batch"). Each goes through the whole chain of the API as if it had come alone:
//! with its own key, limits and record. What carries them is asked for nothing, and is recorded nowhere.
//!
//! How many there may be, how many run at once, how long one takes and how much all answers hold together is bounded; the
//! original has no such limits. Answers stand in the order of their requests.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use apidef::Target;
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use serde::{Deserialize, Serialize};

use crate::body::{Body, RequestBody};
use crate::chain::has_an_end;
use crate::exchange::{Exchange, Peer};
use crate::fetch::{self, Ask};
use crate::fields::texts;
use crate::gate::Gate;
use crate::respond::{self, Refusal};
use crate::route;
use crate::serve;
use crate::snapshot::RunningApi;
use crate::traces;
use crate::transform::is_absolute;

/// Where a batch is sent to, below the listen path.
const PATH: &str = "/tyk/batch";
/// Requests in one batch.
const MOST: usize = 100;
/// Of them, those under way at once.
const AT_ONCE: usize = 8;
/// An answer takes no longer.
const LONGEST: Duration = Duration::from_secs(60);
/// All answers together, in bytes.
const LARGEST: usize = 32 << 20;

/// A request that came in a batch, so that it is none itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inner;

/// What is sent.
#[derive(Debug, Deserialize)]
struct Batch {
    #[serde(default)]
    requests: Vec<Unit>,
    #[serde(default)]
    suppress_parallel_execution: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Unit {
    method: String,
    headers: Option<BTreeMap<String, String>>,
    body: String,
    relative_url: String,
}

/// What is answered for one of them.
#[derive(Debug, Default, Serialize)]
struct Reply {
    relative_url: String,
    code: u16,
    headers: Option<BTreeMap<String, Vec<String>>>,
    body: String,
}

/// Where one of them goes.
enum Sent {
    Inside(Request<RequestBody>),
    /// As scripts may send requests anyway.
    Outside(Ask),
}

/// What is answered where a batch is not carried out.
#[derive(Debug, Serialize)]
struct Told {
    status: &'static str,
    message: String,
}

/// Why a batch is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Wrong {
    #[error("Batch request malformed")]
    Malformed,
    #[error("Batch request creation failed , request structure malformed")]
    Request,
    #[error("a batch has no more than {MOST} requests")]
    TooMany,
}

/// Whether a request is a batch.
pub(crate) fn is_addressed(exchange: &Exchange) -> bool {
    exchange.api.model.batches
        && !exchange.api.model.mcp
        && exchange.loops == 0
        && is_at(exchange.path_in_api())
        && exchange.head.extensions.get::<Inner>().is_none()
}

/// Whether a path is that of batches.
pub(crate) fn is_at(path: &str) -> bool {
    path.trim_end_matches('/') == PATH
}

/// Carries out a batch.
pub(crate) async fn answer(exchange: &mut Exchange) -> Result<Response<Body>, Refusal> {
    (exchange.unrecorded, exchange.bare) = (true, true);
    if exchange.head.method != Method::POST {
        return Ok(Response::new(Body::empty()));
    }
    let body = exchange.whole_body().await?;
    let listen = exchange.head.uri.path().get(..exchange.matched).unwrap_or_default().to_owned();
    let mut sender = Sender {
        gate: Arc::clone(&exchange.gate),
        api: Arc::clone(&exchange.api),
        peer: Arc::new(exchange.peer.alone()),
        host: exchange.head.headers.get(header::HOST).cloned(),
        listen,
        anywhere: false,
        trace: HeaderMap::new(),
    };
    // What it sends is part of the trace that the batch belongs to, and not what the batch says of itself.
    traces::hand_on(exchange, &mut sender.trace);
    let (batch, requests) = match sender.read(&body) {
        Ok(read) => read,
        // In the words of the admin API, and not as the chain refuses requests.
        Err(wrong) => {
            let told = Told { status: "error", message: wrong.to_string() };
            return Ok(respond::json(StatusCode::BAD_REQUEST, &told));
        }
    };
    let told = told(&sender.carry_out(batch, requests).await);
    let mut response = Response::new(Body::full(told));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Carries out a batch that a script of an API sends.
///
/// # Errors
/// Why it is not.
pub(crate) async fn of_script(gate: &Arc<Gate>, api: &str, text: &str) -> Result<String, String> {
    let api = gate.snapshot().apis.get(api).cloned().ok_or("the API is gone")?;
    let address = IpAddr::from([127, 0, 0, 1]);
    let text_of_address = HeaderValue::from_static("127.0.0.1");
    let peer = Peer {
        address,
        text: text_of_address,
        control: false,
        own: None,
        port: api.own_port.map(|(port, _)| port),
        tls: None,
        takeover: None,
        cut: None,
    };
    let listen = match api.listens.path() {
        None => api.model.listen_path.to_string(),
        // What would stand in its places? It is reached here as well (contract 2.9).
        Some(_) => format!("/{}/", api.identity.id),
    };
    let sender = Sender {
        gate: Arc::clone(gate),
        api,
        peer: Arc::new(peer),
        host: None,
        listen,
        anywhere: true,
        trace: HeaderMap::new(),
    };
    let (batch, requests) = sender.read(text.as_bytes()).map_err(|wrong| wrong.to_string())?;
    Ok(told(&sender.carry_out(batch, requests).await))
}

fn told(replies: &[Reply]) -> String {
    serde_json::to_string(replies).unwrap_or_default()
}

/// What the requests of a batch have in common.
struct Sender {
    gate: Arc<Gate>,
    api: Arc<RunningApi>,
    peer: Arc<Peer>,
    host: Option<HeaderValue>,
    /// The listen path, as it was sent.
    listen: String,
    /// URLs may lead elsewhere.
    anywhere: bool,
    /// Tells each of them which trace it belongs to.
    trace: HeaderMap,
}

impl Sender {
    /// A batch, and each of its requests as it goes through the chain.
    fn read(&self, body: &[u8]) -> Result<(Batch, Vec<Sent>), Wrong> {
        let batch: Batch = serde_json::from_slice(body).map_err(|_| Wrong::Malformed)?;
        if batch.requests.len() > MOST {
            return Err(Wrong::TooMany);
        }
        let requests = batch.requests.iter().map(|unit| self.sent(unit).ok_or(Wrong::Request));
        let requests = requests.collect::<Result<Vec<_>, _>>()?;
        Ok((batch, requests))
    }

    fn sent(&self, unit: &Unit) -> Option<Sent> {
        let method = if unit.method.is_empty() { "GET" } else { &unit.method };
        let method =
            Method::from_bytes(method.as_bytes()).ok().filter(|method| *method != Method::CONNECT)?;
        let mut headers = HeaderMap::new();
        for (name, value) in unit.headers.iter().flatten() {
            let name = HeaderName::try_from(name.as_str()).ok()?;
            // What says how a message is framed is the business of whoever frames it.
            if !apidef::is_framing(name.as_str()) && name != header::HOST {
                headers.insert(name, HeaderValue::try_from(value.as_str()).ok()?);
            }
        }
        headers.extend(self.trace.iter().map(|(name, value)| (name.clone(), value.clone())));
        if self.anywhere && is_absolute(&unit.relative_url) {
            let target = Target::parse(&unit.relative_url).ok()?;
            return Some(Sent::Outside(Ask::of(method, target, headers, unit.body.clone())));
        }
        let target =
            format!("{}/{}", self.listen.trim_end_matches('/'), unit.relative_url.trim_start_matches('/'));
        let uri: Uri = target.split('#').next().unwrap_or_default().parse().ok()?;
        // It stays below the listen path, however it is read.
        route::check(uri.path()).ok()?;
        let mut request = Request::new(RequestBody::full(Bytes::from(unit.body.clone())));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        request.extensions_mut().insert(Inner);
        if !unit.body.is_empty() {
            headers.insert(header::CONTENT_LENGTH, unit.body.len().into());
        }
        let host = self.host.clone().unwrap_or(HeaderValue::from_static("localhost"));
        headers.insert(header::HOST, host);
        // Its answer becomes a text.
        headers.remove(header::ACCEPT_ENCODING);
        *request.headers_mut() = headers;
        Some(Sent::Inside(request))
    }

    /// The answers, in the order of their requests.
    async fn carry_out(&self, batch: Batch, requests: Vec<Sent>) -> Vec<Reply> {
        let at_once = if batch.suppress_parallel_execution { 1 } else { AT_ONCE };
        let most = LARGEST / requests.len().max(1);
        let urls = batch.requests.into_iter().map(|unit| unit.relative_url);
        let sent = urls.zip(requests).map(|(url, request)| async move {
            match tokio::time::timeout(LONGEST, self.send(request, most)).await {
                Ok(Some(reply)) => Reply { relative_url: url, ..reply },
                // As it is where a call fails.
                Ok(None) | Err(_) => Reply { relative_url: url, ..Reply::default() },
            }
        });
        futures_util::stream::iter(sent).buffered(at_once).collect().await
    }

    /// One request on its way through the chain; `None` where its answer has no end, breaks, or is too large.
    async fn send(&self, sent: Sent, most: usize) -> Option<Reply> {
        let request = match sent {
            Sent::Inside(request) => request,
            Sent::Outside(ask) => {
                let answer = fetch::send(&self.gate.upstream, false, ask.within(LONGEST, most)).await.ok()?;
                return Some(Reply {
                    relative_url: String::new(),
                    code: answer.status.as_u16(),
                    headers: Some(texts(&answer.headers)),
                    body: String::from_utf8_lossy(&answer.body).into_owned(),
                });
            }
        };
        let method = request.method().clone();
        let matched = self.listen.len().min(request.uri().path().len());
        let api = Arc::clone(&self.api);
        let carried = Box::pin(serve::carry(&self.gate, &self.peer, api, request, matched));
        let response = carried.await;
        let code = response.status().as_u16();
        let headers = Some(texts(response.headers()));
        let body = match has_an_end(&method, &response) {
            true => {
                response.into_body().whole(most.min(self.gate.settings.most_kept_of_answers())).await.ok()?
            }
            false if response.status() == StatusCode::OK && method != Method::HEAD => return None,
            false => Bytes::new(),
        };
        let body = String::from_utf8_lossy(&body).into_owned();
        Some(Reply { relative_url: String::new(), code, headers, body })
    }
}
