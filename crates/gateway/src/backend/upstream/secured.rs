//! TLS to an upstream, or to the proxy before it, or to both.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// TLS over TCP, or TLS over that.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a socket boxes it whole, and the large one is nearly all there are"
)]
pub(crate) enum Secured {
    Once(TlsStream<TcpStream>),
    /// To an upstream through a proxy that is itself spoken to over TLS.
    Twice(Box<TlsStream<TlsStream<TcpStream>>>),
}

impl Secured {
    /// The protocol that was agreed on by ALPN with the server at the far end.
    pub(super) fn agreed(&self) -> Option<&[u8]> {
        match self {
            Self::Once(stream) => stream.get_ref().1.alpn_protocol(),
            Self::Twice(stream) => stream.get_ref().1.alpn_protocol(),
        }
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Once(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Twice(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Secured {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Once(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Twice(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Once(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Twice(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Once(stream) => stream.is_write_vectored(),
            Self::Twice(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Once(stream) => Pin::new(stream).poll_flush(cx),
            Self::Twice(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Once(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Twice(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
