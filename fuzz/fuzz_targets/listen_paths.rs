//! Any list of hosts and listen paths, any host and path: who is found is one that a plain reading of each place, one after the
//! other, finds best (contract 2.3, 2.9 "Order").
#![no_main]

use apidef::Template;
use libfuzzer_sys::fuzz_target;

// Only the table: the rest of the gateway would make this target's build a hundred times longer.
#[allow(dead_code, reason = "the rest of the gateway uses what this target does not")]
#[path = "../../crates/gateway/src/route/table.rs"]
mod table;

use table::{Place, Table};

const HOSTS: [Option<&str>; 6] =
    [None, Some("a.test"), Some("b.test"), Some("{s}.test"), Some("{s:[a-z]}.test"), Some("{s}.{t}")];
const ASKED: [&str; 7] = ["a.test", "A.TEST", "b.test", "c.test", "long.test", "x.y.test", ""];
/// What listen paths are made of here: text, any segment, a segment of digits.
const PIECES: [&str; 10] = ["/", "a", "b", "1", "/a", "é", "{}", "{:[0-9]+}", "/{}", "/{:[0-9]+}/"];
const LETTERS: [&str; 8] = ["/", "a", "b", "1", "/a", "é", "22", "/1"];

/// What a listen path asks for at one place.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Letter(char),
    /// One segment or a part of one.
    Any,
    Digits,
}

/// A place that the table took.
#[derive(Debug)]
struct Taken {
    host: usize,
    steps: Vec<Step>,
    /// Its length, patterns not counted.
    literal: usize,
    digits: usize,
    is_pattern: bool,
}

fn steps(pieces: &[u8]) -> (String, Vec<Step>) {
    let (mut text, mut steps, mut names) = ("/".to_owned(), vec![Step::Letter('/')], 0);
    for piece in pieces {
        let mut piece = PIECES[usize::from(*piece) % PIECES.len()];
        while let Some(letter) = piece.chars().next() {
            if letter != '{' {
                text.push(letter);
                steps.push(Step::Letter(letter));
                piece = &piece[letter.len_utf8()..];
                continue;
            }
            let end = piece.find('}').expect("pieces are whole");
            let fits = &piece[1..end];
            text.push_str(&format!("{{n{names}{fits}}}"));
            steps.push(if fits.is_empty() { Step::Any } else { Step::Digits });
            names += 1;
            piece = &piece[end + 1..];
        }
    }
    (text, steps)
}

/// Where a path is once all steps are gone; each takes as much as it can.
fn end(steps: &[Step], path: &[char], at: usize) -> Option<usize> {
    let Some((step, rest)) = steps.split_first() else { return Some(at) };
    let many = |fits: fn(char) -> bool| path[at..].iter().take_while(|letter| fits(**letter)).count();
    match step {
        Step::Letter(letter) => {
            (path.get(at) == Some(letter)).then(|| end(rest, path, at + 1)).flatten()
        }
        Step::Any => (1..=many(|letter| letter != '/')).rev().find_map(|taken| end(rest, path, at + taken)),
        Step::Digits => {
            (1..=many(|letter| letter.is_ascii_digit())).rev().find_map(|taken| end(rest, path, at + taken))
        }
    }
}

impl Taken {
    /// How many letters of a path it covers.
    fn covers(&self, path: &[char], strict: bool) -> Option<usize> {
        let ends_well = |end: &usize| {
            !strict || path[..*end].ends_with(&['/']) || path.len() == *end || path[*end] == '/'
        };
        if let Some(end) = end(&self.steps, path, 0) {
            return Some(end).filter(ends_well);
        }
        // What ends with a slash is reached without it.
        let slash = self.steps.last() == Some(&Step::Letter('/')) && (!self.is_pattern || !path.ends_with(&['/']));
        let longer: Vec<char> = path.iter().copied().chain(['/']).collect();
        (slash && end(&self.steps, &longer, 0) == Some(longer.len())).then_some(path.len())
    }

    /// In which order places are looked at whose hosts are the same.
    fn order(&self) -> (usize, bool, usize) {
        (usize::MAX - self.literal, self.is_pattern, usize::MAX - self.digits)
    }
}

/// Whether a host is one of these, and in which order they are asked.
fn fits(host: usize, asked: &str) -> Option<u8> {
    let asked = asked.to_ascii_lowercase();
    let label = |text: &str| !text.is_empty() && !text.contains('.');
    let test = asked.strip_suffix(".test").is_some_and(label);
    let one = asked.strip_suffix(".test").is_some_and(|text| text.len() == 1 && text.as_bytes()[0].is_ascii_lowercase());
    let two = asked.split_once('.').is_some_and(|(one, other)| label(one) && label(other));
    match HOSTS[host] {
        None => Some(4),
        Some("{s}.test") => test.then_some(2),
        Some("{s:[a-z]}.test") => one.then_some(1),
        Some("{s}.{t}") => two.then_some(3),
        Some(exact) => (exact == asked).then_some(0),
    }
}

fuzz_target!(|input: (Vec<(u8, Vec<u8>)>, u8, Vec<u8>, bool)| {
    let (places, asked, letters, strict) = input;
    let mut table = Table::new(strict);
    let mut taken: Vec<Taken> = Vec::new();
    for (host, pieces) in places.iter().take(12) {
        let host = usize::from(*host) % HOSTS.len();
        let (path, steps) = steps(&pieces[..pieces.len().min(8)]);
        let same = taken.iter().any(|other| other.host == host && other.steps == steps);
        let added = table.add(&Place { host: HOSTS[host], path: &path, compiled: None }, taken.len());
        assert_eq!(added.is_err(), same, "{path} at {:?}", HOSTS[host]);
        if added.is_ok() {
            let count = |step: &Step| steps.iter().filter(|one| *one == step).count();
            let literal = steps.iter().map(|step| if let Step::Letter(one) = step { one.len_utf8() } else { 0 }).sum();
            let is_pattern = steps.iter().any(|step| !matches!(step, Step::Letter(_)));
            assert_eq!(Template::of_path(&path).is_ok_and(|template| template.is_some()), is_pattern);
            taken.push(Taken { host, literal, digits: count(&Step::Digits), is_pattern, steps });
        }
    }
    let host = ASKED[usize::from(asked) % ASKED.len()];
    let path: String = letters.iter().take(24).map(|one| LETTERS[usize::from(*one) % LETTERS.len()]).collect();
    let path = format!("/{path}");
    let chars: Vec<char> = path.chars().collect();
    // Of each sort of host the best ones; then the longest of the sorts, the first of several, and any host at last.
    let best_of = |sort: u8| {
        let fitting = |place: &&Taken| fits(place.host, host) == Some(sort) && place.covers(&chars, strict).is_some();
        taken.iter().filter(fitting).map(Taken::order).min()
    };
    let mut chosen: Option<(u8, (usize, bool, usize))> = None;
    for sort in 0..4 {
        if let Some(best) = best_of(sort)
            && chosen.is_none_or(|(_, known)| best.0 < known.0)
        {
            chosen = Some((sort, best));
        }
    }
    let chosen = chosen.or_else(|| best_of(4).map(|best| (4, best)));
    let found = table.find(host, &path);
    assert_eq!(found.is_some(), chosen.is_some(), "{host} {path} of {taken:#?}");
    if let (Some(found), Some((sort, order))) = (found, chosen) {
        let place = &taken[*found.api];
        assert_eq!((fits(place.host, host), place.order()), (Some(sort), order), "{host} {path} of {taken:#?}");
        let covered: usize =
            chars[..place.covers(&chars, strict).expect("it fits")].iter().map(|letter| letter.len_utf8()).sum();
        assert_eq!(found.matched, covered, "{host} {path} at {place:?}");
    }
});
