//! Semantic versions.

use std::cmp::Ordering;

use gotmpl::Value;

use super::{Table, made, str};

pub(super) const TABLE: Table = &[
    ("semver", |args| {
        let version = Version::parse(str(args, 0)?).ok_or("invalid semantic version")?;
        Ok(crate::map([
            ("Major", Value::Int(version.numbers[0] as i64)),
            ("Minor", Value::Int(version.numbers[1] as i64)),
            ("Patch", Value::Int(version.numbers[2] as i64)),
            ("Prerelease", made(version.before)),
            ("Metadata", made(version.metadata)),
            ("Original", made(str(args, 0)?)),
        ]))
    }),
    ("semverCompare", |args| {
        let version = Version::parse(str(args, 1)?).ok_or("invalid semantic version")?;
        admits(str(args, 0)?, &version).map(Value::Bool).ok_or_else(|| "improper constraint".to_owned())
    }),
];

#[derive(Debug, Clone)]
struct Version {
    numbers: [u64; 3],
    /// How many of them were written.
    written: usize,
    before: String,
    metadata: String,
}

impl Version {
    /// `v1.2.3-beta.1+build`; the second and third number may be missing or, in constraints, be `x`.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, metadata) = text.split_once('+').unwrap_or((text, ""));
        let (text, before) = text.split_once('-').unwrap_or((text, ""));
        let mut version =
            Self { numbers: [0; 3], written: 0, before: before.to_owned(), metadata: metadata.to_owned() };
        for part in text.split('.') {
            if matches!(part, "x" | "X" | "*") {
                return Some(version);
            }
            *version.numbers.get_mut(version.written)? = part.parse().ok()?;
            version.written += 1;
        }
        Some(version)
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (&*self.before, &*other.before) {
            ("", "") => Ordering::Equal,
            ("", _) => Ordering::Greater,
            (_, "") => Ordering::Less,
            (one, other) => identifiers(one, other),
        })
    }

    /// The next version that differs in the number at `place`.
    fn next(&self, place: usize) -> Self {
        let mut numbers = [0; 3];
        numbers[..=place].copy_from_slice(&self.numbers[..=place]);
        numbers[place] = numbers[place].saturating_add(1);
        Self { numbers, written: 3, before: String::new(), metadata: String::new() }
    }
}

fn identifiers(one: &str, other: &str) -> Ordering {
    let (mut left, mut right) = (one.split('.'), other.split('.'));
    loop {
        let ordering = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, _) => return Ordering::Less,
            (_, None) => return Ordering::Greater,
            (Some(one), Some(other)) => match (one.parse::<u64>(), other.parse::<u64>()) {
                (Ok(one), Ok(other)) => one.cmp(&other),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => one.cmp(other),
            },
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
}

/// Whether a constraint takes a version: alternatives divided by `||`, parts of each by commas or spaces, or a range.
fn admits(constraint: &str, version: &Version) -> Option<bool> {
    let mut any = false;
    for alternative in constraint.split("||") {
        any |= match alternative.split_once(" - ") {
            Some((from, to)) => {
                part(&format!(">={}", from.trim()), version)? && part(&format!("<={}", to.trim()), version)?
            }
            None => {
                let spaced = alternative.replace(',', " ");
                let mut words: Vec<String> = Vec::new();
                for word in spaced.split_whitespace() {
                    // An operator may stand apart from its version.
                    match words.last_mut() {
                        Some(last) if last.chars().all(|c| "=!<>~^".contains(c)) => last.push_str(word),
                        _ => words.push(word.to_owned()),
                    }
                }
                let mut every = !words.is_empty();
                for word in words {
                    every &= part(&word, version)?;
                }
                every
            }
        };
    }
    Some(any)
}

fn part(word: &str, version: &Version) -> Option<bool> {
    let digits = word.find(|c: char| !"=!<>~^".contains(c))?;
    let (operator, wanted) = word.split_at(digits);
    let wanted = Version::parse(wanted)?;
    // Versions before a release are taken only by those who name one.
    if !version.before.is_empty() && wanted.before.is_empty() {
        return Some(false);
    }
    let ordering = version.compare(&wanted);
    let below =
        |place: usize| ordering != Ordering::Less && version.compare(&wanted.next(place)) == Ordering::Less;
    let loose = wanted.written < 3;
    Some(match operator {
        "" | "=" if wanted.written == 0 => true,
        "" | "=" if loose => below(wanted.written - 1),
        "" | "=" => ordering == Ordering::Equal,
        "!=" if loose && wanted.written > 0 => !below(wanted.written - 1),
        "!=" => ordering != Ordering::Equal,
        ">" if loose && wanted.written > 0 => {
            version.compare(&wanted.next(wanted.written - 1)) != Ordering::Less
        }
        ">" => ordering == Ordering::Greater,
        ">=" | "=>" => ordering != Ordering::Less,
        "<" => ordering == Ordering::Less,
        "<=" | "=<" if loose && wanted.written > 0 => {
            version.compare(&wanted.next(wanted.written - 1)) == Ordering::Less
        }
        "<=" | "=<" => ordering != Ordering::Greater,
        "~" | "~>" => wanted.written == 0 || below(wanted.written.min(2) - 1),
        "^" => {
            let first = wanted.numbers.iter().position(|number| *number > 0);
            wanted.written == 0 || below(first.unwrap_or(wanted.written - 1).min(wanted.written - 1))
        }
        _ => return None,
    })
}
