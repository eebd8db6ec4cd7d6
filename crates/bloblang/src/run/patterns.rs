//! Regular expressions that come while a mapping runs.

use std::sync::Arc;

use parking_lot::Mutex;
use regex::Regex;

use super::failure::short;

/// How many patterns a call keeps.
const MOST: usize = 16;

/// The last patterns of a call: as a rule they come again. They are shared, not copied, since a copy would begin without the
/// memory that matching needs, and make it anew.
#[derive(Debug, Default)]
pub(crate) struct Patterns(Mutex<Vec<Arc<Regex>>>);

impl Patterns {
    /// A pattern that was kept.
    pub(super) fn find(&self, pattern: &str) -> Option<Arc<Regex>> {
        let mut known = self.0.lock();
        let at = known.iter().position(|regex| regex.as_str() == pattern)?;
        // The last one stands last.
        known[at..].rotate_left(1);
        known.last().cloned()
    }

    /// Keeps one; the one that was not asked for the longest makes room.
    pub(super) fn keep(&self, regex: &Arc<Regex>) {
        let mut known = self.0.lock();
        // Another thread may have been faster.
        if known.iter().any(|other| other.as_str() == regex.as_str()) {
            return;
        }
        if known.len() >= MOST {
            known.remove(0);
        }
        known.push(Arc::clone(regex));
    }
}

/// Compiles a pattern; its size is limited, and matching takes linear time.
pub(crate) fn compile_regex(pattern: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(pattern).size_limit(1 << 20).build().map_err(|error| {
        let why = error.to_string();
        let why = why.lines().last().unwrap_or("").trim().trim_start_matches("error: ");
        format!("failed to compile regular expression `{}`: {why}", short(pattern))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_patterns_are_kept_and_shared() {
        let patterns = Patterns::default();
        let keep = |text: &str| {
            let regex = Arc::new(compile_regex(text).unwrap());
            patterns.keep(&regex);
            regex
        };
        let first = keep("a0");
        for number in 1..MOST {
            keep(&format!("a{number}"));
        }
        // Asked for, so that the next one takes the place of another.
        assert!(Arc::ptr_eq(&first, &patterns.find("a0").unwrap()));
        keep("b");
        keep("b");
        assert!(Arc::ptr_eq(&first, &patterns.find("a0").unwrap()));
        assert!(patterns.find("a1").is_none());
        assert!(patterns.find("a2").is_some() && patterns.find("b").is_some());
        assert_eq!(patterns.0.lock().len(), MOST);
    }
}
