//! Where a credential is in a request: header, query parameter or cookie.

use std::borrow::Cow;

use apidef::Sources;
use http::header::{self, HeaderMap, HeaderName};
use http::request;

use crate::query;

/// The places of a credential.
#[derive(Debug)]
pub(crate) struct Places {
    header: Option<HeaderName>,
    query: Option<Box<str>>,
    cookie: Option<Box<str>>,
}

/// A place of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Header,
    Query,
    Cookie,
}

impl Places {
    pub(crate) fn new(sources: &Sources) -> Result<Self, String> {
        let header = match &sources.header {
            None => None,
            Some(name) => Some(
                HeaderName::try_from(&**name)
                    .map_err(|_| format!("`{name}` is no valid header name for credentials"))?,
            ),
        };
        Ok(Self { header, query: sources.query.clone(), cookie: sources.cookie.clone() })
    }

    /// What is written there, with whatever scheme stands before it; a later place overrides an earlier one.
    pub(crate) fn find<'a>(&self, head: &'a request::Parts) -> Option<Cow<'a, str>> {
        self.find_in(head).map(|(found, _)| found)
    }

    /// The same with its place.
    pub(crate) fn find_in<'a>(&self, head: &'a request::Parts) -> Option<(Cow<'a, str>, Place)> {
        let from_header =
            || head.headers.get(self.header.as_ref()?)?.to_str().ok().map(str::trim).map(Cow::Borrowed);
        let from_query = || query::value(head.uri.query()?, self.query.as_ref()?);
        let from_cookie = || {
            let asked = self.cookie.as_deref()?;
            cookie_value(&head.headers, |name| name == asked).map(Cow::Borrowed)
        };
        let filled = |value: &Cow<'_, str>| !value.is_empty();
        let cookie = from_cookie().filter(filled).map(|found| (found, Place::Cookie));
        cookie
            .or_else(|| Some((from_query().filter(filled)?, Place::Query)))
            .or_else(|| Some((from_header().filter(filled)?, Place::Header)))
    }
}

/// The first cookie of a name that is asked for.
pub(crate) fn cookie_value(headers: &HeaderMap, is_asked: impl Fn(&str) -> bool) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| {
            let (key, value) = cookie.trim().split_once('=')?;
            is_asked(key).then_some(value)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c5_2_row_1_a_later_place_counts_and_is_told() {
        let sources = apidef::Sources {
            header: Some("x-key".into()),
            query: Some("key".into()),
            cookie: Some("key".into()),
        };
        let places = Places::new(&sources).unwrap();
        for (header, uri, cookie, expected) in [
            ("", "/", "", None),
            ("h", "/", "", Some(("h", Place::Header))),
            ("h", "/?key=q", "", Some(("q", Place::Query))),
            ("h", "/?key=q", "key=c", Some(("c", Place::Cookie))),
            ("h", "/?key=", "key=", Some(("h", Place::Header))),
        ] {
            let request =
                http::Request::builder().uri(uri).header("x-key", header).header(header::COOKIE, cookie);
            let (head, ()) = request.body(()).unwrap().into_parts();
            let found = places.find_in(&head);
            let found = found.as_ref().map(|(text, place)| (&**text, *place));
            assert_eq!(found, expected, "{header} {uri} {cookie}");
        }
    }

    #[test]
    fn values_are_found_by_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=1; key=abc".parse().unwrap());
        assert_eq!(cookie_value(&headers, |name| name == "key"), Some("abc"));
        assert_eq!(cookie_value(&headers, |name| name == "ke"), None);
    }
}
