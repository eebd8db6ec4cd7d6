//! Which operation of an OpenAPI document a request is: exactly, and not by the patterns of contract 4.3, which find more than
//! one path. For what guards: whoever is taken for another operation is held to what that one asks for.

use std::borrow::Cow;
use std::collections::HashMap;

use regex::{Regex, RegexBuilder};

use super::per_path::below;
use crate::exchange::Exchange;
use crate::query;

/// Memory that one compiled path may take, in bytes.
const MAX_PATTERN: usize = 64 << 10;

/// Values by operation.
#[derive(Debug)]
pub(crate) struct Operations<T> {
    /// By method and by path, where that has no parameters: these come first (OpenAPI 3.0, "Paths Object").
    fixed: HashMap<Box<str>, HashMap<Box<str>, T>>,
    with_parameters: Box<[WithParameters<T>]>,
    ignore_case: bool,
}

#[derive(Debug)]
struct WithParameters<T> {
    method: Box<str>,
    path: Regex,
    /// What comes before the first parameter, where upper and lower case differ.
    begins: Box<str>,
    parameters: Box<[Box<str>]>,
    value: T,
}

/// An operation that a request may be.
#[derive(Debug)]
pub(crate) struct Match<'o, T> {
    pub(crate) value: &'o T,
    /// The parameters of its path, by name.
    pub(crate) parameters: Vec<(&'o str, String)>,
    /// Escapes in them are resolved.
    pub(crate) decoded: bool,
}

impl<T> Operations<T> {
    /// Of operations in the order in which they are written; of those that a path fits, the first counts.
    pub(crate) fn new<'o>(
        operations: impl Iterator<Item = (&'o str, &'o str, T)>,
        ignore_case: bool,
    ) -> Result<Self, String> {
        let mut fixed: HashMap<Box<str>, HashMap<Box<str>, T>> = HashMap::new();
        let mut with_parameters = Vec::new();
        for (method, path, value) in operations {
            if path.contains('{') {
                let begins = path.split('{').next().filter(|_| !ignore_case).unwrap_or_default().into();
                let (path, parameters) = pattern(path, ignore_case)
                    .map_err(|error| format!("the path `{path}` of an operation cannot be used: {error}"))?;
                with_parameters.push(WithParameters {
                    method: method.into(),
                    path,
                    begins,
                    parameters,
                    value,
                });
            } else {
                let path = folded(bare(path), ignore_case).into();
                fixed.entry(method.into()).or_default().entry(path).or_insert(value);
            }
        }
        Ok(Self { fixed, with_parameters: with_parameters.into(), ignore_case })
    }

    /// The operation of a request.
    pub(crate) fn find(&self, exchange: &Exchange) -> Option<&T> {
        let method = exchange.head.method.as_str();
        paths(exchange).find_map(|path| self.of(method, path))
    }

    /// Every operation that a request may be, in the order in which they are written; with what stands for the parameters
    /// of its path.
    pub(crate) fn all(&self, exchange: &Exchange) -> Vec<Match<'_, T>> {
        let method = exchange.head.method.as_str();
        paths(exchange).map(|path| self.all_of(method, path)).find(|all| !all.is_empty()).unwrap_or_default()
    }

    /// A slash at the end makes no other operation, nor does asking for the head alone: few upstreams tell these apart.
    fn of(&self, method: &str, path: &str) -> Option<&T> {
        let written = Spellings::of(path);
        let found = |method: &str| {
            let fixed = self.fixed(method, &written);
            let fits = |place: &&WithParameters<T>| {
                *place.method == *method
                    && written
                        .all()
                        .iter()
                        .any(|path| path.starts_with(&*place.begins) && place.path.is_match(path))
            };
            fixed.or_else(|| self.with_parameters.iter().find(fits).map(|place| &place.value))
        };
        found(method).or_else(|| if method == "HEAD" { found("GET") } else { None })
    }

    fn all_of(&self, method: &str, path: &str) -> Vec<Match<'_, T>> {
        let written = Spellings::of(path);
        let found = |method: &str| -> Vec<Match<'_, T>> {
            if let Some(value) = self.fixed(method, &written) {
                return vec![Match { value, parameters: Vec::new(), decoded: false }];
            }
            let places = self.with_parameters.iter().filter(|place| *place.method == *method);
            let matches = places.filter_map(|place| {
                let (at, found) = written.all().into_iter().enumerate().find_map(|(at, path)| {
                    Some((at, place.path.captures(path).filter(|_| path.starts_with(&*place.begins))?))
                })?;
                let values = found.iter().skip(1).flatten().map(|value| value.as_str().to_owned());
                let parameters = place.parameters.iter().map(|name| &**name).zip(values).collect();
                Some(Match { value: &place.value, parameters, decoded: at > 0 })
            });
            matches.collect()
        };
        match found(method) {
            none if none.is_empty() && method == "HEAD" => found("GET"),
            found => found,
        }
    }

    fn fixed(&self, method: &str, written: &Spellings<'_>) -> Option<&T> {
        let paths = self.fixed.get(method)?;
        written.all().iter().find_map(|path| paths.get(&*folded(path, self.ignore_case)))
    }
}

/// The path of a request below its listen path, and below its version where that stands in it.
fn paths(exchange: &Exchange) -> impl Iterator<Item = &str> {
    let versioned = exchange.version_in_path.as_ref();
    let behind = versioned.map(|version| below(exchange.head.uri.path(), version.end));
    std::iter::once(exchange.path_in_api()).chain(behind)
}

/// A path as it was sent, with its escapes resolved, and as upstreams may read it.
struct Spellings<'p> {
    sent: &'p str,
    decoded: Cow<'p, str>,
    plain: Option<String>,
}

impl<'p> Spellings<'p> {
    fn of(sent: &'p str) -> Self {
        let decoded = query::decode_path(sent);
        // A slash may be part of a parameter; as it was sent it is one.
        let plain = match plain(&decoded) {
            Cow::Borrowed(_) => None,
            Cow::Owned(plain) => Some(plain),
        };
        Self { sent, decoded, plain }
    }

    fn all(&self) -> [&str; 3] {
        [bare(self.sent), bare(&self.decoded), bare(self.plain.as_deref().unwrap_or(self.sent))]
    }
}

/// Without what many upstreams pass over: empty segments, and parameters of segments (`/a;b=c`).
fn plain(path: &str) -> Cow<'_, str> {
    if !path.contains("//") && !path.contains(';') {
        return path.into();
    }
    let segments = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
    segments
        .filter(|segment| !segment.is_empty())
        .fold(String::new(), |path, segment| path + "/" + segment)
        .into()
}

/// Without slashes at the end.
fn bare(path: &str) -> &str {
    path.trim_end_matches('/')
}

fn folded(path: &str, ignore_case: bool) -> Cow<'_, str> {
    if ignore_case { path.to_lowercase().into() } else { path.into() }
}

/// What paths match, and the names of the parameters in it.
type Pattern = (Regex, Box<[Box<str>]>);

/// Each parameter is one segment or a part of one; those that stand for the patterns of older definitions may be more.
fn pattern(path: &str, ignore_case: bool) -> Result<Pattern, regex::Error> {
    let (mut source, mut names) = ("^".to_owned(), Vec::new());
    let mut rest = bare(path);
    while let Some((before, after)) = rest.split_once('{') {
        source.push_str(&regex::escape(before));
        match after.split_once('}') {
            Some((name, behind)) => {
                source.push_str(if name.starts_with("customRegex") { "(.+)" } else { "([^/]+)" });
                names.push(name.into());
                rest = behind;
            }
            None => {
                source.push_str("\\{");
                rest = after;
            }
        }
    }
    source.push_str(&regex::escape(rest));
    source.push('$');
    let path = RegexBuilder::new(&source).case_insensitive(ignore_case).size_limit(MAX_PATTERN).build()?;
    Ok((path, names.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_operation_and_no_other() {
        let written = [
            ("GET", "/", 0),
            ("GET", "/items/{id}", 1),
            ("GET", "/items/mine", 2),
            ("POST", "/items", 3),
            ("GET", "/items/{id}/parts/{part}.json", 4),
            ("HEAD", "/heads", 5),
            ("GET", "/heads", 6),
            ("GET", "/a+b", 7),
            ("GET", "/odd/{", 8),
        ];
        let plain = Operations::new(written.into_iter(), false).unwrap();
        for (method, path, expected) in [
            ("GET", "/", Some(0)),
            ("GET", "/items/7", Some(1)),
            ("GET", "/items/7/", Some(1)),
            ("HEAD", "/items/7", Some(1)),
            ("GET", "/items/a%2Fb", Some(1)),
            ("GET", "/items/mine", Some(2)),
            ("GET", "/items/min%65", Some(2)),
            ("GET", "/items/mine/", Some(2)),
            ("GET", "/items/mine;x=1", Some(2)),
            ("GET", "//items///mine", Some(2)),
            ("GET", "/items;v=2/mine%3Bx", Some(2)),
            ("POST", "/items", Some(3)),
            ("POST", "/items//", Some(3)),
            ("GET", "/items/7/parts/x.json", Some(4)),
            ("GET", "/items/7/parts/xyjson", None),
            ("HEAD", "/heads", Some(5)),
            ("GET", "/heads", Some(6)),
            ("GET", "/a+b", Some(7)),
            ("GET", "/aab", None),
            ("GET", "/odd/{", Some(8)),
            ("GET", "/items", None),
            ("GET", "/x/items/7", None),
            ("GET", "/items/7/x", None),
            ("GET", "/Items/7", None),
            ("PUT", "/items/7", None),
            ("get", "/items/7", None),
        ] {
            assert_eq!(plain.of(method, path), expected.as_ref(), "{method} {path}");
        }
        for (path, values, decoded) in [
            ("/items/a%2Fb/parts/x.json", &[("id", "a%2Fb"), ("part", "x")][..], false),
            ("/%69tems/7", &[("id", "7")], true),
            ("/items/mine", &[], false),
        ] {
            let all = plain.all_of("GET", path);
            assert_eq!(all.len(), 1, "{path}");
            let found: Vec<_> = all[0].parameters.iter().map(|(name, value)| (*name, &**value)).collect();
            assert_eq!((&*found, all[0].decoded), (values, decoded), "{path}");
        }
        let any_case = Operations::new(written.into_iter(), true).unwrap();
        assert_eq!(any_case.of("GET", "/ITEMS/7"), Some(&1));
        assert_eq!(any_case.of("GET", "/Items/Mine"), Some(&2));
    }
}
