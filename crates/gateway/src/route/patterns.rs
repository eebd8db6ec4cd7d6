//! The path patterns of one API as one table: a request is matched once, however many there are and whatever for
//! (contract 4.3).

use std::cell::RefCell;
use std::collections::HashMap;

use apidef::{CallKind, PathMatching, call_at, path_pattern, path_source};
use mcp::Names;
use regex::{RegexSet, RegexSetBuilder};
use smallvec::SmallVec;

/// Memory that the patterns may take on the average, in bytes.
const MAX_PATTERN: usize = 256 * 1024;
/// Memory that is kept for what was found out about the patterns while matching, in bytes.
const MAX_LEARNED: usize = 8 << 20;

/// Gathers patterns while an API is compiled. Equal ones are one.
#[derive(Debug)]
pub(crate) struct Collector {
    matching: PathMatching,
    known: RefCell<Known>,
    /// Places of calls of MCP are what they stand for, and no patterns.
    calls: bool,
}

#[derive(Debug, Default)]
struct Known {
    numbers: HashMap<String, u32>,
    /// By number: what was written, and the regular expression that it is.
    patterns: Vec<(Box<str>, String)>,
    /// Calls, in the order of their numbers.
    calls: Vec<(CallKind, Box<str>)>,
}

/// Numbers of calls begin here, those of patterns end before.
const CALLS: u32 = 1 << 31;

impl Collector {
    pub(crate) fn new(matching: PathMatching) -> Self {
        Self { matching, known: RefCell::default(), calls: false }
    }

    /// For an API that speaks MCP.
    pub(crate) fn with_calls(matching: PathMatching) -> Self {
        Self { calls: true, ..Self::new(matching) }
    }

    /// The number of a pattern.
    pub(crate) fn add(&self, path: &str, ignore_case: bool) -> u32 {
        if self.calls
            && let Some((kind, name)) = call_at(path)
        {
            return self.add_call(kind, name);
        }
        let ignore_case = self.matching.ignore_case || ignore_case;
        let source = path_source(path, PathMatching { ignore_case, ..self.matching });
        let mut known = self.known.borrow_mut();
        if let Some(number) = known.numbers.get(&source) {
            return *number;
        }
        let number = known.patterns.len() as u32;
        known.numbers.insert(source.clone(), number);
        known.patterns.push((path.into(), source));
        number
    }

    fn add_call(&self, kind: CallKind, name: &str) -> u32 {
        let mut known = self.known.borrow_mut();
        let same = |(of, called): &(CallKind, Box<str>)| *of == kind && **called == *name;
        let at = known.calls.iter().position(same).unwrap_or_else(|| {
            known.calls.push((kind, name.into()));
            known.calls.len() - 1
        });
        CALLS + at as u32
    }

    /// The table; the reason, where one of the patterns is none.
    pub(crate) fn finish(self) -> Result<Patterns, String> {
        let Known { patterns, calls, .. } = self.known.into_inner();
        let calls = self.calls.then(|| Box::new(Calls::new(&calls)));
        let sources = patterns.iter().map(|(_, source)| source);
        let set = RegexSetBuilder::new(sources)
            .size_limit(MAX_PATTERN.saturating_mul(patterns.len().max(1)))
            .dfa_size_limit(MAX_LEARNED)
            .build();
        set.map(|set| Patterns { set, calls }).map_err(|error| {
            let wrong = patterns.iter().find_map(|(path, _)| {
                path_pattern(path, self.matching)
                    .err()
                    .map(|error| format!("the path `{path}` cannot be used: {error}"))
            });
            wrong.unwrap_or_else(|| format!("the paths cannot be used together: {error}"))
        })
    }
}

/// The patterns of one API.
#[derive(Debug)]
pub(crate) struct Patterns {
    set: RegexSet,
    /// Of an API that speaks MCP.
    calls: Option<Box<Calls>>,
}

/// The numbers of calls by their names.
#[derive(Debug)]
struct Calls([Names<u32>; 4]);

impl Calls {
    fn new(calls: &[(CallKind, Box<str>)]) -> Self {
        let numbered = |kind| {
            let all = calls.iter().zip(CALLS..).filter(move |((of, _), _)| *of == kind);
            Names::new(all.map(|((_, name), number)| (&**name, number)))
        };
        Self(CallKind::ALL.map(numbered))
    }
}

/// The numbers of what is said of a call, the most specific first.
pub(crate) type Numbers = SmallVec<[u32; 2]>;

/// The numbers of the patterns that fit a request, in ascending order.
#[derive(Debug, Default)]
pub(crate) struct Fitting(Vec<u32>);

impl Patterns {
    pub(crate) fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// What is said of calls of this name.
    pub(crate) fn of_call(&self, kind: CallKind, name: &str) -> Numbers {
        let Some(calls) = &self.calls else { return Numbers::new() };
        calls.0[kind as usize].fitting(name).copied().collect()
    }

    /// Which patterns fit one of the spellings of a path.
    pub(crate) fn fitting<'a>(&self, paths: impl IntoIterator<Item = &'a str>) -> Fitting {
        let mut numbers: Vec<u32> = Vec::new();
        let mut spellings = 0;
        for path in paths {
            numbers.extend(self.set.matches(path).iter().map(|number| number as u32));
            spellings += 1;
        }
        if spellings > 1 {
            numbers.sort_unstable();
            numbers.dedup();
        }
        Fitting(numbers)
    }
}

/// Values by method and pattern; of those that fit, the first that was written counts.
#[derive(Debug)]
pub(crate) struct Places<T> {
    /// Method, empty for every one, and value, in the order written.
    values: Box<[(Box<str>, T)]>,
    /// Numbers of patterns, and which of the values have them; ascending.
    by_pattern: Box<[(u32, u32)]>,
}

impl<T> Places<T> {
    /// `places`: method, empty for every one, number of the pattern, and value.
    pub(crate) fn new(places: impl Iterator<Item = (Box<str>, u32, T)>) -> Self {
        let (mut values, mut by_pattern) = (Vec::new(), Vec::new());
        for (method, pattern, value) in places {
            by_pattern.push((pattern, values.len() as u32));
            values.push((method, value));
        }
        by_pattern.sort_unstable();
        Self { values: values.into(), by_pattern: by_pattern.into() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The first value that has one of these numbers, which are looked for in their order.
    pub(crate) fn of_numbers(&self, numbers: &[u32], method: &str) -> Option<&T> {
        numbers.iter().find_map(|number| {
            let from = self.by_pattern.partition_point(|(known, _)| known < number);
            let mut fitting = self.by_pattern[from..].iter().take_while(|(known, _)| known == number);
            fitting.find_map(|(_, at)| {
                let (wanted, value) = &self.values[*at as usize];
                (wanted.is_empty() || **wanted == *method).then_some(value)
            })
        })
    }

    /// The first value whose method is this one and whose pattern fits.
    pub(crate) fn find(&self, fitting: &Fitting, method: &str) -> Option<&T> {
        let mut first = u32::MAX;
        for pattern in &fitting.0 {
            let from = self.by_pattern.partition_point(|(known, _)| known < pattern);
            for (known, at) in &self.by_pattern[from..] {
                if known != pattern || *at >= first {
                    break;
                }
                let (wanted, _) = &self.values[*at as usize];
                if wanted.is_empty() || **wanted == *method {
                    first = *at;
                    break;
                }
            }
        }
        self.values.get(first as usize).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Written<'a> = (&'a str, &'a str, bool);

    fn table(matching: PathMatching, places: &[Written<'_>]) -> (Patterns, Places<usize>) {
        let collector = Collector::new(matching);
        let numbered = places.iter().enumerate().map(|(at, (method, path, ignore_case))| {
            ((*method).into(), collector.add(path, *ignore_case), at)
        });
        let places = Places::new(numbered);
        (collector.finish().unwrap(), places)
    }

    #[test]
    fn c4_3_row_2_the_first_place_that_fits_counts() {
        let written = [
            ("GET", "/users/{id}", false),
            ("POST", "/users/{id}", false),
            ("", "/users", false),
            ("GET", "/USERS", true),
            ("PUT", "^/exact$", false),
            ("PUT", "/", false),
            ("GET", "/a/*/c", false),
        ];
        let (patterns, places) = table(PathMatching::default(), &written);
        for (method, paths, first) in [
            ("GET", &["/users/7"][..], Some(0)),
            ("POST", &["/users/7"], Some(1)),
            ("PUT", &["/users/7"], Some(2)),
            ("GET", &["/users"], Some(2)),
            ("GET", &["/Users"], Some(3)),
            ("PUT", &["/exact"], Some(4)),
            ("PUT", &["/exact/not"], Some(5)),
            ("PUT", &["/exact/not", "/exact"], Some(4)),
            ("GET", &["/listen/users/7", "/7"], Some(0)),
            ("GET", &["/x/a/b/c"], Some(6)),
            ("GET", &["/other"], None),
            ("get", &["/users/7"], Some(2)),
            ("GET", &[], None),
        ] {
            let fitting = patterns.fitting(paths.iter().copied());
            assert_eq!(places.find(&fitting, method), first.as_ref(), "{method} {paths:?}");
        }
    }

    #[test]
    fn calls_have_numbers_of_their_own() {
        let collector = Collector::with_calls(PathMatching::default());
        let written = ["/mcp", "/mcp-tool:a", "/mcp-resource:x://*", "/mcp-resource:x://1", "/mcp-tool:a"];
        let numbered =
            written.iter().enumerate().map(|(at, path)| ("POST".into(), collector.add(path, false), at));
        let places = Places::new(numbered);
        let patterns = collector.finish().unwrap();
        for (kind, name, found) in [
            (CallKind::Tool, "a", Some(1)),
            (CallKind::Tool, "ab", None),
            (CallKind::Prompt, "a", None),
            (CallKind::Resource, "x://1", Some(3)),
            (CallKind::Resource, "x://2", Some(2)),
        ] {
            let numbers = patterns.of_call(kind, name);
            assert_eq!(places.of_numbers(&numbers, "POST"), found.as_ref(), "{kind:?} {name}");
        }
        // A path is never taken for a call.
        assert_eq!(places.find(&patterns.fitting(["/mcp-tool:a"]), "POST"), Some(&0));
        assert!(
            Collector::new(PathMatching::default()).finish().unwrap().of_call(CallKind::Tool, "a").is_empty()
        );
    }

    #[test]
    fn a_pattern_that_is_none_is_named() {
        for path in ["/(", "(a{500}){500}"] {
            let collector = Collector::new(PathMatching::default());
            collector.add("/fine", false);
            collector.add(path, true);
            let error = collector.finish().unwrap_err();
            assert!(error.contains(path), "{error}");
        }
        let empty = Collector::new(PathMatching::default()).finish().unwrap();
        assert!(empty.is_empty());
    }
}
