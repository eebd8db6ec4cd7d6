//! What clients and upstreams send, as tables, each case at every split point.

use bytes::BytesMut;
use http::header::HeaderMap;
use http::{Method, Request};

use super::request::RequestReader;
use super::*;

/// What a client's bytes came to.
#[derive(Debug, Default)]
struct Read {
    requests: Vec<Request<()>>,
    /// Of all bodies.
    data: Vec<u8>,
    trailers: Vec<HeaderMap>,
    /// Bytes that belong to requests in order.
    taken: usize,
    refused: Option<(&'static str, Breach)>,
}

/// Reads `bytes` given in two pieces, as a connection does.
fn read(bytes: &[u8], split: usize) -> Read {
    let mut reader = RequestReader::default();
    let mut body = Decoder::Ended;
    let mut buffer = BytesMut::new();
    let mut read = Read::default();
    for piece in [&bytes[..split], &bytes[split..]] {
        buffer.extend_from_slice(piece);
        loop {
            let before = buffer.len();
            if body.has_ended() {
                if buffer.is_empty() {
                    break;
                }
                match reader.scan(&buffer, HEAD_LIMIT) {
                    Ok(None) => break,
                    Ok(Some(span)) => {
                        body = span.body;
                        let head = buffer.split_to(span.length).freeze();
                        read.taken += before - buffer.len();
                        match reader.take(head, ()) {
                            Ok(request) => read.requests.push(request),
                            Err(breach) => panic!("scanned, but not taken: {breach}"),
                        }
                    }
                    Err(breach) => {
                        read.refused = Some(("head", breach));
                        return read;
                    }
                }
            } else {
                match body.decode(&mut buffer) {
                    Ok(None) => {
                        read.taken += before - buffer.len();
                        break;
                    }
                    Ok(Some(piece)) => {
                        read.taken += before - buffer.len();
                        match piece {
                            Piece::Data(data) => read.data.extend_from_slice(&data),
                            Piece::Trailers(trailers) => read.trailers.push(trailers),
                            Piece::End => {}
                        }
                    }
                    Err(message) => {
                        read.refused = Some(("body", Breach::bad(message)));
                        return read;
                    }
                }
            }
        }
    }
    read
}

fn long(unit: &str, times: usize) -> String {
    unit.repeat(times)
}

/// Requests in order: everything is taken, whatever the split.
pub(crate) fn accepted() -> Vec<(&'static str, String)> {
    let get = "GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n";
    let cases = [
        ("plain", get.to_string()),
        ("pipelined", long(get, 3)),
        ("an empty line before the request line", format!("\r\n{get}")),
        ("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n".into()),
        ("empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n".into()),
        ("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".into()),
        ("CONNECT", "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n".into()),
        ("absolute form", "GET http://X:80/p HTTP/1.1\r\nHost: x:80\r\n\r\n".into()),
        ("IPv6 host", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n".into()),
        ("UTF-8 in the target", "GET /ü HTTP/1.1\r\nHost: x\r\n\r\n".into()),
        (
            "sized body, then another",
            format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello{get}"),
        ),
        (
            "body that looks like a request",
            "PUT / HTTP/1.1\r\nhost:x\r\ncontent-length: 18\r\n\r\nGET / HTTP/1.1\n\0\r\n".into(),
        ),
        ("empty sized body", format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n{get}")),
        (
            "chunked with extension and trailers",
            format!(
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                 5;a=b\r\nhello\r\n00A\r\n0123456789\r\n0\r\nX-Sum: 1\r\nX-Long-Trailer-Name-Here:\r\n\r\n{get}"
            ),
        ),
        (
            "chunked in capitals",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\t CHUNKED \r\n\r\n0\r\n\r\n".into(),
        ),
        ("obs-text and tabs in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: caf\u{e9}\tb\r\nB:\r\n\r\n".into()),
        ("100 header lines", format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", long("a: b\r\n", 99))),
        ("the longest request line", format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", long("a", 8192 - 14))),
    ];
    cases.into()
}

#[test]
fn requests_in_order_are_taken_at_every_split() {
    for (name, bytes) in accepted() {
        let bytes = bytes.as_bytes();
        let whole = read(bytes, 0);
        for split in 0..=bytes.len() {
            let read = read(bytes, split);
            assert_eq!((read.taken, read.refused), (bytes.len(), None), "{name}, split at {split}");
            assert_eq!(read.data, whole.data, "{name}, split at {split}");
            assert_eq!(read.trailers, whole.trailers, "{name}, split at {split}");
            for (one, other) in read.requests.iter().zip(&whole.requests) {
                assert_eq!(one.headers(), other.headers(), "{name}, split at {split}");
                assert_eq!(one.uri(), other.uri(), "{name}, split at {split}");
            }
        }
    }
}

#[test]
fn a_request_is_what_was_written() {
    let bytes = b"POST http://X:80/p?q=%20 HTTP/1.1\r\nHost: x:80\r\nA:  one\t\r\na: two\r\nB:\r\n\
        Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nX-Sum:  1 \r\nx-sum: 2\r\n\r\n";
    let read = read(bytes, 0);
    let request = &read.requests[0];
    assert_eq!(
        (request.method(), request.uri().to_string().as_str()),
        (&Method::POST, "http://X:80/p?q=%20")
    );
    let fields: Vec<_> =
        request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    assert_eq!(
        fields,
        [("host", &b"x:80"[..]), ("a", b"one"), ("a", b"two"), ("b", b""), ("transfer-encoding", b"chunked"),]
    );
    assert_eq!(read.data, b"abcde");
    let sums: Vec<_> = read.trailers[0].get_all("x-sum").iter().collect();
    assert_eq!(sums, ["1", "2"]);
}

#[test]
fn what_a_head_says_of_its_connection_is_found() {
    let cases = [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", true, false),
        ("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false, false),
        ("GET / HTTP/1.1\r\nHost: x\r\nConnection: X-A , Close\r\n\r\n", false, false),
        ("GET / HTTP/1.0\r\n\r\n", false, false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, false),
        ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false, false),
        ("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n", true, true),
        ("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", false, false),
    ];
    for (head, keep_alive, expects_go_ahead) in cases {
        let span = RequestReader::default().scan(head.as_bytes(), HEAD_LIMIT).unwrap().unwrap();
        assert_eq!((span.keep_alive, span.expects_go_ahead), (keep_alive, expects_go_ahead), "{head}");
    }
}

/// Heads out of order: nothing is taken.
pub(crate) fn refused_heads() -> Vec<(&'static str, u16, &'static str, Vec<u8>)> {
    let with = |fields: &str| format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n").into_bytes();
    let line = |line: &str| format!("{line}\r\nHost: x\r\n\r\n").into_bytes();
    vec![
        ("CL and TE", 400, "both", with("Content-Length: 5\r\nTransfer-Encoding: chunked")),
        ("TE and CL", 400, "both", with("Transfer-Encoding: chunked\r\nContent-Length: 5")),
        ("two CL", 400, "more than one Content-Length", with("Content-Length: 5\r\nContent-Length: 6")),
        ("two equal CL", 400, "more than one Content-Length", with("Content-Length: 5\r\nContent-Length: 5")),
        ("list of CL", 400, "more than one Content-Length", with("Content-Length: 5, 5")),
        ("signed CL", 400, "decimal", with("Content-Length: +5")),
        ("hexadecimal CL", 400, "decimal", with("Content-Length: 0x5")),
        ("empty CL", 400, "decimal", with("Content-Length: ")),
        ("negative CL", 400, "decimal", with("Content-Length: -1")),
        ("overflowing CL", 400, "too large", with("Content-Length: 9223372036854775808")),
        ("TE list", 400, "only Transfer-Encoding", with("Transfer-Encoding: gzip, chunked")),
        ("TE identity", 400, "only Transfer-Encoding", with("Transfer-Encoding: identity")),
        (
            "TE twice",
            400,
            "only Transfer-Encoding",
            with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        ),
        ("TE quoted", 400, "only Transfer-Encoding", with("Transfer-Encoding: \"chunked\"")),
        ("TE with vertical tab", 400, "control byte", with("Transfer-Encoding: \x0bchunked")),
        (
            "TE on HTTP/1.0",
            400,
            "HTTP/1.0",
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        ),
        ("bare LF after the request line", 400, "bare LF", b"GET / HTTP/1.1\nHost: x\r\n\r\n".to_vec()),
        ("bare LF after a field", 400, "bare LF", b"GET / HTTP/1.1\r\nHost: x\n\r\n".to_vec()),
        ("bare LF as the end", 400, "bare LF", b"GET / HTTP/1.1\r\nHost: x\r\n\n".to_vec()),
        ("bare CR in a value", 400, "control byte", with("A: b\rC: d")),
        ("bare CR in the request line", 400, "control byte", line("GET /\r HTTP/1.1")),
        ("folded", 400, "folded", with("A: b\r\n c")),
        ("folded by tab", 400, "folded", with("A: b\r\n\tc")),
        ("space before the colon", 400, "between a header name", with("A : b")),
        ("tab before the colon", 400, "between a header name", with("Content-Length\t: 5")),
        ("leading space", 400, "first header line", b"GET / HTTP/1.1\r\n Host: x\r\n\r\n".to_vec()),
        ("NUL in a value", 400, "control byte", with("A: b\0c")),
        ("NUL in a name", 400, "control byte", with("A\0: b")),
        ("DEL in a value", 400, "control byte", with("A: \x7f")),
        ("no colon", 400, "no colon", with("Abc")),
        ("empty name", 400, "header name", with(": b")),
        ("space in a name", 400, "header name", with("A B: c")),
        ("no Host", 400, "no Host", b"GET / HTTP/1.1\r\nA: b\r\n\r\n".to_vec()),
        ("two Hosts", 400, "more than one Host", with("Host: x")),
        ("list of hosts", 400, "not a host name", b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n".to_vec()),
        ("user in Host", 400, "not a host name", b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n".to_vec()),
        ("two authorities", 400, "different hosts", b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n".to_vec()),
        ("user in the target", 400, "target", line("GET http://u@x/ HTTP/1.1")),
        (
            "two authorities of CONNECT",
            400,
            "different hosts",
            b"CONNECT a:1 HTTP/1.1\r\nHost: b:1\r\n\r\n".to_vec(),
        ),
        ("another scheme", 400, "target", line("GET ftp://x/ HTTP/1.1")),
        ("no slash", 400, "target", line("GET a HTTP/1.1")),
        ("star", 400, "target", line("GET * HTTP/1.1")),
        ("fragment", 400, "percent-encoded", line("GET /a#b HTTP/1.1")),
        ("angle bracket", 400, "percent-encoded", line("GET /<b> HTTP/1.1")),
        ("invalid UTF-8 in the target", 400, "UTF-8", b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("two spaces", 400, "request line", line("GET  / HTTP/1.1")),
        ("space at the end", 400, "request line", line("GET / HTTP/1.1 ")),
        ("no version", 400, "request line", line("GET /")),
        ("lower-case version", 400, "request line", line("GET / http/1.1")),
        ("bad method", 400, "request line", line("G@T / HTTP/1.1")),
        ("two empty lines", 400, "request line", b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("other version", 505, "version", line("GET / HTTP/1.2")),
        ("TLS", 400, "TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("101 header lines", 431, "100 header lines", with(long("a: b\r\n", 100).trim_end())),
        ("large head", 431, "too large", with(&format!("A: {}", long("a", HEAD_LIMIT)))),
        (
            "large head that never ends",
            431,
            "too large",
            format!("GET / HTTP/1.1\r\nA: {}", long("a", HEAD_LIMIT)).into(),
        ),
        ("long request line", 414, "8192", line(&format!("GET /{} HTTP/1.1", long("a", 8192 - 13)))),
        ("long request line that never ends", 414, "8192", format!("GET /{}", long("a", 8190)).into()),
    ]
}

#[test]
fn heads_out_of_order_are_refused_at_every_split() {
    for (name, status, message, bytes) in refused_heads() {
        let step = 1 + bytes.len() / 600;
        for split in (0..=bytes.len()).step_by(step) {
            let read = read(&bytes, split);
            let Some(("head", breach)) = read.refused else { panic!("{name}, split at {split}: {read:?}") };
            assert_eq!(breach.status.as_u16(), status, "{name}, split at {split}: {breach}");
            assert!(breach.message.contains(message), "{name}, split at {split}: {breach}");
            assert_eq!(read.taken, 0, "{name}, split at {split}");
        }
    }
}

#[test]
fn bodies_out_of_order_are_refused_at_every_split() {
    let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", long("a", 256));
    let trailers = format!("0\r\n{}\r\n", long("a: b\r\n", 101));
    let cases: [(&str, &str, &str, &str); 17] = [
        ("bare LF after a size", "5\nhello", "", "chunk size"),
        ("bare CR after a size", "5\rhello", "", "chunk size"),
        ("no size", "\r\n", "", "chunk size"),
        ("not a number", "5g\r\n", "", "chunk size"),
        ("prefix", "0x5\r\n", "", "chunk size"),
        ("space after the size", "5 \r\n", "", "chunk size"),
        ("overflow", "ffffffffffffffff\r\n", "", "too large"),
        ("many zeros", "00000000000000005\r\n", "", "too large"),
        ("long extension", &extension, "", "longer than 256"),
        ("LF in an extension", "5;a\nb\r\n", "", "extension"),
        ("longer than its size", "5\r\nhello!", "hello", "longer"),
        ("LF after data", "5\r\nhello\n", "hello", "longer"),
        ("forbidden trailer", "0\r\nContent-Length: 5\r\n\r\n", "", "may not be"),
        ("folded trailer", "0\r\nA: b\r\n c\r\n\r\n", "", "malformed"),
        ("LF in trailers", "0\r\nA: b\n\r\n", "", "malformed"),
        ("too many trailers", &trailers, "", "100 trailer"),
        ("too large trailers", &format!("0\r\nA: {}", long("a", HEAD_LIMIT)), "", "trailers are too large"),
    ];
    let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (name, body, data, message) in cases {
        let bytes = format!("{head}{body}");
        let step = 1 + bytes.len() / 600;
        for split in (0..=bytes.len()).step_by(step) {
            let read = read(bytes.as_bytes(), split);
            let Some(("body", breach)) = read.refused else { panic!("{name}, split at {split}: {read:?}") };
            assert!(breach.message.contains(message), "{name}: {breach}");
            assert_eq!(read.data, data.as_bytes(), "{name}, split at {split}");
        }
    }
}

#[test]
fn a_head_that_drips_is_read_once() {
    // A megabyte-second of work if each byte made the head be read again.
    let bytes = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", long("a", 60_000)).into_bytes();
    let mut reader = RequestReader::default();
    for end in 1..bytes.len() {
        assert!(matches!(reader.scan(&bytes[..end], HEAD_LIMIT), Ok(None)));
    }
    assert_eq!(reader.scan(&bytes, HEAD_LIMIT).unwrap().unwrap().length, bytes.len());
}

#[test]
fn targets_that_pass_are_targets_as_they_were_written() {
    for byte in 0..=255_u8 {
        for target in [[b"/", &[byte][..]].concat(), [b"/?", &[byte][..]].concat()] {
            let bytes = [b"GET ", &target[..], b" HTTP/1.1\r\nHost: x\r\n\r\n"].concat();
            let read = read(&bytes, 0);
            let Some(request) = read.requests.first() else { continue };
            let written = request.uri().path_and_query().map(|written| written.as_str().as_bytes());
            assert_eq!(written, Some(&target[..]), "{:?}", String::from_utf8_lossy(&target));
        }
    }
}

#[test]
fn http2_is_told_by_its_preface() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04";
    for end in 0..=preface.len() {
        assert!(may_open_http2(&preface[..end]));
        assert_eq!(opens_http2(&preface[..end]), end >= 24);
    }
    assert!(!may_open_http2(b"PRI / HTTP/1.1\r\n"));
}

/// Reads an answer given in two pieces: its head written again, and its body.
fn answer(bytes: &[u8], split: usize, method: &Method) -> Result<(String, String), MalformedAnswer> {
    let mut buffer = BytesMut::new();
    let mut searched = 0;
    let mut pieces = [&bytes[..split], &bytes[split..]].into_iter();
    let mut head = loop {
        match read_answer(&mut buffer, &mut searched, method)? {
            Some(head) => break head,
            None => buffer.extend_from_slice(pieces.next().expect("the head is complete")),
        }
    };
    buffer.extend_from_slice(pieces.next().unwrap_or_default());
    let length = match head.body.left() {
        Some(0) => Length::AsWritten,
        Some(left) => Length::Exact(left),
        None if matches!(head.body, Decoder::UntilClose) => Length::UntilClose,
        None => Length::Chunked,
    };
    let persistence = if head.keep_alive { Persistence::KeepAlive } else { Persistence::Close };
    let mut out = Vec::new();
    head.headers.insert("date", "now".parse().unwrap());
    encode_response(&mut out, head.status, head.reason.as_ref(), &head.headers, length, persistence);
    let mut body = Vec::new();
    loop {
        match head.body.decode(&mut buffer).map_err(MalformedAnswer)? {
            Some(Piece::Data(data)) => body.extend_from_slice(&data),
            Some(Piece::Trailers(trailers)) => body.extend_from_slice(format!("{trailers:?}").as_bytes()),
            Some(Piece::End) => break,
            None if head.body.close() => break,
            None => return Err(MalformedAnswer("cut off")),
        }
    }
    assert!(buffer.is_empty(), "left over: {buffer:?}");
    Ok((String::from_utf8(out).unwrap(), String::from_utf8(body).unwrap()))
}

#[test]
fn answers_are_read_as_servers_in_use_write_them() {
    let (get, head) = (Method::GET, Method::HEAD);
    let cases = [
        (
            &get,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\n\r\nhi",
            "200 OK|a: b|date: now|content-length: 2|connection: keep-alive",
            "hi",
        ),
        (
            &get,
            "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
            "200 OK|date: now|content-length: 2|connection: keep-alive",
            "hi",
        ),
        (
            &get,
            "HTTP/1.1 200\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
            "200 OK|date: now|content-length: 2|connection: keep-alive",
            "hi",
        ),
        (
            &get,
            "HTTP/1.1 404 Nothing here\r\nContent-Length: 0\r\n\r\n",
            "404 Nothing here|content-length: 0|date: now|connection: keep-alive",
            "",
        ),
        (&get, "HTTP/1.1 299 \r\n\r\nto the end", "299 |date: now|connection: close", "to the end"),
        (
            &get,
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            "200 OK|date: now|content-length: 2|connection: close",
            "hi",
        ),
        (
            &get,
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
            "200 OK|date: now|content-length: 2|connection: keep-alive",
            "hi",
        ),
        (
            &get,
            "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nhi",
            "200 OK|date: now|content-length: 2|connection: close",
            "hi",
        ),
        (
            &get,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 9\r\n\r\n2  \r\nhi\r\n0\r\n\r\n",
            "200 OK|date: now|transfer-encoding: chunked|connection: keep-alive",
            "hi",
        ),
        (
            &get,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nSum: 1\r\n\r\n",
            "200 OK|date: now|transfer-encoding: chunked|connection: keep-alive",
            "hi{\"sum\": \"1\"}",
        ),
        (
            &head,
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            "200 OK|content-length: 9|date: now|connection: keep-alive",
            "",
        ),
        (
            &head,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "200 OK|date: now|connection: keep-alive",
            "",
        ),
        (&get, "HTTP/1.1 204 No Content\r\n\r\n", "204 No Content|date: now|connection: keep-alive", ""),
        (
            &get,
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
            "304 Not Modified|content-length: 9|date: now|connection: keep-alive",
            "",
        ),
    ];
    for (method, bytes, expected_head, expected_body) in cases {
        let expected = format!("HTTP/1.1 {}\r\n\r\n", expected_head.replace('|', "\r\n"));
        for split in 0..=bytes.len() {
            let (head, body) = answer(bytes.as_bytes(), split, method).unwrap();
            assert_eq!(
                (head.as_str(), body.as_str()),
                (expected.as_str(), expected_body),
                "{bytes:?}, split at {split}"
            );
        }
    }
}

#[test]
fn what_is_no_answer_is_told() {
    let cases = [
        ("hello\r\n\r\n", "status line"),
        ("HTTP/2 200\r\n\r\n", "status line"),
        ("HTTP/1.1 20\r\n\r\n", "status line"),
        ("HTTP/1.1 2000\r\n\r\n", "status line"),
        ("HTTP/1.1 099 x\r\n\r\n", "status line"),
        ("HTTP/1.1 200 OK\r\nA\r\n\r\n", "no colon"),
        ("HTTP/1.1 200 OK\r\nA b: c\r\n\r\n", "header name"),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "folded"),
        ("HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n", "control byte"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "several Content-Lengths"),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "no number"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "no number"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "only Transfer-Encoding"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "only Transfer-Encoding",
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello", "chunk size"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "cut off"),
    ];
    for (bytes, expected) in cases {
        for split in 0..=bytes.len() {
            let malformed = answer(bytes.as_bytes(), split, &Method::GET).unwrap_err();
            assert!(malformed.0.contains(expected), "{bytes:?}, split at {split}: {malformed}");
        }
    }
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", long("a: b\r\n", 101));
    assert_eq!(answer(many.as_bytes(), 0, &Method::GET).unwrap_err().0, "it has more than 100 header lines");
    let large = format!("HTTP/1.1 200 OK\r\nA: {}", long("a", ANSWER_HEAD_LIMIT));
    assert_eq!(answer(large.as_bytes(), 0, &Method::GET).unwrap_err().0, "its head is too large");
}

#[test]
fn requests_are_written_with_one_length() {
    let mut headers = HeaderMap::new();
    headers.insert("host", "up".parse().unwrap());
    headers.insert("content-length", "5".parse().unwrap());
    let cases = [
        (Length::AsWritten, "host: up|content-length: 5"),
        (Length::Exact(5), "host: up|content-length: 5"),
        (Length::Chunked, "host: up|transfer-encoding: chunked"),
    ];
    for (length, fields) in cases {
        let mut out = Vec::new();
        encode_request(&mut out, &Method::PUT, "/a?b", &headers, length);
        let expected = format!("PUT /a?b HTTP/1.1\r\n{}\r\n\r\n", fields.replace('|', "\r\n"));
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
