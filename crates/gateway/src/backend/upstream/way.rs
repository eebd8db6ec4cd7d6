//! One request on its way to the server that it was given.

use std::pin::pin;

use apidef::Scheme;
use http::header;
use http::{Request, Response, StatusCode, Uri, Version};
use tokio::time::Instant;

use super::connect::UpstreamStream;
use super::connection::{Connection, SendFailure};
use super::destination::Destination;
use super::identity::{Identity, Used, missing_token};
use super::patience::Patience;
use super::pool::{Line, Multiplexed};
use super::{Failure, Limit, Outbound, UpstreamBody, Whose, response, within};
use crate::body::Body;
use crate::events;
use crate::exchange::Exchange;
use crate::http1::{AnswerHead, MalformedAnswer};

/// How often a request is put on a connection: what a closed one did not take goes to a new one.
const ATTEMPTS: usize = 3;

/// Where a request goes, and how long it may take.
pub(super) struct Way<'u> {
    destination: &'u Destination,
    limit: Limit,
    /// When its time began.
    since: Instant,
}

impl<'u> Way<'u> {
    /// For a request that set out at `asked`. Where it was looked for a connection since then (`reached`), the upstream has
    /// its whole time left, unless the API itself limits it.
    pub(super) fn new(destination: &'u Destination, limit: Limit, asked: Instant, reached: bool) -> Self {
        let since = if reached && limit.whose == Whose::Gate { Instant::now() } else { asked };
        Self { destination, limit, since }
    }

    fn deadline(&self) -> Option<Instant> {
        self.limit.deadline(self.since)
    }

    /// Says who the gate is; the token that was used, if one was.
    pub(super) async fn identify(
        &self,
        identity: &Identity,
        request: &mut Outbound,
        exchange: &Exchange,
    ) -> Result<Option<Used>, Failure> {
        let add = async {
            let added = identity.add(&exchange.gate, request).await;
            added.map_err(|refusal| {
                if let Some(why) = missing_token(&refusal) {
                    events::no_upstream_token(exchange, why);
                }
                Failure::refused(refusal)
            })
        };
        within(self.deadline(), add).await
    }

    /// Sends a request that says who the gate is. Where a token that was kept is not taken, and the request can be sent
    /// again, that is done once with a new one.
    pub(super) async fn send_as(
        &self,
        identity: &Identity,
        request: &mut Outbound,
        line: Option<Line>,
        exchange: &Exchange,
    ) -> Result<Response<Body>, Failure> {
        let used = self.identify(identity, request, exchange).await?;
        let again = request.body.is_none() && used.as_ref().is_some_and(|used| !used.fresh);
        let answer = self.send(request, line, again).await?;
        let Some(used) = used.filter(|_| answer.status() == StatusCode::UNAUTHORIZED) else {
            return Ok(answer);
        };
        if !used.forget(&exchange.gate) || !again {
            return Ok(answer);
        }
        drop(answer);
        self.identify(identity, request, exchange).await?;
        self.send(request, None, false).await
    }

    /// `line`: a connection that is there already. `again`: the request has no body, and its fields are left as they are,
    /// so that it can be sent once more.
    pub(super) async fn send(
        &self,
        request: &mut Outbound,
        mut line: Option<Line>,
        again: bool,
    ) -> Result<Response<Body>, Failure> {
        let Destination { pool, forward, .. } = self.destination;
        let mut patience = Patience::new(self.since, self.limit, &request.body);
        let forwarded = forward.as_ref().map(|forward| forward.hand_over(request));
        let mut failed = Failure::Closed;
        for attempt in 0..ATTEMPTS {
            let line = match line.take() {
                Some(line) => line,
                None => within(self.deadline(), pool.line(attempt > 0)).await?,
            };
            let mut connection = match line {
                Line::Multiplexed(sender) => {
                    // What is handed to HTTP/2 does not come back.
                    let request = if again { request.copy() } else { request.take() };
                    return self.send_multiplexed(sender, request, patience).await;
                }
                Line::Exclusive(connection) => connection,
            };
            let bodiless = request.body.is_none();
            let Outbound { method, path, headers, body } = &mut *request;
            let target = forwarded.as_deref().unwrap_or(path.as_str());
            failed = match connection.send(method, target, headers, body, &mut patience).await {
                Err(SendFailure::TimedOut) => return Err(patience.failure()),
                Ok(answer) if answer.status == StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(Failure::Malformed(MalformedAnswer("it switches protocols unasked")));
                }
                Ok(answer) => return Ok(response(answer, connection, pool)),
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

    /// Asks for an upgrade on a connection of its own.
    pub(super) async fn send_upgrade(
        &self,
        request: &mut Outbound,
        stream: UpstreamStream,
    ) -> Result<(AnswerHead, Box<Connection>), Failure> {
        let mut connection = Box::new(Connection::new(stream));
        let mut patience = Patience::new(self.since, self.limit, &request.body);
        let Outbound { method, path, headers, body } = request;
        match connection.send(method, path.as_str(), headers, body, &mut patience).await {
            Ok(answer) => Ok((answer, connection)),
            Err(SendFailure::TimedOut) => Err(patience.failure()),
            Err(failure) => Err(failure.into()),
        }
    }

    /// A connection of its own for an upgrade.
    pub(super) async fn dial_for_upgrade(&self) -> Result<UpstreamStream, Failure> {
        within(self.deadline(), self.destination.pool.dial_for_upgrade()).await
    }

    async fn send_multiplexed(
        &self,
        mut sender: Multiplexed,
        request: Outbound,
        mut patience: Patience,
    ) -> Result<Response<Body>, Failure> {
        let Outbound { method, path, mut headers, body } = request;
        let Destination { target, host, .. } = self.destination;
        let scheme = if target.scheme == Scheme::Https { "https" } else { "http" };
        let authority = headers.remove(header::HOST).unwrap_or_else(|| host.clone());
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
                    patience.answered();
                    return Ok(response.map(|body| Body::upstream(UpstreamBody::Multiplexed(body))));
                }
                Ok(Err(error)) => return Err(Failure::Broken(error.into())),
                Err(_) if patience.renew(Instant::now()) => {}
                Err(_) => return Err(patience.failure()),
            }
        }
    }
}
