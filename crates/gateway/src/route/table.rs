//! From host and path to an API: exact hosts first, then the longest listen path (contract 2.9, "Order").
//!
//! Listen paths match as prefixes. Their lengths are few even where APIs are many, so the longest match is found by
//! looking up one hash for each length that occurs, longest first; the cost does not grow with the number of APIs.

use std::collections::hash_map::Entry;

use foldhash::{HashMap, HashMapExt};
use regex::Regex;

/// Where an API listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place<'a> {
    /// Host, lower case without port; `None` = any.
    pub host: Option<&'a str>,
    /// Listen path, beginning with `/`; may hold `{name}` or `{name:regex}` parts.
    pub path: &'a str,
}

/// An API was found.
#[derive(Debug)]
pub struct Found<'a, T> {
    /// What listens there.
    pub api: &'a T,
    /// Bytes of the request path that the listen path covers.
    pub matched: usize,
}

/// An immutable routing table.
#[derive(Debug)]
pub struct Table<T> {
    hosts: HashMap<Box<str>, Paths<T>>,
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
    templated: Vec<(Regex, T)>,
}

impl<T> Default for Paths<T> {
    fn default() -> Self {
        Self { levels: Vec::new() }
    }
}

impl<T> Table<T> {
    /// An empty table. `strict`: `/app` matches `/app` and `/app/…` but not `/apple` (`enable_strict_routes`).
    pub fn new(strict: bool) -> Self {
        Self { hosts: HashMap::new(), any: Paths::default(), strict }
    }

    /// Adds an API; gives it back with the reason when its place is taken or its path is no valid template.
    pub fn add(&mut self, place: &Place<'_>, api: T) -> Result<(), (T, String)> {
        let paths = match place.host {
            Some(host) => self.hosts.entry(host.into()).or_default(),
            None => &mut self.any,
        };
        paths.add(place.path, api)
    }

    /// Finds who serves `path` on `host` (given without port; any case).
    pub fn find(&self, host: &str, path: &str) -> Option<Found<'_, T>> {
        if !self.hosts.is_empty() {
            let known = match self.hosts.get(host) {
                Some(paths) => Some(paths),
                None if host.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                    self.hosts.get(host.to_ascii_lowercase().as_str())
                }
                None => None,
            };
            if let Some(found) = known.and_then(|paths| paths.find(path, self.strict)) {
                return Some(found);
            }
        }
        self.any.find(path, self.strict)
    }
}

impl<T> Paths<T> {
    fn add(&mut self, path: &str, api: T) -> Result<(), (T, String)> {
        let template = path.contains('{').then(|| template_regex(path));
        let length = template.as_ref().map_or(path.len(), |(length, _)| *length);
        let level = match self.levels.binary_search_by(|level| length.cmp(&level.length)) {
            Ok(index) => &mut self.levels[index],
            Err(index) => {
                let level = Level { length, literal: HashMap::new(), templated: Vec::new() };
                self.levels.insert(index, level);
                &mut self.levels[index]
            }
        };
        match template {
            None => match level.literal.entry(path.into()) {
                Entry::Occupied(_) => Err((api, format!("listen path `{path}` is taken by another API"))),
                Entry::Vacant(entry) => {
                    entry.insert(api);
                    Ok(())
                }
            },
            Some((_, pattern)) => match Regex::new(&pattern) {
                Ok(regex) if level.templated.iter().any(|(known, _)| known.as_str() == regex.as_str()) => {
                    Err((api, format!("listen path `{path}` is taken by another API")))
                }
                Ok(regex) => {
                    level.templated.push((regex, api));
                    Ok(())
                }
                Err(error) => Err((api, format!("listen path `{path}` is no valid template: {error}"))),
            },
        }
    }

    fn find(&self, path: &str, strict: bool) -> Option<Found<'_, T>> {
        for level in &self.levels {
            if let Some(found) = level.find(path, strict) {
                return Some(found);
            }
        }
        None
    }
}

impl<T> Level<T> {
    fn find(&self, path: &str, strict: bool) -> Option<Found<'_, T>> {
        if !self.literal.is_empty() {
            if let Some(prefix) = path.get(..self.length)
                && let Some(api) = self.literal.get(prefix)
                && (!strict || ends_segment(path, self.length))
            {
                return Some(Found { api, matched: self.length });
            }
            // `/app` reaches the API that listens on `/app/`.
            if path.len() + 1 == self.length
                && let Some(api) = self.literal.get(format!("{path}/").as_str())
            {
                return Some(Found { api, matched: path.len() });
            }
        }
        self.templated.iter().find_map(|(regex, api)| {
            let end = regex.find(path)?.end();
            (!strict || ends_segment(path, end)).then_some(Found { api, matched: end })
        })
    }
}

/// Whether the listen path ends where a path segment ends.
fn ends_segment(path: &str, end: usize) -> bool {
    path[..end].ends_with('/') || path.len() == end || path[end..].starts_with('/')
}

/// The pattern of a templated listen path, and its length with every parameter counted as nothing.
fn template_regex(path: &str) -> (usize, String) {
    let mut pattern = String::from("^");
    let mut length = 0;
    let mut rest = path;
    while let Some(open) = rest.find('{') {
        let literal = &rest[..open];
        pattern.push_str(&regex::escape(literal));
        length += literal.len();
        let mut depth = 0;
        let close = rest[open..].char_indices().find_map(|(at, character)| {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            (depth == 0).then_some(open + at)
        });
        let Some(close) = close else {
            pattern.push_str(&regex::escape(&rest[open..]));
            return (length, pattern);
        };
        match rest[open + 1..close].split_once(':') {
            Some((_, custom)) => {
                pattern.push_str("(?:");
                pattern.push_str(custom);
                pattern.push(')');
            }
            None => pattern.push_str("[^/]+"),
        }
        rest = &rest[close + 1..];
    }
    pattern.push_str(&regex::escape(rest));
    (length + rest.len(), pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(strict: bool, entries: &[(Option<&str>, &str)]) -> Table<String> {
        let mut table = Table::new(strict);
        for (host, path) in entries {
            let name = format!("{}{path}", host.unwrap_or("*"));
            table.add(&Place { host: *host, path }, name).unwrap();
        }
        table
    }

    #[test]
    fn the_longest_listen_path_wins_and_hosts_come_first() {
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
    fn strict_routes_end_at_a_segment() {
        let table = table(true, &[(None, "/app")]);
        assert!(table.find("", "/apple").is_none());
        assert!(table.find("", "/app").is_some());
        assert!(table.find("", "/app/x").is_some());
        assert!(table.find("", "/").is_none());
    }

    #[test]
    fn a_taken_place_is_refused() {
        let mut table = table(false, &[(None, "/a"), (None, "/t/{x}")]);
        assert!(table.add(&Place { host: None, path: "/a" }, String::new()).is_err());
        assert!(table.add(&Place { host: None, path: "/t/{y}" }, String::new()).is_err());
        assert!(table.add(&Place { host: None, path: "/bad/{x:(}" }, String::new()).is_err());
        assert!(table.add(&Place { host: Some("h"), path: "/a" }, String::new()).is_ok());
    }

    #[test]
    fn odd_paths_do_no_harm() {
        let table = table(false, &[(None, "/é/")]);
        assert!(table.find("", "/\u{65e5}").is_none());
        assert!(table.find("", "").is_none());
        assert!(table.find("", "*").is_none());
    }
}
