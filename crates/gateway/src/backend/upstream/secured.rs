//! TLS to an upstream, or to the proxy before it, or to both.

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

/// TLS over TCP, or, to an upstream through a proxy that is itself spoken to over TLS, TLS over that.
pub(crate) type Secured = Either<TlsStream<TcpStream>, Box<TlsStream<TlsStream<TcpStream>>>>;

/// The protocol that was agreed on by ALPN with the server at the far end.
pub(super) fn agreed(stream: &Secured) -> Option<&[u8]> {
    match stream {
        Either::Left(stream) => stream.get_ref().1.alpn_protocol(),
        Either::Right(stream) => stream.get_ref().1.alpn_protocol(),
    }
}
