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

    /// Whether it is a header that [`Places::find`] finds it in.
    pub(crate) fn in_header(&self, head: &request::Parts) -> bool {
        let elsewhere = Self { header: None, query: self.query.clone(), cookie: self.cookie.clone() };
        elsewhere.find(head).is_none()
    }

    /// What is written there, with whatever scheme stands before it; a later place overrides an earlier one.
    pub(crate) fn find<'a>(&self, head: &'a request::Parts) -> Option<Cow<'a, str>> {
        let from_header =
            || head.headers.get(self.header.as_ref()?)?.to_str().ok().map(str::trim).map(Cow::Borrowed);
        let from_query = || query::value(head.uri.query()?, self.query.as_ref()?);
        let from_cookie = || {
            let asked = self.cookie.as_deref()?;
            cookie_value(&head.headers, |name| name == asked).map(Cow::Borrowed)
        };
        let filled = |value: &Cow<'_, str>| !value.is_empty();
        from_cookie()
            .filter(filled)
            .or_else(|| from_query().filter(filled))
            .or_else(|| from_header().filter(filled))
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
    fn values_are_found_by_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=1; key=abc".parse().unwrap());
        assert_eq!(cookie_value(&headers, |name| name == "key"), Some("abc"));
        assert_eq!(cookie_value(&headers, |name| name == "ke"), None);
    }
}
