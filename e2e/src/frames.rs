//! WebSocket frames as bytes: what a client may send, and what it must not.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{raw_socket, soon};

/// What a frame begins with where it is the last of its message.
pub const FIN: u8 = 0x80;
/// Opcodes.
pub const CONTINUATION: u8 = 0;
/// A text.
pub const TEXT: u8 = 1;
/// Bytes.
pub const BINARY: u8 = 2;
/// The end.
pub const CLOSE: u8 = 8;
/// A question whether the other side lives.
pub const PING: u8 = 9;
/// The answer.
pub const PONG: u8 = 10;

/// An open WebSocket, as bytes.
#[derive(Debug)]
pub struct Frames {
    socket: TcpStream,
    read: Vec<u8>,
}

/// A frame of a client: its first byte (flags and opcode) and its payload, masked as it has to be.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..65536 => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The payload of a close frame.
pub fn closing(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason].concat()
}

impl Frames {
    /// Opens one.
    pub async fn open(port: u16, path: &str) -> Self {
        let mut socket = raw_socket(port).await;
        let handshake = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        socket.write_all(handshake.as_bytes()).await.unwrap();
        let mut frames = Self { socket, read: Vec::new() };
        let end = loop {
            if let Some(end) = frames.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(frames.more().await, "the handshake is answered");
        };
        let head = String::from_utf8_lossy(&frames.read[..end]).into_owned();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        frames.read.drain(..end);
        frames
    }

    /// Sends bytes; that the other side has left already is no fault here.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes).await;
    }

    /// The next frame: its first byte and its payload; `None` at the end of the connection.
    pub async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        soon("a frame", async {
            loop {
                if let Some(frame) = self.take() {
                    return Some(frame);
                }
                if !self.more().await {
                    return None;
                }
            }
        })
        .await
    }

    fn take(&mut self) -> Option<(u8, Vec<u8>)> {
        let [first, length] = *self.read.first_chunk()?;
        assert!(length < 0x80, "servers do not mask");
        let (start, length) = match length {
            126 => (4, usize::from(u16::from_be_bytes(*self.read.get(2..)?.first_chunk()?))),
            127 => (10, usize::try_from(u64::from_be_bytes(*self.read.get(2..)?.first_chunk()?)).unwrap()),
            length => (2, usize::from(length)),
        };
        let payload = self.read.get(start..start + length)?.to_vec();
        self.read.drain(..start + length);
        Some((first, payload))
    }

    async fn more(&mut self) -> bool {
        let mut buffer = vec![0; 64 << 10];
        match self.socket.read(&mut buffer).await {
            Ok(0) | Err(_) => false,
            Ok(length) => {
                self.read.extend(&buffer[..length]);
                true
            }
        }
    }
}
