//! One answer that is kept, and what is given to those who ask for it.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};

use super::vary::{self, Varies};
pub(super) use super::wire::Entry;
use crate::body::Body;
use crate::clock::unix_millis;

/// Tells clients that the answer was kept.
const CACHED: HeaderName = HeaderName::from_static("x-tyk-cached-response");

impl Entry {
    /// Whether its time has not come.
    pub(super) fn lives(&self) -> bool {
        unix_millis() < self.expires
    }

    /// Bytes that it takes.
    pub(super) fn weight(&self) -> usize {
        let field = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 64;
        256 + self.headers.iter().map(field).sum::<usize>() + self.body.len()
    }

    /// Whether it is an answer to such a request, too.
    pub(super) fn fits(&self, request: &HeaderMap) -> bool {
        let coded = self.headers.get_all(header::CONTENT_ENCODING).iter();
        if !coded.into_iter().all(|coding| vary::understands(request, coding)) {
            return false;
        }
        match self.varies {
            // Whoever kept it may not have looked: then nobody knows for which requests it is.
            None => vary::varies(&self.headers, request) == Varies::Never,
            Some(digest) => vary::varies(&self.headers, request) == Varies::By(digest),
        }
    }

    /// The answer to such a request. The body is shared, not copied.
    pub(super) fn response(&self, method: &Method, request: &HeaderMap) -> Response<Body> {
        let known = matches!(*method, Method::GET | Method::HEAD) && self.is_known_to(request);
        let mut response = Response::new(match known || *method == Method::HEAD {
            true => Body::empty(),
            false => Body::full(self.body.clone()),
        });
        *response.status_mut() = if known { StatusCode::NOT_MODIFIED } else { self.status };
        let headers = response.headers_mut();
        headers.clone_from(&self.headers);
        if known {
            headers.remove(header::CONTENT_LENGTH);
        }
        headers.insert(CACHED, HeaderValue::from_static("1"));
        response
    }

    /// Whether the client says that it has it already (RFC 9110 section 13.1.2).
    fn is_known_to(&self, request: &HeaderMap) -> bool {
        let Some(wanted) = request.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()) else {
            return false;
        };
        let Some(own) = self.headers.get(header::ETAG).and_then(|value| value.to_str().ok()) else {
            return false;
        };
        let own = own.strip_prefix("W/").unwrap_or(own);
        if own.is_empty() || !self.status.is_success() {
            return false;
        }
        // Quotes end a tag on both sides: within a list it is found as a part of the text.
        let quoted = own.len() > 1 && own.starts_with('"') && own.ends_with('"');
        wanted.trim() == "*"
            || (quoted && wanted.contains(own))
            || wanted.split(',').any(|tag| tag.trim().trim_start_matches("W/") == own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn entry(fields: &[(&'static str, &'static str)]) -> Entry {
        let headers = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Entry {
            status: StatusCode::OK,
            headers: headers.collect(),
            body: Bytes::from_static(b"body"),
            expires: i64::MAX,
            varies: None,
        }
    }

    #[test]
    fn c8_6_row_6_who_has_it_already_is_told_so() {
        for (tag, wanted, method, status) in [
            ("\"a\"", "\"a\"", Method::GET, 304),
            ("\"a\"", "\"b\", W/\"a\"", Method::GET, 304),
            ("W/\"a\"", "\"a\"", Method::HEAD, 304),
            ("\"a\"", "*", Method::GET, 304),
            ("a", "b, a", Method::GET, 304),
            ("a", "\"ab\"", Method::GET, 200),
            ("\"a\"", "\"ab\"", Method::GET, 200),
            ("\"a\"", "\"a\"", Method::POST, 200),
            ("", "\"a\"", Method::GET, 200),
        ] {
            let mut request = HeaderMap::new();
            request.insert(header::IF_NONE_MATCH, HeaderValue::from_static(wanted));
            let response = entry(&[("etag", tag)]).response(&method, &request);
            assert_eq!(response.status(), status, "{tag} {wanted} {method}");
            assert_eq!(response.headers()["x-tyk-cached-response"], "1");
        }
    }

    #[test]
    fn coded_answers_are_for_those_who_understand_them() {
        let gzip = entry(&[("content-encoding", "gzip")]);
        let mut request = HeaderMap::new();
        assert!(!gzip.fits(&request) && entry(&[]).fits(&request));
        request.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("br, gzip"));
        assert!(gzip.fits(&request));
        assert!(entry(&[("vary", "accept-encoding")]).fits(&request));
        for varies in ["x-a", "*"] {
            assert!(!entry(&[("vary", varies)]).fits(&request), "whoever kept it did not look");
        }
    }
}
