//! The head of an upstream's answer.

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use memchr::memchr;

use super::text::{lists, trim};
use super::{ANSWER_HEAD_LIMIT, Decoder, LINE_LIMIT};

/// An answer that cannot be passed on, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the upstream's answer is malformed: {0}")]
pub(crate) struct MalformedAnswer(pub(crate) &'static str);

/// The words behind a status where they are not the usual ones.
#[derive(Debug, Clone)]
pub(crate) struct Reason(Bytes);

impl Reason {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The head of an answer, and how its body ends.
#[derive(Debug)]
pub(crate) struct AnswerHead {
    pub(crate) status: StatusCode,
    pub(crate) reason: Option<Reason>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Decoder,
    /// Whether the connection can carry another exchange when the body has ended.
    pub(crate) keep_alive: bool,
}

/// Takes a complete head out of `buffer`; `None` when more bytes are needed. `searched` is how many bytes were looked
/// through without finding its end: 0 for a new head.
///
/// # Errors
/// When it is no HTTP/1 head, too large, or does not tell in one way where the answer ends.
pub(crate) fn read_answer(
    buffer: &mut BytesMut,
    searched: &mut usize,
    method: &Method,
) -> Result<Option<AnswerHead>, MalformedAnswer> {
    let Some(length) = find_end(buffer, searched) else {
        if buffer.len() > ANSWER_HEAD_LIMIT {
            return Err(MalformedAnswer("its head is too large"));
        }
        return Ok(None);
    };
    *searched = 0;
    read_head(&buffer.split_to(length).freeze(), method).map(Some)
}

/// Where the empty line ends. Line ends are CR LF, or a bare LF as some old servers send (RFC 9112 section 2.2).
fn find_end(bytes: &[u8], searched: &mut usize) -> Option<usize> {
    while let Some(found) = memchr(b'\n', &bytes[*searched..]) {
        let next = *searched + found + 1;
        match bytes.get(next..) {
            Some([b'\n', ..]) => return Some(next + 1),
            Some([b'\r', b'\n', ..]) => return Some(next + 2),
            // This line's end is looked at again when more has come.
            Some([] | [b'\r']) | None => return None,
            Some(_) => *searched = next,
        }
    }
    *searched = bytes.len();
    None
}

fn read_head(head: &Bytes, method: &Method) -> Result<AnswerHead, MalformedAnswer> {
    let mut lines = Lines { head, at: 0 };
    let (http_1_0, status, reason) = read_status_line(lines.next().unwrap_or_default())?;
    // Most lines are longer than this, and some are added: the map seldom grows, and is seldom much too large.
    let mut headers = HeaderMap::with_capacity(3 + head.len() / 40);
    let mut count = 0;
    while let Some(line) = lines.next().filter(|line| !line.is_empty()) {
        count += 1;
        if count > LINE_LIMIT {
            return Err(MalformedAnswer("it has more than 100 header lines"));
        }
        if matches!(line[0], b' ' | b'\t') {
            return Err(MalformedAnswer("a header line is folded"));
        }
        let colon = memchr(b':', line).ok_or(MalformedAnswer("a header line has no colon"))?;
        let name = HeaderName::from_bytes(&line[..colon])
            .map_err(|_| MalformedAnswer("a header name contains a byte that is not allowed there"))?;
        let value = head.slice_ref(trim(&line[colon + 1..]));
        let value = HeaderValue::from_maybe_shared(value)
            .map_err(|_| MalformedAnswer("a header value contains a control byte"))?;
        headers.append(name, value);
    }
    let reason = reason
        .filter(|words| Some(*words) != status.canonical_reason().map(str::as_bytes))
        .map(|words| Reason(head.slice_ref(words)));
    let body = find_body(status, &mut headers, method)?;
    let connection =
        |token: &[u8]| headers.get_all(header::CONNECTION).iter().any(|value| lists(value.as_bytes(), token));
    let keep_alive = !matches!(body, Decoder::UntilClose)
        && if http_1_0 { connection(b"keep-alive") } else { !connection(b"close") };
    Ok(AnswerHead { status, reason, headers, body, keep_alive })
}

struct Lines<'a> {
    head: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = &self.head[self.at..];
        let end = memchr(b'\n', rest)?;
        self.at += end + 1;
        let line = &rest[..end];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

type StatusLine<'a> = (bool, StatusCode, Option<&'a [u8]>);

/// Whether it is HTTP/1.0, the status, and the words behind it.
fn read_status_line(line: &[u8]) -> Result<StatusLine<'_>, MalformedAnswer> {
    const SHAPE: MalformedAnswer = MalformedAnswer("it does not begin with an HTTP/1 status line");
    let (http_1_0, rest) = match line.split_at_checked(b"HTTP/1.1 ".len()) {
        Some((b"HTTP/1.1 ", rest)) => (false, rest),
        Some((b"HTTP/1.0 ", rest)) => (true, rest),
        _ => return Err(SHAPE),
    };
    let (digits, rest) = rest.split_at_checked(3).ok_or(SHAPE)?;
    let status = StatusCode::from_bytes(digits).map_err(|_| SHAPE)?;
    let reason = match rest {
        [] => None,
        // What cannot stand in a status line is not passed on.
        [b' ', words @ ..] => HeaderValue::from_bytes(words).is_ok().then_some(words),
        _ => return Err(SHAPE),
    };
    Ok((http_1_0, status, reason.filter(|words| !words.is_empty())))
}

/// How the body ends (RFC 9112 section 6.3). Fields that tell it in a second way are removed.
fn find_body(
    status: StatusCode,
    headers: &mut HeaderMap,
    method: &Method,
) -> Result<Decoder, MalformedAnswer> {
    let none = *method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        // Nobody may say it there (RFC 9110 section 8.6).
        headers.remove(header::CONTENT_LENGTH);
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
        let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
        let only_chunked =
            codings.next().is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
                && codings.next().is_none();
        return match (none, only_chunked) {
            (true, _) => Ok(Decoder::Ended),
            (false, true) => Ok(Decoder::chunked_answer()),
            (false, false) => Err(MalformedAnswer("the only Transfer-Encoding understood is `chunked`")),
        };
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else {
        return Ok(if none { Decoder::Ended } else { Decoder::UntilClose });
    };
    let repeated = lengths.next().is_some();
    if headers.get_all(header::CONTENT_LENGTH).iter().any(|length| length != first) {
        return Err(MalformedAnswer("it has several Content-Lengths"));
    }
    let length = decimal(first.as_bytes()).ok_or(MalformedAnswer("its Content-Length is no number"))?;
    if repeated {
        let first = first.clone();
        headers.insert(header::CONTENT_LENGTH, first);
    }
    Ok(if none || length == 0 { Decoder::Ended } else { Decoder::Sized(length) })
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
