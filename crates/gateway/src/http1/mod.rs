//! HTTP/1 as bytes, for both sides of the gate: heads in and out, bodies in and out (RFC 9112).
//!
//! Everything here is told bytes and tells what they mean; sockets belong to `listen` and `backend::upstream`. What
//! clients send is read strictly: a robust server repairs some requests that are ambiguous (two equal
//! `Content-Length`, a bare LF), but behind a gate every repair is a chance that the next server reads the same bytes
//! differently: request smuggling. What upstreams send is read with the few liberties that servers in use need.

use std::fmt;

use http::StatusCode;

mod chunked;
mod decoder;
mod encoder;
mod outgoing;
mod request;
mod response;
#[cfg(test)]
pub(crate) mod tests;
mod text;

pub(crate) use decoder::{Decoder, Piece};
pub(crate) use encoder::{
    Length, Persistence, encode_chunk, encode_last_chunk, encode_request, encode_response, last_head,
};
pub(crate) use outgoing::Outgoing;
pub(crate) use request::{RequestReader, RequestSpan};
pub(crate) use response::{AnswerHead, MalformedAnswer, Reason, read_answer};

/// Longest request line, CR LF excluded, in bytes. Beyond it: 414.
const REQUEST_LINE_LIMIT: usize = 8 * 1024;
/// Most header lines of one head, or trailer lines of one body. Beyond it: 431.
const LINE_LIMIT: usize = 100;
/// Longest chunk extension in bytes, from the `;` to the CR. Beyond it: 400.
const CHUNK_EXTENSION_LIMIT: usize = 256;
/// Most bytes of a request's head, request line and line ends included, or of a body's trailers. Beyond it: 431.
pub(crate) const HEAD_LIMIT: usize = 64 * 1024;
/// Most bytes of the head of an upstream's answer.
pub(crate) const ANSWER_HEAD_LIMIT: usize = 256 * 1024;

/// What a client opens an HTTP/2 connection with when it knows that the server speaks it (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether a connection that begins with `bytes` may turn out to be HTTP/2.
pub(crate) fn may_open_http2(bytes: &[u8]) -> bool {
    bytes.iter().zip(PREFACE).all(|(byte, expected)| byte == expected)
}

/// Whether a connection that begins with `bytes` is HTTP/2.
pub(crate) fn opens_http2(bytes: &[u8]) -> bool {
    bytes.starts_with(PREFACE)
}

/// A request that breaks the rules: the status to answer with, and what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Breach {
    /// 400, 408, 414, 431 or 505.
    pub(crate) status: StatusCode,
    /// What is wrong, for the client to read.
    pub(crate) message: &'static str,
}

impl Breach {
    const fn new(status: StatusCode, message: &'static str) -> Self {
        Self { status, message }
    }

    pub(crate) const fn bad(message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) const fn late(message: &'static str) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, message)
    }

    const fn too_large(message: &'static str) -> Self {
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, message)
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message)
    }
}

impl std::error::Error for Breach {}
