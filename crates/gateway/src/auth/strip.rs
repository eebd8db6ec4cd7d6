//! Takes the credential off before the backend sees the request (`strip_auth_data`, contract 4.4 row 18).

use apidef::TokenSources;
use http::Uri;
use http::header::{self, HeaderName, HeaderValue};

use crate::exchange::Exchange;
use crate::query;
use crate::respond::Refusal;

/// Removes the places in which a key may have come.
#[derive(Debug)]
pub(crate) struct StripAuth {
    header: Option<HeaderName>,
    query: Option<Box<str>>,
    cookie: Option<Box<str>>,
}

impl StripAuth {
    pub(crate) fn new(sources: &TokenSources) -> Self {
        Self {
            header: sources.header.as_ref().and_then(|name| HeaderName::try_from(&**name).ok()),
            query: sources.query.clone(),
            cookie: sources.cookie.clone(),
        }
    }

    pub(crate) fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let headers = &mut exchange.head.headers;
        if let Some(name) = &self.header {
            headers.remove(name);
        }
        if let Some(name) = &self.cookie
            && headers.contains_key(header::COOKIE)
        {
            // One field or several (RFC 9113 section 8.2.3): what is no text cannot be looked through, and goes.
            let cookies: Vec<&str> =
                headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok()).collect();
            let kept = without(&cookies.join("; "), "; ", name);
            match HeaderValue::try_from(kept) {
                Ok(kept) if !kept.is_empty() => {
                    headers.insert(header::COOKIE, kept);
                }
                _ => {
                    headers.remove(header::COOKIE);
                }
            }
        }
        if let Some(name) = &self.query
            && let Some(query) = exchange.head.uri.query()
        {
            let kept = without(query, "&", name);
            let path = exchange.head.uri.path();
            let target = if kept.is_empty() { path.to_owned() } else { format!("{path}?{kept}") };
            let mut parts = exchange.head.uri.clone().into_parts();
            parts.path_and_query = target.parse().ok();
            if let Ok(uri) = Uri::from_parts(parts) {
                exchange.head.uri = uri;
            }
        }
        Ok(())
    }
}

/// The list without the entry of this name.
fn without(list: &str, separator: &str, name: &str) -> String {
    list.split(separator.trim())
        .map(str::trim)
        .filter(|entry| entry.split('=').next().is_none_or(|key| query::decode(key) != name))
        .collect::<Vec<_>>()
        .join(separator)
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn only_the_named_entry_goes() {
        assert_eq!(without("a=1; key=x; keys=2", "; ", "key"), "a=1; keys=2");
        assert_eq!(without("key=x", "&", "key"), "");
        assert_eq!(without("a=1&key=x&b", "&", "key"), "a=1&b");
    }
}
