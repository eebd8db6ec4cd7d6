//! Takes the credential off before the backend sees the request (`strip_auth_data`, contract 4.4 row 18).

use apidef::{Guarded, SecurityScheme, Sources};
use http::Uri;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::exchange::Exchange;
use crate::query;
use crate::respond::Refusal;

/// Removes what stands in the places in which credentials may have come.
#[derive(Debug)]
pub(crate) struct StripAuth {
    headers: Box<[HeaderName]>,
    queries: Box<[Box<str>]>,
    cookies: Box<[Box<str>]>,
}

impl StripAuth {
    pub(crate) fn new(guarded: &Guarded) -> Self {
        let exchanged = || guarded.exchange.iter().map(|exchange| &exchange.sources);
        let sources = || guarded.schemes().filter_map(SecurityScheme::sources).chain(exchanged());
        let header = |sources: &Sources| HeaderName::try_from(&**sources.header.as_ref()?).ok();
        Self {
            headers: sources().filter_map(header).collect(),
            queries: sources().filter_map(|sources| sources.query.clone()).collect(),
            cookies: sources().filter_map(|sources| sources.cookie.clone()).collect(),
        }
    }

    pub(crate) fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        for name in &self.headers {
            exchange.head.headers.remove(name);
        }
        if !self.cookies.is_empty() {
            self.strip_cookies(exchange);
        }
        for name in &self.queries {
            strip_query(&mut exchange.head.uri, name);
        }
        Ok(())
    }

    fn strip_cookies(&self, exchange: &mut Exchange) {
        let headers = &mut exchange.head.headers;
        let mut asked = exchange.mcp.as_mut();
        let are_sent = asked.as_ref().is_some_and(|asked| {
            headers.get_all(header::COOKIE).iter().all(|value| asked.is_sent(&header::COOKIE, value))
        });
        for name in &self.cookies {
            strip_cookie(headers, name);
        }
        if let Some(asked) = asked.as_mut().filter(|_| are_sent)
            && let Some(left) = headers.get(header::COOKIE)
        {
            asked.is_left(&header::COOKIE, left);
        }
    }
}

fn strip_cookie(headers: &mut HeaderMap, name: &str) {
    if !headers.contains_key(header::COOKIE) {
        return;
    }
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

fn strip_query(uri: &mut Uri, name: &str) {
    let Some(query) = uri.query() else { return };
    let kept = without(query, "&", name);
    let path = uri.path();
    let target = if kept.is_empty() { path.to_owned() } else { format!("{path}?{kept}") };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = target.parse().ok();
    if let Ok(stripped) = Uri::from_parts(parts) {
        *uri = stripped;
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
