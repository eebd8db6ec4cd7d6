//! The text of a new URL: what a pattern caught (`$1`), and names that stand for values (contract 8.2).

use std::fmt::Write as _;

use regex::Captures;

use super::text::{self, Secrets, Variable};

/// Groups beyond this are none: no pattern has so many.
const MOST_GROUPS: usize = 1000;

/// A new URL, ready to be rendered for any number of requests. It depends on nothing of the gate but what it is given, so
/// that it can be fuzzed alone.
#[derive(Debug)]
pub(crate) struct Goal {
    pieces: Box<[Piece]>,
    /// What it begins with, as far as that does not depend on a request.
    start: Box<str>,
}

#[derive(Debug)]
enum Piece {
    Text(Box<str>),
    Group(usize),
    Value(Variable),
}

/// What the pattern caught, and in what.
pub(crate) struct Caught<'r> {
    pub(crate) groups: Captures<'r>,
    /// How much of the text is a path whose escapes are resolved; 0 where the text is as it was sent.
    pub(crate) decoded: usize,
}

impl Goal {
    pub(crate) fn new(text: &str, secrets: &Secrets) -> Result<Self, String> {
        let mut pieces = Vec::new();
        for piece in text::pieces(text, secrets)? {
            match piece {
                text::Piece::Value(variable) => pieces.push(Piece::Value(variable)),
                text::Piece::Text(text) => groups(&text, &mut pieces),
                text::Piece::Secret(secret) => pieces.push(Piece::Text(secret)),
            }
        }
        let start = match pieces.first() {
            Some(Piece::Text(text)) => text.clone(),
            _ => "".into(),
        };
        Ok(Self { pieces: pieces.into(), start })
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Value(variable) => Some(variable),
            _ => None,
        })
    }

    /// What it begins with, as far as that does not depend on a request.
    pub(crate) fn start(&self) -> &str {
        &self.start
    }

    /// Whether it is the same for every request.
    pub(crate) fn is_fixed(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    /// The new URL. Values are escaped, but for those that begin with `http`, which are taken for URLs.
    pub(crate) fn render(&self, caught: &Caught<'_>, value_of: &dyn Fn(&Variable) -> String) -> String {
        let mut out = String::with_capacity(self.start.len() + 64);
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Group(number) => {
                    if let Some(group) = caught.groups.get(*number) {
                        let decoded = caught.decoded.saturating_sub(group.start()).min(group.len());
                        let (path, rest) = group.as_str().split_at(decoded);
                        push_path(path, &mut out);
                        out.push_str(rest);
                    }
                }
                Piece::Value(variable) => {
                    let value = value_of(variable);
                    if value.starts_with("http") {
                        out.push_str(&value);
                    } else {
                        push_escaped(&value, &mut out);
                    }
                }
            }
        }
        out
    }
}

/// The groups in a text: `$` and a number.
fn groups(text: &str, pieces: &mut Vec<Piece>) {
    let (mut plain, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let digits = from[1..].bytes().take_while(u8::is_ascii_digit).count();
        let (mark, behind) = from.split_at(1 + digits);
        rest = behind;
        if digits == 0 {
            plain.push_str(mark);
            continue;
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain).into()));
        }
        let number = mark[1..].parse().unwrap_or(usize::MAX).min(MOST_GROUPS);
        pieces.push(Piece::Group(number));
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain.into()));
    }
}

/// All but what is unreserved (RFC 3986 section 2.3), with a plus for a space, as in a form.
fn push_escaped(value: &str, out: &mut String) {
    for byte in value.bytes() {
        match byte {
            b' ' => out.push('+'),
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(char::from(byte)),
            // Writing to a string cannot fail.
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

/// A part of a decoded path: nothing in it begins a query or an escape that was none.
fn push_path(path: &str, out: &mut String) {
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(pattern: &str, text: &str, decoded: usize, goal: &str) -> String {
        let pattern = apidef::pattern(pattern).unwrap();
        let caught = Caught { groups: pattern.captures(text).unwrap(), decoded };
        let secrets = Secrets::from([("conf.s".to_owned(), "s$1".to_owned())]);
        Goal::new(goal, &secrets).unwrap().render(&caught, &|variable| match &*variable.name {
            "space" => "a b/ü?$1&c".to_owned(),
            "url" => "http://h/p?q=1".to_owned(),
            _ => String::new(),
        })
    }

    #[test]
    fn c8_2_row_1_new_urls() {
        for (pattern, text, goal, expected) in [
            (
                "(\\w+)/(\\w+)",
                "/match/me",
                "my/service?value1=$1&value2=$2",
                "my/service?value1=match&value2=me",
            ),
            (".*", "/a?b=1", "/x", "/x"),
            ("/a(.*)", "/a/b?c=1", "/x$1", "/x/b?c=1"),
            ("/a/(.*)", "/l/a/b", "$0|$1|$2|$10", "/a/b|b||"),
            ("(a)", "a", "$$1$x$", "$a$x$"),
            ("(a)(b)", "ab", "/$1$2$1", "/aba"),
            ("(a)|(b)", "b", "/$1-$2", "/-b"),
            // What was caught is not read again.
            ("/(.*)", "/$tyk_context.space-$1", "/$1", "/$tyk_context.space-$1"),
            (".", "/", "/$tyk_context.space/$tyk_meta.none.", "/a+b%2F%C3%BC%3F%241%26c/"),
            (".", "/", "$tyk_context.url/x", "http://h/p?q=1/x"),
            (".", "/", "/x?s=$secret_conf.s", "/x?s=s$1"),
            (".", "/", "$99999999999999999999999", ""),
        ] {
            assert_eq!(rendered(pattern, text, 0, goal), expected, "{pattern} on {text}: {goal}");
        }
    }

    #[test]
    fn c8_2_what_was_decoded_begins_nothing() {
        let text = "/a?x=1&b%/é?q=%41&r=?";
        let path = text.find("?q=").unwrap();
        assert_eq!(rendered("/(.*)", text, path, "/$1"), "/a%3Fx=1&b%25/%C3%A9?q=%41&r=?");
    }

    #[test]
    fn what_is_fixed_is_known_beforehand() {
        for (goal, start, fixed) in [
            ("http://h/a", "http://h/a", true),
            ("http://h/$1", "http://h/", false),
            ("$1", "", false),
            ("http://$tyk_meta.h/", "http://", false),
            ("/$x", "/$x", true),
        ] {
            let goal = Goal::new(goal, &Secrets::new()).unwrap();
            assert_eq!((goal.start(), goal.is_fixed()), (start, fixed));
        }
    }
}
