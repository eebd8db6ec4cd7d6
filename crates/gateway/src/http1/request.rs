//! The head of a request: request line and field lines, read strictly, and what they say about the bytes behind them.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, Uri, Version};
use memchr::memchr;

use super::text::{has_control, is_authority, is_token, lists, trim};
use super::{Breach, Decoder, LINE_LIMIT, REQUEST_LINE_LIMIT};

/// Reads the heads of one connection, one after the other. Offsets count from the head's first byte, so that a head
/// which comes in a byte at a time is still read once.
#[derive(Debug, Default)]
pub(crate) struct RequestReader {
    /// Where the first line that is not yet read begins.
    line: usize,
    /// Up to where that line was searched for its end.
    searched: usize,
    seen_request_line: bool,
    field_lines: usize,
    facts: Facts,
    fields: Vec<Field>,
}

/// Where a part of a head stands in it.
#[derive(Debug, Default, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

impl Span {
    fn of<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        &head[self.start..self.end]
    }
}

#[derive(Debug)]
struct Field {
    name: Span,
    value: Span,
}

#[derive(Debug, Default)]
struct Facts {
    http_1_0: bool,
    connect: bool,
    method: Span,
    target: Span,
    chunked: bool,
    content_length: Option<u64>,
    /// The authority that the request line names.
    authority: Option<Span>,
    host: Option<Span>,
    close: bool,
    keep_alive: bool,
    expects_go_ahead: bool,
}

/// A complete head in the bytes that were read: how long it is, and what follows it.
#[derive(Debug)]
pub(crate) struct RequestSpan {
    /// Bytes of the head.
    pub(crate) length: usize,
    /// How the end of the body is told (RFC 9112 section 6.3).
    pub(crate) body: Decoder,
    /// Whether the client is ready for another answer behind this one's.
    pub(crate) keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub(crate) expects_go_ahead: bool,
    /// Whether it speaks HTTP/1.0.
    pub(crate) http_1_0: bool,
}

impl RequestReader {
    /// Reads on; `None` when more bytes are needed. `bytes` begins with the head's first byte. Once a head is complete,
    /// [`RequestReader::take`] makes the request of it.
    pub(crate) fn scan(&mut self, bytes: &[u8], limit: usize) -> Result<Option<RequestSpan>, Breach> {
        loop {
            let Some(found) = memchr(b'\n', &bytes[self.searched..]) else {
                self.check_unfinished_line(&bytes[self.line..], self.searched - self.line)?;
                self.searched = bytes.len();
                if bytes.len() > limit {
                    return Err(HEAD_TOO_LARGE);
                }
                return Ok(None);
            };
            let start = self.line;
            let end = self.searched + found;
            self.line = end + 1;
            self.searched = self.line;
            if self.line > limit {
                return Err(HEAD_TOO_LARGE);
            }
            let line = match &bytes[start..end] {
                [line @ .., b'\r'] => line,
                line if has_control(line) => return Err(CONTROL_BYTE),
                _ => return Err(Breach::bad("a line of the request head ends in a bare LF")),
            };
            if !self.seen_request_line {
                // One empty line before the request line is allowed (RFC 9112 section 2.2).
                if line.is_empty() && start == 0 {
                    continue;
                }
                self.read_request_line(line, start)?;
                self.seen_request_line = true;
            } else if line.is_empty() {
                return self.finish(bytes).map(Some);
            } else {
                self.field_lines += 1;
                if self.field_lines > LINE_LIMIT {
                    return Err(Breach::too_large("the request has more than 100 header lines"));
                }
                self.read_field_line(line, start)?;
            }
        }
    }

    /// Refuses early what no further byte can mend, so that nobody waits for the end of a line that will not come.
    fn check_unfinished_line(&self, line: &[u8], checked: usize) -> Result<(), Breach> {
        let control_in = |bytes: &[u8]| match bytes {
            // The CR of a line end whose LF is still on its way.
            [rest @ .., b'\r'] => has_control(rest),
            all => has_control(all),
        };
        // The last byte of the part that was looked at before may have been such a CR.
        if control_in(&line[checked.saturating_sub(1)..]) {
            return Err(CONTROL_BYTE);
        }
        if !self.seen_request_line && line.len() > REQUEST_LINE_LIMIT + 1 {
            return Err(LINE_TOO_LONG);
        }
        Ok(())
    }

    fn read_request_line(&mut self, line: &[u8], offset: usize) -> Result<(), Breach> {
        if line.len() > REQUEST_LINE_LIMIT {
            return Err(LINE_TOO_LONG);
        }
        if has_control(line) {
            return Err(CONTROL_BYTE);
        }
        const SHAPE: Breach = Breach::bad(
            "the request line is not of the form: method, one space, target, one space, HTTP/1.1",
        );
        let method_length = memchr(b' ', line).ok_or(SHAPE)?;
        let (method, rest) = (&line[..method_length], &line[method_length + 1..]);
        let target_length = memchr(b' ', rest).ok_or(SHAPE)?;
        let (target, version) = (&rest[..target_length], &rest[target_length + 1..]);
        if method.is_empty() || !method.iter().copied().all(is_token) {
            return Err(SHAPE);
        }
        self.facts.http_1_0 = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                return Err(Breach::new(
                    StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                    "this HTTP version is not supported here; use HTTP/1.1, or HTTP/2 with its preface",
                ));
            }
            _ => return Err(SHAPE),
        };
        self.facts.connect = method == b"CONNECT";
        self.facts.method = Span { start: offset, end: offset + method_length };
        let start = offset + method_length + 1;
        self.facts.target = Span { start, end: start + target_length };
        self.read_target(method, target, start)
    }

    fn read_target(&mut self, method: &[u8], target: &[u8], offset: usize) -> Result<(), Breach> {
        if target.iter().any(|&byte| matches!(byte, b'#' | b'<' | b'>' | b'"' | b'`' | b'\t')) {
            return Err(Breach::bad("the request target contains a byte that must be percent-encoded"));
        }
        if !target.is_ascii() && std::str::from_utf8(target).is_err() {
            return Err(Breach::bad("the request target is not valid UTF-8"));
        }
        if self.facts.connect {
            self.facts.authority = Some(self.facts.target);
            return if is_authority(target) && !target.is_empty() { Ok(()) } else { Err(TARGET) };
        }
        if target.first() == Some(&b'/') || (target == b"*" && method == b"OPTIONS") {
            return Ok(());
        }
        let scheme = [b"http://".as_slice(), b"https://"].into_iter().find(|scheme| {
            target.len() > scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme)
        });
        let Some(scheme) = scheme else { return Err(TARGET) };
        let rest = &target[scheme.len()..];
        let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        if length == 0 || !is_authority(&rest[..length]) {
            return Err(TARGET);
        }
        let start = offset + scheme.len();
        self.facts.authority = Some(Span { start, end: start + length });
        Ok(())
    }

    fn read_field_line(&mut self, line: &[u8], offset: usize) -> Result<(), Breach> {
        let colon = match line.first() {
            Some(b' ' | b'\t') if self.field_lines == 1 => {
                return Err(Breach::bad("the first header line begins with white space"));
            }
            Some(b' ' | b'\t') => {
                return Err(Breach::bad("a header line is folded; put the value on one line"));
            }
            _ => memchr(b':', line).ok_or(Breach::bad("a header line has no colon"))?,
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || !name.iter().copied().all(is_token) {
            return Err(match name {
                [.., b' ' | b'\t'] => Breach::bad("there is white space between a header name and its colon"),
                _ if has_control(name) => CONTROL_BYTE,
                _ => Breach::bad("a header name contains a byte that is not allowed there"),
            });
        }
        if has_control(value) {
            return Err(CONTROL_BYTE);
        }
        let start = offset + colon + 1 + (value.len() - value.trim_ascii_start().len());
        let value = trim(value);
        let value_span = Span { start, end: start + value.len() };
        self.fields.push(Field { name: Span { start: offset, end: offset + colon }, value: value_span });
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => return self.read_host(value, value_span),
            6 if name.eq_ignore_ascii_case(b"expect") => {
                self.facts.expects_go_ahead = value.eq_ignore_ascii_case(b"100-continue");
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.facts.close |= lists(value, b"close");
                self.facts.keep_alive |= lists(value, b"keep-alive");
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => return self.read_content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                return self.read_transfer_encoding(value);
            }
            _ => {}
        }
        Ok(())
    }

    fn read_host(&mut self, host: &[u8], span: Span) -> Result<(), Breach> {
        if self.facts.host.is_some() {
            return Err(Breach::bad("the request has more than one Host header"));
        }
        if !is_authority(host) {
            return Err(Breach::bad("the Host header is not a host name with an optional port"));
        }
        self.facts.host = Some(span);
        Ok(())
    }

    fn read_content_length(&mut self, value: &[u8]) -> Result<(), Breach> {
        if self.facts.content_length.is_some() || value.contains(&b',') {
            return Err(Breach::bad("the request has more than one Content-Length"));
        }
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(Breach::bad("the Content-Length is not a decimal number"));
        }
        let number = value
            .iter()
            .try_fold(0_i64, |number, digit| number.checked_mul(10)?.checked_add(i64::from(digit - b'0')));
        let number = number.ok_or(Breach::bad("the Content-Length is too large"))?;
        self.facts.content_length = Some(number.unsigned_abs());
        Ok(())
    }

    fn read_transfer_encoding(&mut self, value: &[u8]) -> Result<(), Breach> {
        if self.facts.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Breach::bad("the only Transfer-Encoding accepted is `chunked`, given once"));
        }
        self.facts.chunked = true;
        Ok(())
    }

    fn finish(&mut self, bytes: &[u8]) -> Result<RequestSpan, Breach> {
        let facts = &self.facts;
        if facts.chunked && facts.content_length.is_some() {
            return Err(Breach::bad("the request has both Content-Length and Transfer-Encoding"));
        }
        if facts.chunked && facts.http_1_0 {
            return Err(Breach::bad("an HTTP/1.0 request must not have a Transfer-Encoding"));
        }
        if facts.host.is_none() && !facts.http_1_0 {
            return Err(Breach::bad("the request has no Host header"));
        }
        if let (Some(authority), Some(host)) = (&facts.authority, &facts.host)
            && !authority.of(bytes).eq_ignore_ascii_case(host.of(bytes))
        {
            return Err(Breach::bad("the request target and the Host header name different hosts"));
        }
        let body = match facts.content_length {
            _ if facts.chunked => Decoder::chunked_request(),
            None | Some(0) => Decoder::Ended,
            Some(length) => Decoder::Sized(length),
        };
        Ok(RequestSpan {
            length: self.line,
            body,
            keep_alive: !facts.close && (facts.keep_alive || !facts.http_1_0),
            expects_go_ahead: facts.expects_go_ahead && !facts.http_1_0,
            http_1_0: facts.http_1_0,
        })
    }

    /// Makes the request of the head that was found complete, and is ready for the next head.
    pub(crate) fn take<B>(&mut self, head: Bytes, body: B) -> Result<Request<B>, Breach> {
        const UNREADABLE: Breach = Breach::bad("the request head cannot be read");
        let facts = std::mem::take(&mut self.facts);
        (self.line, self.searched, self.seen_request_line, self.field_lines) = (0, 0, false, 0);
        let part = |span: Span| head.slice(span.start..span.end);

        // Room for what the way to an upstream adds.
        let mut headers = HeaderMap::with_capacity(self.fields.len() + 2);
        for Field { name, value } in self.fields.drain(..) {
            let name = HeaderName::from_bytes(name.of(&head)).map_err(|_| UNREADABLE)?;
            let value = HeaderValue::from_maybe_shared(part(value)).map_err(|_| UNREADABLE)?;
            headers.append(name, value);
        }
        let mut request = Request::new(body);
        *request.method_mut() = Method::from_bytes(facts.method.of(&head)).map_err(|_| UNREADABLE)?;
        *request.uri_mut() = Uri::from_maybe_shared(part(facts.target)).map_err(|_| TARGET)?;
        *request.version_mut() = if facts.http_1_0 { Version::HTTP_10 } else { Version::HTTP_11 };
        *request.headers_mut() = headers;
        Ok(request)
    }
}

const TARGET: Breach =
    Breach::bad("the request target is neither a path, nor an absolute http URL, nor fits its method");
const HEAD_TOO_LARGE: Breach = Breach::too_large("the request head is too large");
const LINE_TOO_LONG: Breach =
    Breach::new(StatusCode::URI_TOO_LONG, "the request line is longer than 8192 bytes");
const CONTROL_BYTE: Breach =
    Breach::bad("the request head contains a control byte; if this is TLS, this port does not speak it");
