//! Methods that take URLs and forms apart.

use std::sync::Arc;

use super::encoding::from_hex;
use super::receive::text;
use super::{Example, Spec};
use crate::run::Failure;
use crate::run::failure::short;
use crate::{Object, Text, Value};

const CHAPTER: &str = "Parsing";

pub(crate) static TABLE: &[Spec] = &[
    Spec::method(CHAPTER, "parse_url", "The parts of a URL as an object; `user` only when there is one.", |_, value, _| {
        let text = text(&value)?;
        parse(&text).map_err(|why| Failure::new(format!("parse {}: {why}", crate::format::quoted(&short(&text)))))
    })
    .examples(&[
        Example(
            r#"root = this.parse_url().without("opaque", "raw_path", "raw_fragment")"#,
            r#""http://me:secret@host:80/a%20b?x=1#end""#,
            r#"{"fragment":"end","host":"host:80","path":"/a b","raw_query":"x=1","scheme":"http","user":{"name":"me","password":"secret"}}"#,
        ),
        Example("root = this.parse_url()", r#""no %zz""#, "error: invalid URL escape"),
    ]),
    Spec::method(CHAPTER, "parse_form_url_encoded", "The fields of a form as an object; those that come several times as arrays.", |_, value, _| {
        form(&text(&value)?).map_err(|why| Failure::new(format!("failed to parse value as url-encoded data: {why}")))
    })
    .examples(&[
        Example("root = this.parse_form_url_encoded()", r#""a=1&b=x+y&a=2""#, r#"{"a":["1","2"],"b":"x y"}"#),
        Example("root = this.parse_form_url_encoded()", r#""a=%""#, "error: invalid URL escape"),
    ]),
];

/// Resolves `%` escapes, and `+` within queries.
fn unescape(text: &str, query: bool) -> Result<String, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'%' => {
                let Some(byte) = tail.get(..2).and_then(from_hex).and_then(|bytes| bytes.first().copied())
                else {
                    let cut = &rest[..rest.len().min(2)];
                    return Err(format!("invalid URL escape \"%{}\"", String::from_utf8_lossy(cut)));
                };
                out.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            b'+' if query => out.push(b' '),
            byte => out.push(*byte),
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Whether a path needs its raw form: when escaping it in the usual way would not give it back.
fn needs_raw(path: &str, raw: &str) -> bool {
    let mut usual = String::with_capacity(raw.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'-'
            | b'_'
            | b'.'
            | b'~'
            | b'$'
            | b'&'
            | b'+'
            | b'/'
            | b':'
            | b'='
            | b'@' => usual.push(char::from(byte)),
            byte => usual.push_str(&format!("%{byte:02X}")),
        }
    }
    usual != raw
}

fn parse(text: &str) -> Result<Value, String> {
    if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return Err("invalid control character in URL".to_owned());
    }
    let (rest, raw_fragment) = text.split_once('#').unwrap_or((text, ""));
    let (scheme, mut rest) = scheme(rest)?;
    let mut raw_query = "";
    if let Some((before, query)) = rest.split_once('?') {
        (rest, raw_query) = (before, query);
    }
    let mut url = Object::new();
    let (mut opaque, mut host, mut user) = ("", String::new(), None);
    if !rest.starts_with('/') && !scheme.is_empty() {
        opaque = rest;
        rest = "";
    } else if scheme.is_empty() && rest.split('/').next().is_some_and(|first| first.contains(':')) {
        return Err("first path segment in URL cannot contain colon".to_owned());
    }
    if let Some(after) = rest.strip_prefix("//").filter(|_| !scheme.is_empty() || !rest.starts_with("///")) {
        let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
        rest = path;
        let mut place = authority;
        if let Some((before, after)) = authority.rsplit_once('@') {
            place = after;
            let (name, password) = match before.split_once(':') {
                Some((name, password)) => (name, Some(password)),
                None => (before, None),
            };
            let mut object = Object::new();
            object.insert("name", Value::from(unescape(name, false)?));
            if let Some(password) = password {
                object.insert("password", Value::from(unescape(password, false)?));
            }
            user = Some(Value::object(object));
        }
        host = checked_host(place)?;
    }
    let path = unescape(rest, false)?;
    let fragment = unescape(raw_fragment, false)?;
    let raw = |plain: &str, raw: &str| Value::from(if needs_raw(plain, raw) { raw } else { "" });
    url.insert("scheme", Value::from(scheme.to_ascii_lowercase()));
    url.insert("opaque", Value::from(opaque));
    url.insert("host", Value::from(host));
    url.insert("raw_path", raw(&path, rest));
    url.insert("path", Value::from(path));
    url.insert("raw_query", Value::from(raw_query));
    url.insert("raw_fragment", raw(&fragment, raw_fragment));
    url.insert("fragment", Value::from(fragment));
    if let Some(user) = user {
        url.insert("user", user);
    }
    Ok(Value::object(url))
}

/// The scheme and what follows it; empty when there is none.
fn scheme(text: &str) -> Result<(&str, &str), String> {
    for (at, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at > 0 => return Ok((&text[..at], &text[at + 1..])),
            ':' => return Err("missing protocol scheme".to_owned()),
            _ => break,
        }
    }
    Ok(("", text))
}

fn checked_host(host: &str) -> Result<String, String> {
    let after = match host.strip_prefix('[') {
        Some(inner) => match inner.split_once(']') {
            Some((_, after)) => after,
            None => return Err("missing ']' in host".to_owned()),
        },
        None => host.find(':').map_or("", |at| &host[at..]),
    };
    let port = after.strip_prefix(':').unwrap_or(after);
    if (!after.is_empty() && !after.starts_with(':')) || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("invalid port {after:?} after host"));
    }
    if let Some(wrong) =
        host.chars().find(|c| matches!(c, ' ' | '<' | '>' | '"' | '\\' | '^' | '`' | '{' | '}' | '|'))
    {
        return Err(format!("invalid character {wrong:?} in host name"));
    }
    unescape(host, false)
}

fn form(text: &str) -> Result<Value, String> {
    let mut fields = Object::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        if pair.contains(';') {
            return Err("invalid semicolon separator in query".to_owned());
        }
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (unescape(key, true)?, Value::from(unescape(value, true)?));
        if !fields.contains_key(&key) {
            fields.insert(key, value);
            continue;
        }
        fields.update(&Text::from(key), |known| match known {
            Value::Array(all) => Arc::make_mut(all).push(value),
            first => *first = Value::array(vec![std::mem::replace(first, Value::Null), value]),
        });
    }
    Ok(Value::object(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_urls() {
        for (url, part, expected) in [
            ("mailto:a@b.c", "opaque", r#""a@b.c""#),
            ("HTTP://h/p", "scheme", r#""http""#),
            ("//h/p", "host", r#""h""#),
            ("/p?q", "path", r#""/p""#),
            ("http://[::1]:80/", "host", r#""[::1]:80""#),
            ("http://u@h", "user", r#"{"name":"u"}"#),
            ("http://h/a%2Fb", "raw_path", r#""/a%2Fb""#),
            ("http://h/a/b", "raw_path", r#""""#),
            ("?a=b", "raw_query", r#""a=b""#),
        ] {
            assert_eq!(parse(url).unwrap().get(part).unwrap().to_json(), expected, "{url}");
        }
        for url in
            [":a", "http://h:x/", "http://[::1", "a:b:c/../ d\u{7f}", "a b:c", "http://a b/", "http://%/"]
        {
            assert!(parse(url).is_err(), "{url}");
        }
    }
}
