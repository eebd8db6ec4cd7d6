//! One connection out of several addresses (RFC 8305, section 5): they are tried in turn, and one that does not answer
//! holds up the next for a moment only.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;

/// How long an address is ahead of the next one.
const AHEAD: Duration = Duration::from_millis(250);
/// Most addresses of one name that are tried.
const MOST: usize = 16;

/// The first connection that comes about; the others are given up.
///
/// # Errors
/// What the first address that failed said, when all of them have.
pub(super) async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut waiting = addresses.iter().take(MOST);
    let mut under_way = FuturesUnordered::new();
    let mut failure = None;
    loop {
        if let Some(address) = waiting.next() {
            under_way.push(TcpStream::connect(*address));
        }
        tokio::select! {
            tried = under_way.next() => match tried {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => {
                    failure.get_or_insert(error);
                }
                None => {
                    let none = || io::Error::new(io::ErrorKind::NotFound, "there is no address");
                    return Err(failure.unwrap_or_else(none));
                }
            },
            () = tokio::time::sleep(AHEAD), if waiting.len() > 0 => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn open() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    async fn closed() -> SocketAddr {
        open().await.1
    }

    #[tokio::test]
    async fn addresses_that_refuse_are_passed_over_whatever_their_family() {
        let (_listener, address) = open().await;
        let all = [closed().await, format!("[::1]:{}", closed().await.port()).parse().unwrap(), address];
        assert_eq!(connect(&all).await.unwrap().peer_addr().unwrap(), address);
        assert_eq!(connect(&all[..2]).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(connect(&[]).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    /// What listens there has its queue full, so that the kernel leaves further ones without an answer.
    #[tokio::test]
    async fn an_address_that_is_silent_holds_up_the_next_for_a_moment_only() {
        let silent = tokio::net::TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let silent = silent.listen(1).unwrap();
        let quiet = silent.local_addr().unwrap();
        let mut filling = Vec::new();
        while let Ok(Ok(stream)) =
            tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(quiet)).await
        {
            filling.push(stream);
            assert!(filling.len() < 1000, "the queue never fills");
        }
        let (_listener, address) = open().await;
        let reached = tokio::time::timeout(Duration::from_secs(10), connect(&[quiet, address])).await;
        assert_eq!(reached.unwrap().unwrap().peer_addr().unwrap(), address);
    }
}
