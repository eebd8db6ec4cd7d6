//! The client's end of an HTTP/1 connection, shared by the connection's task and the body that it is reading.
//!
//! A request body may be read by another task than the connection's: an HTTP/2 connection to an upstream asks for it
//! when it has room. So the socket and what was read from it stand behind a lock, which is held for single steps only
//! and which nobody else wants meanwhile. Whose turn it is to read is told by the decoder: while a body has not ended,
//! its reader's; else the connection's, which then notices when the client leaves.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use tokio_util::io::poll_read_buf;

use super::ClientStream;
use crate::body::BodyError;
use crate::http1::{Breach, Decoder, HEAD_LIMIT, Outgoing, Piece, RequestReader, RequestSpan};

/// Bytes that a read asks for. A body's reads grow to the larger figure while they are filled.
const READ: usize = 4 * 1024;
const LARGEST_READ: usize = 64 * 1024;
/// Most bytes read ahead of the requests that they belong to.
const READ_AHEAD: usize = 16 * 1024;

const GO_AHEAD: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
const HEAD_CUT_OFF: Breach = Breach::bad("the connection ended before the request head was complete");
const BODY_CUT_OFF: Breach = Breach::bad("the connection ended before the request body was complete");

/// The connection's handle.
#[derive(Debug)]
pub(super) struct Link(Arc<Mutex<Side>>);

#[derive(Debug)]
struct Side {
    /// Gone once the connection was taken over.
    stream: Option<ClientStream>,
    read: BytesMut,
    next_read: usize,
    /// The body of the request that is being served.
    body: Decoder,
    /// What is to be written of `100 Continue` before the body is read.
    go_ahead: &'static [u8],
    /// How the body broke, if it did: no byte behind it is read as a request.
    broken: Option<Breach>,
    /// Whether nobody will read the rest of the body.
    abandoned: bool,
    /// The connection's task, while it is not its turn to read.
    waiting: Option<Waker>,
}

/// What the wait for a head comes to.
#[derive(Debug)]
pub(super) enum Heard {
    /// A head that is in order, in its first so many bytes.
    Head(RequestSpan, Bytes),
    /// A head that is not.
    Refused(Breach),
    /// The client has ended between two requests.
    End,
}

impl Link {
    pub(super) fn new(stream: ClientStream, read: BytesMut) -> Self {
        Self(Arc::new(Mutex::new(Side {
            stream: Some(stream),
            read,
            next_read: READ,
            body: Decoder::Ended,
            go_ahead: &[],
            broken: None,
            abandoned: false,
            waiting: None,
        })))
    }

    /// Waits for the next request's head.
    pub(super) fn poll_head(
        &self,
        reader: &mut RequestReader,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Heard>> {
        let mut side = self.0.lock();
        loop {
            if !side.read.is_empty() {
                match reader.scan(&side.read, HEAD_LIMIT) {
                    Ok(Some(span)) => {
                        let head = side.read.split_to(span.length).freeze();
                        return Poll::Ready(Ok(Heard::Head(span, head)));
                    }
                    Ok(None) => {}
                    Err(breach) => return Poll::Ready(Ok(Heard::Refused(breach))),
                }
            }
            if ready!(side.poll_read(cx))? == 0 {
                let cut_off = !side.read.is_empty();
                return Poll::Ready(Ok(if cut_off { Heard::Refused(HEAD_CUT_OFF) } else { Heard::End }));
            }
        }
    }

    /// Whether nothing of a next request has come yet.
    pub(super) fn is_idle(&self) -> bool {
        self.0.lock().read.is_empty()
    }

    /// Gives the read buffer's memory back while nothing is in it.
    pub(super) fn rest(&self) {
        let mut side = self.0.lock();
        if side.read.is_empty() {
            side.read = BytesMut::new();
            side.next_read = READ;
        }
    }

    /// The body behind the head that was taken; `None` where there is none.
    pub(super) fn body(&self, span: RequestSpan) -> Option<ClientBody> {
        if span.body.has_ended() {
            return None;
        }
        let mut side = self.0.lock();
        side.body = span.body;
        side.abandoned = false;
        side.go_ahead = if span.expects_go_ahead && side.read.is_empty() { GO_AHEAD } else { &[] };
        Some(ClientBody(Arc::clone(&self.0)))
    }

    /// Ready when the client has left. What it sends ahead is kept, up to a bound.
    pub(super) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut side = self.0.lock();
        if !side.body.has_ended() {
            if !side.waiting.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                side.waiting = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        loop {
            if side.read.len() >= READ_AHEAD {
                return Poll::Pending;
            }
            match ready!(side.poll_read(cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }

    /// Writes until all is with the kernel.
    pub(super) fn poll_write(&self, out: &mut Outgoing, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        out.poll_write(self.0.lock().stream()?, cx)
    }

    /// Whether the request's body broke, or nobody will read the rest of it: whatever is answered, the connection ends.
    pub(super) fn is_spent(&self) -> bool {
        let mut side = self.0.lock();
        side.skip_abandoned();
        side.broken.is_some() || (side.abandoned && !side.body.has_ended())
    }

    /// Whether a next request can be read: the body of the one that was answered is at its end.
    pub(super) fn can_go_on(&self) -> bool {
        let mut side = self.0.lock();
        side.skip_abandoned();
        side.broken.is_none() && side.body.has_ended()
    }

    /// The bare socket, and what was read from it already; `None` when the client's end is gone.
    pub(super) fn take(&self) -> Option<(ClientStream, Bytes)> {
        let mut side = self.0.lock();
        let read = std::mem::take(&mut side.read).freeze();
        side.stream.take().map(|stream| (stream, read))
    }
}

impl Side {
    fn stream(&mut self) -> io::Result<&mut ClientStream> {
        self.stream.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Reads more; 0 when the client has ended its side.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Self { stream: Some(stream), read, next_read, .. } = self else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if read.capacity() - read.len() < READ / 4 {
            read.reserve(*next_read);
        }
        let room = read.capacity() - read.len();
        let count = ready!(poll_read_buf(Pin::new(stream), cx, read))?;
        *next_read = if count == room { (*next_read * 2).min(LARGEST_READ) } else { READ };
        Poll::Ready(Ok(count))
    }

    /// Tells the client that its body is wanted, when it waits for that.
    fn poll_go_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.go_ahead.is_empty() {
            let go_ahead = self.go_ahead;
            let written = ready!(Pin::new(self.stream()?).poll_write(cx, go_ahead))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.go_ahead = &go_ahead[written..];
            ready!(Pin::new(self.stream()?).poll_flush(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Skips what is at hand of a body that nobody will read.
    fn skip_abandoned(&mut self) {
        if self.abandoned && self.broken.is_none() {
            let Self { body, read, .. } = self;
            // What is wrong with it makes the connection end, and nobody is left to be told why.
            while let Ok(Some(Piece::Data(_) | Piece::Trailers(_))) = body.decode(read) {}
        }
    }

    fn break_off(&mut self, breach: Breach) -> BodyError {
        self.broken = Some(breach);
        self.wake();
        breach.into()
    }

    /// It is the connection's turn to read again.
    fn wake(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }
}

/// The body of a request, read from the client's connection as it is asked for.
#[derive(Debug)]
pub(crate) struct ClientBody(Arc<Mutex<Side>>);

impl ClientBody {
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut side = self.0.lock();
        if let Some(breach) = side.broken {
            return Poll::Ready(Some(Err(breach.into())));
        }
        loop {
            let Side { body, read, .. } = &mut *side;
            match body.decode(read) {
                Ok(None) => {}
                Ok(Some(piece)) => {
                    if side.body.has_ended() {
                        side.wake();
                    }
                    return Poll::Ready(match piece {
                        Piece::Data(data) => Some(Ok(Frame::data(data))),
                        Piece::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
                        Piece::End => None,
                    });
                }
                Err(message) => return Poll::Ready(Some(Err(side.break_off(Breach::bad(message))))),
            }
            let asked = ready!(side.poll_go_ahead(cx));
            let read = match asked {
                Ok(()) => ready!(side.poll_read(cx)),
                Err(error) => Err(error),
            };
            if matches!(read, Ok(0) | Err(_)) {
                return Poll::Ready(Some(Err(side.break_off(BODY_CUT_OFF))));
            }
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.0.lock().body.has_ended()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.0.lock().body.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        let mut side = self.0.lock();
        if !side.body.has_ended() {
            side.abandoned = true;
            side.wake();
        }
    }
}
