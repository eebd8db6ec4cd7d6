//! A guard between the client's socket and hyper's HTTP/1 server: ambiguous HTTP is refused, not repaired.
//!
//! [`Guarded`] wraps the socket (plain or TLS). It follows the framing of what it reads with [`rules::Follower`], in
//! place, in the very buffer that hyper gave; only a head that comes in pieces is copied, so that hyper never sees a
//! head before it is whole and in order.
//!
//! **How a refusal is answered.** hyper may still be writing the answer to an earlier, pipelined request, so the
//! guard must not write by itself. A bad *head* is replaced by a request of our own with a method that no client may
//! use; hyper hands it to the service in its turn, the service asks [`GuardHandle::refused`] and answers what that
//! says, with `Connection: close`. Behind it nothing is read any more. A bad *body* belongs to a request that the
//! service has already: reading the body fails, and [`breach_in`] finds the cause in that error.
//!
//! **Upgrades.** What follows a head with `Upgrade`, or a `CONNECT`, depends on the answer. The guard holds those
//! bytes back until the service tells the answer's status to [`GuardHandle::answered`]; after a `101` it gets out of
//! the way. HTTP/2, told by its preface, is passed through: its framing is not ambiguous in this way.
//!
//! **Writing.** The guard counts flushes ([`FlushWatch`]), so that a streaming body can learn that what it handed
//! out has left for the kernel.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

mod handle;
pub(super) mod rules;
#[cfg(test)]
mod tests;

pub(crate) use handle::GuardHandle;
use handle::{Mode, Shared};
pub(super) use rules::{Breach, HEAD_LIMIT};
use rules::{Follower, Stop};

/// What stands for a refused head on its way through hyper.
const REFUSED_HEAD: &[u8] = b"GATE-REFUSED * HTTP/1.1\r\nhost: -\r\n\r\n";
/// Bytes read at once when they do not go straight into hyper's buffer.
const PIECE: usize = 4 * 1024;
/// A smaller buffer than this is filled from the guard's own: reading a head in snippets would cost more.
const ROOMY: usize = 256;
/// Most bytes held back while it is undecided whose protocol they belong to.
const UNDECIDED_LIMIT: usize = 16 * 1024;
/// How long, and for how many bytes, a client is listened to after an answer that came before the end of its request:
/// closing a socket with unread input would make the client's kernel drop the answer (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_millis(500);
const LINGER_BYTES: usize = 256 * 1024;

/// The breach that made reading a request body fail, if it was one: looked for in the error and its causes.
pub(crate) fn breach_in<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Breach> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(breach) = error.downcast_ref::<Breach>() {
            return Some(breach);
        }
        // An I/O error's `source` skips the error that it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// Which protocol a connection opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// A client's byte stream whose HTTP/1 request framing is followed. See the module's text.
#[derive(Debug)]
pub struct Guarded<S> {
    inner: S,
    shared: Arc<Shared>,
    follower: Follower,
    held: Held,
    /// Set at the first breach: no byte behind it is read as a request.
    ended: Option<Ended>,
    /// Whether something was written since the last flush.
    dirty: bool,
    /// Whether the last write had to wait.
    stalled: bool,
    linger: Option<Linger>,
}

#[derive(Debug, Clone, Copy)]
enum Ended {
    InHead,
    InBody(io::ErrorKind, Breach),
}

#[derive(Debug)]
struct Linger {
    until: Pin<Box<Sleep>>,
    read: usize,
}

/// Bytes read from the socket and not yet handed on.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// Handed on up to here.
    taken: usize,
    /// May be handed on up to here.
    ready: usize,
}

impl Held {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn waiting(&self) -> &[u8] {
        &self.bytes[self.ready..]
    }

    fn has_ready(&self) -> bool {
        self.taken < self.ready
    }

    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let length = (self.ready - self.taken).min(buffer.remaining());
        buffer.put_slice(&self.bytes[self.taken..self.taken + length]);
        self.taken += length;
        if self.taken == self.bytes.len() {
            // An idle connection keeps no buffer.
            *self = Self::default();
        } else if self.taken == self.ready {
            self.bytes.drain(..self.taken);
            (self.taken, self.ready) = (0, 0);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guarded<S> {
    /// Guards `inner`, whose heads may be `head_limit` bytes long ([`HEAD_LIMIT`] is the default to pass).
    pub fn new(inner: S, head_limit: usize) -> Self {
        Self {
            inner,
            shared: Arc::default(),
            follower: Follower::new(head_limit),
            held: Held::default(),
            ended: None,
            dirty: false,
            stalled: false,
            linger: None,
        }
    }

    /// The service's view of this guard.
    pub fn handle(&self) -> GuardHandle {
        GuardHandle::new(Arc::clone(&self.shared))
    }

    /// The guarded stream itself.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Reads until it is clear which protocol the client speaks; what was read stays to be read. A client that says
    /// nothing, or goes away, counts as HTTP/1. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of reading the socket.
    pub async fn opening(&mut self) -> io::Result<Opening> {
        std::future::poll_fn(|cx| {
            loop {
                if self.shared.mode() == Mode::PassThrough {
                    return Poll::Ready(Ok(Opening::Http2));
                }
                let could_be_http2 = self.held.is_empty() || rules::may_open_http2(self.held.waiting());
                if self.held.has_ready() || self.ended.is_some() || !could_be_http2 {
                    return Poll::Ready(Ok(Opening::Http1));
                }
                if ready!(self.poll_piece(cx))? == 0 {
                    return Poll::Ready(Ok(Opening::Http1));
                }
                self.follow_held();
            }
        })
        .await
    }

    fn note_stall(&mut self, stalled: bool) {
        if stalled != self.stalled {
            self.stalled = stalled;
            *self.shared.stalled.lock() = stalled.then(Instant::now);
        }
    }

    /// Reads into the held bytes.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut piece = [0; PIECE];
        let mut buffer = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buffer))?;
        let read = buffer.filled();
        self.held.bytes.extend_from_slice(read);
        Poll::Ready(Ok(read.len()))
    }

    fn follow_held(&mut self) {
        match self.shared.mode() {
            Mode::PassThrough => self.held.ready = self.held.bytes.len(),
            Mode::Undecided => {}
            Mode::Follow => {
                let verdict = self.follower.follow(self.held.waiting());
                self.held.ready += verdict.release;
                self.stop_for(verdict.stop);
            }
        }
    }

    fn stop_for(&mut self, stop: Stop) {
        match stop {
            Stop::Hungry => {}
            Stop::Http2 => self.shared.pass_through(),
            Stop::Undecided { connect } => self.shared.undecided(self.follower.heads(), connect),
            Stop::RefusedHead(breach) => self.refuse_head(breach),
            Stop::RefusedBody(breach) => {
                self.held.bytes.truncate(self.held.ready);
                self.break_body(io::ErrorKind::InvalidData, breach);
            }
        }
    }

    fn break_body(&mut self, kind: io::ErrorKind, breach: Breach) {
        self.shared.broken(self.follower.heads());
        self.ended = Some(Ended::InBody(kind, breach));
    }

    fn refuse_head(&mut self, breach: Breach) {
        self.shared.refuse(breach);
        self.held.bytes.truncate(self.held.ready);
        self.held.bytes.extend_from_slice(REFUSED_HEAD);
        self.held.ready = self.held.bytes.len();
        self.ended = Some(Ended::InHead);
    }

    /// The client has ended its side. Gives whether hyper is to be told so: true, unless a refusal comes of it.
    fn end_of_input(&mut self) -> bool {
        if self.shared.mode() != Mode::Follow {
            return true;
        }
        let Some(breach) = self.follower.end(self.held.waiting().len()) else { return true };
        if self.follower.in_body() {
            self.break_body(io::ErrorKind::UnexpectedEof, breach);
        } else {
            self.refuse_head(breach);
        }
        false
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.held.has_ready() {
                this.held.give(buffer);
                return Poll::Ready(Ok(()));
            }
            match this.ended {
                None => {}
                // The refusal is on its way through hyper; whatever else the client sends is not for us.
                Some(Ended::InHead) => return Poll::Pending,
                Some(Ended::InBody(kind, breach)) => return Poll::Ready(Err(io::Error::new(kind, breach))),
            }
            let mode = this.shared.mode();
            if mode == Mode::Undecided {
                this.shared.wake_when_decided(cx.waker());
                if this.shared.mode() == Mode::Undecided {
                    if this.held.waiting().len() >= UNDECIDED_LIMIT {
                        return Poll::Pending;
                    }
                    if ready!(this.poll_piece(cx))? == 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
                continue;
            }
            if !this.held.is_empty() {
                // Bytes from before a decision, or the start of a head.
                this.follow_held();
                if this.held.has_ready() || this.ended.is_some() || this.shared.mode() != mode {
                    continue;
                }
            } else if mode == Mode::PassThrough {
                return Pin::new(&mut this.inner).poll_read(cx, buffer);
            } else if buffer.remaining() >= ROOMY {
                ready!(this.poll_in_place(cx, buffer))?;
                return Poll::Ready(Ok(()));
            }
            if ready!(this.poll_piece(cx))? == 0 && this.end_of_input() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guarded<S> {
    /// Reads into `buffer` and follows the bytes there. Ready with nothing read means that the client has ended.
    fn poll_in_place(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        let read = &buffer.filled()[before..];
        if read.is_empty() {
            if self.end_of_input() {
                return Poll::Ready(Ok(()));
            }
        } else {
            let verdict = self.follower.follow(read);
            if verdict.release < read.len() {
                self.held.bytes.extend_from_slice(&read[verdict.release..]);
                buffer.set_filled(before + verdict.release);
            }
            self.stop_for(verdict.stop);
            if verdict.release > 0 {
                return Poll::Ready(Ok(()));
            }
        }
        Pin::new(self).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.dirty = true;
        let written = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.note_stall(written.is_pending());
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.dirty = true;
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, slices);
        this.note_stall(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
        if std::mem::take(&mut this.dirty) {
            this.shared.flushes.bump();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            let unread = this.ended.is_some() || this.follower.in_body();
            if !unread || this.shared.mode() == Mode::PassThrough {
                return Poll::Ready(Ok(()));
            }
        }
        let linger = this
            .linger
            .get_or_insert_with(|| Linger { until: Box::pin(tokio::time::sleep(LINGER)), read: 0 });
        let mut piece = [0; PIECE];
        while linger.read < LINGER_BYTES && linger.until.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut piece);
            // The answer is out: an error here is the client's way to end.
            if ready!(Pin::new(&mut this.inner).poll_read(cx, &mut buffer)).is_err() {
                break;
            }
            match buffer.filled().len() {
                0 => break,
                read => linger.read += read,
            }
        }
        Poll::Ready(Ok(()))
    }
}
