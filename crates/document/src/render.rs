//! A fault as a person reads it.

use crate::{Fault, Place};
use std::fmt::Write as _;
use unicode_width::UnicodeWidthChar as _;

/// Screen cells of a source line that are shown.
const WINDOW: usize = 100;
/// Cells that a tab takes.
const TAB: usize = 4;

/// Renders a fault for a terminal: where and what, the source line, the place underlined, and the help.
///
/// ```text
/// api.json:4:7: error: unknown key "listn_path"
///   |
/// 4 |       "listn_path": "/a/",
///   |       ^^^^^^^^^^^^
///   = help: did you mean "listen_path"?
/// ```
///
/// Ends with a line break. Control characters of the source are never passed on.
pub fn render(path: &str, text: &str, fault: &Fault) -> String {
    let mut out = String::new();
    let severity = fault.severity.as_str();
    let message = printable(&fault.message);
    let Some(place) = fault.place else {
        let _ = write!(out, "{path}: {severity}: {message}");
        if !fault.pointer.is_empty() {
            let _ = write!(out, " (at {})", printable(&fault.pointer));
        }
        out.push('\n');
        if let Some(hint) = &fault.hint {
            let _ = writeln!(out, "  = help: {}", printable(hint));
        }
        return out;
    };
    let _ = writeln!(out, "{path}:{}:{}: {severity}: {message}", place.line, place.column);
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    let line = (place.line as usize).checked_sub(1).and_then(|skip| text.lines().nth(skip));
    if let Some(line) = line {
        let (line, indent, length) = underlined(line, place);
        let _ = writeln!(out, "{margin} |");
        let _ = writeln!(out, "{number} | {line}");
        let _ = writeln!(out, "{margin} | {}{}", " ".repeat(indent), "^".repeat(length));
    }
    if let Some(hint) = &fault.hint {
        let _ = writeln!(out, "{margin} = help: {}", printable(hint));
    }
    out
}

/// The part of a line that is shown, and the cells before and under the underline.
fn underlined(line: &str, place: Place) -> (String, usize, usize) {
    let first = (place.column as usize).saturating_sub(1);
    let last = first + place.length as usize;
    // Far into a long line: start a third of the window before the place.
    let before: usize = line.chars().take(first).map(cells).sum();
    let skip =
        if before + (place.length as usize).min(WINDOW / 2) > WINDOW { before - WINDOW / 3 } else { 0 };

    let mut shown = String::new();
    let (mut position, mut width, mut indent, mut length) = (0, 0, 0, 0);
    if skip > 0 {
        shown.push('…');
        width = 1;
        indent = 1;
    }
    for (index, c) in line.chars().enumerate() {
        let size = cells(c);
        position += size;
        if position <= skip {
            continue;
        }
        if width + size > WINDOW {
            shown.push('…');
            break;
        }
        width += size;
        match c {
            '\t' => shown.extend(std::iter::repeat_n(' ', TAB)),
            c if is_unsafe(c) => shown.push('\u{fffd}'),
            c => shown.push(c),
        }
        if index < first {
            indent += size;
        } else if index < last {
            length += size;
        }
    }
    (shown.trim_end().to_owned(), indent, length.max(1))
}

fn cells(c: char) -> usize {
    match c {
        '\t' => TAB,
        c if is_unsafe(c) => 1,
        c => c.width().unwrap_or(1),
    }
}

/// Characters that could command a terminal or turn the reading order.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c != '\n' && is_unsafe(c) { '\u{fffd}' } else { c }).collect()
}
