//! From a place inside a string value to the place in the text that spells the string.

use crate::walk::{Found, Kind};
use std::ops::Range;

/// The bytes that spell `length` characters from (`line`, `column`) of `value`, which is written at `found`.
pub(crate) fn range(
    text: &str,
    found: &Found,
    value: &str,
    line: u32,
    column: u32,
    length: u32,
) -> Option<Range<usize>> {
    let start = offset(value, line, column)?;
    let length = length.max(1) as usize;
    let spelled = Spelled::new(text, found)?;
    match found.kind {
        Kind::Container | Kind::Alias => None,
        _ => Some(spelled.range(value, start, length)),
    }
}

/// Byte offset of (`line`, `column`) in a string; a column past the end of its line is that end.
fn offset(value: &str, line: u32, column: u32) -> Option<usize> {
    let skip = (line as usize).checked_sub(1)?;
    let before: usize = value.split_inclusive('\n').take(skip).map(str::len).sum();
    let rest = &value[before..];
    let rest = rest.split('\n').next().unwrap_or_default();
    let within =
        rest.char_indices().nth((column as usize).saturating_sub(1)).map_or(rest.len(), |(at, _)| at);
    Some(before + within)
}

/// The source of a string, read as the characters it stands for.
struct Spelled<'t> {
    text: &'t str,
    range: Range<usize>,
    kind: Kind,
}

impl<'t> Spelled<'t> {
    fn new(text: &'t str, found: &Found) -> Option<Spelled<'t>> {
        let mut range = found.value.clone();
        let source = text.get(range.clone())?;
        match found.kind {
            Kind::Escaped | Kind::SingleQuoted => range = range.start + 1..range.end.saturating_sub(1),
            // The header line (`|2-  # comment`) is not content.
            Kind::Block if source.starts_with(['|', '>']) => range.start += source.find('\n')? + 1,
            _ => {}
        }
        text.get(range.clone())?;
        Some(Spelled { text, range, kind: found.kind })
    }

    /// Line folding, indentation and escaped line breaks change only white space, so the n-th character of the value
    /// that is not white space is the n-th such character of its source.
    fn range(&self, value: &str, start: usize, length: usize) -> Range<usize> {
        let wanted = |at: usize| value[..at].chars().filter(|c| !c.is_whitespace()).count();
        let white = value[..start].chars().rev().take_while(|c| c.is_whitespace() && *c != '\n').count();
        let stretch = &value[start..];
        let covered = stretch.chars().take(length).take_while(|c| *c != '\n');
        let (last_black, any_black) = {
            let black = covered.filter(|c| !c.is_whitespace()).count();
            (wanted(start) + black, black > 0)
        };
        if any_black && stretch.starts_with(|c: char| !c.is_whitespace()) {
            let first = self.black(wanted(start)).unwrap_or(self.range.end..self.range.end);
            let last = self.black(last_black - 1).unwrap_or(first.clone());
            return first.start..last.end.max(first.end);
        }
        // White space or the end: count on from the character before it, as far as the line goes.
        let from = match wanted(start).checked_sub(1).and_then(|before| self.black(before)) {
            Some(before) => before.end,
            None => self.range.start,
        };
        let line_end = self.text[from..self.range.end].find('\n').map_or(self.range.end, |at| from + at);
        let line = &self.text[from..line_end];
        let at = line.char_indices().nth(white).map_or(line_end, |(at, _)| from + at);
        let end = self.text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
        at..end
    }

    /// The source of the n-th character that is not white space.
    fn black(&self, n: usize) -> Option<Range<usize>> {
        let mut at = self.range.start;
        let mut seen = 0;
        while at < self.range.end {
            let (stands_for, size) = self.one(&self.text[at..self.range.end]);
            if stands_for.is_some_and(|c| !c.is_whitespace()) {
                if seen == n {
                    return Some(at..at + size);
                }
                seen += 1;
            }
            at += size.max(1);
        }
        None
    }

    /// The character that the source begins with, and how many bytes spell it; none for an escaped line break.
    fn one(&self, source: &str) -> (Option<char>, usize) {
        let mut chars = source.chars();
        let Some(first) = chars.next() else { return (None, 1) };
        match (self.kind, first) {
            (Kind::SingleQuoted, '\'') if chars.next() == Some('\'') => (Some('\''), 2),
            (Kind::Escaped, '\\') => {
                let Some(escape) = chars.next() else { return (None, 1) };
                let size = 1 + escape.len_utf8();
                let digits = match escape {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    _ => 0,
                };
                if digits == 0 {
                    let c = match escape {
                        'n' | 'r' | 't' | 'f' | 'v' | 'N' | '_' | 'L' | 'P' => Some(' '),
                        '\n' | '\r' => None,
                        // A backspace, bell or NUL is no white space; which one does not matter.
                        c => Some(c),
                    };
                    return (c, size);
                }
                let hex =
                    |at: usize, digits: usize| u32::from_str_radix(source.get(at..at + digits)?, 16).ok();
                let Some(code) = hex(size, digits) else { return (Some(escape), size) };
                match char::from_u32(code) {
                    Some(c) => (Some(c), size + digits),
                    // Two escapes that are one character (RFC 8259, section 7).
                    None if source[size + digits..].starts_with("\\u") => (Some('x'), 2 * (size + digits)),
                    None => (Some('x'), size + digits),
                }
            }
            (_, c) => (Some(c), c.len_utf8()),
        }
    }
}
