//! HTTP/2 as frames, made of bytes: what a client may send, and what it must not.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{raw_socket, soon};

/// What a client begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113, section 6).
pub const DATA: u8 = 0;
/// Header fields.
pub const HEADERS: u8 = 1;
/// Ranks, which nobody heeds any more.
pub const PRIORITY: u8 = 2;
/// The end of a stream.
pub const RST_STREAM: u8 = 3;
/// Settings.
pub const SETTINGS: u8 = 4;
/// A promise.
pub const PUSH_PROMISE: u8 = 5;
/// A question whether the other side lives.
pub const PING: u8 = 6;
/// The end of a connection.
pub const GOAWAY: u8 = 7;
/// Room for more.
pub const WINDOW_UPDATE: u8 = 8;
/// The rest of header fields.
pub const CONTINUATION: u8 = 9;

/// The last frame of a stream; of settings and pings, an answer.
pub const END_STREAM: u8 = 1;
/// The same bit, of settings and pings.
pub const ACK: u8 = 1;
/// The last frame of header fields.
pub const END_HEADERS: u8 = 4;
/// The payload is padded.
pub const PADDED: u8 = 8;

/// A rank stands before the header fields.
pub const PRIORITIZED: u8 = 0x20;

/// Reasons (RFC 9113, section 7).
pub const PROTOCOL_ERROR: u32 = 1;
/// Windows.
pub const FLOW_CONTROL_ERROR: u32 = 3;
/// A frame for a stream that has ended.
pub const STREAM_CLOSED: u32 = 5;
/// The length of a frame.
pub const FRAME_SIZE_ERROR: u32 = 6;
/// A stream that nobody has looked at.
pub const REFUSED_STREAM: u32 = 7;
/// Header fields that cannot be read.
pub const COMPRESSION_ERROR: u32 = 9;

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// What is in it.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code of an end.
    pub fn code(&self) -> Option<u32> {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            _ => return None,
        };
        Some(u32::from_be_bytes(*self.payload.get(at..)?.first_chunk()?))
    }
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Header fields, each in full.
pub fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        assert!(text.len() < 127);
        [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
    };
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// One setting.
pub fn setting(name: u16, value: u32) -> Vec<u8> {
    [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// A connection of frames.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// Opens one and says hello: preface and settings.
    pub async fn open(port: u16) -> Self {
        let mut connection = Self::silent(port).await;
        connection.send(PREFACE).await;
        connection.send(&frame(SETTINGS, 0, 0, &[])).await;
        connection
    }

    /// Opens one and says nothing.
    pub async fn silent(port: u16) -> Self {
        Self { socket: raw_socket(port).await, read: Vec::new() }
    }

    /// Sends bytes; that the other side has left already is no fault here.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes).await;
    }

    /// The next frame, whatever it is; `None` at the end of the connection. Settings are answered.
    pub async fn next(&mut self) -> Option<Frame> {
        let frame = soon("a frame of HTTP/2", self.frame()).await?;
        if frame.kind == SETTINGS && frame.flags & ACK == 0 {
            self.send(&self::frame(SETTINGS, ACK, 0, &[])).await;
        }
        Some(frame)
    }

    async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(head) = self.read.first_chunk::<9>().copied() {
                let length = usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).unwrap();
                if self.read.len() >= 9 + length {
                    let payload = self.read[9..9 + length].to_vec();
                    self.read.drain(..9 + length);
                    let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
                    return Some(Frame { kind: head[3], flags: head[4], stream, payload });
                }
            }
            let mut buffer = vec![0; 16 << 10];
            match self.socket.read(&mut buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(length) => self.read.extend(&buffer[..length]),
            }
        }
    }

    /// The next frame of this type on a stream.
    pub async fn expect(&mut self, kind: u8, stream: u32) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind && frame.stream == stream {
                return Some(frame);
            }
        }
    }
}
