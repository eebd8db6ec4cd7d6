//! Any operations of an OpenAPI document and any request: which operation it is, and what stands for its parameters, is what a
//! plain reading of each path, segment by segment, says (contract 3.1, 3.5).
#![no_main]

use http::{Method, Uri};
use libfuzzer_sys::fuzz_target;

// Only what looks for operations: the rest of the gateway would make this target's build a hundred times longer.
#[allow(dead_code, reason = "the rest of the gateway uses what this target does not")]
#[path = "../../crates/gateway/src/query.rs"]
mod query;
#[allow(dead_code, reason = "the rest of the gateway uses what this target does not")]
#[path = "../../crates/gateway/src/route/operations.rs"]
mod operations;

/// As much of a request as is looked at.
mod exchange {
    pub struct Head {
        pub method: http::Method,
        pub uri: http::Uri,
    }
    pub struct Version {
        pub end: usize,
    }
    pub struct Exchange {
        pub head: Head,
        pub version_in_path: Option<Version>,
    }
    impl Exchange {
        pub fn path_in_api(&self) -> &str {
            self.head.uri.path()
        }
    }
}
mod per_path {
    pub fn below(path: &str, matched: usize) -> &str {
        &path[matched..]
    }
}

use exchange::{Exchange, Head};
use operations::Operations;

/// What paths are made of: those of documents, and those of requests.
const WRITTEN: [&str; 9] = ["/", "a", "b", "/{x}", "/{y}", "{z}", "A", "/a", ".j"];
const ASKED: [&str; 10] = ["/", "a", "b", "A", "/a", ".j", "%61", "%2F", ";p=1", "7"];
const METHODS: [&str; 3] = ["GET", "POST", "HEAD"];

/// One part of a path: what stands for itself, or for a parameter.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    Letter(char),
    Parameter,
}

fn parts(path: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = path.trim_end_matches('/');
    while let Some(letter) = rest.chars().next() {
        if letter == '{' {
            parts.push(Part::Parameter);
            rest = &rest[rest.find('}').expect("pieces are whole") + 1..];
        } else {
            parts.push(Part::Letter(letter));
            rest = &rest[letter.len_utf8()..];
        }
    }
    parts
}

/// What stands for the parameters, where a path is one of these; each takes as much of its segment as it can.
fn read(parts: &[Part], path: &[char], ignore_case: bool) -> Option<Vec<String>> {
    let Some((part, rest)) = parts.split_first() else { return path.is_empty().then(Vec::new) };
    match part {
        Part::Letter(letter) => {
            let (first, behind) = path.split_first()?;
            let same = first == letter || (ignore_case && first.eq_ignore_ascii_case(letter));
            if same { read(rest, behind, ignore_case) } else { None }
        }
        Part::Parameter => {
            let most = path.iter().take_while(|letter| **letter != '/').count();
            (1..=most).rev().find_map(|taken| {
                let mut values = read(rest, &path[taken..], ignore_case)?;
                values.insert(0, path[..taken].iter().collect());
                Some(values)
            })
        }
    }
}

/// The path as it was sent, with its escapes resolved, and without what many upstreams pass over.
fn spellings(sent: &str) -> [Vec<char>; 3] {
    let decoded = sent.replace("%61", "a").replace("%2F", "/");
    let plain: String = decoded
        .split('/')
        .map(|segment| segment.split(';').next().unwrap_or_default())
        .filter(|segment| !segment.is_empty())
        .map(|segment| format!("/{segment}"))
        .collect();
    let plain = if decoded.contains("//") || decoded.contains(';') { plain } else { sent.to_owned() };
    [sent, &decoded, &plain].map(|path| path.trim_end_matches('/').chars().collect())
}

fuzz_target!(|input: (Vec<(u8, Vec<u8>)>, u8, Vec<u8>, bool)| {
    let (written, asked, pieces, ignore_case) = input;
    let mut paths: Vec<(&str, String)> = Vec::new();
    for (method, pieces) in written.iter().take(10) {
        let path: String = pieces.iter().take(8).map(|one| WRITTEN[usize::from(*one) % WRITTEN.len()]).collect();
        let mut path = format!("/{path}");
        // A parameter has its name once.
        for (number, name) in ["{x}", "{y}", "{z}"].into_iter().cycle().take(24).enumerate() {
            path = path.replacen(name, &format!("{{n{number}}}"), 1);
        }
        paths.push((METHODS[usize::from(*method) % METHODS.len()], path));
    }
    let operations = paths.iter().enumerate().map(|(number, (method, path))| (*method, path.as_str(), number));
    let Ok(operations) = Operations::new(operations, ignore_case) else { return };
    let method = METHODS[usize::from(asked) % METHODS.len()];
    let path: String = pieces.iter().take(20).map(|one| ASKED[usize::from(*one) % ASKED.len()]).collect();
    let path = format!("/{path}");
    let Ok(uri) = path.parse::<Uri>() else { return };
    let method_of = Method::from_bytes(method.as_bytes()).expect("it is one");
    let request = Exchange { head: Head { method: method_of, uri }, version_in_path: None };

    let spellings = spellings(&path);
    let of = |method: &str| -> Vec<(usize, Vec<String>)> {
        let ours = || paths.iter().enumerate().filter(|(_, (known, _))| *known == method);
        let fixed = ours().filter(|(_, (_, path))| !path.contains('{'));
        // Those without parameters come first: of the first spelling that is one, the first that is written.
        for spelling in &spellings {
            let is = |path: &str| read(&parts(path), spelling, ignore_case).is_some();
            if let Some((number, _)) = fixed.clone().find(|(_, (_, path))| is(path)) {
                return vec![(number, Vec::new())];
            }
        }
        let others = ours().filter(|(_, (_, path))| path.contains('{'));
        let found = others.filter_map(|(number, (_, path))| {
            let values = spellings.iter().find_map(|spelling| read(&parts(path), spelling, ignore_case))?;
            Some((number, values))
        });
        found.collect()
    };
    let expected = match of(method) {
        none if none.is_empty() && method == "HEAD" => of("GET"),
        found => found,
    };
    let told = format!("{method} {path} of {paths:?}");
    assert_eq!(operations.find(&request), expected.first().map(|(number, _)| number), "{told}");
    let all = operations.all(&request);
    let all: Vec<(usize, Vec<String>)> = all
        .into_iter()
        .map(|found| (*found.value, found.parameters.into_iter().map(|(_, value)| value).collect()))
        .collect();
    assert_eq!(all, expected, "{told}");
});
