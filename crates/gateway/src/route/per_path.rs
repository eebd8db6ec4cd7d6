//! What single paths of an API have of their own (contract 4.3): the first that fits a request counts.

use apidef::{PathMatching, path_pattern};
use regex::Regex;

use crate::exchange::Exchange;
use crate::query;

/// Values by method and path, in the order written.
#[derive(Debug)]
pub(crate) struct PerPath<T>(Box<[Place<T>]>);

#[derive(Debug)]
struct Place<T> {
    method: Box<str>,
    path: Regex,
    value: T,
}

/// A method and a path as a definition has them.
pub(crate) struct Written<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) ignore_case: bool,
}

impl<T> PerPath<T> {
    /// Compiles the paths; `what` says in a fault whose they are.
    pub(crate) fn new<'a>(
        what: &str,
        matching: PathMatching,
        places: impl Iterator<Item = (Written<'a>, T)>,
    ) -> Result<Self, String> {
        let place = |(written, value): (Written<'_>, T)| {
            let ignore_case = matching.ignore_case || written.ignore_case;
            let path = path_pattern(written.path, PathMatching { ignore_case, ..matching })
                .map_err(|error| format!("the path `{}` of {what} cannot be used: {error}", written.path))?;
            Ok(Place { method: written.method.into(), path, value })
        };
        places.map(place).collect::<Result<_, String>>().map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the path of a request has: below the listen path, or whole.
    pub(crate) fn find(&self, exchange: &Exchange) -> Option<&T> {
        if self.is_empty() {
            return None;
        }
        let method = exchange.head.method.as_str();
        let within = query::decode_path(exchange.path_in_api());
        let whole = query::decode_path(exchange.head.uri.path());
        let fits = |place: &&Place<T>| {
            *place.method == *method && (place.path.is_match(&within) || place.path.is_match(&whole))
        };
        self.0.iter().find(fits).map(|place| &place.value)
    }
}
