//! One client connection, from its first byte to its last.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::Instant;

use super::framing::{Breach, GuardHandle, Guarded, HEAD_LIMIT, Opening};
use super::takeover::Takeover;
use super::{ClientIo, ClientStream};
use crate::body::Body;
use crate::exchange::Peer;
use crate::gate::Gate;
use crate::respond::{self, Refusal};
use crate::serve::serve;

/// Serves a connection until it ends, is closed by its peer, or the gate shuts down and its last exchange is over.
pub(super) async fn run(gate: Arc<Gate>, stream: ClientStream, peer: std::net::SocketAddr, control: bool) {
    let mut stream = Guarded::new(stream, HEAD_LIMIT);
    let opening = match stream.inner() {
        ClientStream::Tls(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2") => {
            stream.handle().pass_through();
            Opening::Http2
        }
        _ => tokio::select! {
            biased;
            opening = tokio::time::timeout(gate.settings.read_timeout, stream.opening()) => match opening {
                Ok(Ok(opening)) => opening,
                Ok(Err(_)) | Err(_) => return,
            },
            // Who has said nothing yet does not hold up the end.
            () = gate.closed() => return,
        },
    };
    let takeover = (opening == Opening::Http1).then(Takeover::default);
    let address = peer.ip().to_canonical();
    let text =
        HeaderValue::try_from(address.to_string()).unwrap_or_else(|_| HeaderValue::from_static("unknown"));
    let peer = Arc::new(Peer { address, text, control, guard: stream.handle(), takeover });
    match opening {
        Opening::Http1 => run_h1(gate, stream, peer).await,
        Opening::Http2 => run_h2(gate, stream, peer).await,
    }
}

async fn run_h1(gate: Arc<Gate>, stream: ClientIo, peer: Arc<Peer>) {
    let takeover = peer.takeover.clone().unwrap_or_default();
    let guard = peer.guard.clone();
    let idle = Idle::new(gate.settings.read_timeout, gate.settings.write_timeout, guard.clone());
    let client = Client { gate, peer, idle };
    let service =
        service_fn(async |request: Request<Incoming>| Ok::<_, Infallible>(client.answer(request).await));
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_headers(100)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service);

    let continuation = {
        let gate = &client.gate;
        let mut watchdog = pin!(client.idle.watch());
        let mut closing = pin!(gate.closed());
        let mut shutting_down = false;
        let mut listening = false;
        poll_fn(|cx: &mut Context<'_>| {
            // Waiting once is enough to be woken; after that a look at the flag does.
            if !shutting_down && (!listening || gate.is_closing()) {
                listening = true;
                shutting_down = closing.as_mut().poll(cx).is_ready();
                if shutting_down {
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
            let polled = Pin::new(&mut connection).poll(cx);
            if let Some(continuation) = takeover.accept() {
                return Poll::Ready(Some(continuation));
            }
            if let Poll::Ready(ended) = polled {
                if let Err(error) = ended {
                    tracing::debug!(%error, "client connection ended");
                }
                return Poll::Ready(None);
            }
            watchdog.as_mut().poll(cx).map(|()| None)
        })
        .await
    };
    if let Some(continuation) = continuation {
        let parts = connection.into_parts();
        let (io, read) = (parts.io.into_inner(), parts.read_buf);
        drop(client);
        guard.pass_through();
        continuation(io, read).await;
    }
}

/// What all exchanges of one connection share.
struct Client {
    gate: Arc<Gate>,
    peer: Arc<Peer>,
    idle: Idle,
}

impl Client {
    /// The answer to a request over HTTP/1.
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let Self { gate, peer, idle } = self;
        let busy = idle.busy();
        let mut response = match peer.guard.refused(&request) {
            None => serve(gate, peer, request).await,
            Some(breach) => malformed(gate, &breach),
        };
        if peer.guard.answered(response.status()) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response.body_mut().hold(busy);
        response
    }
}

async fn run_h2(gate: Arc<Gate>, stream: ClientIo, peer: Arc<Peer>) {
    let idle = Idle::new(gate.settings.read_timeout, gate.settings.write_timeout, peer.guard.clone());
    let client = Arc::new(Client { gate, peer, idle });
    let service = {
        let client = Arc::clone(&client);
        service_fn(move |request: Request<Incoming>| {
            let client = Arc::clone(&client);
            async move {
                let busy = client.idle.busy();
                let mut response = serve(&client.gate, &client.peer, request).await;
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
    let mut watchdog = pin!(client.idle.watch());
    let mut closing = pin!(client.gate.closed());
    let mut shutting_down = false;
    let ended = poll_fn(|cx| {
        if !shutting_down && closing.as_mut().poll(cx).is_ready() {
            shutting_down = true;
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(ended);
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

/// The answer to a request whose framing or head another server might read differently.
fn malformed(gate: &Gate, breach: &Breach) -> Response<Body> {
    gate.metrics.refused("IHD");
    let refusal = Refusal::client(breach.status, "IHD", breach.message);
    let mut response = respond::refusal(&refusal, &HeaderMap::new(), gate.settings.generator_header);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Ends connections on which nothing moves for too long: idle keep-alive, heads that trickle in, and answers that the
/// client does not take. It looks twice in each limit, so that a request costs a count and no look at the clock; a
/// connection lives for one and a half limits at most.
struct Idle {
    read_limit: Duration,
    write_limit: Duration,
    guard: GuardHandle,
    running: Arc<AtomicUsize>,
    begun: AtomicUsize,
}

impl Idle {
    fn new(read_limit: Duration, write_limit: Duration, guard: GuardHandle) -> Self {
        Self { read_limit, write_limit, guard, running: Arc::default(), begun: AtomicUsize::new(0) }
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
            let stalled = self.guard.stalled_since().is_some_and(|since| since.elapsed() >= self.write_limit);
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
