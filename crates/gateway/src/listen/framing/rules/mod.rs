//! The rules of HTTP/1 request framing, as a total state machine over the bytes that a client sends.
//!
//! hyper parses requests and, as a robust server does, repairs some that are ambiguous (two equal `Content-Length`, a
//! bare LF). Behind a gate every repair is a chance that the next server reads the same bytes differently: request
//! smuggling. So [`Follower`] walks over the same bytes first and lets through only what can be read in one way
//! (RFC 9112, strictly). It knows nothing of sockets: bytes in, verdict out, in linear time and constant space.

use std::fmt;

use http::StatusCode;

mod chunked;
mod head;

use chunked::Chunked;
use head::{Body, Head, Next};

/// Longest request line, CR LF excluded, in bytes. Beyond it: 414.
pub(crate) const REQUEST_LINE_LIMIT: usize = 8 * 1024;
/// Most header lines of one head, or trailer lines of one body. Beyond it: 431.
pub(crate) const LINE_LIMIT: usize = 100;
/// Longest chunk extension in bytes, from the `;` to the CR. Beyond it: 400.
pub(crate) const CHUNK_EXTENSION_LIMIT: usize = 256;
/// Default of the limit on the bytes of one head, request line and line ends included. Beyond it: 431.
pub(crate) const HEAD_LIMIT: usize = 64 * 1024;

/// What a client opens an HTTP/2 connection with when it knows that the server speaks it (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The method of the request that stands for a refused one; see [`super::Guarded`]. No client may use it.
pub(super) const REFUSED_METHOD: &str = "GATE-REFUSED";

/// A request that breaks the rules: the status to answer with, and what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breach {
    /// 400, 414, 431 or 505.
    pub status: StatusCode,
    /// What is wrong, for the client to read.
    pub message: &'static str,
}

impl Breach {
    const fn new(status: StatusCode, message: &'static str) -> Self {
        Self { status, message }
    }

    const fn bad(message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
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

/// What [`Follower::follow`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// How many of the given bytes are in order and may be handed on. Bytes behind them must be given again, at the
    /// start of the next call, together with what came in meanwhile.
    pub release: usize,
    /// Why the walk stopped.
    pub stop: Stop,
}

/// Why [`Follower::follow`] stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It saw every byte; those that it did not release are the start of a head.
    Hungry,
    /// A head asks for another protocol (`Upgrade`, or `CONNECT` when `connect`). What the bytes behind it are
    /// depends on the answer.
    Undecided {
        /// Whether the method is `CONNECT`, which any 2xx answer accepts.
        connect: bool,
    },
    /// The connection speaks HTTP/2: its bytes are not ours to follow.
    Http2,
    /// A head breaks the rules. Nothing of it was released.
    RefusedHead(Breach),
    /// A body breaks the rules; its head and its first bytes were released.
    RefusedBody(Breach),
}

/// Walks along one connection's request bytes.
#[derive(Debug)]
pub(crate) struct Follower {
    state: State,
    head_limit: usize,
    heads: u64,
}

#[derive(Debug)]
enum State {
    Head(Head),
    Sized(u64),
    Chunked(Chunked),
}

impl Follower {
    /// Starts at the beginning of a connection. `head_limit` bounds the bytes of one head ([`HEAD_LIMIT`]).
    pub(crate) fn new(head_limit: usize) -> Self {
        Self { state: State::Head(Head::default()), head_limit, heads: 0 }
    }

    /// How many heads were released so far.
    pub(crate) fn heads(&self) -> u64 {
        self.heads
    }

    /// Whether the bytes released so far end inside a body.
    pub(crate) fn in_body(&self) -> bool {
        !matches!(self.state, State::Head(_))
    }

    /// Walks over `bytes`: those that the call before did not release, and behind them what came in since.
    /// After a refusal, or when the connection is no longer HTTP/1, it must not be called again.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Verdict {
        let mut release = 0;
        let verdict = |release, stop| Verdict { release, stop };
        while release < bytes.len() {
            let rest = &bytes[release..];
            match &mut self.state {
                State::Head(head) => {
                    if self.heads == 0 && may_open_http2(rest) {
                        return match rest.len() < PREFACE.len() {
                            true => verdict(release, Stop::Hungry),
                            false => verdict(bytes.len(), Stop::Http2),
                        };
                    }
                    match head.scan(rest, self.head_limit) {
                        Ok(None) => return verdict(release, Stop::Hungry),
                        Err(breach) => return verdict(release, Stop::RefusedHead(breach)),
                        Ok(Some(Next { length, body, upgrade, connect })) => {
                            release += length;
                            self.heads += 1;
                            self.state = match body {
                                Body::None => State::Head(Head::default()),
                                Body::Sized(length) => State::Sized(length),
                                Body::Chunked => State::Chunked(Chunked::default()),
                            };
                            if upgrade || connect {
                                return verdict(release, Stop::Undecided { connect });
                            }
                        }
                    }
                }
                State::Sized(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    release += taken;
                    *left -= taken as u64;
                    if *left == 0 {
                        self.state = State::Head(Head::default());
                    }
                }
                State::Chunked(chunked) => match chunked.walk(rest, self.head_limit) {
                    Ok((walked, ended)) => {
                        release += walked;
                        if ended {
                            self.state = State::Head(Head::default());
                        }
                    }
                    Err((walked, breach)) => return verdict(release + walked, Stop::RefusedBody(breach)),
                },
            }
        }
        verdict(release, Stop::Hungry)
    }

    /// What to answer when the client ends its side here, with `held` bytes not released: nothing between messages.
    pub(crate) fn end(&self, held: usize) -> Option<Breach> {
        if self.in_body() {
            return Some(Breach::bad("the connection ended before the request body was complete"));
        }
        (held > 0).then_some(Breach::bad("the connection ended before the request head was complete"))
    }
}

/// Whether a connection that begins with `bytes` may turn out to be HTTP/2.
pub(super) fn may_open_http2(bytes: &[u8]) -> bool {
    bytes.iter().zip(PREFACE).all(|(byte, expected)| byte == expected)
}

/// Whether a byte may stand in a method or field name (`token`, RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            let letter = byte as u8;
            table[byte] = letter.is_ascii_alphanumeric()
                || matches!(
                    letter,
                    b'!' | b'#'
                        | b'$'
                        | b'%'
                        | b'&'
                        | b'\''
                        | b'*'
                        | b'+'
                        | b'-'
                        | b'.'
                        | b'^'
                        | b'_'
                        | b'`'
                        | b'|'
                        | b'~'
                );
            byte += 1;
        }
        table
    };
    TOKEN[usize::from(byte)]
}

/// Whether a control byte other than a tab is among `bytes`. Written so that the compiler uses vector instructions.
fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, &byte| found | ((byte < b' ') & (byte != b'\t')) | (byte == 0x7f))
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
