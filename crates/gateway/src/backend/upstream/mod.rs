//! The backend of a proxied API: sends the exchange's request to the upstream and brings its answer back.

mod body;
mod connect;
mod connection;
mod forward;
mod head;
mod identity;
mod patience;
mod pool;
mod security;
mod settings;
mod signer;
mod through;
pub(crate) mod tls;
#[cfg(test)]
mod tls_tests;
mod tokens;
mod tunnel;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use apidef::{Scheme, Target};
use http::header::{self, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use tokio::time::Instant;

pub(crate) use body::UpstreamBody;
pub use pool::{KeepAlive, Pools};
pub use settings::UpstreamSettings;

pub(crate) use self::connect::{Connector, DialError, Origin, Purpose};
use self::connection::{Connection, SendFailure};
use self::forward::Forward;
use self::identity::Identity;
use self::patience::Patience;
use self::pool::{Line, Multiplexed, Pool};
pub(crate) use self::security::{Client, Security};
pub(crate) use self::settings::ClientTls;
pub(crate) use self::tokens::UpstreamTokens;
use crate::body::{Body, BodyError, RequestBody, cause, is_too_large};
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::http1::{AnswerHead, Breach, MalformedAnswer};
use crate::respond::Refusal;

/// A compiled upstream: where requests go and how.
pub struct Upstream {
    target: Target,
    host: HeaderValue,
    preserve_host: bool,
    keep_trailing_slash: bool,
    limit: Duration,
    /// Whether the API itself sets the limit, for the whole answer's head.
    enforced: bool,
    pool: Arc<Pool>,
    /// Requests are handed to a proxy.
    forward: Option<Box<Forward>>,
    /// Who the gate is towards it.
    identity: Option<Box<Identity>>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("target", &self.target).finish_non_exhaustive()
    }
}

/// How often a request is put on a connection: what a closed one did not take goes to a new one.
const ATTEMPTS: usize = 3;
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("Sluicegate/", env!("CARGO_PKG_VERSION")));

impl Upstream {
    /// Compiles an upstream; the reason, if its host cannot be one.
    pub(crate) fn new(model: &apidef::Upstream, gate: &Gate) -> Result<Self, String> {
        let (target, manner, settings) = (model.target.clone(), &model.manner, &gate.upstream);
        let (security, client) = match target.scheme {
            Scheme::Https => {
                let security = Security::of(&manner.tls, &target, &settings.common);
                (security.clone(), Some(security.client(settings, &gate.certificates)))
            }
            Scheme::Http | Scheme::H2c => (Security::default(), None),
        };
        let proxy = manner.proxy.clone().map(Arc::new);
        let forward = proxy.as_deref().map(|proxy| Forward::new(proxy, &target)).transpose()?.flatten();
        let connector =
            Connector::new(Origin { proxy, ..Origin::new(&target, security) }, client, settings.timeout)?;
        let host = HeaderValue::try_from(&*target.authority)
            .map_err(|_| format!("target host `{}` cannot be sent as a Host header", target.authority))?;
        Ok(Self {
            host,
            preserve_host: model.preserve_host,
            keep_trailing_slash: model.keep_trailing_slash,
            limit: model.timeout.unwrap_or(settings.timeout),
            enforced: model.timeout.is_some(),
            pool: gate.pools.get(connector, settings.keep),
            forward: forward.map(Box::new),
            identity: Identity::new(manner)?.map(Box::new),
            target,
        })
    }

    /// Sends the exchange's request, and brings back the response with its body still streaming.
    pub(crate) async fn call(&self, exchange: &mut Exchange) -> Result<Response<Body>, Refusal> {
        if tunnel::wanted(exchange) {
            return Box::pin(tunnel::open(self, exchange)).await;
        }
        let request = self.request(exchange)?;
        let (asked, answer) = match &self.identity {
            None => {
                let asked = Instant::now();
                (asked, self.send(request, asked).await)
            }
            Some(identity) => Box::pin(self.send_as(identity, request, exchange)).await?,
        };
        exchange.timings.answered(asked);
        let mut response = answer.map_err(|failure| refuse(&failure))?;
        head::strip_hop_by_hop(response.headers_mut());
        Ok(response)
    }

    /// The request as the upstream shall see it.
    fn request(&self, exchange: &mut Exchange) -> Result<Outbound, Refusal> {
        let path = if head::passes_unchanged(&self.target, exchange.stripped > 0) {
            exchange.head.uri.path_and_query().cloned()
        } else {
            let joined = head::join(
                &self.target,
                exchange.remaining_path(),
                exchange.head.uri.query(),
                self.keep_trailing_slash,
            );
            Some(head::path_and_query(joined).map_err(|error| {
                Refusal::client(StatusCode::BAD_REQUEST, "IHD", "Malformed request path").detail(error)
            })?)
        };
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));

        let mut headers = std::mem::take(&mut exchange.head.headers);
        head::strip_hop_by_hop(&mut headers);
        if exchange.head.version == Version::HTTP_2 {
            head::join_cookies(&mut headers);
        }
        head::append_forwarded_for(&mut headers, exchange.peer.address, &exchange.peer.text);
        if !self.preserve_host {
            headers.insert(header::HOST, self.host.clone());
        } else if !headers.contains_key(header::HOST) {
            // HTTP/2 names the host elsewhere; HTTP/1.0 may not name one at all.
            let authority = exchange.head.uri.authority();
            let host = authority.and_then(|authority| HeaderValue::try_from(authority.as_str()).ok());
            headers.insert(header::HOST, host.unwrap_or_else(|| self.host.clone()));
        }
        if let http::header::Entry::Vacant(entry) = headers.entry(header::USER_AGENT) {
            entry.insert(USER_AGENT);
        }
        let body = std::mem::replace(&mut exchange.body, RequestBody::none());
        Ok(Outbound { method: exchange.head.method.clone(), path, headers, body })
    }

    /// Sends a request that says who the gate is. Where a token that was kept is not taken, and the request can be sent
    /// again, that is done once with a new one.
    async fn send_as(
        &self,
        identity: &Identity,
        mut request: Outbound,
        exchange: &Exchange,
    ) -> Result<(Instant, Result<Response<Body>, Failure>), Refusal> {
        let gate = &exchange.gate;
        let used = identity.add(gate, &mut request).await?;
        let again = used.as_ref().filter(|used| !used.fresh).and_then(|_| request.again());
        let asked = Instant::now();
        let answer = self.send(request, asked).await;
        let refused = answer.as_ref().is_ok_and(|response| response.status() == StatusCode::UNAUTHORIZED);
        let Some(used) = used.filter(|_| refused) else { return Ok((asked, answer)) };
        used.forget(gate);
        let Some(mut request) = again else { return Ok((asked, answer)) };
        drop(answer);
        identity.add(gate, &mut request).await?;
        Ok((asked, self.send(request, asked).await))
    }

    async fn send(&self, mut request: Outbound, asked: Instant) -> Result<Response<Body>, Failure> {
        let mut patience = Patience::new(asked, self.limit, self.enforced, &request.body);
        let forwarded = self.forward.as_ref().map(|forward| forward.hand_over(&mut request));
        let mut failed = Failure::Closed;
        for attempt in 0..ATTEMPTS {
            let mut connection = match self.pool.line(attempt > 0).await? {
                Line::Multiplexed(sender) => return self.send_multiplexed(sender, request, patience).await,
                Line::Exclusive(connection) => connection,
            };
            let bodiless = request.body.is_none();
            let Outbound { method, path, headers, body } = &mut request;
            let target = forwarded.as_deref().unwrap_or(path.as_str());
            failed = match connection.send(method, target, headers, body, &mut patience).await {
                Ok(answer) if answer.status == StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(Failure::Malformed(MalformedAnswer("it switches protocols unasked")));
                }
                Ok(answer) => return Ok(response(answer, connection, &self.pool)),
                // A parked connection may be closed by the upstream at the very moment we use it. What it did not get,
                // or may get twice (RFC 9110 section 9.2.2), is sent once more.
                Err(failure @ SendFailure::Unsent) if bodiless => failure.into(),
                Err(failure @ (SendFailure::Broken(_) | SendFailure::Closed))
                    if bodiless && connection.reused && method.is_idempotent() =>
                {
                    failure.into()
                }
                Err(failure) => return Err(failure.into()),
            };
        }
        Err(failed)
    }

    async fn send_multiplexed(
        &self,
        mut sender: Multiplexed,
        request: Outbound,
        mut patience: Patience,
    ) -> Result<Response<Body>, Failure> {
        let Outbound { method, path, mut headers, body } = request;
        let scheme = if self.pool_is_clear() { "http" } else { "https" };
        let authority = headers.remove(header::HOST).unwrap_or_else(|| self.host.clone());
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(authority.as_bytes())
            .path_and_query(path)
            .build()
            .map_err(|error| Failure::Unsendable(error.to_string()))?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = headers;
        let mut answer = pin!(sender.send_request(request));
        loop {
            match tokio::time::timeout_at(patience.deadline(), &mut answer).await {
                Ok(Ok(response)) => {
                    return Ok(response.map(|body| Body::upstream(UpstreamBody::Multiplexed(body))));
                }
                Ok(Err(error)) => return Err(Failure::Broken(error.into())),
                Err(_) if patience.renew(Instant::now()) => {}
                Err(_) => return Err(Failure::TimedOut),
            }
        }
    }

    fn pool_is_clear(&self) -> bool {
        self.target.scheme != apidef::Scheme::Https
    }
}

/// A request as an upstream shall see it.
struct Outbound {
    method: Method,
    path: PathAndQuery,
    headers: HeaderMap,
    body: RequestBody,
}

impl Outbound {
    /// The same request once more; `None` where its body is gone by then.
    fn again(&self) -> Option<Self> {
        let (method, path, headers) = (self.method.clone(), self.path.clone(), self.headers.clone());
        self.body.is_none().then(|| Self { method, path, headers, body: RequestBody::none() })
    }
}

/// The response that an upstream's answer becomes; its body keeps the connection until it has ended.
fn response(answer: AnswerHead, connection: Box<Connection>, pool: &Arc<Pool>) -> Response<Body> {
    let AnswerHead { status, reason, headers, body, .. } = answer;
    let mut response = Response::new(Body::upstream(UpstreamBody::lent(body, connection, pool)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if let Some(reason) = reason {
        response.extensions_mut().insert(reason);
    }
    response
}

/// Why an upstream gave no response.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("no response head in time")]
    TimedOut,
    #[error("connection broke: {0}")]
    Broken(BodyError),
    #[error("the upstream closes connections before it answers")]
    Closed,
    #[error("{0}")]
    Malformed(MalformedAnswer),
    #[error("request cannot be sent: {0}")]
    Unsendable(String),
}

impl From<SendFailure> for Failure {
    fn from(failure: SendFailure) -> Self {
        match failure {
            SendFailure::Unsent | SendFailure::Closed => Self::Closed,
            SendFailure::Broken(error) => Self::Broken(error.into()),
            SendFailure::Body(error) => Self::Broken(error),
            SendFailure::Malformed(malformed) => Self::Malformed(malformed),
            SendFailure::TimedOut => Self::TimedOut,
        }
    }
}

/// The client's view of a failed upstream (contract 4.6, "Timeouts" and "Other failures").
fn refuse(failure: &Failure) -> Refusal {
    const PROBLEM: &str = "There was a problem proxying the request";
    let refusal = match failure {
        Failure::TimedOut | Failure::Dial(DialError::TimedOut { .. }) => {
            Refusal::backend(StatusCode::GATEWAY_TIMEOUT, "URT", "Upstream service reached hard timeout.")
        }
        Failure::Dial(DialError::LookUp { .. }) => {
            Refusal::backend(StatusCode::INTERNAL_SERVER_ERROR, "DNS", "Upstream host lookup failed")
        }
        Failure::Dial(_) => Refusal::backend(StatusCode::INTERNAL_SERVER_ERROR, "UCF", PROBLEM),
        Failure::Broken(error) if let Some(breach) = cause::<Breach>(&**error) => {
            Refusal::client(breach.status, "IHD", breach.message)
        }
        Failure::Broken(error) if is_too_large(&**error) => {
            Refusal::client(StatusCode::PAYLOAD_TOO_LARGE, "BTL", "Request Entity Too Large")
        }
        Failure::Broken(_) | Failure::Closed | Failure::Malformed(_) => {
            Refusal::backend(StatusCode::INTERNAL_SERVER_ERROR, "URR", PROBLEM)
        }
        Failure::Unsendable(_) => Refusal::client(StatusCode::BAD_REQUEST, "IHD", "Malformed request"),
    };
    refusal.detail(failure)
}
