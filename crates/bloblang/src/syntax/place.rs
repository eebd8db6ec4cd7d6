//! Byte offsets while parsing; lines and columns when a fault is told.

use crate::ParseError;

/// As many characters of a line at fault are shown.
const MOST_SOURCE: usize = 500;

/// A range of bytes in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    pub(crate) fn to(self, end: Span) -> Span {
        Span { start: self.start, end: end.end }
    }
}

/// A fault at a span, before it has a line and a column.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Fault {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Fault {
        Fault { span, message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = Some(hint.into());
        self
    }

    /// The fault with its place in `text`.
    pub(crate) fn locate(self, text: &str) -> ParseError {
        let (line, column) = line_column(text, self.span.start as usize);
        let start = floor(text, self.span.start as usize);
        let end = floor(text, self.span.end as usize).max(start);
        let first_line = text[start..end].lines().next().unwrap_or("");
        let length = u32::try_from(first_line.chars().count()).unwrap_or(u32::MAX).max(1);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let source = text[line_start..].lines().next().unwrap_or("");
        let source = source.chars().take(MOST_SOURCE).collect();
        ParseError { line, column, length, message: self.message, hint: self.hint, source, imported: None }
    }
}

/// Line and column (in characters) of a byte offset, both from 1.
pub(crate) fn line_column(text: &str, offset: usize) -> (u32, u32) {
    let before = &text[..floor(text, offset)];
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before[line_start..].chars().count() + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}

/// Lines and columns of many offsets in ascending order, in one walk over the text.
#[derive(Debug)]
pub(crate) struct Places<'t> {
    text: &'t str,
    offset: usize,
    line: u32,
    column: u32,
}

impl<'t> Places<'t> {
    pub(crate) fn new(text: &'t str) -> Places<'t> {
        Places { text, offset: 0, line: 1, column: 1 }
    }

    /// Line and column of an offset; one before the last one starts the walk again.
    pub(crate) fn of(&mut self, offset: u32) -> (u32, u32) {
        let offset = floor(self.text, offset as usize);
        if offset < self.offset {
            *self = Places::new(self.text);
        }
        for c in self.text[self.offset..offset].chars() {
            if c == '\n' {
                self.line += 1;
                self.column = 0;
            }
            self.column += 1;
        }
        self.offset = offset;
        (self.line, self.column)
    }
}

fn floor(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// The known word that is nearest to a misspelt one, if any is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).clamp(1, 3);
    known
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= limit)
        .map(|candidate| (edits(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be inserted, removed, replaced or swapped with their neighbour.
fn edits(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().take(64).collect();
    let to: Vec<char> = to.chars().take(64).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let mut cost = (previous[j] + usize::from(a != b)).min(previous[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut previous, row);
    }
    previous[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_words() {
        let known = ["uppercase", "lowercase", "length", "map_each", "has_prefix"];
        for (word, expected) in [
            ("upercase", Some("uppercase")),
            ("lenght", Some("length")),
            ("mapeach", Some("map_each")),
            ("has_perfix", Some("has_prefix")),
            ("x", None),
            ("banana", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), expected, "{word}");
        }
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(line_column("ab\nüöx", 3 + 4), (2, 3));
        assert_eq!(line_column("", 10), (1, 1));
        let text = "ab\nüöx\n\nd";
        let mut places = Places::new(text);
        for offset in [0, 2, 3, 5, 7, 9, 10, 3, 100] {
            assert_eq!(places.of(offset), line_column(text, offset as usize), "{offset}");
        }
    }
}
