//! Query strings: pairs of names and values, percent-decoded (WHATWG `application/x-www-form-urlencoded`).

use std::borrow::Cow;

/// All pairs, in order.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

/// The first value of this name.
pub(crate) fn value<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    pairs(query).find(|(key, _)| key == name).map(|(_, value)| value)
}

/// Pairs as the body of a form.
pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        escape(name, &mut text);
        text.push('=');
        escape(value, &mut text);
    }
    text
}

/// A text as a form has it.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape(text, &mut out);
    out
}

/// Escapes all but what is unreserved (RFC 3986 section 2.3).
fn escape(text: &str, into: &mut String) {
    use std::fmt::Write as _;
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

/// Percent escapes and `+` resolved; what is no valid escape or not UTF-8 stays as near to its text as possible.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    if text.contains(['%', '+']) { unescape(text, true).into() } else { text.into() }
}

/// The same for a path, where `+` is a plus.
pub(crate) fn decode_path(path: &str) -> Cow<'_, str> {
    if path.contains('%') { unescape(path, false).into() } else { path.into() }
}

fn unescape(text: &str, plus_is_space: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' if plus_is_space => bytes.push(b' '),
            b'%' => match (after.first().and_then(hex), after.get(1).and_then(hex)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = &after[2..];
                }
                _ => bytes.push(b'%'),
            },
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn hex(digit: &u8) -> Option<u8> {
    char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_as_a_form_is_read_back() {
        let fields = [("token", "a b+c&d=e%/é"), ("empty", ""), ("", "x")];
        let text = form(&fields);
        assert_eq!(text, "token=a%20b%2Bc%26d%3De%25%2F%C3%A9&empty=&=x");
        let back: Vec<_> = pairs(&text).collect();
        assert_eq!(back, fields.map(|(name, value)| (name.into(), value.into())));
    }

    #[test]
    fn names_and_values_are_decoded() {
        let found: Vec<_> = pairs("a=1&b=x%20y+z&c&&d=%zz&e=%ff&k%65y=abc%3D%3D").collect();
        let expected =
            [("a", "1"), ("b", "x y z"), ("c", ""), ("d", "%zz"), ("e", "\u{fffd}"), ("key", "abc==")];
        assert_eq!(found, expected.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(value("token=xyz==&token=2", "token").as_deref(), Some("xyz=="));
        assert_eq!(value("tokens=1", "token"), None);
        assert_eq!(decode_path("/a+b%20c"), "/a+b c");
    }
}
