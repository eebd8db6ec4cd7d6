//! A proxy between the gate and upstreams.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// An HTTP proxy that wants the user `u` with the password `p`; it ends when dropped.
#[derive(Debug)]
pub struct HttpProxy {
    port: u16,
    counts: Arc<Counts>,
    server: AbortHandle,
}

#[derive(Debug, Default)]
struct Counts {
    tunnels: AtomicUsize,
    handed_on: AtomicUsize,
}

impl HttpProxy {
    /// Starts one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let counts: Arc<Counts> = Arc::default();
        let counted = Arc::clone(&counts);
        let server = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let counts = Arc::clone(&counted);
                tokio::spawn(async move { serve(near, &counts).await });
            }
        });
        Self { port, counts, server: server.abort_handle() }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How often it was asked for a way through, and gave it.
    pub fn tunnels(&self) -> usize {
        self.counts.tunnels.load(Ordering::SeqCst)
    }

    /// How many requests it handed on.
    pub fn handed_on(&self) -> usize {
        self.counts.handed_on.load(Ordering::SeqCst)
    }
}

impl Drop for HttpProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(mut near: TcpStream, counts: &Counts) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = near.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    if !head.to_lowercase().contains("proxy-authorization: basic dtpw\r\n") {
        let _ = near.write_all(b"HTTP/1.1 407 no\r\nContent-Length: 0\r\n\r\n").await;
        return;
    }
    let target = head.split(' ').nth(1).unwrap().to_owned();
    let mut far;
    if head.starts_with("CONNECT ") {
        counts.tunnels.fetch_add(1, Ordering::SeqCst);
        far = TcpStream::connect(target).await.unwrap();
        near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    } else {
        counts.handed_on.fetch_add(1, Ordering::SeqCst);
        let rest = target.strip_prefix("http://").unwrap();
        let (authority, path) = rest.split_at(rest.find('/').unwrap());
        far = TcpStream::connect(authority).await.unwrap();
        let head = head.replacen(&target, path, 1).replacen("\r\n", "\r\nConnection: close\r\n", 1);
        far.write_all(head.as_bytes()).await.unwrap();
    }
    let _ = copy_bidirectional(&mut near, &mut far).await;
}
