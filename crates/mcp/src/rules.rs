//! What may be called: lists of names that may be used, and of those that may not (contract 6.1).

use std::collections::HashSet;

use apidef::{AccessDefinition, CallKind, NameRules};
use regex::Regex;

use crate::names::Names;

/// What a list says of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may be used.
    Fine,
    /// It is one of those that may not.
    Blocked,
    /// There are those that may be used, and it is none of them.
    Unlisted,
}

/// Which names of one kind may be used.
#[derive(Debug, Default)]
pub struct Rules {
    allowed: Patterns,
    blocked: Patterns,
    /// They are URIs: what two readers might resolve to different places is none of those that may be used.
    uris: bool,
}

/// What names are compared with.
#[derive(Debug, Default)]
struct Patterns {
    exact: HashSet<Box<str>>,
    regexes: Vec<Regex>,
    written: Names<()>,
}

impl Patterns {
    /// Regular expressions for whole names; one that is none stands for itself.
    fn of(written: &[String]) -> Self {
        let mut patterns = Self::default();
        for text in written {
            let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-/:@#%&=~ ".contains(&b));
            match if plain { None } else { apidef::pattern(&format!("^(?:{text})$")).ok() } {
                Some(regex) => patterns.regexes.push(regex),
                None => drop(patterns.exact.insert(text.as_str().into())),
            }
        }
        patterns
    }

    /// Names as definitions have them, with `*` for any text.
    fn written<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        Self { written: Names::new(names.map(|name| (name, ()))), ..Self::default() }
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.regexes.is_empty() && self.written.is_empty()
    }

    fn fit(&self, name: &str) -> bool {
        self.exact.contains(name)
            || self.regexes.iter().any(|regex| regex.is_match(name))
            || self.written.fitting(name).next().is_some()
    }
}

impl Rules {
    /// Those of a session.
    pub fn of(rules: &NameRules) -> Self {
        Self { allowed: Patterns::of(&rules.allowed), blocked: Patterns::of(&rules.blocked), uris: false }
    }

    /// Those of a definition.
    pub fn written<'n>(
        allowed: impl Iterator<Item = &'n str>,
        blocked: impl Iterator<Item = &'n str>,
    ) -> Self {
        Self { allowed: Patterns::written(allowed), blocked: Patterns::written(blocked), uris: false }
    }

    /// Whether every name may be used.
    pub fn is_empty(&self) -> bool {
        self.allowed.is_empty() && self.blocked.is_empty()
    }

    /// What is said of a name.
    pub fn verdict(&self, name: &str) -> Verdict {
        if self.is_empty() {
            return Verdict::Fine;
        }
        if self.blocked.fit(name) || (self.uris && has_dots(name)) {
            return Verdict::Blocked;
        }
        if self.allowed.is_empty() || self.allowed.fit(name) { Verdict::Fine } else { Verdict::Unlisted }
    }
}

/// Whether a URI has segments that lead elsewhere: `..` and `.`, however they are written.
fn has_dots(uri: &str) -> bool {
    uri.contains('.') | uri.contains('%')
        && uri.split(['/', '\\']).any(|segment| {
            let plain = segment.to_ascii_lowercase().replace("%2e", ".");
            plain.split(['?', '#']).next().is_some_and(|segment| matches!(segment, "." | ".."))
        })
        || ["%2f", "%5c"].iter().any(|separator| uri.to_ascii_lowercase().contains(separator))
            && has_dots(&uri.to_ascii_lowercase().replace("%2f", "/").replace("%5c", "/"))
}

/// What a caller, or everybody, may call.
#[derive(Debug, Default)]
pub struct Rights {
    methods: Rules,
    tools: Rules,
    resources: Rules,
    prompts: Rules,
}

impl Rights {
    /// `rules` gives those of one kind.
    pub fn new(mut rules: impl FnMut(CallKind) -> Rules) -> Self {
        Self {
            methods: rules(CallKind::Method),
            tools: rules(CallKind::Tool),
            resources: Rules { uris: true, ..rules(CallKind::Resource) },
            prompts: rules(CallKind::Prompt),
        }
    }

    /// Those of a session to one API.
    pub fn of(access: &AccessDefinition) -> Self {
        let primitives = &access.mcp_access_rights;
        Self::new(|kind| {
            Rules::of(match kind {
                CallKind::Method => &access.json_rpc_methods_access_rights,
                CallKind::Tool => &primitives.tools,
                CallKind::Resource => &primitives.resources,
                CallKind::Prompt => &primitives.prompts,
            })
        })
    }

    /// Those to one kind.
    pub fn to(&self, kind: CallKind) -> &Rules {
        match kind {
            CallKind::Method => &self.methods,
            CallKind::Tool => &self.tools,
            CallKind::Resource => &self.resources,
            CallKind::Prompt => &self.prompts,
        }
    }

    /// Whether a name is one of those listed: where nothing is, none is.
    pub fn lists(&self, kind: CallKind, name: &str) -> bool {
        let rules = self.to(kind);
        !rules.is_empty() && rules.verdict(name) == Verdict::Fine
    }

    /// Whether everything may be called.
    pub fn is_empty(&self) -> bool {
        CallKind::ALL.iter().all(|kind| self.to(*kind).is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allowed: &[&str], blocked: &[&str]) -> Rules {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Rules::of(&NameRules { allowed: texts(allowed), blocked: texts(blocked), ..NameRules::default() })
    }

    #[test]
    fn names_are_matched_whole() {
        use Verdict::{Blocked, Fine, Unlisted};
        for (allowed, blocked, name, expected) in [
            (&[][..], &[][..], "x", Fine),
            (&["get_a"], &[], "get_a", Fine),
            (&["get_a"], &[], "get_ab", Unlisted),
            (&["get_a"], &[], "GET_A", Unlisted),
            (&["get_.*"], &[], "get_ab", Fine),
            (&["get_.*"], &[], "forget_ab", Unlisted),
            (&["a|b"], &[], "b", Fine),
            (&["a|b"], &[], "bc", Unlisted),
            (&[], &["a"], "b", Fine),
            (&[], &["a"], "a", Blocked),
            (&["a.*"], &["ab"], "ab", Blocked),
            // What is no regular expression stands for itself.
            (&["a("], &[], "a(", Fine),
            (&["a("], &[], "a", Unlisted),
            (&[], &["internal://.*"], "internal://x", Blocked),
        ] {
            assert_eq!(rules(allowed, blocked).verdict(name), expected, "{allowed:?} {blocked:?} {name}");
        }
        let written = Rules::written(["a.*", "b*"].into_iter(), ["c"].into_iter());
        for (name, expected) in [("a.", Fine), ("ab", Unlisted), ("bx", Fine), ("c", Blocked)] {
            assert_eq!(written.verdict(name), expected, "{name}");
        }
    }

    #[test]
    fn uris_that_lead_elsewhere_are_not_listed() {
        let rights = Rights::new(|_| rules(&["file:///a/.*"], &[]));
        let resources = rights.to(CallKind::Resource);
        for (uri, fine) in [
            ("file:///a/b", true),
            ("file:///a/b.txt", true),
            ("file:///a/..b", true),
            ("file:///a/../b", false),
            ("file:///a/./b", false),
            ("file:///a/%2E%2e/b", false),
            ("file:///a/%2e%2e%2Fb", false),
            ("file:///a/..\\b", false),
            ("file:///a/..", false),
            ("file:///a/..?x", false),
        ] {
            assert_eq!(resources.verdict(uri) == Verdict::Fine, fine, "{uri}");
        }
        assert_eq!(rights.to(CallKind::Tool).verdict("file:///a/../b"), Verdict::Fine);
        assert!(Rights::default().is_empty() && !rights.is_empty());
        let listed = |uri| rights.lists(CallKind::Resource, uri);
        assert!(listed("file:///a/b") && !listed("file:///a/../b") && !listed("file:///b"));
        assert!(!Rights::default().lists(CallKind::Resource, "file:///a/b"), "nothing is listed");
        assert_eq!(Rights::default().to(CallKind::Resource).verdict("a/../b"), Verdict::Fine);
    }
}
