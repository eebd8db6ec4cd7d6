//! The proxy through which upstreams are reached (`proxy.transport.proxy_url`, `upstream.proxy`).

use crate::Secret;
use document::Fault;
use std::fmt;

/// A proxy in between.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OutboundProxy {
    /// How it is spoken to.
    pub kind: ProxyKind,
    /// Host name or address, without brackets.
    pub host: Box<str>,
    /// Port.
    pub port: u16,
    /// Name and password towards the proxy.
    pub credentials: Option<(Box<str>, Secret)>,
}

/// How a proxy is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyKind {
    /// HTTP: requests in clear are handed to it, everything else is tunnelled (`CONNECT`).
    Http,
    /// The same over TLS.
    Https,
    /// SOCKS version 5; it looks host names up.
    Socks5,
}

impl ProxyKind {
    /// Whether it knows HTTP, so that requests in clear can be handed to it.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }
}

/// With its credentials, as definitions have it.
impl fmt::Display for OutboundProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ProxyKind::Http => "http://",
            ProxyKind::Https => "https://",
            ProxyKind::Socks5 => "socks5://",
        })?;
        if let Some((user, password)) = &self.credentials {
            write!(f, "{}:{}@", escaped(user), escaped(&password.0))?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Reads an address; an empty one is none.
pub(super) fn read(url: &str, at: String, faults: &mut Vec<Fault>) -> Option<OutboundProxy> {
    if url.is_empty() {
        return None;
    }
    match parse(url) {
        Ok(proxy) => Some(proxy),
        Err(why) => {
            let fault = Fault::error(at, format!("the address of the proxy {why}"));
            faults.push(
                fault.hint(
                    "write `http://host:port`, `https://host:port` or `socks5://host:port`, with `user:password@` if needed",
                ),
            );
            None
        }
    }
}

fn parse(url: &str) -> Result<OutboundProxy, &'static str> {
    let (scheme, rest) = url.split_once("://").ok_or("has no scheme")?;
    let (kind, port) = match scheme.to_ascii_lowercase().as_str() {
        "http" => (ProxyKind::Http, 80),
        "socks5" | "socks5h" => (ProxyKind::Socks5, 1080),
        "https" => (ProxyKind::Https, 443),
        _ => return Err("has an unknown scheme"),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (credentials, authority) = match rest.rsplit_once('@') {
        Some((credentials, authority)) => {
            let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
            let read = |text| unescaped(text).ok_or("holds credentials that are not percent-encoded text");
            (Some((read(user)?.into(), Secret(read(password)?))), authority)
        }
        None => (None, rest),
    };
    // A target has the same rules for hosts and ports.
    let target = crate::Target::parse(&format!("http://{authority}"))
        .map_err(|_| "has no host, or a malformed one")?;
    if !target.path.is_empty() || target.query.is_some() {
        return Err("has a path");
    }
    let written = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()) && !port.is_empty());
    let too_long = |(user, password): &(Box<str>, Secret)| user.len() > 255 || password.0.len() > 255;
    if credentials.as_ref().is_some_and(too_long) {
        return Err("holds credentials of more than 255 bytes");
    }
    Ok(OutboundProxy { kind, host: target.host, port: if written { target.port } else { port }, credentials })
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'%' {
            let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
            bytes.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
            rest = after.get(2..)?;
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).ok()
}

fn escaped(text: &str) -> String {
    use fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_proxies() {
        for (url, expected) in [
            ("http://proxy", Ok("http://proxy:80")),
            ("HTTP://Proxy:3128/", Ok("http://proxy:3128")),
            ("http://u:p%40s@proxy:3128", Ok("http://u:p%40s@proxy:3128")),
            ("http://user@proxy", Ok("http://user:@proxy:80")),
            ("socks5://10.0.0.1", Ok("socks5://10.0.0.1:1080")),
            ("socks5h://[::1]:9", Ok("socks5://[::1]:9")),
            ("socks5://[::1]", Ok("socks5://[::1]:1080")),
            ("https://u:p@proxy", Ok("https://u:p@proxy:443")),
            ("https://[::1]:8443/", Ok("https://[::1]:8443")),
            ("ftp://proxy", Err("unknown scheme")),
            ("proxy:3128", Err("no scheme")),
            ("http://", Err("no host")),
            ("http://proxy:0", Err("no host")),
            ("http://proxy/path", Err("has a path")),
            ("http://u:%ff@proxy", Err("not percent-encoded text")),
            ("http://u:%4@proxy", Err("not percent-encoded text")),
        ] {
            let read = parse(url).map(|proxy| {
                assert!(!format!("{proxy:?}").contains("p@s"), "a password is shown");
                proxy.to_string()
            });
            match expected {
                Ok(text) => assert_eq!(read.as_deref(), Ok(text), "{url}"),
                Err(why) => assert!(read.is_err_and(|error| error.contains(why)), "{url}"),
            }
        }
    }
}
