//! Any list of path patterns and any path: which of them counts is what a plain reading of each pattern, one after the other,
//! says (contract 4.3).
#![no_main]

use apidef::PathMatching;
use libfuzzer_sys::fuzz_target;

// Only the table: the rest of the gateway would make this target's build a hundred times longer.
#[allow(dead_code, reason = "the rest of the gateway uses what this target does not")]
#[path = "../../crates/gateway/src/route/patterns.rs"]
mod patterns;

use patterns::{Collector, Places};

/// What patterns are made of here.
const PIECES: [&str; 12] = ["/", "a", "b", "A", ".", "{id}", "{*}", "{x:[0-9]+}", "/*/", "/*", "/a", "1"];
const METHODS: [&str; 3] = ["", "GET", "POST"];
const LETTERS: [char; 8] = ['/', 'a', 'b', 'A', '.', '1', 'é', '/'];

/// What a pattern asks for at one place of a path.
#[derive(Clone, Copy)]
enum Step {
    Letter(char),
    /// Any letter.
    Any,
    /// One segment, or what is left of it; at least one letter.
    Segment,
    /// Anything, also nothing.
    Rest,
}

fn steps(mut text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(letter) = text.chars().next() {
        if letter == '{' {
            steps.push(Step::Segment);
            text = &text[text.find('}').expect("pieces are whole") + 1..];
        } else if let Some(behind) = text.strip_prefix("/*/") {
            steps.extend([Step::Letter('/'), Step::Segment, Step::Letter('/')]);
            text = behind;
            if let Some(behind) = text.strip_prefix('*') {
                steps.push(Step::Rest);
                text = behind;
            }
        } else if let Some(behind) = text.strip_prefix("/*") {
            steps.extend([Step::Letter('/'), Step::Rest]);
            text = behind;
        } else {
            steps.push(if letter == '.' { Step::Any } else { Step::Letter(letter) });
            text = &text[letter.len_utf8()..];
        }
    }
    steps
}

/// The places at which a path may be once all steps are gone, from any of these places.
fn ends(steps: &[Step], path: &[char], from: Vec<bool>, ignore_case: bool) -> Vec<bool> {
    steps.iter().fold(from, |at, step| {
        let mut next = vec![false; path.len() + 1];
        for place in (0..=path.len()).filter(|place| at[*place]) {
            match step {
                Step::Letter(letter) => {
                    let same = |found: &char| found == letter || (ignore_case && found.eq_ignore_ascii_case(letter));
                    if path.get(place).is_some_and(same) {
                        next[place + 1] = true;
                    }
                }
                Step::Any => {
                    if place < path.len() {
                        next[place + 1] = true;
                    }
                }
                Step::Segment => {
                    let end = path[place..].iter().position(|letter| *letter == '/').map_or(path.len(), |at| place + at);
                    next[place + 1..=end.max(place)].fill(true);
                }
                Step::Rest => next[place..].fill(true),
            }
        }
        next
    })
}

fn fits(pattern: &str, path: &str, matching: PathMatching) -> bool {
    let path: Vec<char> = path.chars().collect();
    let begins_here = matching.prefix && pattern.starts_with('/');
    let from = (0..=path.len()).map(|at| at == 0 || !begins_here).collect();
    let ends = ends(&steps(pattern), &path, from, matching.ignore_case);
    if matching.suffix { ends[path.len()] } else { ends.contains(&true) }
}

fuzz_target!(|input: (Vec<(u8, Vec<u8>)>, Vec<u8>, Vec<u8>, u8)| {
    let (written, one, two, flags) = input;
    let matching = PathMatching { prefix: flags & 1 != 0, suffix: flags & 2 != 0, ignore_case: flags & 4 != 0 };
    let written: Vec<(&str, bool, String)> = written
        .iter()
        .take(16)
        .map(|(kind, pieces)| {
            let text = pieces.iter().take(12).map(|piece| PIECES[usize::from(*piece) % PIECES.len()]).collect();
            (METHODS[usize::from(kind % 3)], kind & 128 != 0, text)
        })
        .collect();
    let path = |letters: &[u8]| -> String {
        letters.iter().take(40).map(|letter| LETTERS[usize::from(*letter) % LETTERS.len()]).collect()
    };
    let paths = [path(&one), path(&two)];
    let collector = Collector::new(matching);
    let places: Places<usize> = Places::new(written.iter().enumerate().map(|(at, (method, ignore_case, text))| {
        ((*method).into(), collector.add(text, *ignore_case), at)
    }));
    let Ok(patterns) = collector.finish() else { panic!("{written:?} are patterns") };
    let fitting = patterns.fitting(paths.iter().map(String::as_str));
    for method in ["GET", "POST", "PUT"] {
        let expected = written.iter().position(|(asked, ignore_case, text)| {
            let matching = PathMatching { ignore_case: matching.ignore_case || *ignore_case, ..matching };
            (asked.is_empty() || *asked == method) && paths.iter().any(|path| fits(text, path, matching))
        });
        assert_eq!(places.find(&fitting, method).copied(), expected, "{method} {paths:?} {written:?} {matching:?}");
    }
});
