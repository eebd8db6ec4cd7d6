//! The one value that a request carries through its chain.

use std::future::Future;
use std::net::IpAddr;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request;
use http::{Method, StatusCode, Uri};
use smallvec::SmallVec;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::auth::jwt::Claims;
use crate::auth::{Caller, Grant, KnownAt};
use crate::backend::graph::{Asked, Watch};
use crate::backend::stream::Subscription;
use crate::body::{BodyError, RequestBody, cause, is_too_large};
use crate::cache::Keep;
use crate::calls::Asked as Called;
use crate::context::Noted;
use crate::detail::Detail;
use crate::gate::Gate;
use crate::http1::Breach;
use crate::limits::{Budget, Held, KnownOrganisation};
use crate::listen::{Agreed, ClientStream, Takeover};
use crate::record;
use crate::record::{OfGraph, Said};
use crate::respond::Refusal;
use crate::route::Fitting;
use crate::snapshot::RunningApi;
use crate::traces::Trace;
use crate::transform::Ahead;

const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client at the other end of a connection; one for all exchanges of the connection.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Address of the socket's other end.
    pub address: IpAddr,
    /// The same as header text.
    pub text: HeaderValue,
    /// Whether it came in on the listener of the admin API.
    pub control: bool,
    /// The address of the listener that a stream opened for itself, when it came in there.
    pub own: Option<Arc<str>>,
    /// The port of APIs that it came in on, beside the gate's own.
    pub port: Option<u16>,
    /// What TLS agreed on with the client, where there is TLS.
    pub tls: Option<Agreed>,
    /// How a backend may take the connection over; `None` where connections are shared by exchanges (HTTP/2).
    pub takeover: Option<Takeover>,
    /// Ends a connection that is shared by exchanges, with all of them.
    pub(crate) cut: Option<Arc<Notify>>,
}

impl Peer {
    /// The same client, where it has no connection of its own.
    pub(crate) fn alone(&self) -> Self {
        Self {
            address: self.address,
            text: self.text.clone(),
            control: self.control,
            own: self.own.clone(),
            port: self.port,
            tls: self.tls.clone(),
            takeover: None,
            cut: None,
        }
    }
}

/// The target of a request as its client sent it, where a version was taken out of it: what a client has signed.
#[derive(Debug, Clone)]
pub(crate) struct AsSent(pub(crate) Uri);

/// Until when whoever in this gate has sent a request waits for its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Until(pub(crate) Instant);

/// What went over a connection after it had left HTTP.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Carried {
    /// Bytes to the client.
    pub(crate) bytes: u64,
    /// Messages to or from the client.
    pub(crate) messages: u64,
}

/// When things happened. Taken as seldom as possible: on the hot path every look at the clock counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timings {
    /// When the request's head had been read.
    pub(crate) started: Instant,
    /// From asking the backend to its answer.
    pub(crate) upstream: Duration,
    /// When the backend had answered; `None` where it was not asked.
    answered: Option<Instant>,
}

impl Timings {
    pub(crate) fn begin(started: Instant) -> Self {
        Self { started, upstream: Duration::ZERO, answered: None }
    }

    /// The backend, asked at `asked`, has answered now.
    pub(crate) fn answered(&mut self, asked: Instant) {
        let now = Instant::now();
        self.upstream = now - asked;
        self.answered = Some(now);
    }

    /// From the request's head to the response's.
    pub(crate) fn elapsed(&self) -> Duration {
        self.answered.unwrap_or_else(Instant::now) - self.started
    }
}

/// One request on its way through the chain of its API.
pub(crate) struct Exchange {
    /// The gate and its settings.
    pub gate: Arc<Gate>,
    /// The API whose chain runs; the same object for the whole exchange, whatever changes meanwhile.
    pub api: Arc<RunningApi>,
    /// Who is at the other end.
    pub peer: Arc<Peer>,
    /// Method, target and headers as they came, and as guards changed them.
    pub head: request::Parts,
    /// The body. A guard that looks at it leaves it as it came ([`Exchange::buffer_body`]).
    pub body: RequestBody,
    /// Bytes of the path that were the listen path and are not for the backend; 0 when nothing is stripped.
    pub stripped: usize,
    /// Bytes of the path that the listen path covers, stripped or not.
    pub matched: usize,
    /// Where in the path a version stands that was not taken out of it.
    pub(crate) version_in_path: Option<Range<usize>>,
    /// Which patterns of the API fit its path, as it came.
    pub(crate) fitting: Fitting,
    /// How often the gate itself has sent it on, to this API or another.
    pub(crate) loops: u32,
    /// The API that its client addressed, where it was sent on to another one.
    pub(crate) entered: Option<Arc<RunningApi>>,
    /// Which guards it goes past.
    pub(crate) skips: Skips,
    /// Where whoever is calling is known, if he is, and the memory has been asked for him.
    pub(crate) foreseen: Option<KnownAt>,
    /// Who is calling; `None` for keyless APIs.
    pub caller: Option<Arc<Caller>>,
    /// Who it is as well, where several schemes had to be satisfied.
    pub(crate) beside: Vec<Arc<Caller>>,
    /// What the token says that the caller was identified by, if it was by one that says anything.
    pub claims: Option<Arc<Claims>>,
    /// SHA-256 of that token, which has been verified.
    pub(crate) verified: Option<[u8; 32]>,
    /// Unix seconds at which the first of the tokens ends that the caller was identified by; `i64::MAX`: none of them does.
    pub(crate) token_ends: i64,
    /// The caller's token, until it is exchanged for another.
    pub(crate) subject: Option<apidef::Secret>,
    /// What the caller may do with this API, once its right to it has been checked.
    pub grant: Option<Arc<Grant>>,
    /// The version that serves it for want of another one, where the API serves several itself.
    pub version_by_default: Option<HeaderValue>,
    /// What is known of the organisation of its API, where that is asked.
    pub(crate) organisation: Option<Arc<KnownOrganisation>>,
    /// What the limits leave, for the `X-RateLimit-*` headers.
    pub budget: Budget,
    /// Places among what is under way at once.
    pub(crate) held: Vec<Held>,
    /// What is known of it by name beside what can be seen of it.
    pub(crate) noted: Noted,
    /// How the backend is asked, where guards changed that.
    pub(crate) ahead: Ahead,
    /// What it calls, where its API speaks MCP.
    pub(crate) mcp: Option<Box<Called>>,
    /// What it asks of a graph, once that has been checked.
    pub(crate) asked: Option<Box<Asked>>,
    /// What is looked at on its connection once that has left HTTP.
    pub(crate) watch: Option<Box<Watch>>,
    /// Watches over who asks for events of a graph.
    pub(crate) subscription: Option<Box<Subscription>>,
    /// How long things took.
    pub timings: Timings,
    /// Neither is anything recorded of it …
    pub(crate) unrecorded: bool,
    /// … nor does its answer carry anything beside what it was defined with, where this is true.
    pub(crate) bare: bool,
    /// It was answered in the place of the backend.
    pub(crate) mocked: bool,
    /// What becomes of its answer for others who ask the same.
    pub(crate) keeping: SmallVec<[Keep; 1]>,
    /// The pattern that its path is recorded as.
    pub(crate) tracked_as: Option<Arc<str>>,
    /// All of it, where that is recorded.
    pub(crate) detail: Option<Box<Detail>>,
    /// The trace that it belongs to, where requests are traced.
    pub(crate) trace: Option<Box<Trace>>,
    /// What its record is to say of the operation of GraphQL that it asks for.
    pub(crate) graph: Option<Box<OfGraph>>,
    /// What its record is to say of its client, where there is one.
    pub(crate) said: Said,
    /// Whether its record has begun.
    pub(crate) recorded: bool,
}

/// What an exchange is not asked on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Skips(u8);

impl Skips {
    /// Nothing.
    pub(crate) const NONE: Self = Self(0);
    /// Its path is open to everybody: nobody is asked who is calling.
    pub(crate) const OPEN: Self = Self(1);
    /// It is known who is calling.
    pub(crate) const KNOWN: Self = Self(2);
    /// It was counted before.
    pub(crate) const COUNTED: Self = Self(4);
    /// It was counted before for the organisation.
    pub(crate) const ORGANISED: Self = Self(8);

    /// Both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether one of the others is among these.
    pub(crate) fn any(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

impl Drop for Exchange {
    /// An exchange that is dropped on its way was given up by its client (contract 4.6, 499), unless the gate itself was the client
    /// and has waited as long as it does.
    fn drop(&mut self) {
        if self.recorded {
            return;
        }
        let is_late = self.head.extensions.get::<Until>().is_some_and(|until| Instant::now() >= until.0);
        if is_late {
            drop(record::finish(self, StatusCode::GATEWAY_TIMEOUT, "URT"));
        } else if let Ok(status) = StatusCode::from_u16(499) {
            drop(record::finish(self, status, "CDC"));
        }
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange")
            .field("api", &self.api.model.id)
            .field("uri", &self.head.uri.path())
            .finish()
    }
}

impl Exchange {
    /// Takes note of a token that has been verified, of what it says, and of when it ends, in Unix seconds.
    pub(crate) fn identified_by(&mut self, claims: &Arc<Claims>, digest: [u8; 32], until: i64) {
        self.claims = Some(Arc::clone(claims));
        self.verified = Some(digest);
        self.token_ends = self.token_ends.min(until);
    }

    /// The method with which the backend is asked.
    pub(crate) fn method(&self) -> &Method {
        self.ahead.method.as_ref().unwrap_or(&self.head.method)
    }

    /// The path without the stripped listen path, as it was written (percent-encoded).
    pub(crate) fn remaining_path(&self) -> &str {
        self.head.uri.path().get(self.stripped..).unwrap_or_default()
    }

    /// The path below the listen path, whether or not it is stripped for the backend; begins with `/`.
    pub(crate) fn path_in_api(&self) -> &str {
        let path = self.head.uri.path();
        let from = if path[..self.matched].ends_with('/') { self.matched - 1 } else { self.matched };
        match &path[from..] {
            "" => "/",
            rest => rest,
        }
    }

    /// Sends the request to another target, path and query. The listen path, where it still leads it, stays what it was.
    pub(crate) fn retarget(&mut self, target: &str) -> Option<()> {
        // Nothing changes where this cannot be one: the lengths below are those of the path.
        let mut parts = self.head.uri.clone().into_parts();
        parts.path_and_query = Some(target.parse().ok()?);
        let uri = Uri::from_parts(parts).ok()?;
        let listen = self.head.uri.path().get(..self.matched)?;
        if !uri.path().starts_with(listen) {
            (self.matched, self.stripped) = (0, 0);
        }
        self.head.uri = uri;
        Some(())
    }

    /// The client's address: `X-Real-IP`, then `X-Forwarded-For` by the configured depth, then the peer
    /// (contract 4.6, "Client IP").
    pub(crate) fn client_address(&self) -> Option<IpAddr> {
        client_address(&self.head.headers, self.peer.address, self.gate.settings.forwarded_depth)
    }

    /// Reads the body whole, up to `limit` bytes, for a guard that has to look at it; it goes on to the backend unchanged.
    pub(crate) async fn buffer_body(&mut self, limit: usize) -> Result<Bytes, Refusal> {
        let patience = self.gate.settings.read_timeout;
        match tokio::time::timeout(patience, self.body.keep(limit)).await {
            Ok(Ok(bytes)) => {
                // The client was told to go on, if it waited for that.
                self.head.headers.remove(header::EXPECT);
                Ok(bytes)
            }
            Ok(Err(error)) => Err(broken_body(&error)),
            Err(_) => Err(Refusal::client(StatusCode::REQUEST_TIMEOUT, "BIV", "Request timed out")),
        }
    }

    /// As [`Exchange::buffer_body`], within the limit that goes for all APIs. Every guard that calls it gets the same bytes.
    pub(crate) async fn whole_body(&mut self) -> Result<Bytes, Refusal> {
        self.buffer_body(self.gate.settings.most_kept_of_requests()).await
    }

    /// Puts another body in the place of the client's: guards behind this one, and the backend, see nothing else.
    pub(crate) fn replace_body(&mut self, bytes: Bytes) {
        let headers = &mut self.head.headers;
        for name in [header::TRANSFER_ENCODING, header::TRAILER, header::EXPECT] {
            headers.remove(name);
        }
        headers.insert(header::CONTENT_LENGTH, bytes.len().into());
        self.body = RequestBody::full(bytes);
    }

    /// Whether the request is one that has no end before its answer begins, so that no guard may wait for its body.
    pub(crate) fn streams(&self) -> bool {
        is_grpc(&self.head.headers)
    }

    /// The fields of the request, for the backend. Where guards look at them once more when there is an answer, these are
    /// copies; else only what refusals and records depend on stays behind.
    pub(crate) fn hand_over_headers(&mut self) -> HeaderMap {
        if self.api.chain.looks_back() || self.entered.is_some() {
            return self.head.headers.clone();
        }
        let headers = std::mem::take(&mut self.head.headers);
        if let Some(kind) = headers.get(header::CONTENT_TYPE)
            && (memchr::memmem::find(kind.as_bytes(), b"xml").is_some() || is_grpc(&headers))
        {
            self.head.headers.insert(header::CONTENT_TYPE, kind.clone());
        }
        if self.api.model.compression.is_some() {
            for name in [header::ACCEPT_ENCODING, header::CACHE_CONTROL] {
                for value in headers.get_all(&name) {
                    self.head.headers.append(name.clone(), value.clone());
                }
            }
        }
        for name in [REAL_IP, FORWARDED_FOR] {
            if let Some(address) = headers.get(&name) {
                self.head.headers.insert(name, address.clone());
            }
        }
        headers
    }

    /// Leaves HTTP: the connection is handed to `go_on` as a bare stream, and this exchange's record is written when
    /// `go_on` ends, with what it says was carried. The caller must not answer the request; it awaits for ever and is
    /// dropped.
    pub(crate) async fn take_over<F>(
        &mut self,
        takeover: &Takeover,
        status: StatusCode,
        go_on: impl FnOnce(ClientStream, Bytes) -> F + Send + 'static,
    ) -> std::convert::Infallible
    where
        F: Future<Output = Carried> + Send + 'static,
    {
        // What goes on without an end is not kept.
        self.detail = None;
        let tail = record::finish(self, status, "");
        let held = std::mem::take(&mut self.held);
        takeover.offer(move |io, read| -> Pin<Box<dyn Future<Output = ()> + Send>> {
            Box::pin(async move {
                let _held = held;
                let carried = go_on(io, read).await;
                if let Some(mut tail) = tail {
                    tail.carried(carried);
                }
            })
        });
        std::future::pending().await
    }
}

/// What a client is told whose body could not be read.
pub(crate) fn broken_body(error: &BodyError) -> Refusal {
    if is_too_large(&**error) {
        return Refusal::client(StatusCode::PAYLOAD_TOO_LARGE, "BTL", "Request Entity Too Large");
    }
    match cause::<Breach>(&**error) {
        Some(breach) => Refusal::client(breach.status, "IHD", breach.message),
        None => Refusal::client(StatusCode::BAD_REQUEST, "BIV", "Bad request"),
    }
    .detail(error)
}

/// Whether a message is of gRPC, whose bodies are streams.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    kind.len() >= 16 && kind[..16].eq_ignore_ascii_case(b"application/grpc")
}

fn client_address(headers: &HeaderMap, peer: IpAddr, depth: usize) -> Option<IpAddr> {
    if let Some(real) = headers.get(REAL_IP).and_then(parse_address) {
        return Some(real);
    }
    let Some(forwarded) = headers.get(FORWARDED_FOR).and_then(|value| value.to_str().ok()) else {
        return Some(peer);
    };
    let mut entries = forwarded.split(',').map(str::trim);
    let chosen = if depth == 0 { entries.next() } else { entries.rev().nth(depth - 1) };
    chosen?.parse().ok()
}

fn parse_address(value: &HeaderValue) -> Option<IpAddr> {
    value.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c4_6_row_10_the_client_address_follows_the_headers() {
        let peer: IpAddr = "127.0.0.1".parse().unwrap();
        let cases = [
            (&[][..], 0, Some("127.0.0.1")),
            (&[("x-real-ip", "9.9.9.9"), ("x-forwarded-for", "1.1.1.1")], 0, Some("9.9.9.9")),
            (&[("x-real-ip", "nonsense"), ("x-forwarded-for", "1.1.1.1")], 0, Some("1.1.1.1")),
            (&[("x-forwarded-for", "1.1.1.1, 2.2.2.2, 3.3.3.3")], 0, Some("1.1.1.1")),
            (&[("x-forwarded-for", "1.1.1.1, 2.2.2.2, 3.3.3.3")], 1, Some("3.3.3.3")),
            (&[("x-forwarded-for", "1.1.1.1, 2.2.2.2, 3.3.3.3")], 3, Some("1.1.1.1")),
            (&[("x-forwarded-for", "1.1.1.1")], 2, None),
        ];
        for (fields, depth, address) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            let expected = address.map(|address| address.parse().unwrap());
            assert_eq!(client_address(&headers, peer, depth), expected, "{fields:?} depth {depth}");
        }
    }
}
