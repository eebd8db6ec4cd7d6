//! Whether the path that a tool is filled in to is still that of its operation: what a caller writes into it may be the name of
//! something else there (`/orders/{id}` with `export`, where there is `/orders/export`). Paths are compared as lenient readers
//! might read them, since it is not known how the upstream does.

use super::{Argument, Place, Style, Tool};
use crate::place::percent_decoded;
use std::borrow::Cow;
use std::iter;

/// How often a text is taken to be escaped; what is so more often has no other purpose than to be misread.
const LAYERS: usize = 4;

impl Tool {
    /// Whether a path, filled in and escaped, is that of the operation, and that of no other one that does not fit whatever is
    /// filled in.
    pub fn is_path(&self, filled: &str) -> bool {
        let Some(spelled) = Spelled::of(filled) else { return false };
        let Some(sample) = Spelled::of(&self.sample()) else { return false };
        let own = normal(&self.path);
        own.is_some_and(|own| fits(&own, segments(&spelled.sent)))
            && !self.beside.iter().any(|other| spelled.may_be(other) && !sample.may_be(other))
    }

    /// Its path with what is like no other value.
    fn sample(&self) -> String {
        let mut path = self.path.to_string();
        for Argument { source, place, style, .. } in &self.arguments {
            let name = format!("{{{source}}}");
            match (place, style) {
                (Place::Path, Style::Matrix) => path = path.replace(&name, &format!(";{name}")),
                (Place::Path, Style::Label) => path = path.replace(&name, &format!(".{name}")),
                _ => {}
            }
        }
        path
    }
}

/// Whether a text holds a separator of segments, however it is escaped.
pub fn has_separator(text: &str) -> bool {
    unescaped(text).is_none_or(|plain| plain.contains(['/', '\\']))
}

/// A path as the paths of operations are compared with it; `None`: it cannot be read in one way.
pub(super) fn normal(path: &str) -> Option<Box<str>> {
    Some(Spelled::of(path)?.sent.into())
}

/// What readers might take a path for; in lower case, since some do not tell these apart.
struct Spelled {
    /// Escapes are resolved, and what they were in is what it was.
    sent: String,
    /// Those of separators are, too.
    open: String,
}

impl Spelled {
    fn of(path: &str) -> Option<Self> {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let mut sent = String::with_capacity(path.len());
        for (index, segment) in path.split('/').enumerate() {
            if index > 0 {
                sent.push('/');
            }
            sent.push_str(&unescaped(segment)?.to_lowercase().replace('/', HIDDEN));
        }
        let open = sent.replace([HIDDEN_LETTER, '\\'], "/");
        Some(Self { sent, open })
    }

    /// Whether one of them is of an operation with this path.
    fn may_be(&self, other: &str) -> bool {
        [&self.sent, &self.open].into_iter().any(|path| {
            // Parameters of segments (`/a;b=c`) are passed over by many.
            let bare = segments(path).map(|segment| segment.split(';').next().unwrap_or_default());
            fits(other, segments(path)) || fits(other, bare.filter(|segment| !segment.is_empty()))
        })
    }

    fn steps_away(&self) -> bool {
        self.open.split('/').any(|segment| matches!(segment.split(';').next(), Some("." | "..")))
    }
}

/// Whether a path, filled in and escaped, has segments that lead upwards or nowhere, however they are escaped.
pub fn steps_away(filled: &str) -> bool {
    Spelled::of(filled).is_none_or(|spelled| spelled.steps_away())
}

/// Stands for a slash that is escaped: in no path is it sent.
const HIDDEN: &str = "\0";
const HIDDEN_LETTER: char = '\0';

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// Whether segments are those of a path with parameters.
fn fits<'p>(path: &str, mut given: impl Iterator<Item = &'p str>) -> bool {
    let mut wanted = segments(path);
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            // Parameters that stand for the patterns of older definitions may be several segments.
            (Some(wanted), Some(_)) if wanted.contains("{customregex") => return true,
            (Some(wanted), Some(given)) if is_segment(wanted, given) => {}
            _ => return false,
        }
    }
}

/// Whether a segment is one with parameters in it, each of which stands for something.
fn is_segment(wanted: &str, given: &str) -> bool {
    let mut literals = literals(wanted);
    let Some(mut rest) = literals.next().and_then(|first| given.strip_prefix(first)) else { return false };
    let mut literals = literals.peekable();
    if literals.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(literal) = literals.next() {
        // The parameter before it has one letter at least.
        let Some(one) = rest.chars().next().map(char::len_utf8) else { return false };
        if literals.peek().is_none() {
            return rest[one..].ends_with(literal);
        }
        match rest[one..].find(literal) {
            Some(at) => rest = &rest[one + at + literal.len()..],
            None => return false,
        }
    }
    true
}

/// What stands before, between and behind the parameters of a segment.
fn literals(segment: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(segment);
    iter::from_fn(move || {
        let left = rest?;
        let parameter =
            left.split_once('{').and_then(|(before, after)| Some((before, after.split_once('}')?.1)));
        match parameter {
            Some((before, behind)) => {
                rest = Some(behind);
                Some(before)
            }
            None => rest.take(),
        }
    })
}

/// A text without its escapes, and those that these were escapes of.
fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    let mut plain = Cow::Borrowed(text);
    for _ in 0..LAYERS {
        let Some(next) = without_layer(&plain) else { return Some(plain) };
        plain = next.into();
    }
    without_layer(&plain).is_none().then_some(plain)
}

/// `None` where nothing is escaped.
fn without_layer(text: &str) -> Option<String> {
    let plain = percent_decoded(text);
    (plain != text.as_bytes()).then(|| String::from_utf8_lossy(&plain).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_of_operations() {
        for (operation, path, expected) in [
            ("/", "/", true),
            ("/orders/{id}", "/orders/7", true),
            ("/orders/{id}", "/orders/7/", true),
            ("/orders/{id}", "/Orders/7", true),
            ("/orders/{id}", "/orders", false),
            ("/orders/{id}", "/orders/", false),
            ("/orders/{id}", "/orders/7/audit", false),
            ("/orders/{id}", "/orders/7%2Faudit", true),
            ("/orders/{id}/audit", "/orders/7%2Faudit", true),
            ("/orders/{id}/audit", "/orders/7%252faudit", true),
            ("/orders/{id}/audit", "/orders/7%5Caudit", true),
            ("/orders/export", "/orders/export", true),
            ("/orders/export", "/orders/EXPORT", true),
            ("/orders/export", "/orders/%65xport", true),
            ("/orders/export", "/orders/%2565xport", true),
            ("/orders/export", "/orders/export%3Bx=1", true),
            ("/orders/export", "/orders//export", true),
            ("/orders/export", "/orders/exports", false),
            ("/orders", "/orders/%3Bx", true),
            ("/a/{x}.json", "/a/b.json", true),
            ("/a/{x}.json", "/a/.json", false),
            ("/a/{x}.json", "/a/b%2Fc.json", true),
            ("/a/{x}-{y}", "/a/1-2-3", true),
            ("/a/{x}-{y}", "/a/1-", false),
            ("/a/{x}{y}", "/a/é", false),
            ("/a/{x}{y}", "/a/éa", true),
            ("/caf%C3%A9/{x}", "/caf%c3%a9/1", true),
            ("/{customRegex1}", "/a/b", true),
            ("/x/{customRegex1}", "/a/b", false),
        ] {
            let spelled = Spelled::of(path).unwrap();
            assert_eq!(spelled.may_be(&normal(operation).unwrap()), expected, "{operation} {path}");
        }
        assert!(Spelled::of("/%2525252525252541").is_none());
    }

    #[test]
    fn separators_and_steps_are_seen_behind_escapes() {
        for (text, separator) in
            [("a", false), ("a%20b", false), ("a/b", true), ("a\\b", true), ("%2f", true), ("%255C", true)]
        {
            assert_eq!(has_separator(text), separator, "{text}");
        }
        for (path, steps) in [
            ("/a/b", false),
            ("/a/...", false),
            ("/a/.b", false),
            ("/a/..", true),
            ("/a/%2e./b", true),
            ("/a/%252e%252e", true),
            ("/a/b%2f..%2fc", true),
            ("/a/..%3Bx", true),
        ] {
            assert_eq!(steps_away(path), steps, "{path}");
        }
    }
}
