//! An upstream made of bytes: it accepts connections, counts them, and lets the test say what happens on each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::AbortHandle;

/// An upstream on a port of its own. It ends when dropped.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    counts: Arc<Counts>,
    server: AbortHandle,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicUsize,
    open: AtomicUsize,
    requests: AtomicUsize,
}

impl Wire {
    /// Starts one that hands every connection to `talk`, and closes it when that has ended.
    pub async fn start<F, T>(talk: F) -> Self
    where
        F: Fn(Line) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        // Small buffers: what the other side sends waits there, not in this kernel.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 << 10).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let counted = Arc::clone(&counts);
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                counted.accepted.fetch_add(1, Ordering::SeqCst);
                counted.open.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(talk(Line { socket, read: Vec::new(), counts: Arc::clone(&counted) }));
            }
        });
        Self { address, counts, server: server.abort_handle() }
    }

    /// One that answers every request with the same bytes and keeps its connections.
    pub async fn answering(says: &'static [u8]) -> Self {
        Self::start(
            move |mut line| async move { while line.request().await.is_some() && line.say(says).await {} },
        )
        .await
    }

    /// A URL at this upstream.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections there have been.
    pub fn accepted(&self) -> usize {
        self.counts.accepted.load(Ordering::SeqCst)
    }

    /// How many connections there are.
    pub fn open(&self) -> usize {
        self.counts.open.load(Ordering::SeqCst)
    }

    /// How many whole request heads have been read.
    pub fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// One connection to a [`Wire`].
#[derive(Debug)]
pub struct Line {
    socket: TcpStream,
    read: Vec<u8>,
    counts: Arc<Counts>,
}

impl Line {
    /// Reads the next head, up to its empty line; what follows it stays to be read. `None` at the end.
    pub async fn head(&mut self) -> Option<String> {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if self.socket.read_buf(&mut self.read).await.unwrap_or(0) == 0 {
                return None;
            }
        };
        self.counts.requests.fetch_add(1, Ordering::SeqCst);
        Some(String::from_utf8(self.read.drain(..end).collect()).unwrap())
    }

    /// Reads a whole request with its body, if `Content-Length` announces one, and gives it as text.
    pub async fn request(&mut self) -> Option<String> {
        let head = self.head().await?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
        });
        let body = self.bytes(length.unwrap_or(0)).await?;
        Some(head + &String::from_utf8_lossy(&body))
    }

    /// Reads so many bytes. `None` when the other side ends before.
    pub async fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.read.len() < count {
            if self.socket.read_buf(&mut self.read).await.unwrap_or(0) == 0 {
                return None;
            }
        }
        Some(self.read.drain(..count).collect())
    }

    /// Writes; `false` once the other side has closed.
    pub async fn say(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).await.is_ok()
    }

    /// Reads until the other side closes.
    pub async fn closed(&mut self) {
        let mut rest = vec![0; 64 << 10];
        while self.socket.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::SeqCst);
    }
}
