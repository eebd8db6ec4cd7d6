//! A client that keeps its connection, and sends what no proper client would.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Gate, raw_socket, soon};

/// A client's connection that stays open between requests.
#[derive(Debug)]
pub struct Client(pub TcpStream);

impl Client {
    /// Opens one.
    pub async fn connect(gate: &Gate) -> Self {
        Self(raw_socket(gate.port()).await)
    }

    /// Sends this as it is.
    pub async fn send(&mut self, request: &str) {
        self.0.write_all(request.as_bytes()).await.unwrap();
    }

    /// The head of the next answer; what of it came before the end of the connection.
    pub async fn head(&mut self) -> String {
        let mut text = Vec::new();
        soon("the head of an answer", async {
            while !text.ends_with(b"\r\n\r\n") {
                match self.0.read_u8().await {
                    Ok(byte) => text.push(byte),
                    Err(_) => break,
                }
            }
        })
        .await;
        String::from_utf8(text).unwrap()
    }

    /// The head of the next answer, and the body if `Content-Length` announces one.
    pub async fn answer(&mut self) -> (String, String) {
        let head = self.head().await;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let has_body = !["HTTP/1.1 204", "HTTP/1.1 304"].iter().any(|start| head.starts_with(start));
        let length = length.filter(|_| has_body).map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        soon("the body of an answer", self.0.read_exact(&mut body)).await.unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    /// Asks for a path.
    pub async fn get(&mut self, path: &str) -> (String, String) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: gate\r\n\r\n")).await;
        self.answer().await
    }

    /// Waits until the gate closes, and gives what it still said.
    pub async fn closed(&mut self) -> String {
        let mut rest = Vec::new();
        // However it closes.
        let _ = soon("the gate's closing", self.0.read_to_end(&mut rest)).await;
        String::from_utf8_lossy(&rest).into_owned()
    }
}
