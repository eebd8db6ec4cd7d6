//! How answers lie in a store that nodes share (contract 8.6): the answer as it goes over a connection, in base64, a bar, and
//! the Unix second at which it ends. Nodes of the original read what is written here, and the other way round. Depends on
//! nothing of the gate but `http1` and two small helpers, so that it can be fuzzed alone.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::fields::canonical;
use crate::hex::{hex, push_hex};
use crate::http1::{Decoder, Piece, read_answer};

/// One answer that is kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) status: StatusCode,
    /// Without what is of one connection or one caller.
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Until when it may be given, in Unix milliseconds.
    pub(super) expires: i64,
    /// By what of requests it varies; `None` where whoever kept it did not look.
    pub(super) varies: Option<[u8; 16]>,
}

/// What an answer varies by, where nobody else looks for it.
const VARIES: HeaderName = HeaderName::from_static("x-sluicegate-varies");

/// Fields of an answer that are of one connection or one caller, and those that say where it ends.
const OWN: [HeaderName; 13] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::TRAILER,
    header::TE,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
    HeaderName::from_static("x-tyk-cached-response"),
];

/// Takes off what is not to be kept of an answer to such a request.
pub(super) fn clean(headers: &mut HeaderMap, method: &Method) {
    for name in &OWN {
        headers.remove(name);
    }
    // The length of a body that is not sent is known from here alone.
    if *method != Method::HEAD {
        headers.remove(header::CONTENT_LENGTH);
    }
}

/// The text that is stored.
pub(super) fn encode(entry: &Entry, method: &Method) -> Vec<u8> {
    let mut wire = Vec::with_capacity(1024 + entry.body.len());
    wire.extend_from_slice(b"HTTP/1.1 ");
    wire.extend_from_slice(entry.status.as_str().as_bytes());
    wire.push(b' ');
    wire.extend_from_slice(entry.status.canonical_reason().unwrap_or_default().as_bytes());
    wire.extend_from_slice(b"\r\n");
    let mut field = |name: &str, value: &[u8]| {
        wire.extend_from_slice(name.as_bytes());
        wire.extend_from_slice(b": ");
        wire.extend_from_slice(value);
        wire.extend_from_slice(b"\r\n");
    };
    for (name, value) in &entry.headers {
        field(&canonical(name), value.as_bytes());
    }
    if let Some(digest) = entry.varies {
        field(&canonical(&VARIES), hex(&digest).as_bytes());
    }
    if *method != Method::HEAD {
        field("Content-Length", entry.body.len().to_string().as_bytes());
    }
    wire.extend_from_slice(b"\r\n");
    wire.extend_from_slice(&entry.body);
    // Rounded up: a store that ends it does so by itself.
    let ends = entry.expires.saturating_add(999).div_euclid(1000);
    let mut text = BASE64_STANDARD.encode(wire).into_bytes();
    text.extend_from_slice(format!("|{ends}").as_bytes());
    text
}

/// The answer to such a request in a stored text; `None` where it cannot be read, or is none to be given to others.
pub(super) fn decode(text: &[u8], method: &Method) -> Option<Entry> {
    let bar = memchr::memrchr(b'|', text)?;
    let ends: i64 = std::str::from_utf8(&text[bar + 1..]).ok()?.parse().ok()?;
    let wire = BASE64_STANDARD.decode(&text[..bar]).ok()?;
    let mut rest = BytesMut::from(&*wire);
    let head = read_answer(&mut rest, &mut 0, method).ok()??;
    let body = whole(head.body, rest)?;
    let mut headers = head.headers;
    let varies = headers.remove(VARIES);
    let varies = match varies {
        Some(written) => Some(digest(&written)?),
        None => None,
    };
    clean(&mut headers, method);
    // What would not have been kept here: other nodes look at less.
    if headers.contains_key(header::SET_COOKIE)
        || headers.contains_key(header::CONTENT_RANGE)
        || matches!(head.status, StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED)
    {
        return None;
    }
    Some(Entry { status: head.status, headers, body, expires: ends.checked_mul(1000)?, varies })
}

/// All of a body.
fn whole(mut decoder: Decoder, mut rest: BytesMut) -> Option<Bytes> {
    let mut body = BytesMut::new();
    loop {
        match decoder.decode(&mut rest) {
            Ok(Some(Piece::Data(data))) => body.extend_from_slice(&data),
            Ok(Some(Piece::Trailers(_) | Piece::End)) => return Some(body.freeze()),
            Ok(None) => return decoder.close().then(|| body.freeze()),
            Err(_) => return None,
        }
    }
}

fn digest(written: &HeaderValue) -> Option<[u8; 16]> {
    let text = written.to_str().ok().filter(|text| text.len() == 32)?;
    let mut digest = [0; 16];
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    // Such digits only: a sign is none.
    let mut again = String::with_capacity(32);
    push_hex(&mut again, &digest);
    (again == text).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(method: &Method) -> Entry {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_static("2"));
        let body = if *method == Method::HEAD {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("7"));
            Bytes::new()
        } else {
            Bytes::from_static(b"\x00body")
        };
        Entry {
            status: StatusCode::NOT_FOUND,
            headers,
            body,
            expires: 1_700_000_000_000,
            varies: Some([0xa7; 16]),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for method in [Method::GET, Method::POST, Method::HEAD] {
            let entry = entry(&method);
            assert_eq!(decode(&encode(&entry, &method), &method).as_ref(), Some(&entry), "{method}");
        }
        let mut later = entry(&Method::GET);
        later.expires += 1;
        let text = encode(&later, &Method::GET);
        assert!(text.ends_with(b"|1700000001"), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn c8_6_row_3_what_the_original_writes_is_read() {
        let stored = |wire: &str| format!("{}|1700000000", BASE64_STANDARD.encode(wire)).into_bytes();
        for (wire, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Ratelimit-Limit: 0\r\n\r\nab", Some("ab")),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", Some("ab")),
            ("HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nab", Some("ab")),
            ("HTTP/1.1 204 No Content\r\n\r\n", Some("")),
            // Cut short, no answer, or somebody's own.
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", None),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", None),
            ("HTTP/1.1 200 OK\r\n", None),
            ("", None),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n\r\nab", None),
            // A part, or nothing new: what another asked for.
            ("HTTP/1.1 206 Partial Content\r\nContent-Length: 2\r\n\r\nab", None),
            ("HTTP/1.1 304 Not Modified\r\n\r\n", None),
        ] {
            let read = decode(&stored(wire), &Method::GET);
            assert_eq!(read.as_ref().map(|entry| &*entry.body), body.map(str::as_bytes), "{wire}");
            if let Some(entry) = read {
                assert_eq!((entry.headers.len(), entry.expires), (0, 1_700_000_000_000), "{wire}");
            }
        }
        for text in ["", "|", "YQ==", "YQ==|x", "?|1", "|1"] {
            assert_eq!(decode(text.as_bytes(), &Method::GET), None, "{text}");
        }
    }
}
