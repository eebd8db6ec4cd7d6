//! The proxy that a client goes through (`proxy_url`).

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use url::Url;

/// See the module.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) kind: ProxyKind,
    /// Without credentials.
    pub(crate) uri: Uri,
    pub(crate) credentials: Option<(String, String)>,
}

/// How the proxy is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyKind {
    /// HTTP: tunnels for TLS and WebSockets, whole URLs for plain HTTP. Over TLS when the scheme is `https`.
    Http,
    /// SOCKS 5; the proxy resolves names.
    Socks5,
}

impl Proxy {
    /// Reads `proxy_url`.
    ///
    /// # Errors
    /// What is wrong with it; credentials are not repeated.
    pub(crate) fn read(text: &str) -> Result<Proxy, String> {
        let wrong =
            |what: String| format!("{what}; write `http://host:port`, `https://...` or `socks5://...`");
        let url = Url::parse(text)
            .map_err(|fault| wrong(format!("the proxy's address cannot be read: {fault}")))?;
        let (kind, port) = match url.scheme() {
            "http" => (ProxyKind::Http, 80),
            "https" => (ProxyKind::Http, 443),
            "socks5" | "socks5h" => (ProxyKind::Socks5, 1080),
            other => return Err(wrong(format!("proxies of the kind `{other}` are not known"))),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| wrong("the proxy's address has no host".to_owned()))?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let credentials = (!url.username().is_empty() || url.password().is_some())
            .then(|| (decoded(url.username()), decoded(url.password().unwrap_or(""))));
        let scheme = if url.scheme() == "https" { "https" } else { "http" };
        let uri = format!("{scheme}://{host}:{}/", url.port().unwrap_or(port));
        let uri =
            uri.parse().map_err(|fault| wrong(format!("the proxy's address cannot be used: {fault}")))?;
        Ok(Proxy { kind, uri, credentials })
    }

    /// `Proxy-Authorization` of HTTP proxies.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let (user, password) = self.credentials.as_ref()?;
        let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("kind", &self.kind).field("uri", &self.uri).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_proxies_are_read() {
        for (text, kind, uri, credentials) in [
            ("http://p.example:3128", ProxyKind::Http, "http://p.example:3128/", None),
            ("http://u:p%40s@p.example", ProxyKind::Http, "http://p.example:80/", Some(("u", "p@s"))),
            ("https://p.example", ProxyKind::Http, "https://p.example:443/", None),
            ("socks5://[::1]", ProxyKind::Socks5, "http://[::1]:1080/", None),
        ] {
            let proxy = Proxy::read(text).unwrap();
            assert_eq!((proxy.kind, proxy.uri.to_string()), (kind, uri.to_owned()), "{text}");
            let read = proxy.credentials.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
            assert_eq!(read, credentials, "{text}");
            assert!(!format!("{proxy:?}").contains("p@s"));
        }
        for wrong in ["", "p.example", "ftp://p.example", "http://"] {
            assert!(Proxy::read(wrong).is_err(), "{wrong}");
        }
    }
}
