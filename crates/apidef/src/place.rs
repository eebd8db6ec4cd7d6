//! Where an API listens and where it sends: listen paths, hosts, target URLs.

use crate::template::{self, Piece, Template};
use crate::{Scheme, Secret, Target};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::fmt;

/// A listen path that starts with `/`, without empty, `.` and `..` segments; a final `/` is kept (contract 2.3). Inside of
/// braces nothing is changed.
pub(crate) fn listen_path(written: &str) -> Result<Box<str>, String> {
    let pieces = template::pieces(written)?;
    let literals = || {
        pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(text) => Some(*text),
            Piece::Open { .. } => None,
        })
    };
    if literals().any(|text| text.contains("://")) {
        return Err("a listen path is a path, not a URL".to_owned());
    }
    if written.contains(|c: char| c.is_whitespace() || c.is_control())
        || literals().any(|text| text.contains(['?', '#']))
    {
        return Err("a listen path has no spaces, `?` or `#`".to_owned());
    }
    let mut segments: Vec<String> = Vec::new();
    let mut segment = String::new();
    let mut end = |segment: &mut String| match std::mem::take(segment) {
        segment if segment.is_empty() || segment == "." => {}
        segment if segment == ".." => drop(segments.pop()),
        segment => segments.push(segment),
    };
    for piece in &pieces {
        match piece {
            Piece::Open { written, .. } => segment.push_str(written),
            Piece::Literal(text) => {
                for (index, part) in text.split('/').enumerate() {
                    if index > 0 {
                        end(&mut segment);
                    }
                    segment.push_str(part);
                }
            }
        }
    }
    end(&mut segment);
    let mut path = String::with_capacity(written.len() + 1);
    for segment in &segments {
        path.push('/');
        path.push_str(segment);
    }
    if path.is_empty() || written.ends_with('/') {
        path.push('/');
    }
    Template::of_path(&path)?;
    Ok(path.into())
}

/// A host name that an API answers on, lower case, or a pattern for such names.
pub(crate) fn domain(written: &str) -> Result<Box<str>, String> {
    let mut domain = String::with_capacity(written.len());
    for piece in template::pieces(written)? {
        match piece {
            Piece::Open { written, .. } => domain.push_str(written),
            Piece::Literal(text) if text.contains('*') => {
                return Err("`*` stands for nothing in a domain; write `{name}` in its place".to_owned());
            }
            Piece::Literal(text) if text.contains(':') => {
                return Err("a domain has no port and no scheme".to_owned());
            }
            Piece::Literal(text) if !is_host(text) => return Err("this is not a host name".to_owned()),
            Piece::Literal(text) => domain.push_str(&text.to_ascii_lowercase()),
        }
    }
    Template::of_domain(&domain)?;
    Ok(domain.into())
}

fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

impl Target {
    /// Reads an absolute URL. What it refuses, it says in words that fit behind "the target URL".
    pub fn parse(url: &str) -> Result<Target, &'static str> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err("must be absolute, for example `http://localhost:8080/`");
        };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => Scheme::Http,
            "https" | "wss" => Scheme::Https,
            "h2c" => Scheme::H2c,
            "tyk" => return Err("leads to an API of the gate, which cannot be here"),
            "env" | "secrets" | "consul" | "vault" | "file" | "kv" => {
                return Err("refers to a stored value as nothing can be found by");
            }
            _ => return Err("must start with http://, https://, h2c://, ws:// or wss://"),
        };
        if rest.contains(|c: char| c.is_control() || c == ' ') {
            return Err("holds a space or control character; write it percent-encoded");
        }
        if rest.contains('#') {
            return Err("has a fragment (`#`), which no server is ever sent");
        }
        let (authority, path_and_query) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (credentials, authority) = credentials(authority)?;
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or("has an address without its closing `]`")?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| "has a malformed IPv6 address")?;
                match port.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if port.is_empty() => (host, None),
                    None => return Err("has something between its address and its path"),
                }
            }
            None => {
                let (host, port) = match authority.split_once(':') {
                    Some((host, port)) => (host, Some(port)),
                    None => (authority, None),
                };
                if !is_host(host) {
                    return Err(if host.is_empty() { "has no host" } else { "has a malformed host name" });
                }
                (host, port)
            }
        };
        let port = match port {
            None | Some("") => match scheme {
                Scheme::Https => 443,
                Scheme::Http | Scheme::H2c => 80,
            },
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or("has a port that is not between 1 and 65535")?,
            Some(_) => return Err("has a port that is no number"),
        };
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        Ok(Target {
            scheme,
            host: host.to_ascii_lowercase().into(),
            port,
            authority: authority.strip_suffix(':').unwrap_or(authority).to_ascii_lowercase().into(),
            path: encoded(path),
            query: query.filter(|query| !query.is_empty()).map(encoded),
            credentials,
        })
    }

    /// What a server is told of who asks, where the URL says so (RFC 7617).
    pub fn basic(&self) -> Option<Secret> {
        let written = &self.credentials.as_ref()?.0;
        let (user, password) = written.split_once(':').unwrap_or((written, ""));
        let text = [&*percent_decoded(user), b":", &percent_decoded(password)].concat();
        Some(Secret(format!("Basic {}", BASE64_STANDARD.encode(text))))
    }

    /// A text that may be a URL, without what must not be shown.
    pub fn shown(url: &str) -> String {
        let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        match rest[..end].rfind('@') {
            Some(at) => format!("{scheme}://***@{}", &rest[at + 1..]),
            None => url.to_owned(),
        }
    }

    /// As definitions have it, credentials and all: not for logs.
    pub(crate) fn written(&self) -> String {
        match &self.credentials {
            None => self.to_string(),
            Some(Secret(credentials)) => self.to_string().replacen("://", &format!("://{credentials}@"), 1),
        }
    }
}

/// Takes `user:password@` off; it may hold what URLs may hold there (RFC 3986, section 3.2.1).
fn credentials(authority: &str) -> Result<(Option<Secret>, &str), &'static str> {
    let Some((written, rest)) = authority.rsplit_once('@') else { return Ok((None, authority)) };
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:!$&'()*+,;=%@".contains(&byte);
    if !written.bytes().all(good) {
        return Err("has malformed credentials; write what is no letter or digit percent-encoded");
    }
    Ok(((!written.is_empty()).then(|| Secret(written.to_owned())), rest))
}

/// What is escaped wrongly stays as it is.
pub(crate) fn percent_decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut at) = (Vec::with_capacity(text.len()), 0);
    let all = text.as_bytes();
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    while let Some(byte) = all.get(at) {
        let escaped = match (all.get(at + 1).and_then(digit), all.get(at + 2).and_then(digit)) {
            (Some(high), Some(low)) if *byte == b'%' => Some(high << 4 | low),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    bytes
}

/// A URL that leads to an API of the gate itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inner<'u> {
    /// Name or id of the API, or `self`.
    pub name: &'u str,
    /// Begins with `/`, encoded.
    pub path: Box<str>,
    /// Without `?`, encoded.
    pub query: Option<Box<str>>,
}

/// The scheme of such URLs.
const INNER: &str = "tyk://";

impl Target {
    /// Whether a URL leads to an API of the gate itself.
    pub fn is_inner(url: &str) -> bool {
        url.get(..INNER.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(INNER))
    }

    /// Reads such a URL. What it refuses, it says in words that fit behind "the target URL".
    pub fn inner(url: &str) -> Result<Inner<'_>, &'static str> {
        let rest = url.get(INNER.len()..).filter(|_| Self::is_inner(url));
        let rest = rest.ok_or("does not lead to an API of this gate")?;
        let (name, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if name.is_empty() {
            return Err("names no API");
        }
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(encoded(query))),
            None => (rest, None),
        };
        let path = if path.is_empty() { "/".into() } else { encoded(path) };
        Ok(Inner { name, path, query })
    }

    /// Where a URL leads: to a server, or to an API of the gate, whose URL is the second then.
    pub(crate) fn or_inner(url: &str) -> Result<(Target, Option<Box<str>>), &'static str> {
        if Self::is_inner(url) {
            Self::inner(url)?;
            // Nothing is ever sent there.
            return Ok((Self::parse("http://localhost")?, Some(url.into())));
        }
        Ok((Self::parse(url)?, None))
    }
}

/// Percent-encodes what may not stand in a path or query (RFC 3986, section 3.3), leaving escapes alone.
fn encoded(text: &str) -> Box<str> {
    use fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic()
            && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
        {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out.into()
}

impl Scheme {
    /// As it is written in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::H2c => "h2c",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.as_str(), self.authority, self.path)?;
        match &self.query {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c2_3_row_1_listen_paths_are_normalised() {
        for (written, expected) in [
            ("/a/", Ok("/a/")),
            ("a", Ok("/a")),
            ("//a//b/", Ok("/a/b/")),
            ("/a/./b/../c", Ok("/a/c")),
            ("/../..", Ok("/")),
            ("", Ok("/")),
            ("/a b/", Err(())),
            ("//users/{id}/", Ok("/users/{id}/")),
            ("/a/../{id}/./b", Ok("/{id}/b")),
            ("/a/{id}/../b", Ok("/a/b")),
            ("/v{n:[0-9]+?//..}/x/", Ok("/v{n:[0-9]+?//..}/x/")),
            ("{id}", Ok("/{id}")),
            ("/{id", Err(())),
            ("/{id}?x", Err(())),
            ("/{id:a b}/", Err(())),
            ("/{id:(}/", Err(())),
            ("/a?b", Err(())),
            ("env://LISTEN", Err(())),
        ] {
            assert_eq!(listen_path(written).as_deref().map_err(|_| ()), expected, "{written:?}");
        }
    }

    #[test]
    fn domains_are_names_or_patterns_for_them() {
        for (written, expected) in [
            ("API.example.com", Ok("api.example.com")),
            (r"{Sub:\D+}.Example.com", Ok(r"{Sub:\D+}.example.com")),
            ("{all:.*}", Ok("{all:.*}")),
            ("{port:[0-9]}:80", Err(())),
            ("*.example.com", Err(())),
            ("a b", Err(())),
            ("{sub.example.com", Err(())),
        ] {
            assert_eq!(domain(written).as_deref().map_err(|_| ()), expected, "{written:?}");
        }
    }

    #[test]
    fn targets() {
        let cases = [
            ("http://Example.com", Some(("example.com", 80, "example.com", "", None))),
            ("https://h:8443/a/b?x=1", Some(("h", 8443, "h:8443", "/a/b", Some("x=1")))),
            ("h2c://h:50051/", Some(("h", 50051, "h:50051", "/", None))),
            ("http://[::1]:81?q", Some(("::1", 81, "[::1]:81", "", Some("q")))),
            ("wss://h:/é{}", Some(("h", 443, "h", "/%C3%A9%7B%7D", None))),
            ("localhost:8080", None),
            ("http://", None),
            ("http://u:p@h/", Some(("h", 80, "h", "/", None))),
            ("http://u:p@ss@H:8/", Some(("h", 8, "h:8", "/", None))),
            ("http://@h/", Some(("h", 80, "h", "/", None))),
            ("http://h/a@b", Some(("h", 80, "h", "/a@b", None))),
            ("http://u:p@/", None),
            ("http://u\"@h/", None),
            ("http://h:0/", None),
            ("http://h:99999/", None),
            ("http://h:8x/", None),
            ("http://[::1/", None),
            ("http://[nope]/", None),
            ("http://h/a b", None),
            ("http://h/#f", None),
            ("http://hö/", None),
            ("ftp://h/", None),
            ("tyk://self/", None),
            ("env://TARGET", None),
        ];
        for (url, expected) in cases {
            let target = Target::parse(url).ok();
            let found =
                target.as_ref().map(|t| (&*t.host, t.port, &*t.authority, &*t.path, t.query.as_deref()));
            assert_eq!(found, expected, "{url}");
        }
        for (url, basic) in [
            ("http://u:p@h", Some("Basic dTpw")),
            ("http://u@h", Some("Basic dTo=")),
            ("http://u%40x:p%3A%2@h", Some("Basic dUB4OnA6JTI=")),
            ("http://h", None),
            ("http://@h", None),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!(target.basic().map(|basic| basic.0).as_deref(), basic, "{url}");
            let shown = format!("{target} {target:?}");
            assert!(!shown.contains("u:p") && !shown.contains("x:p"), "{shown}");
            if basic.is_some() {
                assert_eq!(target.written(), url);
            }
        }
        assert_eq!(Target::shown("http://u:p@a@h x/y@z"), "http://***@h x/y@z");
        assert_eq!(Target::shown("http://h/y@z"), "http://h/y@z");
        assert_eq!(Target::parse("wss://h/p?q").map(|t| t.to_string()).as_deref(), Ok("https://h/p?q"));
    }
}
