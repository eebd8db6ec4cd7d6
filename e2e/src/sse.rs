//! A reader of Server-Sent Events over bare TCP, so that every byte is seen when it arrives.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::{raw_socket, soon};

/// An open event stream.
#[derive(Debug)]
pub struct Sse {
    lines: BufReader<TcpStream>,
    /// Status of the answer.
    pub status: u16,
    /// Its head, line by line.
    pub head: Vec<String>,
}

impl Sse {
    /// Asks for an event stream; `fields` are header lines.
    pub async fn open(port: u16, path: &str, fields: &[&str]) -> Self {
        let mut socket = raw_socket(port).await;
        let mut request =
            format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n");
        for field in fields {
            request.push_str(field);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut sse = Self { lines: BufReader::new(socket), status: 0, head: Vec::new() };
        loop {
            let line = sse.line().await.expect("the answer has a head");
            if line.is_empty() {
                break;
            }
            sse.head.push(line);
        }
        sse.status = sse.head[0].split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        sse
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let read =
            soon("a line of the event stream", self.lines.read_until(b'\n', &mut line)).await.unwrap_or(0);
        (read > 0).then(|| String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }

    /// The next line that belongs to the stream itself; chunk sizes are left out. `None` at its end.
    pub async fn next_line(&mut self) -> Option<String> {
        loop {
            let line = self.line().await?;
            let is_chunk_size = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !is_chunk_size {
                return Some(line);
            }
        }
    }

    /// The data of the next event; comments and empty lines are skipped. `None` at the end.
    pub async fn next_data(&mut self) -> Option<String> {
        loop {
            if let Some(data) = self.next_line().await?.strip_prefix("data:") {
                return Some(data.trim_start().to_owned());
            }
        }
    }
}
