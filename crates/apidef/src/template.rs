//! Patterns in listen paths and domains: `{name}`, which is one segment or label, and `{name:regex}` (contract 2.3).

use std::cmp::Reverse;

use regex::Regex;

use crate::pattern::{compile, first_line, pattern};

/// Longer ones are no host names.
const LONGEST_HOST: usize = 253;

/// A listen path or a domain that is a pattern, compiled.
#[derive(Debug, Clone)]
pub struct Template {
    regex: Regex,
    /// See [`Template::literal`].
    literal: usize,
    /// How many places say what fits there.
    custom: usize,
    /// It ends with a slash, which what it covers whole may be without.
    ends_with_slash: bool,
}

/// A part of such a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'t> {
    /// It stands for itself.
    Literal(&'t str),
    /// As it is written, with its braces, and what fits where it says that.
    Open { written: &'t str, fits: Option<&'t str> },
}

/// The parts of a text; the reason, if it is no pattern.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    const UNBALANCED: &str = "a brace has no other: write `{name}` or `{name:regex}`";
    let (mut found, mut names) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let Some(open) = rest.find(['{', '}']) {
        let (literal, behind) = rest.split_at(open);
        if !literal.is_empty() {
            found.push(Piece::Literal(literal));
        }
        let mut depth = 0_usize;
        let end = behind.char_indices().find_map(|(at, character)| {
            match character {
                '{' => depth += 1,
                '}' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            (depth == 0).then_some(at + 1)
        });
        let written = end.filter(|_| behind.starts_with('{')).map(|end| &behind[..end]).ok_or(UNBALANCED)?;
        let inside = &written[1..written.len() - 1];
        let (name, fits) = match inside.split_once(':') {
            Some((name, fits)) => (name, Some(fits)),
            None => (inside, None),
        };
        if name.is_empty() {
            return Err(format!("`{written}` has no name: write `{{name}}` or `{{name:regex}}`"));
        }
        if fits == Some("") {
            return Err(format!(
                "`{written}` says nothing behind its colon: leave that out, or write `[^/]+`"
            ));
        }
        if names.contains(&name) {
            return Err(format!("two places are called `{name}`"));
        }
        if let Some(why) = fits.and_then(|fits| pattern(fits).err()) {
            return Err(format!("`{written}` is no regular expression: {why}"));
        }
        names.push(name);
        found.push(Piece::Open { written, fits });
        rest = &behind[written.len()..];
    }
    if !rest.is_empty() {
        found.push(Piece::Literal(rest));
    }
    Ok(found)
}

/// Whether a listen path or a domain is a pattern.
pub(crate) fn is_template(text: &str) -> bool {
    text.contains(['{', '}'])
}

impl Template {
    /// Compiles a listen path; `None` where it stands for itself.
    ///
    /// # Errors
    /// Why it is no pattern.
    pub fn of_path(text: &str) -> Result<Option<Self>, String> {
        is_template(text).then(|| Self::compile(text, "^", "[^/]+", "")).transpose()
    }

    /// Compiles a domain; `None` where it stands for itself.
    ///
    /// # Errors
    /// Why it is no pattern.
    pub fn of_domain(text: &str) -> Result<Option<Self>, String> {
        is_template(text).then(|| Self::compile(text, "(?i)^", "[^.]+", "$")).transpose()
    }

    fn compile(text: &str, begin: &str, usual: &str, end: &str) -> Result<Self, String> {
        let pieces = pieces(text)?;
        let (mut all, mut literal, mut custom) = (begin.to_owned(), 0, 0);
        for piece in &pieces {
            match piece {
                Piece::Literal(text) => {
                    literal += text.len();
                    all.push_str(&regex::escape(text));
                }
                Piece::Open { fits, .. } => {
                    custom += usize::from(fits.is_some());
                    all.push_str("(?:");
                    all.push_str(fits.unwrap_or(usual));
                    all.push(')');
                }
            }
        }
        all.push_str(end);
        let regex = compile(&all).map_err(|error| first_line(&error))?;
        let ends_with_slash = matches!(pieces.last(), Some(Piece::Literal(text)) if text.ends_with('/'));
        Ok(Self { regex, literal, custom, ends_with_slash })
    }

    /// Its length, with every place counted as nothing.
    pub fn literal(&self) -> usize {
        self.literal
    }

    /// How much of a path it covers; `None` where it does not fit.
    pub fn covers(&self, path: &str) -> Option<usize> {
        match self.regex.find(path) {
            Some(found) => Some(found.end()),
            // `/users/7` reaches what listens on `/users/{id}/`.
            None if self.ends_with_slash && !path.ends_with('/') => {
                let whole = self.regex.find(&format!("{path}/"))?.end() == path.len() + 1;
                whole.then_some(path.len())
            }
            None => None,
        }
    }

    /// Whether a host, given without its port, is one of this domain.
    pub fn fits(&self, host: &str) -> bool {
        host.len() <= LONGEST_HOST && self.regex.is_match(host)
    }

    /// Whether another one fits where this one does, whatever their places are called.
    pub fn is_same(&self, other: &Self) -> bool {
        self.regex.as_str() == other.regex.as_str()
    }

    /// In which order those are tried of which several may fit: first those with the longer literal, then those that say more
    /// of what fits; at last any that is always the same.
    pub fn rank(&self) -> impl Ord + '_ {
        (Reverse(self.literal), Reverse(self.custom), self.regex.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c2_3_patterns_cover_what_they_say() {
        for (text, path, covered) in [
            ("/users/{id}/", "/users/7/orders", Some(9)),
            ("/users/{id}/", "/users/7", Some(8)),
            ("/users/{id}/", "/users//orders", None),
            ("/users/{id}/", "/users/", None),
            ("/users/{id}", "/users/7/orders", Some(8)),
            ("/re/{n:[0-9]{2}}/", "/re/12/x", Some(7)),
            ("/re/{n:[0-9]{2}}/", "/re/1/x", None),
            ("/re/{n:[0-9]{2}}/", "/re/12", Some(6)),
            ("/{all:.*}/x", "/a/b/x/y", Some(6)),
            ("/{all:.*}/", "/a/b", Some(3)),
            ("/{kind:cats|dogs}/", "/dogs/1", Some(6)),
            ("/{kind:cats|dogs}/", "/cow/1", None),
            ("/a.b/{x}/", "/a.b/1/", Some(7)),
            ("/a.b/{x}/", "/aXb/1/", None),
            (r"/{n:\d+}/", "/12/", Some(4)),
            (r"/{n:\d+}/", "/\u{663}/", None),
        ] {
            let template = Template::of_path(text).unwrap().unwrap();
            assert_eq!(template.covers(path), covered, "{text} on {path}");
        }
        assert!(Template::of_path("/plain/").unwrap().is_none());
    }

    #[test]
    fn c2_1_patterns_of_domains_are_whole_hosts() {
        for (text, host, fits) in [
            ("{sub}.example.com", "a.example.com", true),
            ("{sub}.example.com", "A.Example.COM", true),
            ("{sub}.example.com", "a.b.example.com", false),
            ("{sub}.example.com", "example.com", false),
            ("{sub}.example.com", "a.example.com.evil.test", false),
            ("{sub}.example.com", "axexample.com", false),
            ("{sub:[a-z]+}.{rest:.+}", "api.b.test", true),
            ("{sub:[a-z]+}.{rest:.+}", "7.b.test", false),
        ] {
            let template = Template::of_domain(text).unwrap().unwrap();
            assert_eq!(template.fits(host), fits, "{text} on {host}");
        }
        let long = format!("{}.example.com", "a".repeat(300));
        assert!(!Template::of_domain("{sub}.example.com").unwrap().unwrap().fits(&long));
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        for (text, part) in [
            ("/{id/", "has no other"),
            ("/id}/", "has no other"),
            ("/{a{b}/", "has no other"),
            ("/{}/", "has no name"),
            ("/{:x}/", "has no name"),
            ("/{id:}/", "says nothing"),
            ("/{id}/{id}/", "two places are called `id`"),
            ("/{id:(}/", "no regular expression"),
            ("/{id:a)(b}/", "no regular expression"),
        ] {
            let why = Template::of_path(text).err().unwrap_or_else(|| panic!("{text}"));
            assert!(why.contains(part), "{text}: {why}");
        }
    }
}
