//! A chunked body (RFC 9112 section 7.1).

use bytes::{Buf, Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use memchr::memchr;

use super::text::{is_token, trim};
use super::{CHUNK_EXTENSION_LIMIT, HEAD_LIMIT, LINE_LIMIT};

/// Longest name among [`FORBIDDEN_TRAILERS`].
const NAME_LENGTH: usize = 17;
/// Fields that say where a message ends or goes cannot come after it (RFC 9110 section 6.5.1).
const FORBIDDEN_TRAILERS: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"host"];
/// More hexadecimal digits than a 64-bit size has.
const SIZE_DIGITS: u8 = 16;

#[derive(Debug, Default)]
pub(crate) struct Chunked {
    at: At,
    /// Whether white space behind a size is forgiven: servers in use send it, clients that do are refused.
    lenient: bool,
    trailers: Vec<u8>,
    trailer_lines: usize,
}

/// What the body goes on with.
#[derive(Debug)]
pub(super) enum Part {
    Data(Bytes),
    /// It is complete; these are its trailers.
    End(HeaderMap),
}

/// What the next byte belongs to.
#[derive(Debug)]
enum At {
    Size {
        digits: u8,
        size: u64,
    },
    Extension {
        size: u64,
        length: usize,
    },
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// The start of a trailer line, or of the empty line that ends the body.
    TrailerStart,
    TrailerName {
        name: [u8; NAME_LENGTH],
        length: usize,
    },
    TrailerValue,
    TrailerEnd,
    LastLf,
}

impl Default for At {
    fn default() -> Self {
        Self::Size { digits: 0, size: 0 }
    }
}

impl Chunked {
    pub(super) fn lenient() -> Self {
        Self { lenient: true, ..Self::default() }
    }

    /// Takes the next part out of `buffer`; `None` when more bytes are needed.
    pub(super) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Part>, &'static str> {
        let mut walked = 0;
        loop {
            if let At::Data { left } = &mut self.at {
                buffer.advance(walked);
                if buffer.is_empty() {
                    return Ok(None);
                }
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                *left -= taken as u64;
                if *left == 0 {
                    self.at = At::DataCr;
                }
                return Ok(Some(Part::Data(buffer.split_to(taken).freeze())));
            }
            let Some(byte) = buffer.get(walked) else {
                buffer.clear();
                return Ok(None);
            };
            let ended = self.step(*byte)?;
            walked += 1;
            if ended {
                buffer.advance(walked);
                return Ok(Some(Part::End(read_trailers(&self.trailers))));
            }
        }
    }

    /// Takes one byte that is not data; true when it was the body's last.
    fn step(&mut self, byte: u8) -> Result<bool, &'static str> {
        const SIZE: &str = "a chunk size is not a hexadecimal number that ends in CR LF";
        const EXTENSION: &str = "a chunk extension contains a control byte or a bare line end";
        const DATA_END: &str = "a chunk is longer than its size says";
        const TRAILER: &str = "a trailer line is malformed";
        if matches!(
            self.at,
            At::TrailerStart | At::TrailerName { .. } | At::TrailerValue | At::TrailerEnd | At::LastLf
        ) {
            if self.trailers.len() == HEAD_LIMIT {
                return Err("the trailers are too large");
            }
            self.trailers.push(byte);
        }
        self.at = match (&mut self.at, byte) {
            (At::Size { digits, size }, _) if byte.is_ascii_hexdigit() => {
                if *digits == SIZE_DIGITS || *size > (i64::MAX as u64) >> 4 {
                    return Err("a chunk size is too large");
                }
                let digit = match byte {
                    b'0'..=b'9' => byte - b'0',
                    _ => (byte | 0x20) - b'a' + 10,
                };
                At::Size { digits: *digits + 1, size: *size << 4 | u64::from(digit) }
            }
            (At::Size { digits: 0, .. }, _) => return Err(SIZE),
            (At::Size { size, .. }, b';') => At::Extension { size: *size, length: 1 },
            (At::Size { size, .. } | At::Extension { size, .. }, b'\r') => At::SizeEnd { size: *size },
            (At::Size { size, .. }, b' ' | b'\t') if self.lenient => At::Extension { size: *size, length: 1 },
            (At::Size { .. }, _) => return Err(SIZE),
            (At::Extension { .. }, 0..=8 | 10..=31 | 127) => return Err(EXTENSION),
            (At::Extension { size, length }, _) => {
                if *length == CHUNK_EXTENSION_LIMIT {
                    return Err("a chunk extension is longer than 256 bytes");
                }
                At::Extension { size: *size, length: *length + 1 }
            }
            (At::SizeEnd { size: 0 }, b'\n') => At::TrailerStart,
            (At::SizeEnd { size }, b'\n') => At::Data { left: *size },
            (At::SizeEnd { .. }, _) => return Err(SIZE),
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::default(),
            (At::DataCr | At::DataLf | At::Data { .. }, _) => return Err(DATA_END),
            (At::TrailerStart, b'\r') => At::LastLf,
            (At::LastLf, b'\n') => return Ok(true),
            (At::TrailerStart, _) if is_token(byte) => {
                self.trailer_lines += 1;
                if self.trailer_lines > LINE_LIMIT {
                    return Err("the request has more than 100 trailer lines");
                }
                let mut name = [0; NAME_LENGTH];
                name[0] = byte.to_ascii_lowercase();
                At::TrailerName { name, length: 1 }
            }
            (At::TrailerName { name, length }, b':') => {
                if FORBIDDEN_TRAILERS.iter().any(|forbidden| name.get(..*length) == Some(*forbidden)) {
                    return Err("a trailer may not be Content-Length, Transfer-Encoding or Host");
                }
                At::TrailerValue
            }
            (At::TrailerName { name, length }, _) if is_token(byte) => {
                if let Some(slot) = name.get_mut(*length) {
                    *slot = byte.to_ascii_lowercase();
                }
                At::TrailerName { name: *name, length: *length + 1 }
            }
            (At::TrailerValue, b'\r') => At::TrailerEnd,
            (At::TrailerValue, b'\t' | b' '..=126 | 128..) => At::TrailerValue,
            (At::TrailerEnd, b'\n') => At::TrailerStart,
            (
                At::TrailerStart | At::TrailerName { .. } | At::TrailerValue | At::TrailerEnd | At::LastLf,
                _,
            ) => {
                return Err(TRAILER);
            }
        };
        Ok(false)
    }
}

/// The fields of trailer lines that were found in order.
fn read_trailers(mut lines: &[u8]) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    while let Some(end) = memchr(b'\n', lines) {
        let line = &lines[..end];
        if let Some(colon) = memchr(b':', line)
            && let Ok(name) = HeaderName::from_bytes(&line[..colon])
            && let Ok(value) = HeaderValue::from_bytes(trim(line[colon + 1..].trim_ascii_end()))
        {
            trailers.append(name, value);
        }
        lines = &lines[end + 1..];
    }
    trailers
}
