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

/// Fields in which proxies tell where a request was meant to go, and frameworks find another one than that: answers hold
/// links that were made of them, or are those of other paths. A request that says so has answers of its own, so that nobody
/// gets what another has had made; the original does not look at them.
const TOLD: [HeaderName; 14] = [
    http::header::FORWARDED,
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-scheme"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-host"),
    HeaderName::from_static("x-original-host"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-method-override"),
];

/// Names and values of fields that count stand in the key one after the other, as the original has them. One value may look
/// like the end of it and the next: such a request is told apart by the lengths.
fn is_ambiguous(asked: &Asked<'_>, by_headers: &[(HeaderName, Box<str>)]) -> bool {
    let values = by_headers.iter().flat_map(|(name, _)| asked.headers.get_all(name));
    let looks_like = |text: &[u8]| {
        by_headers.iter().any(|(_, written)| memchr::memmem::find(text, written.as_bytes()).is_some())
    };
    values.into_iter().any(|value| looks_like(value.as_bytes()))
}

/// `by_headers`: fields that count, and how the definition calls them. `host`: it counts, since the upstream sees it.
pub(super) fn key(
    api: &str,
    whose: Whose<'_>,
    asked: &Asked<'_>,
    by_headers: &[(HeaderName, Box<str>)],
    host: bool,
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
    if is_ambiguous(asked, by_headers) {
        digest.update([1]);
        for (name, _) in by_headers {
            for value in asked.headers.get_all(name) {
                digest.update((value.len() as u64).to_be_bytes());
            }
            digest.update([2]);
        }
    }
    let host = host.then_some(&http::header::HOST);
    for name in host.into_iter().chain(&TOLD) {
        for value in asked.headers.get_all(name) {
            digest.update([0]);
            digest.update(name.as_str());
            digest.update((value.len() as u64).to_be_bytes());
            digest.update(value.as_bytes());
        }
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
    fn c8_6_row_2_keys_tell_apart_what_is_asked() {
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
            let key = key("api", whose, &asked, by_headers, false);
            assert_eq!(key, format!("cache-apiapi{name}{}", digest(&text)), "{text}");
            assert!(key.starts_with(&prefix("api")));
        }
    }

    #[test]
    fn what_looks_the_same_one_after_the_other_is_told_apart() {
        let by: [(HeaderName, Box<str>); 2] =
            [(HeaderName::from_static("x-a"), "X-A".into()), (HeaderName::from_static("x-b"), "X-B".into())];
        let key_of = |target: &str, fields: &[(&'static str, &str)], host: bool| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_str(value).unwrap());
            }
            let asked = Asked { method: &Method::GET, target, headers: &headers, body: None };
            key("api", Whose::Session("token"), &asked, &by, host)
        };
        let plain = key_of("/a", &[("x-a", "1"), ("x-b", "2X-B-")], false);
        assert_ne!(plain, key_of("/a", &[("x-a", "1X-B-2")], false));
        assert_ne!(key_of("/a", &[("x-a", "1-X-A-2")], false), key_of("/a-X-A-1", &[("x-a", "2")], false));
        // The host counts where it is said to; what names another always does.
        let with_host = |host: &str, counts| key_of("/a", &[("host", host)], counts);
        assert_eq!(with_host("one", false), with_host("two", false));
        assert_ne!(with_host("one", true), with_host("two", true));
        for name in TOLD {
            let field: &'static str = Box::leak(name.as_str().to_owned().into_boxed_str());
            assert_ne!(key_of("/a", &[], false), key_of("/a", &[(field, "evil")], false), "{name}");
            assert_ne!(
                key_of("/a", &[(field, "good")], false),
                key_of("/a", &[(field, "evil")], false),
                "{name}"
            );
        }
    }
}
