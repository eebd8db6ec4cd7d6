//! Bytes on their way into a socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// Up to here data is copied behind its head: one plain write of a small buffer costs the kernel less than a gathered
/// one of two. Larger data is written from where it is.
const SMALL: usize = 4096;
/// A buffer that once held more than this is not kept for the next message.
const KEPT: usize = 16 * 1024;

/// What is still to be written: small things gathered in one buffer, then at most one large piece of data, then its
/// end.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    small: Vec<u8>,
    taken: usize,
    large: Bytes,
    end: &'static [u8],
    progress: u64,
}

impl Outgoing {
    /// Whether everything is with the kernel.
    pub(crate) fn is_empty(&self) -> bool {
        self.taken == self.small.len() && self.large.is_empty() && self.end.is_empty()
    }

    /// Whether more may be added before the next write.
    pub(crate) fn has_room(&self) -> bool {
        self.large.is_empty() && self.end.is_empty() && self.small.len() < SMALL
    }

    /// To append heads and the like, while there is room.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.large.is_empty(), "what is appended would overtake the data before it");
        &mut self.small
    }

    /// Appends data and what ends it, while there is room.
    pub(crate) fn push(&mut self, data: Bytes, end: &'static [u8]) {
        debug_assert!(self.large.is_empty(), "only one large piece at a time");
        if self.small.len() + data.len() + end.len() <= SMALL {
            self.small.extend_from_slice(&data);
            self.small.extend_from_slice(end);
        } else {
            self.large = data;
            self.end = end;
        }
    }

    /// Bytes that the kernel took, since everything was written the last time.
    pub(crate) fn progress(&self) -> u64 {
        self.progress
    }

    /// Forgets what was not written.
    pub(crate) fn clear(&mut self) {
        self.large = Bytes::new();
        self.end = &[];
        (self.taken, self.progress) = (0, 0);
        if self.small.capacity() > KEPT {
            self.small = Vec::new();
        } else {
            self.small.clear();
        }
    }

    /// Gives the memory back.
    pub(crate) fn release(&mut self) {
        self.clear();
        self.small = Vec::new();
    }

    /// Writes until all is with the kernel (over TLS: encrypted and written).
    pub(crate) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let small = &self.small[self.taken..];
            let written = if self.large.is_empty() && self.end.is_empty() {
                ready!(Pin::new(&mut *stream).poll_write(cx, small))?
            } else {
                let slices = [IoSlice::new(small), IoSlice::new(&self.large), IoSlice::new(self.end)];
                ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &slices))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        self.clear();
        Pin::new(stream).poll_flush(cx)
    }

    fn advance(&mut self, mut written: usize) {
        self.progress += written as u64;
        let of_small = written.min(self.small.len() - self.taken);
        self.taken += of_small;
        written -= of_small;
        let of_large = written.min(self.large.len());
        self.large.advance(of_large);
        self.end = &self.end[(written - of_large).min(self.end.len())..];
    }
}
