//! One request on its way to the server that it was given.

use std::pin::pin;

use apidef::Scheme;
use http::header;
use http::{Request, Response, StatusCode, Uri, Version};
use tokio::time::Instant;

use super::connection::SendFailure;
use super::destination::Destination;
use super::identity::Identity;
use super::patience::Patience;
use super::pool::{Line, Multiplexed};
use super::{Failure, Limit, Outbound, UpstreamBody, response};
use crate::body::Body;
use crate::exchange::Exchange;
use crate::http1::MalformedAnswer;
use crate::respond::Refusal;

/// How often a request is put on a connection: what a closed one did not take goes to a new one.
const ATTEMPTS: usize = 3;

/// Where a request goes, and how long it may take.
pub(super) struct Way<'u> {
    pub(super) destination: &'u Destination,
    pub(super) limit: Limit,
    /// When it set out.
    pub(super) asked: Instant,
}

impl Way<'_> {
    /// Sends a request that says who the gate is. Where a token that was kept is not taken, and the request can be sent
    /// again, that is done once with a new one.
    pub(super) async fn send_as(
        &self,
        identity: &Identity,
        mut request: Outbound,
        line: Option<Line>,
        exchange: &Exchange,
    ) -> Result<Result<Response<Body>, Failure>, Refusal> {
        let gate = &exchange.gate;
        let used = identity.add(gate, &mut request).await?;
        let again = used.as_ref().filter(|used| !used.fresh).and_then(|_| request.again());
        let answer = self.send(request, line).await;
        let refused = answer.as_ref().is_ok_and(|response| response.status() == StatusCode::UNAUTHORIZED);
        let Some(used) = used.filter(|_| refused) else { return Ok(answer) };
        let renewed = used.forget(gate);
        let Some(mut request) = again.filter(|_| renewed) else { return Ok(answer) };
        drop(answer);
        identity.add(gate, &mut request).await?;
        Ok(self.send(request, None).await)
    }

    /// `line`: a connection that is there already.
    pub(super) async fn send(
        &self,
        mut request: Outbound,
        mut line: Option<Line>,
    ) -> Result<Response<Body>, Failure> {
        let Destination { pool, forward, .. } = self.destination;
        let mut patience = Patience::new(self.asked, self.limit.time, self.limit.enforced, &request.body);
        let forwarded = forward.as_ref().map(|forward| forward.hand_over(&mut request));
        let mut failed = Failure::Closed;
        for attempt in 0..ATTEMPTS {
            let line = match line.take() {
                Some(line) => line,
                None => pool.line(attempt > 0).await?,
            };
            let mut connection = match line {
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
                    return Ok(response.map(|body| Body::upstream(UpstreamBody::Multiplexed(body))));
                }
                Ok(Err(error)) => return Err(Failure::Broken(error.into())),
                Err(_) if patience.renew(Instant::now()) => {}
                Err(_) => return Err(Failure::TimedOut),
            }
        }
    }
}
