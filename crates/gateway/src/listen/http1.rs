//! One HTTP/1 connection: requests in, answers out, one after the other.
//!
//! The road on one page: a head is read ([`Link::poll_head`]), the host answers it, the answer is written as its body
//! comes ([`Connection::write`]). While the host works, the client is listened to, so that an exchange whose client has
//! left is dropped. What breaks the rules is answered in its turn, and nothing behind it is read as a request. A body
//! is asked for its next piece only when everything before that is with the kernel.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap};
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::ClientStream;
use super::link::{Heard, Link};
use super::takeover::{Continuation, Takeover};
use super::watch::{Look, Watch};
use crate::body::{Body, Pace, RequestBody};
use crate::http1::{
    Breach, Length, Outgoing, Persistence, Reason, RequestReader, encode_chunk, encode_last_chunk,
    encode_response,
};

/// How long, and for how many bytes, a client is listened to after an answer that came before the end of its request:
/// closing a socket with unread input would make the client's kernel drop the answer (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_millis(500);
const LINGER_BYTES: usize = 256 * 1024;

/// Who answers the requests of a connection.
pub(super) trait Host {
    /// Answers a request.
    fn answer(&self, request: Request<RequestBody>) -> impl Future<Output = Response<Body>> + Send;
    /// Answers what is no request.
    fn refuse(&self, breach: &Breach) -> Response<Body>;
    /// Ready when no more requests are to be read.
    fn closed(&self) -> impl Future<Output = ()> + Send;
    /// Whether [`Host::closed`] may be ready.
    fn may_be_closed(&self) -> bool;
    /// Limits.
    fn limits(&self) -> Limits;
}

/// What a client may ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For the next request's head, idle time before it included; and for a body that stops or trickles.
    pub(super) read: Duration,
    /// For taking some of an answer.
    pub(super) write: Duration,
    /// Bytes of a request's body; 0 = any.
    pub(super) body: u64,
}

/// Serves a connection to its end. `read` is what was read from it already.
pub(super) async fn run(host: &impl Host, stream: ClientStream, read: BytesMut, takeover: &Takeover) {
    let continuation = {
        let limits = host.limits();
        let mut connection = Connection {
            link: Link::new(stream, read),
            reader: RequestReader::default(),
            out: Outgoing::default(),
            watch: Watch::new(limits.read.min(limits.write)),
            limits,
            ending: false,
        };
        match connection.serve(host, takeover).await {
            Ok(End::TakenOver(continuation)) => connection.link.take().map(|taken| (continuation, taken)),
            Ok(End::Quiet) => return connection.close(Duration::ZERO).await,
            Ok(End::Unread) => return connection.close(LINGER).await,
            Err(error) => return tracing::debug!(%error, "client connection ended"),
        }
    };
    if let Some((continuation, (stream, read))) = continuation {
        continuation(stream, read).await;
    }
}

struct Connection {
    link: Link,
    reader: RequestReader,
    out: Outgoing,
    watch: Watch,
    limits: Limits,
    /// Whether the host reads no more requests.
    ending: bool,
}

/// How serving a connection ends.
enum End {
    /// Between two requests.
    Quiet,
    /// With something that the client sends and nobody will read.
    Unread,
    /// A backend goes on with the bare stream.
    TakenOver(Continuation),
}

/// What became of a request.
#[expect(clippy::large_enum_variant, reason = "it is usually the large one, and moved once")]
enum Served {
    Answered(Response<Body>),
    TakenOver(Continuation),
    Gone,
}

/// What an answer must know of its request.
struct Asked {
    head_only: bool,
    http_1_0: bool,
    keep_alive: bool,
    trailers: bool,
}

impl Connection {
    async fn serve(&mut self, host: &impl Host, takeover: &Takeover) -> io::Result<End> {
        let mut closed = pin!(host.closed());
        let mut listening = false;
        loop {
            let heard = poll_fn(|cx| {
                if let Poll::Ready(heard) = self.link.poll_head(&mut self.reader, cx) {
                    return Poll::Ready(heard);
                }
                // Waiting once is enough to be woken; after that a look at the flag does.
                if !self.ending && (!listening || host.may_be_closed()) {
                    listening = true;
                    self.ending = closed.as_mut().poll(cx).is_ready();
                }
                if self.ending && self.link.is_idle() {
                    return Poll::Ready(Ok(Heard::End));
                }
                self.poll_patience(cx).map(|()| Ok(Heard::End))
            });
            let (span, head) = match heard.await? {
                Heard::Head(span, head) => (span, head),
                Heard::Refused(breach) => {
                    self.refuse(host, &breach).await?;
                    return Ok(End::Unread);
                }
                Heard::End => return Ok(End::Quiet),
            };
            self.watch.moved();
            let mut asked = Asked {
                head_only: false,
                http_1_0: span.http_1_0,
                keep_alive: span.keep_alive,
                trailers: false,
            };
            let body =
                RequestBody::http1(self.link.body(span), self.limits.body, || Pace::steady(self.limits.read));
            let request = match self.reader.take(head, body) {
                Ok(request) => request,
                Err(breach) => {
                    self.refuse(host, &breach).await?;
                    return Ok(End::Unread);
                }
            };
            asked.head_only = request.method() == Method::HEAD;
            asked.trailers = request.headers().get(header::TE).is_some_and(|te| te == "trailers");

            let served = {
                let mut answering = pin!(host.answer(request));
                poll_fn(|cx| {
                    if let Poll::Ready(response) = answering.as_mut().poll(cx) {
                        return Poll::Ready(Served::Answered(response));
                    }
                    if let Some(continuation) = takeover.accept() {
                        return Poll::Ready(Served::TakenOver(continuation));
                    }
                    self.link.poll_gone(cx).map(|()| Served::Gone)
                })
                .await
            };
            let response = match served {
                Served::Answered(response) => response,
                Served::TakenOver(continuation) => return Ok(End::TakenOver(continuation)),
                Served::Gone => return Ok(End::Quiet),
            };
            if !self.ending && host.may_be_closed() {
                self.ending = poll_fn(|cx| Poll::Ready(closed.as_mut().poll(cx).is_ready())).await;
            }
            let stays = self.write(response, &asked).await?;
            if !self.link.can_go_on() {
                return Ok(End::Unread);
            }
            if !stays {
                return Ok(End::Quiet);
            }
            self.watch.moved();
        }
    }

    async fn refuse(&mut self, host: &impl Host, breach: &Breach) -> io::Result<()> {
        let asked = Asked { head_only: false, http_1_0: false, keep_alive: false, trailers: false };
        self.write(host.refuse(breach), &asked).await.map(drop)
    }

    /// Writes an answer; true when the connection can carry another.
    async fn write(&mut self, response: Response<Body>, asked: &Asked) -> io::Result<bool> {
        let (head, mut body) = response.into_parts();
        let length = length(&head.status, &head.headers, &body, asked);
        let stays = asked.keep_alive
            && length != Length::UntilClose
            && !self.ending
            && !says_close(&head.headers)
            && !self.link.is_spent();
        let persistence = match (stays, asked.http_1_0) {
            (false, _) => Persistence::Close,
            (true, true) => Persistence::KeepAlive,
            (true, false) => Persistence::Default,
        };
        let reason = head.extensions.get::<Reason>();
        encode_response(self.out.buffer(), head.status, reason, &head.headers, length, persistence);

        let mut writing = Writing {
            length,
            left: if let Length::Exact(bytes) = length { bytes } else { 0 },
            begun: false,
            ended: asked.head_only || !has_body(head.status),
            trailers: asked.trailers,
            progress: 0,
        };
        poll_fn(|cx| self.poll_answer(&mut writing, &mut body, cx)).await?;
        Ok(stays)
    }

    fn poll_answer(
        &mut self,
        writing: &mut Writing,
        body: &mut Body,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            // The first piece goes out with the head if it is at hand, every other alone.
            if !writing.ended && (self.out.is_empty() || !writing.begun) {
                writing.begun = true;
                match Pin::new(&mut *body).poll_frame(cx) {
                    Poll::Ready(frame) => writing.push(&mut self.out, frame, body.is_end_stream())?,
                    Poll::Pending if self.out.is_empty() => {
                        return self
                            .link
                            .poll_gone(cx)
                            .map(|()| Err(io::ErrorKind::ConnectionAborted.into()));
                    }
                    Poll::Pending => {}
                }
            }
            match self.link.poll_write(&mut self.out, cx) {
                Poll::Ready(written) => written?,
                Poll::Pending => {
                    if self.out.progress() != writing.progress {
                        writing.progress = self.out.progress();
                        self.watch.moved();
                    }
                    ready!(self.poll_stall(cx));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
            self.watch.moved();
            writing.progress = 0;
            if writing.ended {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Ready when the next head is not waited for any more.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while ready!(self.watch.poll(self.limits.read, cx)) == Look::Quiet {
            // An idle connection keeps no buffers.
            self.link.rest();
            self.out.release();
        }
        Poll::Ready(())
    }

    /// Ready when the client has taken nothing for too long.
    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while ready!(self.watch.poll(self.limits.write, cx)) == Look::Quiet {}
        Poll::Ready(())
    }

    /// Closes the connection, and hears the client out for so long.
    async fn close(self, linger: Duration) {
        let Some((mut stream, _)) = self.link.take() else { return };
        let closing = async {
            stream.shutdown().await?;
            let mut ignored = [0; 4096];
            let mut read = 0;
            while !linger.is_zero() && read < LINGER_BYTES {
                match stream.read(&mut ignored).await? {
                    0 => break,
                    count => read += count,
                }
            }
            io::Result::Ok(())
        };
        // The answer is out: an error here is the client's way to end.
        let _ = tokio::time::timeout(LINGER, closing).await;
    }
}

/// An answer's body in the course of being written.
struct Writing {
    length: Length,
    /// What a body of known length still owes.
    left: u64,
    begun: bool,
    ended: bool,
    trailers: bool,
    /// What the kernel had taken of the present write at the last look.
    progress: u64,
}

type Polled = Option<Result<http_body::Frame<Bytes>, crate::body::BodyError>>;

impl Writing {
    /// Takes what the body gave; `last` when nothing comes after it.
    fn push(&mut self, out: &mut Outgoing, polled: Polled, last: bool) -> io::Result<()> {
        let mut trailers = None;
        match polled {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.push_data(out, data)?,
                Err(frame) => trailers = frame.into_trailers().ok().filter(|_| self.trailers),
            },
            Some(Err(error)) => return Err(io::Error::other(error)),
            None => self.ended = true,
        }
        self.ended |= last || trailers.is_some();
        if self.ended {
            match self.length {
                Length::Chunked if out.has_room() => encode_last_chunk(out.buffer(), trailers.as_ref()),
                // Behind a large piece of data: in a write of its own.
                Length::Chunked => self.ended = false,
                _ if self.left > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        }
        Ok(())
    }

    fn push_data(&mut self, out: &mut Outgoing, data: Bytes) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        match self.length {
            Length::Chunked => {
                encode_chunk(out.buffer(), data.len());
                out.push(data, b"\r\n");
            }
            Length::Exact(_) => {
                let left = self.left.checked_sub(data.len() as u64);
                self.left = left.ok_or(io::ErrorKind::InvalidData)?;
                out.push(data, b"");
            }
            Length::AsWritten | Length::UntilClose => out.push(data, b""),
        }
        Ok(())
    }
}

/// Whether an answer of this status may have a body at all (RFC 9110 section 6.4.1).
fn has_body(status: StatusCode) -> bool {
    !(status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED))
}

fn length(status: &StatusCode, headers: &HeaderMap, body: &Body, asked: &Asked) -> Length {
    let exact = body.size_hint().exact();
    if !has_body(*status) || (asked.head_only && headers.contains_key(header::CONTENT_LENGTH)) {
        return Length::AsWritten;
    }
    match exact {
        // How long the body would be is not known here.
        Some(0) if asked.head_only => Length::AsWritten,
        Some(bytes) => Length::Exact(bytes),
        None if asked.head_only => Length::AsWritten,
        None if asked.http_1_0 => Length::UntilClose,
        None => Length::Chunked,
    }
}

fn says_close(headers: &HeaderMap) -> bool {
    headers.get(header::CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}

#[cfg(test)]
mod tests;
