//! The heads that cross the gate: what goes upstream, what comes back (contract 4.6).

use std::net::IpAddr;

use apidef::Target;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;

const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Fields that concern one connection only, `Connection` and what it names apart (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    PROXY_CONNECTION,
    KEEP_ALIVE,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HTTP2_SETTINGS,
];

/// Removes what concerns one connection only. `TE: trailers` is kept: without it gRPC servers refuse to answer.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // Most heads have nothing of the kind, and comparing a few names costs less than looking each of them up.
    let any = headers
        .keys()
        .any(|name| *name == header::CONNECTION || *name == header::TE || HOP_BY_HOP.contains(name));
    if !any {
        return;
    }
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| HeaderName::try_from(name.trim()).ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(header::CONNECTION);
    }
    if headers.get(header::TE).is_some_and(|te| !te.as_bytes().eq_ignore_ascii_case(b"trailers")) {
        headers.remove(header::TE);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Adds the peer to `X-Forwarded-For`, joining what was there with `, `.
pub(super) fn append_forwarded_for(headers: &mut HeaderMap, peer: IpAddr, peer_text: &HeaderValue) {
    let before: Vec<&str> =
        headers.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let value = if before.is_empty() {
        peer_text.clone()
    } else {
        let joined = format!("{}, {peer}", before.join(", "));
        HeaderValue::try_from(joined).unwrap_or_else(|_| peer_text.clone())
    };
    headers.insert(X_FORWARDED_FOR, value);
}

/// Joins the cookie fields that HTTP/2 may split (RFC 9113 section 8.2.3).
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&str> =
        headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::try_from(cookies.join("; "))
    {
        headers.insert(header::COOKIE, joined);
    }
}

/// The path and query to ask the upstream for: the target's path and the request's remaining path joined by exactly
/// one slash, both queries joined by `&`.
pub(super) fn join(target: &Target, rest: &str, query: Option<&str>, keep_slash: bool) -> String {
    let base = &*target.path;
    let mut joined = String::with_capacity(base.len() + rest.len() + query.map_or(0, str::len) + 2);
    joined.push_str(base);
    match (base.ends_with('/'), rest.starts_with('/')) {
        (true, true) => joined.push_str(&rest[1..]),
        (false, false) if !rest.is_empty() => {
            joined.push('/');
            joined.push_str(rest);
        }
        _ if rest == "/" && !base.is_empty() && !keep_slash => {}
        _ => joined.push_str(rest),
    }
    if joined.is_empty() {
        joined.push('/');
    }
    let queries = [target.query.as_deref(), query];
    let mut separator = '?';
    for query in queries.into_iter().flatten().filter(|query| !query.is_empty()) {
        joined.push(separator);
        joined.push_str(query);
        separator = '&';
    }
    joined
}

/// Whether the client's own path and query is what the upstream shall get.
pub(super) fn passes_unchanged(target: &Target, stripped: bool) -> bool {
    !stripped && target.query.is_none() && matches!(&*target.path, "" | "/")
}

/// A request target from joined text.
pub(super) fn path_and_query(joined: String) -> Result<PathAndQuery, http::uri::InvalidUri> {
    PathAndQuery::from_maybe_shared(bytes::Bytes::from(joined))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str, query: Option<&str>) -> Target {
        Target {
            scheme: apidef::Scheme::Http,
            host: "up".into(),
            port: 80,
            authority: "up".into(),
            path: path.into(),
            query: query.map(Into::into),
            credentials: None,
        }
    }

    #[test]
    fn c4_6_rows_3_and_4_paths_join_by_one_slash_and_queries_by_an_ampersand() {
        let cases = [
            // target path, target query, rest, request query, keep slash, joined
            ("", None, "/a", None, false, "/a"),
            ("", None, "", None, false, "/"),
            ("/", None, "/", None, false, "/"),
            ("/base", None, "/a/b", None, false, "/base/a/b"),
            ("/base/", None, "/a", None, false, "/base/a"),
            ("/base", None, "a", None, false, "/base/a"),
            ("/base", None, "/", None, false, "/base"),
            ("/base", None, "/", None, true, "/base/"),
            ("/base", Some("k=1"), "/a", Some("b=2"), false, "/base/a?k=1&b=2"),
            ("/base", Some("k=1"), "/a", None, false, "/base/a?k=1"),
            ("", None, "/a%2fb", Some("q=%20"), false, "/a%2fb?q=%20"),
        ];
        for (path, target_query, rest, query, keep_slash, joined) in cases {
            assert_eq!(join(&target(path, target_query), rest, query, keep_slash), joined, "{path} + {rest}");
        }
    }

    #[test]
    fn c4_6_row_8_hop_by_hop_fields_go_and_trailers_stay() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "X-Private, keep-alive"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("x-public", "2"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        strip_hop_by_hop(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["te", "x-public"]);
    }

    #[test]
    fn the_peer_is_appended_to_forwarded_for() {
        let peer: IpAddr = "10.0.0.9".parse().unwrap();
        let text = HeaderValue::from_static("10.0.0.9");
        let mut headers = HeaderMap::new();
        append_forwarded_for(&mut headers, peer, &text);
        assert_eq!(headers[X_FORWARDED_FOR], "10.0.0.9");
        headers.append(X_FORWARDED_FOR, HeaderValue::from_static("1.1.1.1"));
        append_forwarded_for(&mut headers, peer, &text);
        assert_eq!(headers[X_FORWARDED_FOR], "10.0.0.9, 1.1.1.1, 10.0.0.9");
    }
}
