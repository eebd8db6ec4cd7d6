//! Copies bytes both ways until both sides have ended, one breaks, or nothing has come for too long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};

use super::traffic::Traffic;

/// What went through one connection, and so through its API.
#[derive(Debug, Default)]
pub(super) struct Carried {
    pub(super) of_api: Arc<Traffic>,
    /// From the client.
    pub(super) from_near: AtomicU64,
    /// To the client.
    pub(super) from_far: AtomicU64,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Both sides had said all.
    Over,
    /// One side broke.
    Broken,
    /// Nothing came for too long.
    Idle,
}

/// Copies; `carried` tells at any time how far it is.
pub(super) async fn relay<A, B>(near: A, far: B, idle: Duration, carried: &Arc<Carried>) -> End
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let mut near = Counted {
        stream: near,
        count: |carried| [&carried.from_near, &carried.of_api.bytes_in],
        carried: Arc::clone(carried),
    };
    let mut far = Counted {
        stream: far,
        count: |carried| [&carried.from_far, &carried.of_api.bytes_out],
        carried: Arc::clone(carried),
    };
    let all = || carried.from_near.load(Ordering::Relaxed) + carried.from_far.load(Ordering::Relaxed);
    // It looks twice in the time: a connection on which nothing moves lives for one and a half of it at most.
    let quiet = async {
        let (mut before, mut looks) = (all(), 0);
        loop {
            tokio::time::sleep(idle / 2).await;
            let now = all();
            looks = if now == before { looks + 1 } else { 0 };
            if looks == 2 {
                return;
            }
            before = now;
        }
    };
    tokio::select! {
        copied = copy_bidirectional(&mut near, &mut far) => match copied {
            Ok(_) => End::Over,
            Err(error) => {
                tracing::debug!(%error, "a connection that was passed through broke");
                End::Broken
            }
        },
        () = quiet => End::Idle,
    }
}

/// A stream that counts what is read from it.
struct Counted<S> {
    stream: S,
    count: fn(&Carried) -> [&AtomicU64; 2],
    carried: Arc<Carried>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().len() - before;
        for count in (this.count)(&this.carried) {
            count.fetch_add(read as u64, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_side_may_end_first_and_silence_ends_both() {
        let (mut client, near) = duplex(64);
        let (far, mut server) = duplex(64);
        let carried = Arc::new(Carried::default());
        let task = {
            let carried = Arc::clone(&carried);
            tokio::spawn(async move { relay(near, far, Duration::from_secs(10), &carried).await })
        };
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut asked = String::new();
        server.read_to_string(&mut asked).await.unwrap();
        server.write_all(b"a long answer").await.unwrap();
        drop(server);
        let mut answered = String::new();
        client.read_to_string(&mut answered).await.unwrap();
        assert_eq!((asked.as_str(), answered.as_str()), ("question", "a long answer"));
        assert_eq!(task.await.unwrap(), End::Over);
        assert_eq!(carried.from_near.load(Ordering::Relaxed), 8);
        assert_eq!(carried.from_far.load(Ordering::Relaxed), 13);
        assert_eq!(carried.of_api.bytes_out.load(Ordering::Relaxed), 13);

        let ((_client, near), (far, _server)) = (duplex(64), duplex(64));
        let start = tokio::time::Instant::now();
        assert_eq!(relay(near, far, Duration::from_secs(10), &Arc::default()).await, End::Idle);
        assert_eq!(start.elapsed(), Duration::from_secs(10));
    }
}
