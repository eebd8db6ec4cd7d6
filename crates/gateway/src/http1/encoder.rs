//! Heads and bodies as they are written.

use std::cell::RefCell;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName};
use http::{Method, StatusCode};

use super::response::Reason;

/// How the end of a body is told in its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// By what the head's own fields say: nothing is sent behind it.
    AsWritten,
    /// It has so many bytes.
    Exact(u64),
    /// It comes in chunks.
    Chunked,
    /// It ends where the connection does.
    UntilClose,
}

/// What a response says about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// It stays, as HTTP/1.1 has it.
    Default,
    /// It stays, which HTTP/1.0 must be told.
    KeepAlive,
    /// It is closed.
    Close,
}

/// Appends the head of a request.
pub(crate) fn encode_request(
    out: &mut Vec<u8>,
    method: &Method,
    target: &str,
    headers: &HeaderMap,
    length: Length,
) {
    for part in [method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    encode_fields(out, headers, |name| length != Length::AsWritten && *name == header::CONTENT_LENGTH);
    encode_length(out, length);
    out.extend_from_slice(b"\r\n");
}

/// Appends the head of a response.
pub(crate) fn encode_response(
    out: &mut Vec<u8>,
    status: StatusCode,
    reason: Option<&Reason>,
    headers: &HeaderMap,
    length: Length,
    persistence: Persistence,
) {
    encode_status(out, status, reason);
    let framed = length != Length::AsWritten;
    encode_fields(out, headers, |name| {
        *name == header::TRANSFER_ENCODING
            || (framed && *name == header::CONTENT_LENGTH)
            || (persistence != Persistence::Default && *name == header::CONNECTION)
    });
    encode_length(out, length);
    match persistence {
        Persistence::Default => {}
        Persistence::KeepAlive => out.extend_from_slice(b"connection: keep-alive\r\n"),
        Persistence::Close => out.extend_from_slice(b"connection: close\r\n"),
    }
    if !headers.contains_key(header::DATE) {
        encode_date(out);
    }
    out.extend_from_slice(b"\r\n");
}

/// The head of a response whose connection leaves HTTP with it: nothing is added to its fields.
pub(crate) fn last_head(status: StatusCode, headers: &HeaderMap) -> Bytes {
    let mut out = Vec::with_capacity(256);
    encode_status(&mut out, status, None);
    encode_fields(&mut out, headers, |_| false);
    out.extend_from_slice(b"\r\n");
    out.into()
}

fn encode_status(out: &mut Vec<u8>, status: StatusCode, reason: Option<&Reason>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(match reason {
        Some(reason) => reason.as_bytes(),
        None => status.canonical_reason().unwrap_or_default().as_bytes(),
    });
    out.extend_from_slice(b"\r\n");
}

fn encode_fields(out: &mut Vec<u8>, headers: &HeaderMap, skip: impl Fn(&HeaderName) -> bool) {
    for (name, value) in headers {
        if skip(name) {
            continue;
        }
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

fn encode_length(out: &mut Vec<u8>, length: Length) {
    match length {
        Length::Exact(bytes) => {
            out.extend_from_slice(b"content-length: ");
            // Writing to memory cannot fail.
            let _ = write!(out, "{bytes}\r\n");
        }
        Length::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Length::AsWritten | Length::UntilClose => {}
    }
}

/// Appends what stands before the data of a chunk; behind the data comes CR LF.
pub(crate) fn encode_chunk(out: &mut Vec<u8>, length: usize) {
    let _ = write!(out, "{length:x}\r\n");
}

/// Appends the end of a chunked body, with its trailers.
pub(crate) fn encode_last_chunk(out: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    out.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        encode_fields(out, trailers, |_| false);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the time, made anew once a second.
fn encode_date(out: &mut Vec<u8>) {
    thread_local!(static LINE: RefCell<(u64, Vec<u8>)> = const { RefCell::new((0, Vec::new())) });
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    LINE.with_borrow_mut(|(made_in, line)| {
        if *made_in != second || line.is_empty() {
            *made_in = second;
            line.clear();
            let _ = write!(line, "date: {}\r\n", httpdate::HttpDate::from(now));
        }
        out.extend_from_slice(line);
    });
}
