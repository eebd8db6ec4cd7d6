//! Paths and addresses.

use gotmpl::Value;
use percent_encoding::percent_decode_str;

use super::{Made, Table, arg, made, only_text, str};

pub(super) const TABLE: Table = &[
    ("base", |args| only_text(args, base)),
    ("osBase", |args| only_text(args, base)),
    ("dir", |args| only_text(args, dir)),
    ("osDir", |args| only_text(args, dir)),
    ("clean", |args| only_text(args, clean)),
    ("osClean", |args| only_text(args, clean)),
    ("ext", |args| only_text(args, ext)),
    ("osExt", |args| only_text(args, ext)),
    ("isAbs", |args| Ok(Value::Bool(str(args, 0)?.starts_with('/')))),
    ("osIsAbs", |args| Ok(Value::Bool(str(args, 0)?.starts_with('/')))),
    ("urlParse", |args| Ok(parsed(str(args, 0)?))),
    ("urlJoin", joined),
];

fn base(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    match path.trim_end_matches('/').rsplit('/').next() {
        Some("") | None => "/".to_owned(),
        Some(last) => last.to_owned(),
    }
}

fn dir(path: &str) -> String {
    clean(path.rfind('/').map_or("", |at| &path[..=at]))
}

fn ext(path: &str) -> String {
    let last = path.rsplit('/').next().unwrap_or_default();
    last.rfind('.').map_or(String::new(), |at| last[at..].to_owned())
}

fn clean(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            other => parts.push(other),
        }
    }
    match (absolute, parts.join("/")) {
        (true, joined) => format!("/{joined}"),
        (false, joined) if joined.is_empty() => ".".to_owned(),
        (false, joined) => joined,
    }
}

/// `scheme://user@host:port/path?query#fragment` in its parts.
fn parsed(url: &str) -> Value {
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_scheme = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
        _ => (String::new(), rest),
    };
    let (authority, path, opaque) = match rest.strip_prefix("//") {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (authority, path, "")
        }
        None if !scheme.is_empty() && !rest.starts_with('/') => ("", "", rest),
        None => ("", rest, ""),
    };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let name = match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let path = percent_decode_str(path).decode_utf8_lossy();
    let fields: [(&str, &str); 8] = [
        ("scheme", &scheme),
        ("host", host),
        ("hostname", name),
        ("path", &path),
        ("query", query),
        ("opaque", opaque),
        ("fragment", fragment),
        ("userinfo", user),
    ];
    crate::map(fields.map(|(name, value)| (name, made(value))))
}

fn joined(args: &[Value]) -> Made {
    let parts = arg(args, 0)?;
    let part = |name: &str| parts.field(name).map(crate::go::text).unwrap_or_default();
    let mut url = String::new();
    if !part("scheme").is_empty() {
        url.push_str(&format!("{}:", part("scheme")));
    }
    if !part("opaque").is_empty() {
        url.push_str(&part("opaque"));
    } else {
        let (host, user) = (part("host"), part("userinfo"));
        if !host.is_empty() || !user.is_empty() {
            url.push_str("//");
            if !user.is_empty() {
                url.push_str(&format!("{user}@"));
            }
            url.push_str(&host);
        }
        let path = part("path");
        if !path.is_empty() && !path.starts_with('/') && !host.is_empty() {
            url.push('/');
        }
        url.push_str(&path.replace('%', "%25").replace(' ', "%20").replace('?', "%3F").replace('#', "%23"));
    }
    for (mark, name) in [('?', "query"), ('#', "fragment")] {
        if !part(name).is_empty() {
            url.push(mark);
            url.push_str(&part(name));
        }
    }
    Ok(made(url))
}
