//! What a definition says of upstreams by their host (contract 12): `*`, `*.domain`, `host`, each of the last two with or
//! without a port.

use document::Fault;

/// Values by pattern of hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByHost<T>(Vec<(Box<str>, T)>);

impl<T> Default for ByHost<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> FromIterator<(Box<str>, T)> for ByHost<T> {
    fn from_iter<I: IntoIterator<Item = (Box<str>, T)>>(entries: I) -> Self {
        Self(
            entries
                .into_iter()
                .map(|(pattern, value)| (pattern.to_ascii_lowercase().into(), value))
                .collect(),
        )
    }
}

impl<T> ByHost<T> {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every pattern with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(pattern, value)| (&**pattern, value))
    }

    /// What it says of a host: the host itself comes before its domain, and that before all hosts; with the port before
    /// without.
    pub fn get(&self, host: &str, port: u16) -> Option<&T> {
        let find =
            |pattern: &str| self.0.iter().find(|(known, _)| **known == *pattern).map(|(_, value)| value);
        let with_port = |host: &str| find(&format!("{host}:{port}")).or_else(|| find(host));
        let host = host.to_ascii_lowercase();
        let domain = host.split_once('.').map(|(_, domain)| format!("*.{domain}"));
        with_port(&host)
            .or_else(|| find(&format!("[{host}]:{port}")))
            .or_else(|| with_port(&domain?))
            .or_else(|| find("*"))
    }
}

/// Whether a pattern can be that of a host; tells if not.
pub(super) fn check(pattern: &str, at: String, faults: &mut Vec<Fault>) {
    let host = pattern.strip_prefix("*.").unwrap_or(pattern);
    let address = host.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(address, _)| address);
    let name = host
        .split_once(':')
        .map_or(host, |(host, port)| if port.parse::<u16>().is_ok_and(|port| port > 0) { host } else { "" });
    let is_name = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    let is_address = address.unwrap_or(host).parse::<std::net::Ipv6Addr>().is_ok();
    if pattern != "*" && !is_name && !is_address {
        let fault = Fault::error(at, format!("`{pattern}` is no host")).on_key();
        faults.push(fault.hint("write `host`, `host:port`, `*.domain`, `*.domain:port` or `*`"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_pattern_counts() {
        let all: &[&str] = &["*", "*.b.c", "*.b.c:8443", "a.b.c", "a.b.c:8443", "::1", "[::2]:443"];
        for (patterns, host, port, expected) in [
            (all, "a.b.c", 8443, Some("a.b.c:8443")),
            (all, "A.B.c", 443, Some("a.b.c")),
            (all, "x.b.c", 8443, Some("*.b.c:8443")),
            (all, "x.b.c", 443, Some("*.b.c")),
            (all, "y.x.b.c", 443, Some("*")),
            (all, "b.c", 443, Some("*")),
            (all, "localhost", 443, Some("*")),
            (all, "::1", 443, Some("::1")),
            (all, "::2", 443, Some("[::2]:443")),
            (&["*.b.c", "a.b.c:1"], "b.c", 443, None),
            (&["A.b.c"], "a.b.c", 443, Some("A.b.c")),
            (&[], "a", 1, None),
        ] {
            let hosts: ByHost<&str> = patterns.iter().map(|pattern| ((*pattern).into(), *pattern)).collect();
            assert_eq!(hosts.get(host, port).copied(), expected, "{host}:{port}");
        }
    }

    #[test]
    fn patterns_are_hosts() {
        for (pattern, good) in [
            ("*", true),
            ("a", true),
            ("a.b:443", true),
            ("*.a.b", true),
            ("*.a.b:443", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("[::1]:443", true),
            ("", false),
            ("*.", false),
            ("a:", false),
            ("a:0", false),
            ("a:99999", false),
            ("https://a", false),
            ("a/b", false),
            ("a.*.b", false),
        ] {
            let mut faults = Vec::new();
            check(pattern, String::new(), &mut faults);
            assert_eq!(faults.is_empty(), good, "{pattern}");
        }
    }
}
