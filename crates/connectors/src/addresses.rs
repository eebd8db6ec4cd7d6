//! How addresses are shown to people.

/// An address as far as it may stand in logs and faults: scheme, host, port and path. Credentials and queries stay out,
/// also of what is no address after all.
pub(crate) fn shown(address: &str) -> String {
    let (scheme, rest) = match address.find("://") {
        Some(at) => address.split_at(at + 3),
        None => ("", address),
    };
    let authority = &rest[..rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len())];
    let is_place = authority
        .rsplit_once(':')
        .is_none_or(|(_, port)| port.ends_with(']') || port.bytes().all(|byte| byte.is_ascii_digit()));
    let rest = if authority.contains('@') {
        &rest[authority.rfind('@').map_or(0, |at| at + 1)..]
    } else if is_place {
        rest
    } else {
        // A password with a slash or the like ends where the host begins.
        &rest[rest.rfind('@').map_or(0, |at| at + 1)..]
    };
    let rest = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    format!("{scheme}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_queries_stay_out() {
        for (address, expected) in [
            ("http://host", "http://host"),
            ("http://host:80/a/b", "http://host:80/a/b"),
            ("http://host/@name", "http://host/@name"),
            ("wss://[::1]/a", "wss://[::1]/a"),
            ("wss://u:p@[::1]:1/a?token=x#y", "wss://[::1]:1/a"),
            ("http://u:p%40s@host/", "http://host/"),
            ("http://u:p@s@host/", "http://host/"),
            ("http://u@host?x=a@b", "http://host"),
            ("http://host?x=a@b", "http://host"),
            // What no parser takes.
            ("http://u:pa/ss@host/x", "http://host/x"),
            ("http://u:pa?ss@host/x", "http://host/x"),
            ("http://u:pa\\ss@host/x", "http://host/x"),
            ("u:p@host", "host"),
            ("ftp://u:p@", "ftp://"),
            ("http://host:port", "http://host:port"),
            ("", ""),
        ] {
            assert_eq!(shown(address), expected, "{address}");
        }
    }
}
