//! One request head: request line, field lines, and what they say about the bytes behind them.

use http::StatusCode;
use memchr::memchr;

use super::{Breach, LINE_LIMIT, REFUSED_METHOD, REQUEST_LINE_LIMIT, has_control, is_token, trim};

/// A head in the course of being read. Offsets count from the head's first byte, so that a head which comes in a
/// byte at a time is still read once.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Where the first line that is not yet read begins.
    line: usize,
    /// Up to where that line was searched for its end.
    searched: usize,
    seen_request_line: bool,
    field_lines: usize,
    facts: Facts,
}

#[derive(Debug, Default)]
struct Facts {
    http_1_0: bool,
    connect: bool,
    upgrade: bool,
    chunked: bool,
    content_length: Option<u64>,
    /// The authority that the request line names, as a range of the head.
    authority: Option<(usize, usize)>,
    host: Option<(usize, usize)>,
}

/// What follows a complete head.
#[derive(Debug)]
pub(super) struct Next {
    /// Bytes of the head.
    pub(super) length: usize,
    pub(super) body: Body,
    pub(super) upgrade: bool,
    pub(super) connect: bool,
}

/// How the end of a body is told (RFC 9112 section 6.3).
#[derive(Debug)]
pub(super) enum Body {
    None,
    Sized(u64),
    Chunked,
}

impl Head {
    /// Reads on. `bytes` begins with the head's first byte.
    pub(super) fn scan(&mut self, bytes: &[u8], limit: usize) -> Result<Option<Next>, Breach> {
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
        if method == REFUSED_METHOD.as_bytes() {
            return Err(Breach::bad("this request method is reserved"));
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
        self.read_target(method, target, offset + method_length + 1)
    }

    fn read_target(&mut self, method: &[u8], target: &[u8], offset: usize) -> Result<(), Breach> {
        const TARGET: Breach = Breach::bad(
            "the request target is neither a path, nor an absolute http URL, nor fits its method",
        );
        if target.iter().any(|&byte| matches!(byte, b'#' | b'<' | b'>' | b'"' | b'`' | b'\t')) {
            return Err(Breach::bad("the request target contains a byte that must be percent-encoded"));
        }
        if !target.is_ascii() && std::str::from_utf8(target).is_err() {
            return Err(Breach::bad("the request target is not valid UTF-8"));
        }
        if self.facts.connect {
            self.facts.authority = Some((offset, offset + target.len()));
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
        self.facts.authority = Some((start, start + length));
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
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.read_host(value, offset + colon + 1),
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.facts.upgrade = trim(value).eq_ignore_ascii_case(b"websocket");
                Ok(())
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.read_content_length(trim(value)),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.read_transfer_encoding(trim(value)),
            _ => Ok(()),
        }
    }

    fn read_host(&mut self, value: &[u8], offset: usize) -> Result<(), Breach> {
        let host = trim(value);
        if self.facts.host.is_some() {
            return Err(Breach::bad("the request has more than one Host header"));
        }
        if !is_authority(host) {
            return Err(Breach::bad("the Host header is not a host name with an optional port"));
        }
        let start = offset + value.len() - value.trim_ascii_start().len();
        self.facts.host = Some((start, start + host.len()));
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

    fn finish(&mut self, bytes: &[u8]) -> Result<Next, Breach> {
        let facts = std::mem::take(&mut self.facts);
        if facts.chunked && facts.content_length.is_some() {
            return Err(Breach::bad("the request has both Content-Length and Transfer-Encoding"));
        }
        if facts.chunked && facts.http_1_0 {
            return Err(Breach::bad("an HTTP/1.0 request must not have a Transfer-Encoding"));
        }
        if facts.host.is_none() && !facts.http_1_0 {
            return Err(Breach::bad("the request has no Host header"));
        }
        if let (Some(authority), Some(host)) = (facts.authority, facts.host) {
            let (authority, host) = (&bytes[authority.0..authority.1], &bytes[host.0..host.1]);
            if !authority.eq_ignore_ascii_case(host) {
                return Err(Breach::bad("the request target and the Host header name different hosts"));
            }
        }
        let body = match facts.content_length {
            _ if facts.chunked => Body::Chunked,
            None | Some(0) => Body::None,
            Some(length) => Body::Sized(length),
        };
        // A body comes before any other protocol, and only WebSockets are spoken here.
        let upgrade = facts.upgrade && matches!(body, Body::None);
        Ok(Next { length: self.line, body, upgrade, connect: facts.connect })
    }
}

const HEAD_TOO_LARGE: Breach = Breach::too_large("the request head is too large");
const LINE_TOO_LONG: Breach =
    Breach::new(StatusCode::URI_TOO_LONG, "the request line is longer than 8192 bytes");
const CONTROL_BYTE: Breach =
    Breach::bad("the request head contains a control byte; if this is TLS, this port does not speak it");

/// Whether all bytes can stand in `host[:port]`. A comma, `@` or `/` would make it something else for someone.
fn is_authority(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b':'
                    | b'['
                    | b']'
                    | b'%'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b';'
                    | b'='
            )
    })
}
