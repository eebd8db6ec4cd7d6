//! One HTTP/2 connection, framed by hyper.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::{ClientStream, Door};
use crate::body::{Pace, RequestBody};
use crate::exchange::Peer;
use crate::gate::Gate;
use crate::respond;
use crate::serve::serve;

const MORE_THAN_NOTHING: &str = "the body is announced as nothing, and is more or does not end";

/// Serves a connection to its end. `read` is what was read from it already.
pub(super) async fn run(gate: Arc<Gate>, stream: ClientStream, read: BytesMut, peer: Arc<Peer>, door: &Door) {
    let idle = Arc::new(Idle::new(gate.settings.read_timeout, gate.settings.write_timeout));
    let stream = Stream { inner: stream, read, idle: Arc::clone(&idle), stalled: false };
    let cut = peer.cut.clone();
    let service = {
        let (gate, idle) = (Arc::clone(&gate), Arc::clone(&idle));
        service_fn(move |request: Request<Incoming>| {
            let (gate, peer, idle) = (Arc::clone(&gate), Arc::clone(&peer), Arc::clone(&idle));
            async move {
                let busy = idle.busy();
                let limit = gate.settings.max_request_body;
                let (head, incoming) = request.into_parts();
                let pace = || Pace::of(&head.headers, gate.settings.read_timeout);
                let mut body = RequestBody::http2(incoming, limit, pace);
                // A stream that brings more than it announces is at fault, and must not go on (RFC 9113 section 8.1.1).
                let mut response = if body.is_unended_nothing() && body.keep(0).await.is_err() {
                    respond::text(StatusCode::BAD_REQUEST, MORE_THAN_NOTHING)
                } else {
                    serve(&gate, &peer, Request::from_parts(head, body)).await
                };
                response.body_mut().hold(busy);
                Ok::<_, Infallible>(response)
            }
        })
    };
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(100)
            .max_pending_accept_reset_streams(20)
            .max_header_list_size(64 << 10)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20))
            .serve_connection(TokioIo::new(stream), service)
    );
    let mut watchdog = pin!(idle.watch());
    let mut closing = pin!(door.closed(&gate));
    let mut shutting_down = false;
    let mut cut = pin!(async {
        match &cut {
            Some(cut) => cut.notified().await,
            None => std::future::pending().await,
        }
    });
    let ended = poll_fn(|cx| {
        if !shutting_down && closing.as_mut().poll(cx).is_ready() {
            shutting_down = true;
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(ended);
        }
        if cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        ready!(watchdog.as_mut().poll(cx));
        // The client learns that nothing more will be answered, if it still listens.
        connection.as_mut().graceful_shutdown();
        match connection.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(ended),
            Poll::Pending => Poll::Ready(Ok(())),
        }
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!(%error, "client connection ended");
    }
}

/// Ends connections on which nothing moves for too long. It looks twice in each limit; a connection lives for one and a
/// half limits at most.
struct Idle {
    read_limit: Duration,
    write_limit: Duration,
    running: Arc<AtomicUsize>,
    begun: AtomicUsize,
    /// Since when the client takes nothing of what is to be written. Written when a write has to wait and when one
    /// goes on after it had to; neither is frequent.
    stalled: Mutex<Option<Instant>>,
}

impl Idle {
    fn new(read_limit: Duration, write_limit: Duration) -> Self {
        Self {
            read_limit,
            write_limit,
            running: Arc::default(),
            begun: AtomicUsize::new(0),
            stalled: Mutex::default(),
        }
    }

    fn busy(&self) -> Busy {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(&self.running))
    }

    async fn watch(&self) {
        let between = self.read_limit.min(self.write_limit) / 2;
        let mut moved = (self.begun.load(Ordering::Relaxed), Instant::now());
        loop {
            tokio::time::sleep(between).await;
            let begun = self.begun.load(Ordering::Relaxed);
            if begun != moved.0 || self.running.load(Ordering::Relaxed) > 0 {
                moved = (begun, Instant::now());
            }
            let stalled = self.stalled.lock().is_some_and(|since| since.elapsed() >= self.write_limit);
            if stalled || moved.1.elapsed() >= self.read_limit {
                return;
            }
        }
    }
}

/// An exchange from its request's head to the last byte of its answer: until then nothing may move and nobody idles.
#[derive(Debug)]
pub(crate) struct Busy(Arc<AtomicUsize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The client's socket: what was read from it before comes first, and a write that has to wait is told.
struct Stream {
    inner: ClientStream,
    read: BytesMut,
    idle: Arc<Idle>,
    stalled: bool,
}

impl Stream {
    fn note_stall(&mut self, stalled: bool) {
        if stalled != self.stalled {
            self.stalled = stalled;
            *self.idle.stalled.lock() = stalled.then(Instant::now);
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buffer);
        }
        let length = self.read.len().min(buffer.remaining());
        buffer.put_slice(&self.read[..length]);
        self.read.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.note_stall(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.note_stall(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
