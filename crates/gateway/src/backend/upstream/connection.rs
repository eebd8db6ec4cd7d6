//! One HTTP/1.1 connection to an upstream, driven by the exchange that uses it.
//!
//! The usual client spawns a task for each connection and talks to it through channels: two task switches for each
//! request. Here the connection is polled by the very task that waits for its answer, and parked in the pool between
//! exchanges. What that asks of us: whoever reads the response body must go on polling the connection
//! ([`super::body::UpstreamBody`] does).

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep};

use super::connect::UpstreamStream;
use super::patience::Patience;
use crate::body::RequestBody;

/// A connection and the handle that puts requests on it.
pub(super) struct Connection {
    sender: SendRequest<RequestBody>,
    driver: http1::Connection<TokioIo<UpstreamStream>, RequestBody>,
    /// Re-armed only when it fires too early, so that a request costs no timer.
    timer: Pin<Box<Sleep>>,
    pub(super) opened_at: Instant,
    /// When the connection was put back into its pool.
    pub(super) parked_at: Instant,
    /// Whether it has carried an exchange before: a failure on such a connection may only mean that the upstream
    /// closed it while it was idle.
    pub(super) reused: bool,
}

/// Why there is no response.
#[derive(Debug)]
pub(super) enum SendFailure {
    /// Nothing of the request was sent; it can be sent on another connection.
    Unsent(Box<Request<RequestBody>>),
    /// The connection broke after (part of) the request went out.
    Broken(hyper::Error),
    /// The upstream closed the connection before it took the request.
    Closed,
    /// No response head in time.
    TimedOut,
}

impl Connection {
    pub(super) async fn open(stream: UpstreamStream) -> hyper::Result<Self> {
        let (sender, driver) = http1::Builder::new().handshake(TokioIo::new(stream)).await?;
        let now = Instant::now();
        let mut connection = Self {
            sender,
            driver,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            opened_at: now,
            parked_at: now,
            reused: false,
        };
        // The driver must have run once before its sender takes a request.
        poll_fn(|cx| Poll::Ready(connection.drive(cx))).await;
        Ok(connection)
    }

    /// Lets the connection make progress; `false` once it is finished.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        self.driver.poll_without_shutdown(cx).is_pending()
    }

    /// Whether the next request can be sent.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Sends a request and waits for the head of its response, as long as `patience` lasts.
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
        patience: &mut Patience,
    ) -> Result<Response<Incoming>, SendFailure> {
        let Self { sender, driver, timer, .. } = self;
        let mut answer = pin!(sender.try_send_request(request));
        poll_fn(|cx| {
            // The connection first: it writes the request and may have the answer at once.
            let finished = driver.poll_without_shutdown(cx);
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer.map_err(|mut failure| match failure.take_message() {
                    Some(request) => SendFailure::Unsent(Box::new(request)),
                    None => SendFailure::Broken(failure.into_error()),
                }));
            }
            match finished {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(SendFailure::Broken(error))),
                Poll::Ready(Ok(())) => return Poll::Ready(Err(SendFailure::Closed)),
                Poll::Pending => {}
            }
            expired(timer, patience, cx).map(|()| Err(SendFailure::TimedOut))
        })
        .await
    }

    /// Takes the socket, and what was read past the response head, out of HTTP (after a 101 answer).
    pub(super) fn into_stream(self) -> (UpstreamStream, Bytes) {
        let parts = self.driver.into_parts();
        (parts.io.into_inner(), parts.read_buf)
    }
}

fn expired(timer: &mut Pin<Box<Sleep>>, patience: &mut Patience, cx: &mut Context<'_>) -> Poll<()> {
    while timer.as_mut().poll(cx).is_ready() {
        let now = Instant::now();
        if now >= patience.deadline() && !patience.renew(now) {
            return Poll::Ready(());
        }
        timer.as_mut().reset(patience.deadline());
    }
    Poll::Pending
}
