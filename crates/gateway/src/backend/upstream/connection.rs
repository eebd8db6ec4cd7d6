//! One HTTP/1.1 connection to an upstream, driven by the exchange that uses it.
//!
//! There is no task behind a connection: it is polled by the very task that waits for its answer, and parked in the
//! pool between exchanges. What that asks of us: whoever reads the answer's body must go on sending the request's
//! ([`super::body::UpstreamBody`] does).

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Method;
use http::header::HeaderMap;
use http_body::Body as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use tokio_util::io::poll_read_buf;

use super::connect::UpstreamStream;
use super::patience::Patience;
use crate::body::{BodyError, RequestBody};
use crate::http1::{
    AnswerHead, Decoder, Length, MalformedAnswer, Outgoing, Piece, encode_chunk, encode_last_chunk,
    encode_request, read_answer,
};

/// Bytes that a read asks for; reads grow to the larger figure while they are filled.
const READ: usize = 8 * 1024;
const LARGEST_READ: usize = 128 * 1024;

/// A connection, and the request that it carries.
pub(super) struct Connection {
    stream: UpstreamStream,
    read: BytesMut,
    next_read: usize,
    out: Outgoing,
    upload: Option<Upload>,
    /// Re-armed only when it fires too early, so that a request costs no timer.
    timer: Pin<Box<Sleep>>,
    /// Whether some of the request is with the kernel.
    begun: bool,
    /// Why no more can be written.
    broken: Option<io::Error>,
    keep_alive: bool,
    pub(super) opened_at: Instant,
    /// Since when it is parked, as far as the pool has looked: parking alone costs no look at the clock.
    pub(super) parked_since: Option<Instant>,
    /// Whether it has carried an exchange before: a failure on such a connection may only mean that the upstream
    /// closed it while it was idle.
    pub(super) reused: bool,
    /// Its place among the idle connections of all upstreams, where those are limited.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

/// A request's body on its way.
struct Upload {
    body: RequestBody,
    chunked: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum SendFailure {
    /// Nothing of the request was sent; it can be sent on another connection.
    Unsent,
    /// The connection broke after (part of) the request went out.
    Broken(io::Error),
    /// The upstream closed the connection instead of answering.
    Closed,
    /// The client's body broke.
    Body(BodyError),
    /// What came is no answer.
    Malformed(MalformedAnswer),
    /// No answer's head in time.
    TimedOut,
}

impl Connection {
    pub(super) fn new(stream: UpstreamStream) -> Self {
        Self {
            stream,
            read: BytesMut::new(),
            next_read: READ,
            out: Outgoing::default(),
            upload: None,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            begun: false,
            broken: None,
            keep_alive: true,
            opened_at: Instant::now(),
            parked_since: None,
            reused: false,
            place: None,
        }
    }

    /// Whether a parked connection is still open and has nothing to say: an upstream that speaks unasked is about to
    /// close, or would have its words taken for the next answer.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.read.is_empty() && self.poll_read(&mut cx).is_pending()
    }

    /// It is not parked when its exchange is over.
    pub(super) fn use_once(&mut self) {
        self.keep_alive = false;
    }

    /// Whether it can be parked: the answer was read to its end, the request was sent to its end, and both sides keep
    /// the connection.
    pub(super) fn is_free(&self) -> bool {
        self.keep_alive
            && self.upload.is_none()
            && self.out.is_empty()
            && self.broken.is_none()
            && self.read.is_empty()
    }

    /// Sends a request and waits for the head of its answer, as long as `patience` lasts. The body is taken; where
    /// nothing of the request was sent and none of the body was read, there was none.
    pub(super) async fn send(
        &mut self,
        method: &Method,
        target: &str,
        headers: &HeaderMap,
        body: &mut RequestBody,
        patience: &mut Patience,
    ) -> Result<AnswerHead, SendFailure> {
        let length = match body.size_hint().exact() {
            _ if body.is_none() => Length::AsWritten,
            Some(bytes) => Length::Exact(bytes),
            None => Length::Chunked,
        };
        encode_request(self.out.buffer(), method, target, headers, length);
        self.begun = false;
        if !body.is_none() {
            let body = std::mem::replace(body, RequestBody::none());
            self.upload = Some(Upload { body, chunked: length == Length::Chunked });
        }
        let mut searched = 0;
        poll_fn(|cx| {
            if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                return Poll::Ready(Err(SendFailure::Body(error)));
            }
            loop {
                match read_answer(&mut self.read, &mut searched, method) {
                    Ok(Some(head)) if is_interim(&head) => continue,
                    Ok(Some(head)) => {
                        self.keep_alive = head.keep_alive;
                        patience.answered();
                        return Poll::Ready(Ok(head));
                    }
                    Ok(None) => {}
                    Err(malformed) => return Poll::Ready(Err(SendFailure::Malformed(malformed))),
                }
                match self.poll_read(cx) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.why_closed(None))),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(self.why_closed(Some(error)))),
                    Poll::Pending => break,
                }
            }
            expired(&mut self.timer, patience, cx).map(|()| Err(SendFailure::TimedOut))
        })
        .await
    }

    /// Sends what there is to send. A connection that takes no more is not a failure yet: the upstream may have
    /// answered before the end of the request.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        loop {
            while self.out.has_room()
                && let Some(upload) = &mut self.upload
            {
                match Pin::new(&mut upload.body).poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) => push(&mut self.out, upload.chunked, data),
                        Err(frame) => self.end_upload(frame.into_trailers().ok()),
                    },
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Ready(None) => self.end_upload(None),
                    Poll::Pending => break,
                }
            }
            if self.out.is_empty() {
                return if self.upload.is_none() { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            let written = self.out.poll_write(&mut self.stream, cx);
            self.begun |= self.out.progress() > 0 || matches!(written, Poll::Ready(Ok(())));
            match ready!(written) {
                Ok(()) => {}
                Err(error) => {
                    self.broken = Some(error);
                    self.upload = None;
                    self.out.clear();
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    fn end_upload(&mut self, trailers: Option<HeaderMap>) {
        if self.upload.take().is_some_and(|upload| upload.chunked) {
            encode_last_chunk(self.out.buffer(), trailers.as_ref());
        }
    }

    fn why_closed(&mut self, error: Option<io::Error>) -> SendFailure {
        if !self.begun {
            return SendFailure::Unsent;
        }
        self.broken.take().or(error).map_or(SendFailure::Closed, SendFailure::Broken)
    }

    /// Reads more; 0 when the upstream has ended its side.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.read.capacity() - self.read.len() < READ / 4 {
            self.read.reserve(self.next_read);
        }
        let room = self.read.capacity() - self.read.len();
        let count = ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.read))?;
        self.next_read = if count == room { (self.next_read * 2).min(LARGEST_READ) } else { READ };
        Poll::Ready(Ok(count))
    }

    /// The next piece of the answer's body. The rest of the request's is sent meanwhile.
    pub(super) fn poll_body(
        &mut self,
        decoder: &mut Decoder,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Piece, BodyError>> {
        if self.upload.is_some() || !self.out.is_empty() {
            // A body that breaks ends the request: an answer to half of it is not kept waiting for the other half.
            if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                return Poll::Ready(Err(error));
            }
        }
        loop {
            if let Some(piece) = decoder.decode(&mut self.read).map_err(MalformedAnswer)? {
                return Poll::Ready(Ok(piece));
            }
            if ready!(self.poll_read(cx))? == 0 {
                return Poll::Ready(if decoder.close() {
                    Ok(Piece::End)
                } else {
                    Err(MalformedAnswer("the connection ended before the body was complete").into())
                });
            }
        }
    }

    /// The bare socket, and what was read past the answer's head (after a 101).
    pub(super) fn into_stream(self) -> (UpstreamStream, Bytes) {
        (self.stream, self.read.freeze())
    }
}

/// Whether the real answer comes behind this one (RFC 9110 section 15.2).
fn is_interim(head: &AnswerHead) -> bool {
    head.status.is_informational() && head.status != http::StatusCode::SWITCHING_PROTOCOLS
}

fn push(out: &mut Outgoing, chunked: bool, data: Bytes) {
    if chunked && !data.is_empty() {
        encode_chunk(out.buffer(), data.len());
        out.push(data, b"\r\n");
    } else {
        out.push(data, b"");
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
