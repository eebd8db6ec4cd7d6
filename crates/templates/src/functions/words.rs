//! Texts by their words and characters, and random ones.

use super::{Table, made, only_text, size, str};
use crate::cost;
use rand::RngExt as _;

pub(super) const TABLE: Table = &[
    ("title", |args| only_text(args, |text| at_words(text, |first| first.to_uppercase().collect()))),
    ("untitle", |args| only_text(args, |text| at_words(text, |first| first.to_lowercase().collect()))),
    ("initials", |args| {
        only_text(args, |text| text.split_whitespace().filter_map(|word| word.chars().next()).collect())
    }),
    ("swapcase", |args| only_text(args, swap)),
    ("snakecase", |args| only_text(args, |text| joined(text, '_'))),
    ("kebabcase", |args| only_text(args, |text| joined(text, '-'))),
    ("camelcase", |args| only_text(args, camel)),
    ("wrap", |args| Ok(made(wrapped(size(args, 0)?, "\n", false, str(args, 1)?)))),
    ("wrapWith", |args| {
        let (width, separator, text) = (size(args, 0)?, str(args, 1)?, str(args, 2)?);
        cost::fits(text.len().saturating_mul(separator.len() + 1))?;
        Ok(made(wrapped(width, separator, true, text)))
    }),
    ("shuffle", |args| {
        only_text(args, |text| {
            let mut characters: Vec<char> = text.chars().collect();
            for index in (1..characters.len()).rev() {
                characters.swap(index, rand::rng().random_range(0..=index));
            }
            characters.into_iter().collect()
        })
    }),
    ("randAlphaNum", |args| random(size(args, 0)?, char::is_alphanumeric)),
    ("randAlpha", |args| random(size(args, 0)?, char::is_alphabetic)),
    ("randNumeric", |args| random(size(args, 0)?, char::is_numeric)),
    ("randAscii", |args| random(size(args, 0)?, |_| true)),
];

fn random(count: usize, allowed: fn(char) -> bool) -> super::Made {
    cost::fits(count)?;
    let characters: Vec<char> = (' '..='~').filter(|c| allowed(*c)).collect();
    let mut random = rand::rng();
    Ok(made((0..count).map(|_| characters[random.random_range(0..characters.len())]).collect::<String>()))
}

/// Changes the first character of each word.
fn at_words(text: &str, change: impl Fn(char) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut within = false;
    for character in text.chars() {
        if within {
            out.push(character)
        } else {
            out.push_str(&change(character))
        }
        within = !character.is_whitespace();
    }
    out
}

fn swap(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_uppercase() {
            out.extend(character.to_lowercase());
        } else {
            out.extend(character.to_uppercase());
        }
    }
    out
}

/// Words in lower case with `separator` between them; a word begins at a capital, and where letters and digits meet
/// nothing does.
fn joined(text: &str, separator: char) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len() + 8);
    for (index, character) in characters.iter().enumerate() {
        if matches!(character, ' ' | '_' | '-' | '.') {
            if !out.is_empty() && !out.ends_with(separator) {
                out.push(separator);
            }
            continue;
        }
        let before = index.checked_sub(1).map(|index| characters[index]);
        let after = characters.get(index + 1);
        let begins = character.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_numeric()
                    || (before.is_uppercase() && after.is_some_and(|after| after.is_lowercase()))
            });
        if begins && !out.is_empty() && !out.ends_with(separator) {
            out.push(separator);
        }
        out.extend(character.to_lowercase());
    }
    out.trim_end_matches(separator).to_owned()
}

fn camel(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut begins = true;
    for character in text.chars() {
        match character {
            '_' | '-' | ' ' => begins = true,
            other if begins => {
                out.extend(other.to_uppercase());
                begins = false;
            }
            other => out.push(other),
        }
    }
    out
}

/// Breaks lines at spaces, and long words where `cuts`.
fn wrapped(width: usize, separator: &str, cuts: bool, text: &str) -> String {
    let width = width.max(1);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let mut word = word.to_owned();
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        while cuts && word.chars().count() > width {
            let rest: String = word.chars().skip(width).collect();
            lines.push(word.chars().take(width).collect());
            word = rest;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines.join(separator)
}
