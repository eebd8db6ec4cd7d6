//! Auth token: a key in a header, query parameter or cookie (contract 5.2).

use std::borrow::Cow;

use apidef::TokenSources;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName};

use crate::exchange::Exchange;
use crate::query;
use crate::respond::Refusal;

/// Finds the caller by the key that the request carries.
#[derive(Debug)]
pub(crate) struct Token {
    header: Option<HeaderName>,
    query: Option<Box<str>>,
    cookie: Option<Box<str>>,
    org_id: Box<str>,
}

impl Token {
    pub(crate) fn new(sources: &TokenSources, org_id: &str) -> Result<Self, String> {
        let header = match &sources.header {
            None => None,
            Some(name) => Some(
                HeaderName::try_from(&**name)
                    .map_err(|_| format!("`{name}` is no valid header name for keys"))?,
            ),
        };
        Ok(Self {
            header,
            query: sources.query.clone(),
            cookie: sources.cookie.clone(),
            org_id: org_id.into(),
        })
    }

    pub(crate) async fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let gate = &exchange.gate;
        let Some(token) = self.find(exchange) else {
            return Err(Refusal::client(StatusCode::UNAUTHORIZED, "AMF", "Authorization field missing"));
        };
        // The usual case first: a caller we know, without an await.
        let known = gate.callers.known(&self.org_id, &token);
        let caller = match known {
            Some(caller) => Some(caller),
            None => gate.callers.look_up(gate, &self.org_id, &token).await?,
        };
        exchange.caller = Some(caller.ok_or_else(disallowed)?);
        Ok(())
    }

    /// The key; a later source overrides an earlier one.
    fn find<'a>(&self, exchange: &'a Exchange) -> Option<Cow<'a, str>> {
        let headers = &exchange.head.headers;
        let from_header =
            || without_bearer(headers.get(self.header.as_ref()?)?.to_str().ok()?).map(Cow::Borrowed);
        let from_query = || query::value(exchange.head.uri.query()?, self.query.as_ref()?);
        let from_cookie = || cookie_value(headers, self.cookie.as_ref()?).map(Cow::Borrowed);
        let filled = |token: &Cow<'_, str>| !token.is_empty();
        from_cookie()
            .filter(filled)
            .or_else(|| from_query().filter(filled))
            .or_else(|| from_header().filter(filled))
    }
}

/// The refusal of keys that are not known or not good for this API.
pub(super) fn disallowed() -> Refusal {
    Refusal::client(StatusCode::FORBIDDEN, "AKI", "Access to this API has been disallowed")
}

fn without_bearer(value: &str) -> Option<&str> {
    match value.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("bearer ") => Some(value[7..].trim()),
        _ => Some(value.trim()),
    }
}

fn cookie_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| {
            let (key, value) = cookie.trim().split_once('=')?;
            (key == name).then_some(value)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_is_taken_off_in_any_case() {
        for (value, token) in
            [("abc", "abc"), ("Bearer abc", "abc"), ("bEARER  abc", "abc"), ("Bearer", "Bearer")]
        {
            assert_eq!(without_bearer(value), Some(token));
        }
    }

    #[test]
    fn values_are_found_by_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=1; key=abc".parse().unwrap());
        assert_eq!(cookie_value(&headers, "key"), Some("abc"));
        assert_eq!(cookie_value(&headers, "ke"), None);
    }
}
