//! Where users go back to: one of the addresses that a client has registered, to the letter (RFC 9700 section 2.1).

use crate::query;

/// Schemes that a browser would run or read instead of going anywhere.
const UNSAFE: [&str; 6] = ["javascript", "data", "vbscript", "file", "about", "blob"];

/// Longest address.
const LONGEST: usize = 2048;

/// The addresses that a client has registered.
pub(crate) fn registered<'a>(addresses: &'a str, separator: &'a str) -> impl Iterator<Item = &'a str> {
    let whole = separator.is_empty().then_some(addresses);
    let parts = (!separator.is_empty()).then(|| addresses.split(separator));
    whole.into_iter().chain(parts.into_iter().flatten()).map(str::trim).filter(|address| !address.is_empty())
}

/// The address that a request asks for, or the only one.
pub(super) fn choose<'a>(
    addresses: &'a str,
    separator: &'a str,
    asked: Option<&str>,
) -> Result<&'a str, &'static str> {
    let mut all = registered(addresses, separator);
    let chosen = match asked {
        Some(asked) => all.find(|address| *address == asked).ok_or("redirect_uri is not registered")?,
        None => {
            let only = all.next().ok_or("the client has no redirect_uri")?;
            if all.next().is_some() {
                return Err("redirect_uri is missing, and the client has several");
            }
            only
        }
    };
    usable(chosen).map(|()| chosen)
}

/// Whether users may be sent to an address at all.
pub(crate) fn usable(address: &str) -> Result<(), &'static str> {
    if address.len() > LONGEST || !address.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a redirect_uri is at most 2048 printable ASCII characters without spaces");
    }
    if address.contains(['#', '\\']) {
        return Err("a redirect_uri has neither a fragment nor a backslash");
    }
    let Some((scheme, rest)) = address.split_once(':') else {
        return Err("a redirect_uri begins with its scheme");
    };
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(letters) {
        return Err("a redirect_uri begins with its scheme");
    }
    let scheme = scheme.to_ascii_lowercase();
    if UNSAFE.contains(&&*scheme) {
        return Err("the scheme of the redirect_uri leads nowhere safe");
    }
    if matches!(&*scheme, "http" | "https") {
        let authority =
            rest.strip_prefix("//").unwrap_or_default().split(['/', '?']).next().unwrap_or_default();
        if authority.is_empty() || authority.contains('@') {
            return Err("a redirect_uri names a host, and no user");
        }
    }
    Ok(())
}

/// The address with parameters for who asked for a code.
pub(super) fn with_query(address: &str, parameters: &[(&str, &str)]) -> String {
    let separator = match address.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    format!("{address}{separator}{}", query::form(parameters))
}

/// The address with parameters for who asked for a token at once: the fragment never reaches a server.
pub(super) fn with_fragment(address: &str, parameters: &[(&str, &str)]) -> String {
    format!("{address}#{}", query::form(parameters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_registered_is_gone_to() {
        let one = "https://app.example/cb";
        let two = "https://app.example/cb;com.example.app:/cb";
        for (addresses, separator, asked, expected) in [
            (one, "", None, Some(one)),
            (one, "", Some(one), Some(one)),
            (one, ";", Some(one), Some(one)),
            (two, ";", Some("com.example.app:/cb"), Some("com.example.app:/cb")),
            (two, ";", Some(one), Some(one)),
            // Hostile.
            (two, ";", None, None),
            (two, "", Some(one), None),
            (one, "", Some("https://app.example/cb/"), None),
            (one, "", Some("https://app.example/cb/../evil"), None),
            (one, "", Some("https://app.example/cb?x"), None),
            (one, "", Some("https://app.example/cb#x"), None),
            (one, "", Some("https://app.example/"), None),
            (one, "", Some("https://app.example.evil/cb"), None),
            (one, "", Some("https://app.example@evil/cb"), None),
            (one, "", Some("https://APP.example/cb"), None),
            (one, "", Some("http://app.example/cb"), None),
            (one, "", Some("//app.example/cb"), None),
            (one, "", Some("https://app.example/cb\r\nX: y"), None),
            (one, "", Some(" https://app.example/cb"), None),
            ("", "", None, None),
            ("", "", Some(one), None),
            (";", ";", None, None),
        ] {
            assert_eq!(
                choose(addresses, separator, asked).ok(),
                expected,
                "{addresses} {separator} {asked:?}"
            );
        }
    }

    #[test]
    fn addresses_that_would_do_harm_are_none() {
        for (address, good) in [
            ("https://app.example", true),
            ("http://127.0.0.1:8080/cb?a=b", true),
            ("http://[::1]/", true),
            ("com.example.app:/cb", true),
            ("javascript:alert(1)", false),
            ("JavaScript:alert(1)", false),
            ("data:text/html,x", false),
            ("file:///etc/passwd", false),
            ("https:/app.example", false),
            ("https://", false),
            ("https://user@app.example/", false),
            ("https://app.example/#a", false),
            ("https://app.example\\@evil/", false),
            ("https://app.example/a b", false),
            ("/cb", false),
            ("app.example/cb", false),
            ("1a://x", false),
            ("", false),
        ] {
            assert_eq!(usable(address).is_ok(), good, "{address}");
        }
        assert!(usable(&format!("https://app.example/{}", "x".repeat(LONGEST))).is_err());
    }

    #[test]
    fn parameters_cannot_leave_their_place() {
        for (address, expected) in [
            ("https://a/", "https://a/?code=x%26y&state=%23%20%0A"),
            ("https://a/?b=c", "https://a/?b=c&code=x%26y&state=%23%20%0A"),
            ("https://a/?", "https://a/?code=x%26y&state=%23%20%0A"),
        ] {
            assert_eq!(with_query(address, &[("code", "x&y"), ("state", "# \n")]), expected);
        }
        assert_eq!(with_fragment("https://a/?b", &[("t", "x#y")]), "https://a/?b#t=x%23y");
    }
}
