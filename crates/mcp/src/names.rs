//! Names of tools, resources and prompts, and patterns for them: `*` stands for any text.

use std::collections::HashMap;

/// Values by name; of patterns that fit, the one that says most before its first `*` comes first.
#[derive(Debug, Clone)]
pub struct Names<T> {
    exact: HashMap<Box<str>, T>,
    patterns: Vec<(Box<str>, T)>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), patterns: Vec::new() }
    }
}

impl<T> Names<T> {
    /// Of what is written twice the first counts.
    pub fn new<'n>(written: impl Iterator<Item = (&'n str, T)>) -> Self {
        let mut names = Self::default();
        for (name, value) in written {
            if !name.contains('*') {
                names.exact.entry(name.into()).or_insert(value);
            } else if !names.patterns.iter().any(|(known, _)| **known == *name) {
                names.patterns.push((name.into(), value));
            }
        }
        let before = |pattern: &str| pattern.find('*').unwrap_or(pattern.len());
        names.patterns.sort_by(|(a, _), (b, _)| before(b).cmp(&before(a)).then_with(|| a.cmp(b)));
        names
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.patterns.is_empty()
    }

    /// All that fit, the most specific first.
    pub fn fitting(&self, name: &str) -> impl Iterator<Item = &T> {
        let patterns = self.patterns.iter().filter(move |(pattern, _)| fits(pattern, name));
        self.exact.get(name).into_iter().chain(patterns.map(|(_, value)| value))
    }
}

/// Whether a name fits a pattern. Takes as long as both are, and no longer: between two stars the first fit is the best.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit() {
        for (pattern, name, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("*", "", true),
            ("*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "a", false),
            ("ab*bc", "abc", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxcyyb", false),
            ("weather://stations/*", "weather://stations/london", true),
            ("weather://stations/*", "weather://station", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn the_most_specific_comes_first() {
        let names = Names::new([("a/*", 1), ("*", 2), ("a/b", 3), ("a/b*", 4), ("a/b", 5)].into_iter());
        assert_eq!(names.fitting("a/b").copied().collect::<Vec<_>>(), [3, 4, 1, 2]);
        assert_eq!(names.fitting("c").copied().collect::<Vec<_>>(), [2]);
        assert!(Names::<u8>::default().is_empty());
    }
}
