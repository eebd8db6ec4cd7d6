//! What single paths of an API have of their own (contract 4.3): the first that fits a request counts.

use std::ops::Range;

use apidef::AtPath;

use super::patterns::{Collector, Fitting, Places};
use crate::exchange::{AsSent, Exchange};
use crate::query;

/// Values by method and path, in the order written.
#[derive(Debug)]
pub(crate) struct PerPath<T>(Places<T>);

/// A method, empty for every one, and a path as a definition has them.
pub(crate) struct Written<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) ignore_case: bool,
}

impl<'a, T> From<&'a AtPath<T>> for Written<'a> {
    fn from(one: &'a AtPath<T>) -> Self {
        Self { method: &one.method, path: &one.path, ignore_case: one.ignore_case }
    }
}

impl<T> Default for PerPath<T> {
    fn default() -> Self {
        Self(Places::new(std::iter::empty()))
    }
}

impl<T> PerPath<T> {
    /// Gives the paths to the table of the API that they are of.
    pub(crate) fn new<'a>(patterns: &Collector, places: impl Iterator<Item = (Written<'a>, T)>) -> Self {
        let place = |(written, value): (Written<'_>, T)| {
            (written.method.into(), patterns.add(written.path, written.ignore_case), value)
        };
        Self(Places::new(places.map(place)))
    }

    /// The same, of a list of a definition.
    pub(crate) fn of<M>(
        patterns: &Collector,
        list: &[AtPath<M>],
        mut compile: impl FnMut(&AtPath<M>) -> T,
    ) -> Self {
        let place = |one: &AtPath<M>| {
            let AtPath { method, path, ignore_case, .. } = one;
            (method.clone(), patterns.add(path, *ignore_case), compile(one))
        };
        Self(Places::new(list.iter().map(place)))
    }

    /// The same, where not everything that a definition says can be done.
    pub(crate) fn try_of<M, E>(
        patterns: &Collector,
        list: &[AtPath<M>],
        compile: impl FnMut(&AtPath<M>) -> Result<T, E>,
    ) -> Result<Self, E> {
        let values: Vec<T> = list.iter().map(compile).collect::<Result<_, E>>()?;
        let places = list.iter().zip(values).map(|(one, value)| {
            let number = patterns.add(&one.path, one.ignore_case);
            (one.method.clone(), number, value)
        });
        Ok(Self(Places::new(places)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the path of a request has: as it came, whatever was done to it on the way. Where the request is a call of MCP,
    /// what the call has comes first.
    pub(crate) fn find(&self, exchange: &Exchange) -> Option<&T> {
        if self.is_empty() {
            return None;
        }
        if exchange.mcp.is_some()
            && let Some(found) = self.of_primitive(exchange).or_else(|| self.of_method(exchange))
        {
            return Some(found);
        }
        self.of_path(exchange)
    }

    /// Everything that counts for a request: what its path has, then, where it is a call of MCP, what its method has and
    /// what it is called for.
    pub(crate) fn each<'s>(
        &'s self,
        exchange: &Exchange,
    ) -> impl DoubleEndedIterator<Item = &'s T> + use<'s, T> {
        let of_path = if self.is_empty() { None } else { self.of_path(exchange) };
        of_path.into_iter().chain(self.of_calls(exchange))
    }

    /// The same without its path.
    pub(crate) fn of_calls<'s>(
        &'s self,
        exchange: &Exchange,
    ) -> impl DoubleEndedIterator<Item = &'s T> + use<'s, T> {
        let found = match exchange.mcp {
            Some(_) => [self.of_method(exchange), self.of_primitive(exchange)],
            None => [None, None],
        };
        found.into_iter().flatten()
    }

    fn of_path(&self, exchange: &Exchange) -> Option<&T> {
        self.0.find(&exchange.fitting, exchange.head.method.as_str())
    }

    /// What the method of a call has.
    pub(crate) fn of_method(&self, exchange: &Exchange) -> Option<&T> {
        let asked = exchange.mcp.as_ref()?;
        self.0.of_numbers(&asked.of_method, exchange.head.method.as_str())
    }

    /// What the tool, resource or prompt of a call has.
    pub(crate) fn of_primitive(&self, exchange: &Exchange) -> Option<&T> {
        let asked = exchange.mcp.as_ref()?;
        self.0.of_numbers(&asked.of_primitive, exchange.head.method.as_str())
    }
}

/// Which patterns of its API fit a request: below the listen path and the version, below the listen path, or whole.
pub(crate) fn fitting(exchange: &Exchange) -> Fitting {
    let patterns = &exchange.api.patterns;
    if patterns.is_empty() {
        return Fitting::default();
    }
    // As an upstream reads them, whatever of them the client has escaped.
    let within = query::decode_path(exchange.path_in_api());
    let whole = query::decode_path(exchange.head.uri.path());
    // What was sent on has nothing to do with what its client sent.
    let sent = exchange.head.extensions.get::<AsSent>().filter(|_| exchange.loops == 0);
    if exchange.version_in_path.is_none() && sent.is_none() {
        return if within == whole {
            patterns.fitting([&*within])
        } else {
            patterns.fitting([&*within, &*whole])
        };
    }
    let mut paths = vec![within.into_owned(), whole.into_owned()];
    if let Some(AsSent(sent)) = sent {
        let path = sent.path();
        paths.push(query::decode_path(below(path, exchange.matched)).into_owned());
        paths.push(query::decode_path(path).into_owned());
    }
    if let Some(segment) = exchange.version_in_path.clone() {
        paths.push(query::decode_path(below(exchange.head.uri.path(), segment.end)).into_owned());
        paths.push(query::decode_path(&without(exchange.head.uri.path(), segment)).into_owned());
    }
    patterns.fitting(paths.iter().map(String::as_str))
}

/// The path behind so many bytes; begins with `/`.
pub(super) fn below(path: &str, matched: usize) -> &str {
    let from =
        if path.get(..matched).is_some_and(|head| head.ends_with('/')) { matched - 1 } else { matched };
    match path.get(from..).unwrap_or_default() {
        "" => "/",
        rest => rest,
    }
}

/// The path without one of its segments.
fn without(path: &str, segment: Range<usize>) -> String {
    let (before, behind) =
        (path.get(..segment.start).unwrap_or(path), path.get(segment.end..).unwrap_or_default());
    format!("{before}{}", behind.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_paths() {
        for (path, matched, rest) in
            [("/app/x", 4, "/x"), ("/app/x", 5, "/x"), ("/app", 4, "/"), ("/", 9, "/")]
        {
            assert_eq!(below(path, matched), rest, "{path} {matched}");
        }
        for (path, segment, rest) in [("/app/v1/x", 5..7, "/app/x"), ("/v1", 1..3, "/"), ("/a", 2..2, "/a")] {
            assert_eq!(without(path, segment.clone()), rest, "{path} {segment:?}");
        }
    }
}
