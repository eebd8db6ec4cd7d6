//! The text that is signed (draft-cavage-http-signatures section 2.3): a line for each header field, and one for method
//! and path.

use http::header::{HOST, HeaderMap};

use super::params::TARGET;
use crate::query;

/// Stands in for `Date` where clients may not set it.
pub(crate) const OTHER_DATE: &str = "x-aux-date";

/// A request's head, as far as it can be signed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'h> {
    pub(crate) method: &'h str,
    pub(crate) headers: &'h HeaderMap,
    /// Where HTTP/2 names the host.
    pub(crate) authority: Option<&'h str>,
    /// Whether another field stands in for the date.
    pub(crate) other_date: bool,
}

impl Head<'_> {
    /// The text, with this path. Why there is none: a field that is signed is missing, so nothing is said about it.
    pub(crate) fn text(&self, signed: &[String], path: &str) -> Result<Vec<u8>, &'static str> {
        let mut text = Vec::with_capacity(64 * signed.len());
        for name in signed {
            if !text.is_empty() {
                text.push(b'\n');
            }
            if name == TARGET {
                let method = self.method.to_ascii_lowercase();
                text.extend_from_slice(format!("{TARGET}: {method} {path}").as_bytes());
                continue;
            }
            let name = self.named(name);
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(&self.value(name).ok_or("a header field that is signed is missing")?);
        }
        Ok(text)
    }

    /// The date that counts.
    pub(crate) fn date(&self) -> Option<String> {
        String::from_utf8(self.value(self.named("date"))?).ok()
    }

    /// The date is signed under the name that it came with.
    fn named<'n>(&self, name: &'n str) -> &'n str {
        if name == "date" && self.other_date && self.headers.contains_key(OTHER_DATE) {
            OTHER_DATE
        } else {
            name
        }
    }

    /// All values of a field: what is not signed could be added on the way.
    pub(super) fn value(&self, name: &str) -> Option<Vec<u8>> {
        let mut values = self.headers.get_all(name).iter();
        let Some(first) = values.next() else {
            return self.authority.filter(|_| name == HOST.as_str()).map(|host| host.as_bytes().to_vec());
        };
        let mut joined = first.as_bytes().trim_ascii().to_vec();
        for value in values {
            joined.extend_from_slice(b", ");
            joined.extend_from_slice(value.as_bytes().trim_ascii());
        }
        Some(joined)
    }
}

/// The paths that a client may mean: as it is written, with its query (which the drafts want and the original leaves
/// out), and with its escapes resolved, unless that could be read as another path.
pub(crate) fn paths(uri: &http::Uri) -> Vec<String> {
    let path = uri.path();
    let mut paths = vec![path.to_owned()];
    if let Some(query) = uri.query() {
        paths.push(format!("{path}?{query}"));
    }
    let plain = query::decode_path(path);
    let escapes = path.matches('%').count();
    let same_path = plain.matches('/').count() == path.matches('/').count()
        && !plain.contains(['%', '?', '#', '\\', '\u{fffd}'])
        && !plain.chars().any(char::is_control)
        && !plain.split('/').any(|segment| matches!(segment, "." | ".."));
    if escapes > 0 && same_path {
        paths.push(plain.into_owned());
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{HeaderName, HeaderValue};

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn c5_4_row_2_each_name_is_a_line_and_every_value_is_in_it() {
        let fields = headers(&[("host", "a.test"), ("date", "now"), ("x", " 1 "), ("x", "2"), ("empty", "")]);
        let moved = headers(&[("date", "then"), ("x-aux-date", "now")]);
        let cases: &[(&HeaderMap, &[&str], Result<&str, &str>)] = &[
            (&fields, &["(request-target)"], Ok("(request-target): post /p")),
            (&fields, &["host", "date"], Ok("host: a.test\ndate: now")),
            (&fields, &["x"], Ok("x: 1, 2")),
            (&fields, &["empty"], Ok("empty: ")),
            (&fields, &["x", "none"], Err("a header field that is signed is missing")),
            (&moved, &["date"], Ok("x-aux-date: now")),
            (&moved, &["x-aux-date"], Ok("x-aux-date: now")),
            (&moved, &["host"], Ok("host: authority.test")),
        ];
        for (headers, signed, expected) in cases {
            let head = Head { method: "POST", headers, authority: Some("authority.test"), other_date: true };
            let signed: Vec<String> = signed.iter().map(|name| (*name).to_owned()).collect();
            let text = head.text(&signed, "/p").map(|text| String::from_utf8(text).unwrap());
            assert_eq!(text.as_deref().map_err(|why| *why), *expected, "{signed:?}");
        }
    }

    #[test]
    fn escapes_are_resolved_only_where_the_path_stays_the_same() {
        for (uri, expected) in [
            ("/a/b", &["/a/b"][..]),
            ("/a?b=c", &["/a", "/a?b=c"]),
            ("/a%20b", &["/a%20b", "/a b"]),
            ("/%C3%A9", &["/%C3%A9", "/é"]),
            ("/a%2Fb", &["/a%2Fb"]),
            ("/a%2fb", &["/a%2fb"]),
            ("/a/%2e%2e/b", &["/a/%2e%2e/b"]),
            ("/a%3Fb", &["/a%3Fb"]),
            ("/a%252Fb", &["/a%252Fb"]),
            ("/a%0Ab", &["/a%0Ab"]),
            ("/a%ffb", &["/a%ffb"]),
        ] {
            assert_eq!(paths(&uri.parse().unwrap()), expected, "{uri}");
        }
    }
}
