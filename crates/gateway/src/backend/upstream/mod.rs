//! The backend of a proxied API: sends the exchange's request to the upstream and brings its answer back.

mod balance;
mod body;
mod bounds;
mod breaker;
mod connect;
mod connection;
mod deadline;
mod destination;
mod discovery;
mod elsewhere;
mod endpoints;
mod flags;
mod forward;
mod head;
mod identity;
mod names;
mod noted;
mod patience;
mod pool;
mod race;
mod retry;
mod secured;
mod security;
mod settings;
mod signer;
mod through;
mod timeout;
pub(crate) mod tls;
#[cfg(test)]
mod tls_tests;
mod tokens;
pub(crate) mod tunnel;
mod unfit;
mod way;

use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Response, StatusCode, Version};
use tokio::time::Instant;

pub(crate) use body::UpstreamBody;
pub(crate) use destination::UnderWay;
pub(crate) use discovery::look_up;
pub use names::{KeepNames, Names, SeveralAddresses};
pub(crate) use noted::TokenNotes;
pub use pool::{KeepAlive, Pools};
pub use settings::UpstreamSettings;

pub(crate) use self::bounds::Bounds;
use self::breaker::{Change, Leave};
pub(crate) use self::connect::{Connector, DialError, Origin, Purpose, UpstreamStream};
use self::connection::{Connection, SendFailure};
use self::destination::{Destination, Destinations, Tried};
use self::discovery::Discovery;
use self::elsewhere::Elsewhere;
use self::endpoints::Endpoints;
use self::identity::Identity;
use self::pool::Pool;
use self::retry::Retrying;
pub(crate) use self::security::{Client, Security};
pub(crate) use self::settings::ClientTls;
pub(crate) use self::tokens::UpstreamTokens;
use self::way::Way;
use crate::body::{Body, BodyError, RequestBody, cause, is_too_large};
use crate::events;
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::http1::{AnswerHead, Breach, MalformedAnswer};
use crate::respond::{Blame, Refusal};
use crate::route::Collector;
use crate::traces;
use crate::transform::To;

/// A compiled upstream: where requests go and how.
pub struct Upstream {
    destinations: Destinations,
    /// Who tells others, and which they are; until that has gone well, those above are used.
    discovery: Option<Arc<Discovery>>,
    preserve_host: bool,
    keep_trailing_slash: bool,
    limit: Limit,
    /// What single paths have of their own.
    endpoints: Option<Box<Endpoints>>,
    /// Who the gate is towards it.
    identity: Option<Box<Identity>>,
    /// What is sent to it again.
    retrying: Option<Box<Retrying>>,
    /// Other hosts that rewritten requests go to.
    elsewhere: Elsewhere,
}

/// How long the head of an answer may take.
#[derive(Debug, Clone, Copy)]
struct Limit {
    time: Duration,
    whose: Whose,
}

/// Who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The gate: it waits anew while the request still goes out.
    Gate,
    /// The API, for all that comes before the answer: opening a connection and fetching a token, too.
    Api,
    /// The client, which does not wait longer: the upstream is not to blame, and the whole call is cut then anyway.
    Client,
}

impl Limit {
    /// The same, for a client that does not wait longer than that.
    fn until(self, deadline: Option<Instant>) -> Self {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match left.filter(|left| *left < self.time) {
            Some(time) => Self { time, whose: Whose::Client },
            None => self,
        }
    }

    /// Until when whatever comes before the answer may take, for a request that set out then.
    fn deadline(&self, asked: Instant) -> Option<Instant> {
        (self.whose == Whose::Api).then(|| asked + self.time)
    }
}

/// Waits as long as an API allows.
async fn within<T, E: Into<Failure>>(
    deadline: Option<Instant>,
    what: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    match deadline {
        None => what.await.map_err(Into::into),
        // It costs a timer only where it has to be waited for.
        Some(deadline) => match tokio::time::timeout_at(deadline, what).await {
            Ok(done) => done.map_err(Into::into),
            Err(_) => Err(Failure::TimedOut),
        },
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("targets", &self.destinations).finish_non_exhaustive()
    }
}

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("Sluicegate/", env!("CARGO_PKG_VERSION")));

impl Upstream {
    /// Compiles an upstream; the reason, if its host cannot be one.
    pub(crate) fn new(model: &apidef::Upstream, gate: &Gate, patterns: &Collector) -> Result<Self, String> {
        Ok(Self {
            destinations: Destinations::new(model, gate)?,
            discovery: model.discovery.as_deref().map(|discovery| Discovery::new(discovery, model)),
            preserve_host: model.preserve_host,
            keep_trailing_slash: model.keep_trailing_slash,
            limit: Limit {
                time: model.timeout.unwrap_or(gate.upstream.timeout),
                whose: if model.timeout.is_some() { Whose::Api } else { Whose::Gate },
            },
            endpoints: Endpoints::new(&model.endpoints, patterns).map(Box::new),
            identity: Identity::new(&model.manner)?.map(Box::new),
            retrying: model.care.retries.as_ref().map(|retries| Box::new(Retrying::new(retries))),
            elsewhere: Elsewhere::default(),
        })
    }

    /// Sends the exchange's request, and brings back the response with its body still streaming.
    pub(crate) async fn call(&self, exchange: &mut Exchange) -> Result<Response<Body>, Refusal> {
        if tunnel::wanted(exchange) {
            return Box::pin(tunnel::open(self, exchange)).await;
        }
        let Some(deadline) = deadline::of(exchange)? else { return self.call_by(exchange, None).await };
        exchange.body.end_at(deadline::of_upload(deadline));
        Box::pin(deadline::within(deadline, self.call_by(exchange, Some(deadline)))).await
    }

    /// Where its client says until when: no longer.
    async fn call_by(
        &self,
        exchange: &mut Exchange,
        deadline: Option<Instant>,
    ) -> Result<Response<Body>, Refusal> {
        if self.endpoints.is_none() {
            return self.ask(exchange, self.limit.until(deadline)).await;
        }
        let (limit, leave) = self.admit(exchange)?;
        let limit = limit.until(deadline);
        let answer = self.ask(exchange, limit).await;
        if let Some(change) = tell(leave, answer.as_ref().map(Response::status)) {
            events::breaker(exchange, change == Change::Tripped);
        }
        answer
    }

    /// What counts for the path that is asked for; refused where its upstream is left alone.
    fn admit(&self, exchange: &Exchange) -> Result<(Limit, Option<Leave<'_>>), Refusal> {
        let Some(endpoints) = &self.endpoints else { return Ok((self.limit, None)) };
        let limit = endpoints.timeout(exchange).map_or(self.limit, |time| Limit { time, whose: Whose::Api });
        Ok((limit, endpoints.enter(exchange)?))
    }

    async fn ask(&self, exchange: &mut Exchange, limit: Limit) -> Result<Response<Body>, Refusal> {
        if let Some(retrying) = &self.retrying {
            return Box::pin(retry::ask(self, retrying, exchange, limit)).await;
        }
        self.attempt(exchange, limit, Instant::now(), &mut Tried::default()).await.map_err(refuse)
    }

    /// The servers that were told, where another server does.
    async fn discovered(
        &self,
        gate: &Arc<Gate>,
        deadline: Option<Instant>,
    ) -> Result<Option<Arc<Destinations>>, Failure> {
        let Some(discovery) = &self.discovery else { return Ok(None) };
        let told = async { Ok::<_, Failure>(discovery.destinations(gate).await) };
        within(deadline, Box::pin(told)).await
    }

    /// Asks once. `tried`: the servers that were asked for the same request before, and then this one, too. Where nothing
    /// of the request was sent, its body is the exchange's again.
    async fn attempt(
        &self,
        exchange: &mut Exchange,
        limit: Limit,
        asked: Instant,
        tried: &mut Tried,
    ) -> Result<Response<Body>, Failure> {
        let first = tried.numbers.is_empty();
        let elsewhere = self.elsewhere.of(exchange).map_err(Failure::refused)?;
        let discovered = match &self.discovery {
            Some(_) if elsewhere.is_none() => self.discovered(&exchange.gate, limit.deadline(asked)).await?,
            _ => None,
        };
        let destinations = discovered.as_deref().unwrap_or(&self.destinations);
        let identity = self.identity_for(exchange);
        let (destination, line) = match elsewhere.as_ref().or_else(|| destinations.sole()) {
            Some(destination) => (destination, None),
            None => {
                let key = destinations.key(exchange);
                let reach = Box::pin(destinations.reach(key, tried, |pool| pool.line(false)));
                let (destination, line) = within(limit.deadline(asked), reach).await?;
                (destination, Some(line))
            }
        };
        let under_way = destinations.count(destination);
        let mut request = self.request(destination, exchange).map_err(Failure::refused)?;
        let way = Way::new(destination, limit, asked, first && line.is_some());
        let answer = match identity {
            None => way.send(&mut request, line, false).await,
            Some(identity) => Box::pin(way.send_as(identity, &mut request, line, exchange)).await,
        };
        exchange.timings.answered(asked);
        traces::answered(exchange, answer.as_ref().map(Response::status));
        destinations.tell(destination, &answer);
        let mut response = answer.inspect_err(|failure| {
            if matches!(failure, Failure::Dial(_)) {
                exchange.body = std::mem::replace(&mut request.body, RequestBody::none());
            }
        })?;
        head::strip_hop_by_hop(response.headers_mut());
        if let Some(under_way) = under_way {
            response.body_mut().count(under_way);
        }
        Ok(response)
    }

    /// Who the gate is where the request goes: nobody where the request itself says which host that is.
    fn identity_for(&self, exchange: &Exchange) -> Option<&Identity> {
        let foreign = matches!(exchange.ahead.to, Some(To::Elsewhere { known: false, .. }));
        self.identity.as_deref().filter(|_| !foreign)
    }

    /// The request as the upstream shall see it.
    fn request(&self, destination: &Destination, exchange: &mut Exchange) -> Result<Outbound, Refusal> {
        let Destination { target, host: own_host, .. } = destination;
        let keep = self.keep_trailing_slash;
        let joined = match &exchange.ahead.to {
            Some(To::Elsewhere { target, .. }) => Some(head::join(target, "", None, true)),
            Some(To::Path(path)) => Some(head::join(target, path.path(), path.query(), keep)),
            _ if head::passes_unchanged(target, exchange.stripped > 0) => None,
            _ => {
                let rest = match exchange.remaining_path() {
                    // The slash at the end was that of the listen path; it is the client's all the same.
                    "" if keep && exchange.head.uri.path().ends_with('/') => "/",
                    rest => rest,
                };
                Some(head::join(target, rest, exchange.head.uri.query(), keep))
            }
        };
        let path = match joined {
            None => exchange.head.uri.path_and_query().cloned(),
            Some(joined) => Some(head::path_and_query(joined).map_err(|error| {
                Refusal::client(StatusCode::BAD_REQUEST, "IHD", "Malformed request path").detail(error)
            })?),
        };
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let method = exchange.method().clone();
        let changed = method != exchange.head.method;

        let mut headers = exchange.hand_over_headers();
        deadline::pass_on(exchange, &mut headers);
        head::strip_hop_by_hop(&mut headers);
        if exchange.head.version == Version::HTTP_2 {
            head::join_cookies(&mut headers);
        }
        if !exchange.ahead.hides_client {
            head::append_forwarded_for(&mut headers, exchange.peer.address, &exchange.peer.text);
        }
        if !self.preserve_host {
            headers.insert(header::HOST, own_host.clone());
        } else if !headers.contains_key(header::HOST) {
            // HTTP/2 names the host elsewhere; HTTP/1.0 may not name one at all.
            let authority = exchange.head.uri.authority();
            let host = authority.and_then(|authority| HeaderValue::try_from(authority.as_str()).ok());
            headers.insert(header::HOST, host.unwrap_or_else(|| own_host.clone()));
        }
        if let http::header::Entry::Vacant(entry) = headers.entry(header::USER_AGENT) {
            entry.insert(USER_AGENT);
        }
        if let Some(basic) = &destination.basic
            && let http::header::Entry::Vacant(entry) = headers.entry(header::AUTHORIZATION)
        {
            entry.insert(basic.clone());
        }
        let body = std::mem::replace(&mut exchange.body, RequestBody::none());
        if body.is_none() {
            match method {
                // Such a method is asked for its content (RFC 9110 section 8.6), of which the client's may have had none.
                Method::POST | Method::PUT | Method::PATCH if changed => {
                    headers.entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
                }
                Method::POST | Method::PUT | Method::PATCH => {}
                // A body of nothing is none (contract 4.6).
                _ => drop(headers.remove(header::CONTENT_LENGTH)),
            }
        }
        traces::ask(exchange, target, &path, &method, &mut headers);
        Ok(Outbound { method, path, headers, body })
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
    /// The same without its body.
    fn copy(&self) -> Self {
        let (method, path, headers) = (self.method.clone(), self.path.clone(), self.headers.clone());
        Self { method, path, headers, body: RequestBody::none() }
    }

    /// All of it; fields and body are gone then.
    fn take(&mut self) -> Self {
        Self {
            method: self.method.clone(),
            path: self.path.clone(),
            headers: std::mem::take(&mut self.headers),
            body: std::mem::replace(&mut self.body, RequestBody::none()),
        }
    }
}

/// Tells a breaker what came of its leave, and brings what that changed.
fn tell(leave: Option<Leave<'_>>, answer: Result<StatusCode, &Refusal>) -> Option<Change> {
    let leave = leave?;
    match answer {
        Ok(status) => leave.tell(!status.is_server_error(), Instant::now()),
        Err(refusal) if refusal.blame == Blame::Backend => leave.tell(false, Instant::now()),
        // What a client broke says nothing about the upstream.
        Err(_) => None,
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
    #[error("the client sends its request too slowly, or does not wait longer")]
    ClientLate,
    #[error("connection broke: {0}")]
    Broken(BodyError),
    #[error("the upstream closes connections before it answers")]
    Closed,
    #[error("{0}")]
    Malformed(MalformedAnswer),
    #[error("request cannot be sent: {0}")]
    Unsendable(String),
    #[error("{}", .0.message)]
    Refused(Box<Refusal>),
    #[error("probes find every target down")]
    AllDown,
}

impl Failure {
    /// What was refused before it could go to the upstream.
    fn refused(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }

    /// Whether it is the upstream that failed.
    fn is_of_upstream(&self) -> bool {
        match self {
            Self::Broken(error) => cause::<Breach>(&**error).is_none() && !is_too_large(&**error),
            Self::ClientLate | Self::Unsendable(_) | Self::Refused(_) | Self::AllDown => false,
            Self::Dial(_) | Self::TimedOut | Self::Closed | Self::Malformed(_) => true,
        }
    }

    /// Whether the same may go well the next time, and there is time left for it.
    fn may_pass(&self) -> bool {
        !matches!(
            self,
            Self::TimedOut | Self::ClientLate | Self::Unsendable(_) | Self::Refused(_) | Self::AllDown
        )
    }
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

/// Said of what is not there in time.
const LATE: &str = "Upstream service reached hard timeout.";

/// The client's view of a failed upstream (contract 4.6, "Timeouts" and "Other failures").
fn refuse(failure: Failure) -> Refusal {
    const PROBLEM: &str = "There was a problem proxying the request";
    let refusal = match &failure {
        Failure::Refused(refusal) => return Refusal::clone(refusal),
        Failure::AllDown => Refusal::backend(StatusCode::SERVICE_UNAVAILABLE, "NHU", "all hosts are down"),
        Failure::TimedOut => Refusal::backend(StatusCode::GATEWAY_TIMEOUT, "URT", LATE),
        Failure::ClientLate => Refusal::client(StatusCode::REQUEST_TIMEOUT, "BIV", "Request timed out"),
        Failure::Dial(error) => {
            let (status, text) = match error {
                DialError::TimedOut { .. } => (StatusCode::GATEWAY_TIMEOUT, LATE),
                DialError::LookUp { .. } => {
                    (StatusCode::INTERNAL_SERVER_ERROR, "Upstream host lookup failed")
                }
                _ => (StatusCode::INTERNAL_SERVER_ERROR, PROBLEM),
            };
            Refusal::backend(status, flags::of_dial(error), text)
        }
        Failure::Broken(error) if let Some(breach) = cause::<Breach>(&**error) => {
            Refusal::client(breach.status, "IHD", breach.message)
        }
        Failure::Broken(error) if is_too_large(&**error) => {
            Refusal::client(StatusCode::PAYLOAD_TOO_LARGE, "BTL", "Request Entity Too Large")
        }
        Failure::Broken(error) => {
            Refusal::backend(StatusCode::INTERNAL_SERVER_ERROR, flags::of_break(&**error), PROBLEM)
        }
        Failure::Closed | Failure::Malformed(_) => {
            Refusal::backend(StatusCode::INTERNAL_SERVER_ERROR, "URR", PROBLEM)
        }
        Failure::Unsendable(_) => Refusal::client(StatusCode::BAD_REQUEST, "IHD", "Malformed request"),
    };
    refusal.detail(failure)
}
