//! Under which key an answer is kept (contract 5.1, 8.6): API, caller, and a digest of what is asked.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::Method;
use http::header::{HeaderMap, HeaderName};
use md5::{Digest, Md5};

use crate::hex::push_hex;

/// Whose answers are told apart.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whose<'a> {
    /// Those of a key, by the name of its session.
    Session(&'a str),
    /// Those of an address.
    Address(IpAddr),
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    /// Path and query as they came.
    pub(super) target: &'a str,
    pub(super) headers: &'a HeaderMap,
    /// What stands for the body; `None` where there is none, or it does not count.
    pub(super) body: Option<&'a [u8]>,
}

/// What the keys of all answers of an API begin with.
pub(super) fn prefix(api: &str) -> String {
    format!("cache-{api}{api}")
}

/// `by_headers`: fields that count, and how the definition calls them.
pub(super) fn key(
    api: &str,
    whose: Whose<'_>,
    asked: &Asked<'_>,
    by_headers: &[(HeaderName, Box<str>)],
) -> String {
    let mut digest = Md5::new();
    digest.update(asked.method.as_str());
    digest.update("-");
    digest.update(asked.target);
    if !by_headers.is_empty() {
        digest.update("-");
        for (name, written) in by_headers {
            digest.update(written.as_bytes());
            digest.update("-");
            // HTTP/2 may split `Cookie` (RFC 9113 section 8.2.3): the rest of it counts as well, joined as upstreams see it.
            let between: &[u8] = if *name == http::header::COOKIE { b"; " } else { &[0] };
            for (index, value) in asked.headers.get_all(name).iter().enumerate() {
                if index > 0 {
                    digest.update(between);
                }
                digest.update(value.as_bytes());
            }
        }
    }
    if let Some(body) = asked.body {
        digest.update("-");
        digest.update(apidef::keys::murmur128(body));
    }
    let mut key = String::with_capacity(6 + 2 * api.len() + 40 + 32);
    key.push_str("cache-");
    key.push_str(api);
    key.push_str(api);
    match whose {
        Whose::Session(name) => key.push_str(name),
        // Writing to a string cannot fail.
        Whose::Address(address) => drop(write!(key, "{address}")),
    }
    push_hex(&mut key, &digest.finalize());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HeaderValue;

    #[test]
    fn c8_6_keys_tell_apart_what_is_asked() {
        let mut headers = HeaderMap::new();
        headers.insert("x-kind", HeaderValue::from_static("one"));
        let by: [(HeaderName, Box<str>); 2] = [
            (HeaderName::from_static("x-kind"), "X-Kind".into()),
            (HeaderName::from_static("x-none"), "x-none".into()),
        ];
        let address = || Whose::Address([10, 0, 0, 1].into());
        let digest = |text: &str| {
            let mut hex = String::new();
            push_hex(&mut hex, &Md5::digest(text));
            hex
        };
        let murmur = apidef::keys::murmur128(b"body");
        for (whose, method, body, by_headers, name, text) in [
            (address(), Method::GET, None, &by[..0], "10.0.0.1", "GET-/a/b?c=%20d".to_owned()),
            (Whose::Session("token"), Method::HEAD, None, &by[..0], "token", "HEAD-/a/b?c=%20d".to_owned()),
            (
                address(),
                Method::GET,
                None,
                &by[..],
                "10.0.0.1",
                "GET-/a/b?c=%20d-X-Kind-onex-none-".to_owned(),
            ),
            (
                address(),
                Method::POST,
                Some("body"),
                &by[..0],
                "10.0.0.1",
                format!("POST-/a/b?c=%20d-{murmur}"),
            ),
            (
                address(),
                Method::PUT,
                Some("body"),
                &by[..1],
                "10.0.0.1",
                format!("PUT-/a/b?c=%20d-X-Kind-one-{murmur}"),
            ),
        ] {
            let asked = Asked {
                method: &method,
                target: "/a/b?c=%20d",
                headers: &headers,
                body: body.map(str::as_bytes),
            };
            let key = key("api", whose, &asked, by_headers);
            assert_eq!(key, format!("cache-apiapi{name}{}", digest(&text)), "{text}");
            assert!(key.starts_with(&prefix("api")));
        }
    }
}
