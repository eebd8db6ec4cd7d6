//! How the backend is asked where guards changed that. The request itself stays as it came, so that whatever follows in the
//! chain, and what answers go through, is found by the path that its client asked for (contract 8.2, 4.4 row 44).

use std::fmt::Write as _;

use apidef::Target;
use http::Method;
use http::uri::PathAndQuery;

use crate::route::{Oddity, check};

/// How the backend is asked.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// Where, if not where its client asked.
    pub(crate) to: Option<To>,
    /// With which method, if not with its client's.
    pub(crate) method: Option<Method>,
    /// Its client's address is not told (contract 4.6, "X-Forwarded-For").
    pub(crate) hides_client: bool,
}

/// Where a rewritten request goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// To the API's upstream, below its target's path. The listen path was its client's matter: nothing of this is
    /// stripped.
    Path(PathAndQuery),
    /// To another host.
    Elsewhere {
        target: Box<Target>,
        /// Which host that is, the definition says, and not the request.
        known: bool,
    },
    /// To an API of this gate.
    Api(Box<str>),
}

const LEAVES: &str = "would leave the path that it is to be below";

impl To {
    /// Reads a new URL. `fixed`: the definition says all of it, `known`: the host of it.
    pub(crate) fn read(url: &str, fixed: bool, known: bool) -> Result<Self, &'static str> {
        let url = url.split_once('#').map_or(url, |(url, _)| url);
        if Target::is_inner(url) {
            if !fixed && leaves(&Target::inner(url)?.path) {
                return Err(LEAVES);
            }
            return Ok(Self::Api(url.into()));
        }
        let to = if is_absolute(url) {
            let target = Target::parse(url)?;
            if !known && target.credentials.is_some() {
                return Err("holds credentials, which no request may choose");
            }
            Self::Elsewhere { target: Box::new(target), known }
        } else {
            // However many slashes it begins with, it is a path: a host is named with its scheme, or not at all.
            let path = encoded(url.trim_start_matches('/'));
            let path = PathAndQuery::try_from(path).map_err(|_| "is no path that can be asked for")?;
            Self::Path(path)
        };
        let path = match &to {
            Self::Path(path) => path.path(),
            Self::Elsewhere { target, .. } => &target.path,
            Self::Api(_) => "",
        };
        if !fixed && leaves(path) {
            return Err(LEAVES);
        }
        Ok(to)
    }
}

/// Whether a URL begins with a scheme.
pub(crate) fn is_absolute(url: &str) -> bool {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Whether a path has segments that lead upwards, also where separators or dots are escaped.
fn leaves(path: &str) -> bool {
    match check(path) {
        Ok(()) => false,
        Err(Oddity::Malformed(_)) => true,
        Err(Oddity::Unclean(_)) => {
            let dots = |segment: &str| {
                let segment = segment.to_ascii_lowercase().replace("%2e", ".");
                matches!(&*segment, "." | "..")
            };
            path.split('/').any(dots)
        }
    }
}

/// A path with a slash before it, and what may not stand in it escaped.
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 1);
    out.push('/');
    for byte in path.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c8_2_row_7_new_urls_are_paths_or_hosts() {
        let path = |text: &str| Ok(To::Path(text.parse().unwrap()));
        let elsewhere =
            |url: &str| Ok(To::Elsewhere { target: Box::new(Target::parse(url).unwrap()), known: true });
        for (url, expected) in [
            ("/a/b?c=1", path("/a/b?c=1")),
            ("my/service?v=1", path("/my/service?v=1")),
            ("", path("/")),
            ("?a=1", path("/?a=1")),
            ("/a//b/", path("/a//b/")),
            ("/a b/é{x}?q=\"", path("/a%20b/%C3%A9%7Bx%7D?q=%22")),
            ("/a%20b", path("/a%20b")),
            ("/a#frag?ment", path("/a")),
            // A host is never read out of a path.
            ("//evil.example/x", path("/evil.example/x")),
            ("///x", path("/x")),
            ("/x?u=http://h/", path("/x?u=http://h/")),
            ("http://h:81/a?b=1#c", elsewhere("http://h:81/a?b=1")),
            ("HTTPS://H", elsewhere("https://h")),
            ("tyk://self/x?method=POST", Ok(To::Api("tyk://self/x?method=POST".into()))),
            ("TYK://other", Ok(To::Api("TYK://other".into()))),
        ] {
            assert_eq!(To::read(url, false, true), expected, "{url}");
        }
        // A definition may say who the gate is there, a request may not.
        assert!(To::read("http://u:p@h/", false, true).is_ok());
        assert!(To::read("http://u:p@h/", false, false).is_err());
        for url in [
            "tyk://self/../b",
            "/a/../b",
            "/..",
            "/a/%2e%2E/b",
            "/a%2f..%2fb",
            "http://h/../b",
            "http://",
            "ftp://h/",
            "http://h /",
            "/%zz",
            "/%00",
        ] {
            assert!(To::read(url, false, true).is_err(), "{url}");
        }
        // What the definition itself says is done.
        assert_eq!(To::read("/a/../b", true, true), path("/a/../b"));
    }
}
