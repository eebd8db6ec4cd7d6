//! `multipart/*` bodies: one message for each part (RFC 2046 section 5.1, as far as producers use it).

use bytes::{BufMut, Bytes, BytesMut};

/// Parts taken from one body at most.
const MOST_PARTS: usize = 10_000;

/// The boundary that a content type names, if it is a multipart type.
pub fn boundary(content_type: &str) -> Option<String> {
    let mut fields = content_type.split(';');
    if !fields.next()?.trim().to_ascii_lowercase().starts_with("multipart/") {
        return None;
    }
    fields.find_map(|field| {
        let (name, value) = field.trim().split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.eq_ignore_ascii_case("boundary") && (1..=70).contains(&value.len())).then(|| value.to_owned())
    })
}

/// The payloads of the parts.
///
/// # Errors
/// What is wrong with the body.
pub fn parts<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<&'a [u8]>, &'static str> {
    Ok(parts_with_headers(body, boundary)?.into_iter().map(|(_, payload)| payload).collect())
}

/// A part: the lines of its headers, and its payload.
pub type ReadPart<'a> = (&'a [u8], &'a [u8]);

/// The parts with their headers.
///
/// # Errors
/// What is wrong with the body.
pub fn parts_with_headers<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<ReadPart<'a>>, &'static str> {
    let delimiter = format!("--{boundary}");
    let finder = memchr::memmem::Finder::new(delimiter.as_bytes());
    let mut marks = finder.find_iter(body).filter(|at| *at == 0 || body[..*at].ends_with(b"\n"));
    let mut parts = Vec::new();
    let mut begin = marks.next().ok_or("the body does not hold its boundary")? + delimiter.len();
    loop {
        if body[begin..].starts_with(b"--") {
            return Ok(parts);
        }
        let end = marks.next().ok_or("the body does not end with its boundary")?;
        if parts.len() == MOST_PARTS {
            return Err("the body has too many parts");
        }
        parts.push(part(&body[begin..end])?);
        begin = end + delimiter.len();
    }
}

/// The headers of a part and its payload, without the line breaks around it.
fn part(part: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let part = part.strip_suffix(b"\r\n").or_else(|| part.strip_suffix(b"\n")).unwrap_or(part);
    let after_delimiter = memchr::memchr(b'\n', part).ok_or("a part has no line of its own")? + 1;
    let whole = &part[after_delimiter..];
    let mut rest = whole;
    loop {
        match memchr::memchr(b'\n', rest) {
            Some(end) => {
                let line = &rest[..end];
                let headers = &whole[..whole.len() - rest.len()];
                rest = &rest[end + 1..];
                if line.is_empty() || line == b"\r" {
                    return Ok((headers, rest));
                }
            }
            None if rest.is_empty() || rest == b"\r" => return Ok((whole, &[])),
            None => return Err("a part has no empty line after its headers"),
        }
    }
}

/// A part to be written.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Its headers by name, without line breaks.
    pub headers: &'a [(&'a str, &'a str)],
    /// Its payload.
    pub payload: &'a [u8],
}

/// A boundary that no payload can hold, since it is random.
pub fn new_boundary() -> String {
    format!("part-{:032x}", rand::random::<u128>())
}

/// A body of these parts.
pub fn write<'a>(parts: impl IntoIterator<Item = Part<'a>>, boundary: &str) -> Bytes {
    let mut body = BytesMut::new();
    for Part { headers, payload } in parts {
        body.put_slice(format!("--{boundary}\r\n").as_bytes());
        for (name, value) in headers {
            body.put_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        body.put_slice(b"\r\n");
        body.put_slice(payload);
        body.put_slice(b"\r\n");
    }
    body.put_slice(format!("--{boundary}--\r\n").as_bytes());
    body.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_read() {
        let cases = [
            ("multipart/form-data; boundary=abc", Some("abc")),
            ("Multipart/Mixed; charset=x; Boundary=\"a b\"", Some("a b")),
            ("multipart/mixed", None),
            ("application/json; boundary=abc", None),
            ("multipart/mixed; boundary=", None),
        ];
        for (content_type, expected) in cases {
            assert_eq!(boundary(content_type).as_deref(), expected, "{content_type}");
        }
    }

    #[test]
    fn parts_are_cut_out() {
        let body = b"preamble\r\n--b\r\nContent-Type: text/plain\r\n\r\none\r\n--b\r\n\r\ntwo\r\nlines\r\n--b--\r\nend";
        assert_eq!(parts(body, "b"), Ok(vec![&b"one"[..], b"two\r\nlines"]));
        for broken in [&b"nothing"[..], b"--b\r\n\r\nx", b"--bx", b"--b\r\nheader\r\n--b--"] {
            assert!(parts(broken, "b").is_err(), "{}", String::from_utf8_lossy(broken));
        }
        assert_eq!(parts(b"--b--", "b"), Ok(vec![]));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let payloads = [&b"one"[..], b"", b"two\r\nlines\r\n", b"--part-"];
        let headers = [("Content-Type", "text/plain")];
        let boundary = new_boundary();
        let body = write(payloads.map(|payload| Part { headers: &headers, payload }), &boundary);
        assert_eq!(parts(&body, &boundary), Ok(payloads.to_vec()));
        let body = write(payloads.map(|payload| Part { headers: &[], payload }), &boundary);
        assert_eq!(parts(&body, &boundary), Ok(payloads.to_vec()));
    }
}
