//! What of a request an answer depends on beside its key (RFC 9111 section 4.1): fields that `Vary` names, and codings that
//! the client understands.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use md5::{Digest, Md5};

use crate::codings;

/// A digest of the fields that an answer varies by, as they are in the request that it was given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Varies {
    /// By nothing.
    Never,
    /// By fields, with this digest.
    By([u8; 16]),
    /// By more than can be seen.
    Always,
}

/// How the answer varies, for such a request.
pub(super) fn varies(answer: &HeaderMap, request: &HeaderMap) -> Varies {
    if !answer.contains_key(header::VARY) {
        return Varies::Never;
    }
    let mut names: Vec<HeaderName> = Vec::new();
    for value in answer.get_all(header::VARY) {
        for name in value.to_str().unwrap_or("*").split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match HeaderName::try_from(name) {
                Ok(name) if name.as_str() != "*" => names.push(name),
                _ => return Varies::Always,
            }
        }
    }
    // What the client understands is compared with the coding itself.
    names.retain(|name| *name != header::ACCEPT_ENCODING);
    if names.is_empty() {
        return Varies::Never;
    }
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    let mut digest = Md5::new();
    for name in names {
        digest.update(name.as_str());
        for value in request.get_all(&name) {
            digest.update([0]);
            digest.update((value.len() as u64).to_be_bytes());
            digest.update(value.as_bytes());
        }
        digest.update([1]);
    }
    Varies::By(digest.finalize().into())
}

/// Whether a client understands how the body is coded.
pub(super) fn understands(request: &HeaderMap, coding: &HeaderValue) -> bool {
    let codings = coding.to_str().unwrap_or("?").split(',').map(str::trim);
    let mut coded = codings.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"));
    coded.all(|coding| codings::takes(request, coding))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn answers_vary_by_the_fields_that_they_name() {
        let request = [("origin", "https://a"), ("x-a", "1"), ("accept-encoding", "gzip")];
        for (vary, other, same) in [
            (&[("vary", "Origin, X-A")][..], &[("x-a", "1"), ("origin", "https://a")][..], true),
            (&[("vary", "x-a"), ("vary", "origin")], &[("x-a", "1"), ("origin", "https://a")], true),
            (&[("vary", "Origin")], &[("origin", "https://b")], false),
            (&[("vary", "Origin")], &[], false),
            (&[("vary", "X-A")], &[("x-a", "1"), ("origin", "https://b")], true),
            (&[("vary", "X-A")], &[("x-a", "1"), ("x-a", "")], false),
            (&[("vary", "Accept-Encoding")], &[], true),
            (&[], &[], true),
        ] {
            let answer = headers(vary);
            assert_eq!(
                varies(&answer, &headers(&request)) == varies(&answer, &headers(other)),
                same,
                "{vary:?} {other:?}"
            );
        }
        for always in ["*", "x-a, *", "x y"] {
            assert_eq!(varies(&headers(&[("vary", always)]), &HeaderMap::new()), Varies::Always, "{always}");
        }
    }

    #[test]
    fn clients_understand_the_codings_that_they_list() {
        for (accepted, coding, understood) in [
            ("gzip, br", "gzip", true),
            ("br;q=1.0, GZIP;q=0.5", "gzip", true),
            ("gzip;q=0", "gzip", false),
            ("*", "zstd", true),
            ("*;q=0, gzip", "zstd", false),
            ("*, gzip;q=0", "gzip", false),
            ("deflate", "gzip", false),
            ("", "gzip", false),
            ("", "identity", true),
            ("gzip", "gzip, br", false),
        ] {
            let request = headers(&[("accept-encoding", accepted)]);
            assert_eq!(
                understands(&request, &HeaderValue::from_static(coding)),
                understood,
                "{accepted} {coding}"
            );
        }
        assert!(!understands(&HeaderMap::new(), &HeaderValue::from_static("gzip")));
    }
}
