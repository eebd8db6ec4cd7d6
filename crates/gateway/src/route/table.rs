//! From host and path to an API: exact hosts first, then the longest listen path (contract 2.9, "Order").
//!
//! Listen paths match as prefixes. Their lengths are few even where APIs are many, so the longest match is found by
//! looking up one hash for each length that occurs, longest first; the cost does not grow with the number of APIs. Only
//! patterns are tried one after the other, each among what has as much literal text as it.

use std::collections::hash_map::Entry;

use apidef::Template;
use foldhash::{HashMap, HashMapExt};

/// Where an API listens.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// Host, lower case without port; may be a pattern; `None` = any.
    pub host: Option<&'a str>,
    /// Listen path, beginning with `/`; may hold `{name}` or `{name:regex}` parts.
    pub path: &'a str,
    /// The path, where it is a pattern that has been compiled before.
    pub compiled: Option<&'a Template>,
}

/// An API was found.
#[derive(Debug)]
pub struct Found<'a, T> {
    /// What listens there.
    pub api: &'a T,
    /// Bytes of the request path that the listen path covers.
    pub matched: usize,
    /// How much of the listen path is literal text.
    literal: usize,
}

/// An immutable routing table.
#[derive(Debug)]
pub struct Table<T> {
    hosts: HashMap<Box<str>, Paths<T>>,
    /// Hosts that are patterns, in the order in which they are tried.
    domains: Vec<(Template, Paths<T>)>,
    any: Paths<T>,
    strict: bool,
}

#[derive(Debug)]
struct Paths<T> {
    /// One level for each length, longest first.
    levels: Vec<Level<T>>,
}

#[derive(Debug)]
struct Level<T> {
    length: usize,
    literal: HashMap<Box<str>, T>,
    templated: Vec<(Template, T)>,
}

impl<T> Default for Paths<T> {
    fn default() -> Self {
        Self { levels: Vec::new() }
    }
}

impl<T> Table<T> {
    /// An empty table. `strict`: `/app` matches `/app` and `/app/…` but not `/apple` (`enable_strict_routes`).
    pub fn new(strict: bool) -> Self {
        Self { hosts: HashMap::new(), domains: Vec::new(), any: Paths::default(), strict }
    }

    /// Adds an API; gives it back with the reason when its place is taken or is no valid pattern.
    pub fn add(&mut self, place: &Place<'_>, api: T) -> Result<(), (T, String)> {
        let compiled = match place.compiled {
            Some(compiled) => Ok(Some(compiled.clone())),
            None => Template::of_path(place.path),
        };
        let template = match compiled {
            Ok(template) => template,
            Err(why) => return Err((api, format!("listen path `{}`: {why}", place.path))),
        };
        match place.host.map(|host| (host, Template::of_domain(host))) {
            None => self.any.add(place.path, template, api),
            Some((host, Ok(None))) => {
                self.hosts.entry(host.into()).or_default().add(place.path, template, api)
            }
            Some((_, Ok(Some(domain)))) => self.of_domain(domain).add(place.path, template, api),
            Some((host, Err(why))) => Err((api, format!("domain `{host}`: {why}"))),
        }
    }

    fn of_domain(&mut self, domain: Template) -> &mut Paths<T> {
        let index = match self.domains.iter().position(|(known, _)| known.is_same(&domain)) {
            Some(index) => index,
            None => {
                let index = self.domains.partition_point(|(known, _)| known.rank() < domain.rank());
                self.domains.insert(index, (domain, Paths::default()));
                index
            }
        };
        &mut self.domains[index].1
    }

    /// Finds who serves `path` on `host` (given without port; any case).
    pub fn find(&self, host: &str, path: &str) -> Option<Found<'_, T>> {
        let mut found = None;
        if !self.hosts.is_empty() {
            let known = match self.hosts.get(host) {
                Some(paths) => Some(paths),
                None if host.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                    self.hosts.get(host.to_ascii_lowercase().as_str())
                }
                None => None,
            };
            found = known.and_then(|paths| paths.find(path, self.strict));
        }
        for (domain, paths) in &self.domains {
            // Of all hosts that fit, the longest listen path counts; the first of several.
            if domain.fits(host)
                && let Some(other) = paths.find(path, self.strict)
                && found.as_ref().is_none_or(|found: &Found<'_, T>| found.literal < other.literal)
            {
                found = Some(other);
            }
        }
        found.or_else(|| self.any.find(path, self.strict))
    }
}

impl<T> Paths<T> {
    fn add(&mut self, path: &str, template: Option<Template>, api: T) -> Result<(), (T, String)> {
        let length = template.as_ref().map_or(path.len(), Template::literal);
        let level = match self.levels.binary_search_by(|level| length.cmp(&level.length)) {
            Ok(index) => &mut self.levels[index],
            Err(index) => {
                let level = Level { length, literal: HashMap::new(), templated: Vec::new() };
                self.levels.insert(index, level);
                &mut self.levels[index]
            }
        };
        let taken = || format!("listen path `{path}` is taken by another API");
        match template {
            None => match level.literal.entry(path.into()) {
                Entry::Occupied(_) => Err((api, taken())),
                Entry::Vacant(entry) => {
                    entry.insert(api);
                    Ok(())
                }
            },
            Some(new) if level.templated.iter().any(|(known, _)| known.is_same(&new)) => Err((api, taken())),
            Some(new) => {
                let index = level.templated.partition_point(|(known, _)| known.rank() < new.rank());
                level.templated.insert(index, (new, api));
                Ok(())
            }
        }
    }

    fn find(&self, path: &str, strict: bool) -> Option<Found<'_, T>> {
        self.levels.iter().find_map(|level| level.find(path, strict))
    }
}

impl<T> Level<T> {
    fn find(&self, path: &str, strict: bool) -> Option<Found<'_, T>> {
        let found = |api, matched| Found { api, matched, literal: self.length };
        if !self.literal.is_empty() {
            if let Some(prefix) = path.get(..self.length)
                && let Some(api) = self.literal.get(prefix)
                && (!strict || ends_segment(path, self.length))
            {
                return Some(found(api, self.length));
            }
            // `/app` reaches the API that listens on `/app/`.
            if path.len() + 1 == self.length
                && let Some(api) = self.literal.get(format!("{path}/").as_str())
            {
                return Some(found(api, path.len()));
            }
        }
        self.templated.iter().find_map(|(template, api)| {
            let end = template.covers(path)?;
            (!strict || ends_segment(path, end)).then_some(found(api, end))
        })
    }
}

/// Whether the listen path ends where a path segment ends.
pub(super) fn ends_segment(path: &str, end: usize) -> bool {
    path[..end].ends_with('/') || path.len() == end || path[end..].starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place<'a>(host: Option<&'a str>, path: &'a str) -> Place<'a> {
        Place { host, path, compiled: None }
    }

    fn table(strict: bool, entries: &[(Option<&str>, &str)]) -> Table<String> {
        let mut table = Table::new(strict);
        for (host, path) in entries {
            let name = format!("{}{path}", host.unwrap_or("*"));
            table.add(&place(*host, path), name).unwrap();
        }
        table
    }

    #[test]
    fn c2_9_row_4_the_longest_listen_path_wins_and_hosts_come_first() {
        let table = table(
            false,
            &[
                (None, "/"),
                (None, "/app"),
                (None, "/app/v2/"),
                (None, "/users/{id}/orders"),
                (None, "/re/{id:[0-9]+}/"),
                (Some("api.test"), "/app"),
            ],
        );
        let cases = [
            ("other", "/", "*/", 1),
            ("other", "/nothing", "*/", 1),
            ("other", "/app", "*/app", 4),
            ("other", "/apple", "*/app", 4),
            ("other", "/app/v2/x", "*/app/v2/", 8),
            ("other", "/app/v2", "*/app/v2/", 7),
            ("other", "/users/7/orders/9", "*/users/{id}/orders", 15),
            ("other", "/users//orders", "*/", 1),
            ("other", "/re/12/x", "*/re/{id:[0-9]+}/", 7),
            ("other", "/re/ab/x", "*/", 1),
            ("api.test", "/app/1", "api.test/app", 4),
            ("API.Test", "/app/1", "api.test/app", 4),
            ("api.test", "/other", "*/", 1),
        ];
        for (host, path, name, matched) in cases {
            let found = table.find(host, path).unwrap_or_else(|| panic!("{host}{path}"));
            assert_eq!((found.api.as_str(), found.matched), (name, matched), "{host}{path}");
        }
    }

    #[test]
    fn c2_9_row_4_patterns_are_tried_by_their_literal_length() {
        let table = table(
            false,
            &[
                (None, "/{all:.*}"),
                (None, "/users/{id}/"),
                (None, "/users/{id:[0-9]+}/"),
                (None, "/users/me/"),
                (None, "/users/{id}/orders/"),
                (Some("{sub}.test"), "/users/"),
                (Some("{sub:eu|us}.test"), "/users/"),
                (Some("{sub}.api.test"), "/"),
                (Some("eu.test"), "/us"),
            ],
        );
        let cases = [
            ("h", "/x", "*/{all:.*}", 2),
            ("h", "/users/me/x", "*/users/me/", 10),
            ("h", "/users/7/x", "*/users/{id:[0-9]+}/", 9),
            ("h", "/users/seven/x", "*/users/{id}/", 13),
            ("h", "/users/7", "*/users/{id:[0-9]+}/", 8),
            ("h", "/users/7/orders/1", "*/users/{id}/orders/", 16),
            // Hosts come before paths; of those that fit, the longest listen path.
            ("eu.test", "/users/7/orders/1", "{sub:eu|us}.test/users/", 7),
            ("EU.test", "/usual", "eu.test/us", 3),
            ("de.test", "/users/1", "{sub}.test/users/", 7),
            ("de.test", "/other", "*/{all:.*}", 6),
            ("a.api.test", "/users/1", "{sub}.api.test/", 1),
        ];
        for (host, path, name, matched) in cases {
            let found = table.find(host, path).unwrap_or_else(|| panic!("{host}{path}"));
            assert_eq!((found.api.as_str(), found.matched), (name, matched), "{host}{path}");
        }
    }

    #[test]
    fn strict_routes_end_at_a_segment() {
        let table = table(true, &[(None, "/app")]);
        assert!(table.find("", "/apple").is_none());
        assert!(table.find("", "/app").is_some());
        assert!(table.find("", "/app/x").is_some());
        assert!(table.find("", "/").is_none());
        let table = super::tests::table(true, &[(None, "/u/{id:[0-9]}"), (None, "/v/{id}/")]);
        for (path, found) in
            [("/u/1", true), ("/u/1/x", true), ("/u/12", false), ("/v/1", true), ("/v/1/", true)]
        {
            assert_eq!(table.find("", path).is_some(), found, "{path}");
        }
    }

    #[test]
    fn a_taken_place_is_refused() {
        let mut table = table(false, &[(None, "/a"), (None, "/t/{x}")]);
        assert!(table.add(&place(None, "/a"), String::new()).is_err());
        assert!(table.add(&place(None, "/t/{y}"), String::new()).is_err());
        assert!(table.add(&place(None, "/bad/{x:(}"), String::new()).is_err());
        assert!(table.add(&place(Some("{x}.h"), "/a"), String::new()).is_ok());
        assert!(table.add(&place(Some("{y}.h"), "/a"), String::new()).is_err());
        assert!(table.add(&place(Some("{y.h"), "/a"), String::new()).is_err());
        assert!(table.add(&place(Some("h"), "/a"), String::new()).is_ok());
    }

    #[test]
    fn odd_paths_do_no_harm() {
        let table = table(false, &[(None, "/é/")]);
        assert!(table.find("", "/\u{65e5}").is_none());
        assert!(table.find("", "").is_none());
        assert!(table.find("", "*").is_none());
    }
}
