//! Request paths that the gate and its upstreams might read differently.

use std::borrow::Cow;

/// What is odd about a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// It has another spelling without `//`, `/./` and `/../`, to which the client is sent.
    Unclean(String),
    /// It holds an encoded NUL or a broken escape; no upstream should see it.
    Malformed(&'static str),
}

/// Looks a raw request path over. Clean paths, nearly all, are scanned once and cost no allocation.
pub(crate) fn check(path: &str) -> Result<(), Oddity> {
    let bytes = path.as_bytes();
    let mut suspicious = false;
    let mut encoded = false;
    let mut index = 0;
    while index < bytes.len() {
        match bytes[index] {
            b'/' => suspicious |= matches!(bytes.get(index + 1), Some(b'/' | b'.' | b'%')),
            b'%' => match bytes.get(index + 1..index + 3) {
                Some(b"2f" | b"2F" | b"5c" | b"5C") => encoded = true,
                Some(b"00") => return Err(Oddity::Malformed("request path holds an encoded NUL")),
                Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => {}
                _ => return Err(Oddity::Malformed("request path holds a broken percent escape")),
            },
            _ => {}
        }
        index += 1;
    }
    if encoded && hides_dot_segments(path) {
        return Err(Oddity::Malformed("request path hides a dot segment behind an encoded separator"));
    }
    if !suspicious {
        return Ok(());
    }
    let clean = clean(path);
    if clean == path { Ok(()) } else { Err(Oddity::Unclean(clean)) }
}

/// Whether a dot segment appears once encoded separators are read as separators: an upstream that does so would leave
/// the path that was routed and allowed.
fn hides_dot_segments(path: &str) -> bool {
    let mut open = path.to_ascii_lowercase();
    for separator in ["%2f", "%5c", "\\"] {
        open = open.replace(separator, "/");
    }
    open.split('/').any(|segment| matches!(decode_dots(segment).as_ref(), "." | ".."))
}

/// Resolves dot segments, encoded ones included, and drops empty segments; a trailing slash stays.
fn clean(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_open = false;
    for segment in path.split('/') {
        let decoded = decode_dots(segment);
        ends_open = matches!(decoded.as_ref(), "" | "." | "..");
        match decoded.as_ref() {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let mut clean = String::with_capacity(path.len());
    for segment in &kept {
        clean.push('/');
        clean.push_str(segment);
    }
    if clean.is_empty() || ends_open {
        clean.push('/');
    }
    clean
}

fn decode_dots(segment: &str) -> Cow<'_, str> {
    if segment.contains('%') {
        segment.replace("%2e", ".").replace("%2E", ".").into()
    } else {
        segment.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_judged() {
        let unclean = |path: &str| Err(Oddity::Unclean(path.to_owned()));
        let cases = [
            ("/", Ok(())),
            ("/a/b.c/%20d", Ok(())),
            ("/a/.hidden", Ok(())),
            ("/a%2Fb", Ok(())),
            ("/a//b", unclean("/a/b")),
            ("/a/./b", unclean("/a/b")),
            ("/a/../b", unclean("/b")),
            ("/a/%2e%2E/b", unclean("/b")),
            ("/../../b", unclean("/b")),
            ("/a/..", unclean("/")),
            ("//", unclean("/")),
            ("/a/b//", unclean("/a/b/")),
            ("/../b..", unclean("/b..")),
        ];
        for (path, verdict) in cases {
            assert_eq!(check(path), verdict, "{path}");
        }
        for path in ["/%00", "/%", "/%2", "/%zz", "/a%2f..%2fb", "/a/..%2Fb", "/a%5c%2e%2e/b", "/a/.%2f"] {
            assert!(matches!(check(path), Err(Oddity::Malformed(_))), "{path}");
        }
    }
}
