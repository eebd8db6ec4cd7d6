//! The paths a session may call, compiled (contract 4.3 and step "granular access" of 4.4).

use crate::pattern::{MAX_PATTERN, first_line, translated};
use crate::{AccessDefinition, AllowedUrl};
use document::{Fault, pointer_join};
use regex::{Regex, RegexBuilder};
use std::collections::BTreeMap;

/// How path patterns are anchored: the gateway's matching options.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PathMatching {
    /// A pattern that starts with `/` matches from the start of the path only.
    pub prefix: bool,
    /// A pattern matches to the end of the path only.
    pub suffix: bool,
    /// Upper and lower case are the same.
    pub ignore_case: bool,
}

/// The allowed paths of one API in a session, compiled.
#[derive(Debug, Clone, Default)]
pub struct UrlRules {
    rules: Box<[Rule]>,
}

#[derive(Debug, Clone)]
struct Rule {
    path: Regex,
    methods: Box<[Box<str>]>,
}

impl UrlRules {
    /// Compiles the rules. A fault's pointer is relative to the access definition (`/allowed_urls/<n>/url`).
    pub fn compile(allowed: &[AllowedUrl], matching: PathMatching) -> Result<UrlRules, Fault> {
        let mut rules = Vec::with_capacity(allowed.len());
        for (index, rule) in allowed.iter().enumerate() {
            let regex = path_pattern(&rule.url, matching).map_err(|error| {
                let message =
                    format!("`{}` is not a usable regular expression: {}", rule.url, first_line(&error));
                Fault::error(format!("/allowed_urls/{index}/url"), message)
            })?;
            let methods = rule.methods.iter().map(|method| method.as_str().into()).collect();
            rules.push(Rule { path: regex, methods });
        }
        Ok(UrlRules { rules: rules.into() })
    }

    /// Without rules everything is allowed.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a rule that matches any of the spellings of the path allows the method.
    pub fn allows(&self, method: &str, paths: &[&str]) -> bool {
        self.is_empty()
            || self.rules.iter().any(|rule| {
                rule.methods.iter().any(|known| &**known == method)
                    && paths.iter().any(|path| rule.path.is_match(path))
            })
    }
}

/// Every fault of the paths in a set of rights; the pointers start at `base` (`/access_rights`).
pub fn check_access_rights(rights: &BTreeMap<String, AccessDefinition>, base: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (id, access) in rights {
        if let Err(mut fault) = UrlRules::compile(&access.allowed_urls, PathMatching::default()) {
            fault.pointer.insert_str(0, &pointer_join(base, id));
            faults.push(fault);
        }
    }
    faults
}

/// A path pattern: `{name}` is one segment, `/*` any rest, all else a regular expression, searched for anywhere in
/// the path unless anchored (contract 4.3).
pub fn path_pattern(pattern: &str, matching: PathMatching) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&path_source(pattern, matching)).size_limit(MAX_PATTERN).build()
}

/// The regular expression that a path pattern stands for.
pub fn path_source(pattern: &str, matching: PathMatching) -> String {
    let mut source = String::with_capacity(pattern.len() + 8);
    if matching.ignore_case {
        source.push_str("(?i)");
    }
    if matching.prefix && pattern.starts_with('/') {
        source.push('^');
    }
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = parameter(rest) {
            source.push_str("([^/]+)");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("/*/") {
            source.push_str("/[^/]+/");
            rest = after;
            if let Some(after) = rest.strip_prefix('*') {
                source.push_str(".*");
                rest = after;
            }
        } else if let Some(after) = rest.strip_prefix("/*") {
            source.push_str("/.*");
            rest = after;
        } else {
            source.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    if matching.suffix && !source.ends_with('$') {
        source.push('$');
    }
    translated(&source)
}

/// What is behind a parameter that the text begins with: `{name}`, `{name:regex}`, of which only the name counts, or `{*}`.
fn parameter(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('{')?;
    let mut depth = 1;
    let close = inner.char_indices().find_map(|(at, c)| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })?;
    let name = inner[..close].split(':').next().unwrap_or_default();
    (name == "*" || is_name(name)).then_some(&inner[close + 1..])
}

/// A parameter's name, as opposed to a repetition such as `{2,3}`.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_patterns() {
        let plain = PathMatching::default();
        let prefix = PathMatching { prefix: true, ..plain };
        let both = PathMatching { suffix: true, ..prefix };
        for (pattern, matching, path, expected) in [
            ("/get", plain, "/admin/get/x", true),
            ("/get", prefix, "/admin/get/x", false),
            ("/get", prefix, "/get/x", true),
            ("/get", both, "/get/x", false),
            ("/users/{id}", both, "/users/7", true),
            ("/users/{id}", both, "/users/7/secret", false),
            ("/a/*/c", both, "/a/b/c", true),
            ("/a/*/c", both, "/a/b/b/c", false),
            ("/a/*", both, "/a/b/c", true),
            ("/x{2}", both, "/xx", true),
            ("/users/{id:[0-9]{2}}/x", both, "/users/abc/x", true),
            ("/users/{id:[0-9]{2}}/x", both, "/users/a/b/x", false),
            ("/users/{*}/x", both, "/users/a/x", true),
            ("/a/*/*/c", both, "/a/b/b/c", true),
            ("^/a$", both, "/a", true),
            ("/A", plain, "/a", false),
            ("/A", PathMatching { ignore_case: true, ..plain }, "/a", true),
        ] {
            let regex = path_pattern(pattern, matching).expect(pattern);
            assert_eq!(regex.is_match(path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn rules() {
        let rule = |url: &str, methods: &[&str]| AllowedUrl {
            url: url.to_owned(),
            methods: methods.iter().map(|m| (*m).to_owned()).collect(),
            ..AllowedUrl::default()
        };
        let rules =
            UrlRules::compile(&[rule("/a", &["GET", "PUT"]), rule("/b", &[])], PathMatching::default())
                .expect("rules");
        assert!(rules.allows("GET", &["/a"]) && rules.allows("PUT", &["/z", "/a/b"]));
        assert!(
            !rules.allows("POST", &["/a"]) && !rules.allows("GET", &["/b"]) && !rules.allows("get", &["/a"])
        );
        assert!(UrlRules::default().allows("GET", &["/"]));

        let access =
            AccessDefinition { allowed_urls: vec![rule("/ok", &[]), rule("/(", &[])], ..Default::default() };
        let faults = check_access_rights(&BTreeMap::from([("a/b".to_owned(), access)]), "/access_rights");
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].pointer, "/access_rights/a~1b/allowed_urls/1/url");
        assert!(path_pattern("(a{500}){500}", PathMatching::default()).is_err());
    }
}
