//! Just enough HTTP/1.1: response heads for the load loops, and one blocking exchange for setting things up.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// No head that a bench meets is longer; a longer one is an error.
pub(crate) const MAX_HEAD: usize = 16 * 1024;

/// What a load loop must know of a response head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Bytes up to and with the empty line.
    pub(crate) length: usize,
    /// `Content-Length`, if there is one.
    pub(crate) body: Option<usize>,
    /// Whether the body comes in chunks.
    pub(crate) chunked: bool,
}

/// Reads the head at the start of `bytes`; `None` when it is not complete yet.
pub(crate) fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > MAX_HEAD { Err(invalid("response head is too long")) } else { Ok(None) };
    };
    let head = &bytes[..end];
    let status = head
        .get(9..12)
        .filter(|_| head.starts_with(b"HTTP/1.1 "))
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
        .ok_or_else(|| invalid("response does not start with an HTTP/1.1 status line"))?;
    let mut found = Head { status, length: end + 4, body: None, chunked: false };
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
            found.body = Some(length.ok_or_else(|| invalid("content-length is no number"))?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            found.chunked = value.eq_ignore_ascii_case(b"chunked");
        }
    }
    Ok(Some(found))
}

/// One exchange on a connection of its own (`Connection: close`): status and body.
pub(crate) fn exchange(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
    timeout: Duration,
) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.write_all(
        render(method, target, address, &[headers, &[("connection", "close")]].concat(), body).as_bytes(),
    )?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    let head = loop {
        if let Some(head) = parse_head(&answer)?
            && head.body.is_some_and(|length| answer.len() >= head.length + length)
        {
            break head;
        }
        match stream.read(&mut buffer)? {
            0 => break parse_head(&answer)?.ok_or_else(|| invalid("closed before the response head"))?,
            length => answer.extend_from_slice(&buffer[..length]),
        }
    };
    let mut body = Vec::new();
    if head.chunked {
        Chunks::default().feed(&answer[head.length..], &mut |bytes| body.extend_from_slice(bytes))?;
    } else {
        body.extend_from_slice(&answer[head.length..]);
    }
    Ok((head.status, String::from_utf8_lossy(&body).into_owned()))
}

/// One exchange on a connection that stays open; an error unless the answer is 200.
pub(crate) fn over(stream: &mut TcpStream, request: &[u8]) -> io::Result<()> {
    stream.write_all(request)?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(head) = parse_head(&answer)? {
            let body = head.body.ok_or_else(|| invalid("answer without content-length"))?;
            if answer.len() >= head.length + body {
                let text = || String::from_utf8_lossy(&answer[head.length..]);
                return if head.status == 200 {
                    Ok(())
                } else {
                    Err(invalid(format!("{}: {}", head.status, text())))
                };
            }
        }
        match stream.read(&mut buffer)? {
            0 => return Err(invalid("closed before the end of the answer")),
            length => answer.extend_from_slice(&buffer[..length]),
        }
    }
}

/// Takes the chunk framing off a body that comes piece by piece (RFC 9112 section 7.1).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Chunks {
    state: ChunkState,
    /// Bytes of the chunk that are still to come.
    left: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum ChunkState {
    #[default]
    Size,
    /// Behind the digits of the size line.
    Extension,
    Data,
    LineEnd,
    Finished,
}

impl Chunks {
    /// Hands the content in `bytes` to `content`; true when the last chunk was seen.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], content: &mut impl FnMut(&[u8])) -> io::Result<bool> {
        while let Some(&first) = bytes.first() {
            match self.state {
                ChunkState::Size => match char::from(first).to_digit(16) {
                    Some(digit) if self.left < 1 << 40 => self.left = self.left * 16 + digit as usize,
                    Some(_) => return Err(invalid("chunk is too long")),
                    None => self.state = ChunkState::Extension,
                },
                ChunkState::Extension if first == b'\n' => {
                    self.state = if self.left == 0 { ChunkState::Finished } else { ChunkState::Data };
                }
                ChunkState::Data => {
                    let (now, later) = bytes.split_at(self.left.min(bytes.len()));
                    content(now);
                    bytes = later;
                    self.left -= now.len();
                    if self.left == 0 {
                        self.state = ChunkState::LineEnd;
                    }
                    continue;
                }
                ChunkState::LineEnd if first == b'\n' => self.state = ChunkState::Size,
                ChunkState::Finished => return Ok(true),
                ChunkState::Extension | ChunkState::LineEnd => {}
            }
            bytes = &bytes[1..];
        }
        Ok(self.state == ChunkState::Finished)
    }
}

/// The bytes of a request; `content-length` is added when there is a body.
pub(crate) fn render(
    method: &str,
    target: &str,
    host: SocketAddr,
    headers: &[(&str, &str)],
    body: &str,
) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text
}

/// An error for bytes that are not what was agreed.
pub(crate) fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let full = b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 60\r\n\r\nbody";
        assert_eq!(
            parse_head(full).unwrap(),
            Some(Head { status: 200, length: full.len() - 4, body: Some(60), chunked: false })
        );
        let chunked = b"HTTP/1.1 429 Too Many\r\ntransfer-encoding: chunked\r\n\r\n";
        assert!(
            parse_head(chunked)
                .unwrap()
                .is_some_and(|head| head.status == 429 && head.chunked && head.body.is_none())
        );
        assert_eq!(parse_head(b"HTTP/1.1 200 OK\r\nX: y\r\n").unwrap(), None);
        assert!(parse_head(b"SSH-2.0-x\r\n\r\n").is_err());
        assert!(parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n").is_err());
        assert!(parse_head(&vec![b'a'; MAX_HEAD + 1]).is_err());
    }

    #[test]
    fn chunks_cut_anywhere() {
        let framed = b"5;x=1\r\nhello\r\n1\r\n \r\nA\r\nworld\r\n\r\n!\r\n0\r\n\r\n";
        for cut in 0..framed.len() {
            let (mut chunks, mut body) = (Chunks::default(), Vec::new());
            let first = chunks.feed(&framed[..cut], &mut |bytes| body.extend_from_slice(bytes)).unwrap();
            let last = chunks.feed(&framed[cut..], &mut |bytes| body.extend_from_slice(bytes)).unwrap();
            assert!(last || first, "cut at {cut}");
            assert_eq!(body, b"hello world\r\n\r\n!", "cut at {cut}");
        }
    }
}
