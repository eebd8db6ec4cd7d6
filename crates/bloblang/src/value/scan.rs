//! JSON text to entries: one pass in which everything is checked and nothing is copied.
//!
//! Strings are looked through eight bytes at a time. What a later reader must know of a container (are its names sorted,
//! can it be copied as it is written, how deeply does it nest) is found out here, while its bytes are at hand.

/// How deeply a JSON text may nest.
pub(super) const MAX_NESTING: u8 = 127;
/// The parent of the outermost value.
const NONE: u32 = u32::MAX;
/// Numbers longer than this may be larger than any float.
const LONGEST_SURELY_FINITE: usize = 300;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    False,
    True,
    /// A whole number of at most 18 digits.
    Integer,
    /// A number that is written as its float would be.
    Float,
    /// A number whose text may say more than its value: `1.50`, `1e3`, 20 digits.
    Digits,
    Text,
    Array,
    Object,
}

/// The text has escapes.
pub(super) const ESCAPED: u8 = 1;
/// The container is written as it would be rendered: no white space, no escapes, names sorted, all the way down.
pub(super) const RAW: u8 = 2;
/// The object's names are in ascending order, each once.
pub(super) const SORTED: u8 = 4;
/// There is a number of the kind `Digits` in the container.
pub(super) const HAS_DIGITS: u8 = 8;

/// One value of the text, or one field name. A container is followed by what it contains.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) flags: u8,
    /// Levels of nesting, 0 for scalars.
    pub(super) depth: u8,
    /// The bytes of the value; of text those between its quotes.
    pub(super) start: u32,
    pub(super) end: u32,
    /// The entry after this value and all that it contains. While a container is open: its parent. Of a name: its tag.
    pub(super) next: u32,
}

/// Tells most names apart without looking at them.
#[inline]
pub(super) fn tag(name: &[u8]) -> u32 {
    let at = |index: usize| u32::from(name.get(index).copied().unwrap_or(0));
    let length = name.len();
    (length as u32 & 0xff) | (at(0) << 8) | (at(length / 2) << 16) | (at(length.wrapping_sub(1)) << 24)
}

impl Entry {
    pub(super) fn is(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The entries of a JSON text of less than 4 GiB; none when it is not JSON.
pub(super) fn scan(text: &str, entries: Vec<Entry>) -> Option<Vec<Entry>> {
    let mut scanner = Scanner { bytes: text.as_bytes(), entries, open: NONE, level: 0 };
    scanner.document()?;
    Some(scanner.entries)
}

/// Every method takes the place where it begins and gives the one where it ended, so that places stay in registers.
struct Scanner<'t> {
    bytes: &'t [u8],
    entries: Vec<Entry>,
    /// The innermost open container.
    open: u32,
    level: u8,
}

impl Scanner<'_> {
    fn document(&mut self) -> Option<()> {
        let mut at = self.blank(0);
        loop {
            at = match *self.bytes.get(at)? {
                b'"' => self.text(at)?,
                b'{' => {
                    let inner = self.enter(Kind::Object, at)?;
                    if self.bytes.get(inner) != Some(&b'}') {
                        at = self.name(inner)?;
                        continue;
                    }
                    inner
                }
                b'[' => {
                    let inner = self.enter(Kind::Array, at)?;
                    if self.bytes.get(inner) != Some(&b']') {
                        at = inner;
                        continue;
                    }
                    inner
                }
                b'-' | b'0'..=b'9' => self.number(at)?,
                b't' => self.word(at, b"true", Kind::True)?,
                b'f' => self.word(at, b"false", Kind::False)?,
                b'n' => self.word(at, b"null", Kind::Null)?,
                _ => return None,
            };
            // A value has ended, or an empty container begins to.
            loop {
                at = self.blank(at);
                let Some(open) = self.entries.get(self.open as usize) else {
                    return (at == self.bytes.len()).then_some(());
                };
                match (*self.bytes.get(at)?, open.kind) {
                    (b',', Kind::Object) => {
                        at = self.blank(at + 1);
                        at = self.name(at)?;
                        break;
                    }
                    (b',', _) => {
                        at = self.blank(at + 1);
                        break;
                    }
                    (b'}', Kind::Object) | (b']', Kind::Array) => {
                        at += 1;
                        self.leave(at);
                    }
                    _ => return None,
                }
            }
        }
    }

    /// Skips white space; what has some cannot be copied as it is.
    #[inline]
    fn blank(&mut self, start: usize) -> usize {
        match self.bytes.get(start) {
            Some(b' ' | b'\n' | b'\r' | b'\t') => {}
            _ => return start,
        }
        self.unset(RAW);
        let mut at = start + 1;
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(at) {
            at += 1;
        }
        at
    }

    /// Takes flags from the open container.
    fn unset(&mut self, flags: u8) {
        if let Some(open) = self.entries.get_mut(self.open as usize) {
            open.flags &= !flags;
        }
    }

    fn enter(&mut self, kind: Kind, start: usize) -> Option<usize> {
        if self.level == MAX_NESTING {
            return None;
        }
        self.level += 1;
        let at = self.entries.len() as u32;
        let flags = RAW | SORTED;
        self.entries.push(Entry { kind, flags, depth: 1, start: start as u32, end: NONE, next: self.open });
        self.open = at;
        Some(self.blank(start + 1))
    }

    fn leave(&mut self, end: usize) {
        self.level -= 1;
        let next = self.entries.len() as u32;
        let Some(closed) = self.entries.get_mut(self.open as usize) else { return };
        let parent = closed.next;
        closed.end = end as u32;
        closed.next = next;
        let closed = *closed;
        self.open = parent;
        if let Some(parent) = self.entries.get_mut(parent as usize) {
            parent.depth = parent.depth.max(closed.depth + 1);
            parent.flags |= closed.flags & HAS_DIGITS;
            parent.flags &= closed.flags | !RAW;
        }
    }

    #[inline]
    fn push(&mut self, kind: Kind, flags: u8, start: usize, end: usize) {
        let next = self.entries.len() as u32 + 1;
        self.entries.push(Entry { kind, flags, depth: 0, start: start as u32, end: end as u32, next });
    }

    /// A field name and the colon behind it.
    #[inline]
    fn name(&mut self, quote: usize) -> Option<usize> {
        if *self.bytes.get(quote)? != b'"' {
            return None;
        }
        let (start, end, flags) = self.quoted(quote)?;
        let name = self.bytes.get(start..end).unwrap_or_default();
        let at = self.entries.len() as u32;
        if let Some(open) = self.entries.get_mut(self.open as usize) {
            // The `end` of an open object is its last name.
            let last = std::mem::replace(&mut open.end, at);
            if open.is(SORTED) && (flags == ESCAPED || (last != NONE && self.bytes_of(last as usize) >= name))
            {
                self.unset(SORTED | RAW);
            }
        }
        let (kind, next) = (Kind::Text, tag(name));
        self.entries.push(Entry { kind, flags, depth: 0, start: start as u32, end: end as u32, next });
        let colon = self.blank(end + 1);
        if *self.bytes.get(colon)? != b':' {
            return None;
        }
        Some(self.blank(colon + 1))
    }

    fn bytes_of(&self, entry: usize) -> &[u8] {
        let range = self.entries.get(entry).map_or(0..0, |entry| entry.start as usize..entry.end as usize);
        self.bytes.get(range).unwrap_or_default()
    }

    #[inline]
    fn text(&mut self, quote: usize) -> Option<usize> {
        let (start, end, flags) = self.quoted(quote)?;
        self.push(Kind::Text, flags, start, end);
        Some(end + 1)
    }

    /// Where the text that begins at a quote begins and ends, and whether it has escapes.
    #[inline(always)]
    fn quoted(&mut self, quote: usize) -> Option<(usize, usize, u8)> {
        let start = quote + 1;
        let end = plain_end(self.bytes, start);
        if *self.bytes.get(end)? == b'"' {
            return Some((start, end, 0));
        }
        Some((start, self.escaped_end(end)?, ESCAPED))
    }

    /// The end of a text whose first escape is at `at`.
    fn escaped_end(&mut self, mut at: usize) -> Option<usize> {
        self.unset(RAW);
        loop {
            match *self.bytes.get(at)? {
                b'"' => return Some(at),
                b'\\' => {
                    let length = match *self.bytes.get(at + 1)? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
                        b'u' if self.bytes.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => 6,
                        _ => return None,
                    };
                    at = plain_end(self.bytes, at + length);
                }
                _ => return None,
            }
        }
    }

    fn number(&mut self, start: usize) -> Option<usize> {
        let whole_start = start + usize::from(self.bytes.get(start) == Some(&b'-'));
        let mut at = digits_end(self.bytes, whole_start);
        let whole = at - whole_start;
        let zero = self.bytes.get(whole_start) == Some(&b'0');
        if whole == 0 || (zero && whole > 1) {
            return None;
        }
        let minus_zero = zero && whole_start > start;
        let mut kind = if whole <= 18 && !minus_zero { Kind::Integer } else { Kind::Digits };
        let mut finite = whole < LONGEST_SURELY_FINITE;
        if self.bytes.get(at) == Some(&b'.') {
            let fraction_start = at + 1;
            at = digits_end(self.bytes, fraction_start);
            let fraction = self.bytes.get(fraction_start..at).filter(|digits| !digits.is_empty())?;
            // Up to 15 digits survive the way to a float and back; Go writes very small numbers with an exponent.
            let small = zero && fraction.starts_with(b"00000");
            let same = whole + fraction.len() <= 15 && !fraction.ends_with(b"0") && !small;
            kind = if same { Kind::Float } else { Kind::Digits };
        }
        if let Some(b'e' | b'E') = self.bytes.get(at) {
            let sign = usize::from(matches!(self.bytes.get(at + 1), Some(b'+' | b'-')));
            let power_start = at + 1 + sign;
            at = digits_end(self.bytes, power_start);
            if at == power_start {
                return None;
            }
            kind = Kind::Digits;
            finite = false;
        }
        if !finite {
            let text = std::str::from_utf8(self.bytes.get(start..at)?).ok()?;
            text.parse::<f64>().ok().filter(|number| number.is_finite())?;
        }
        self.push(kind, 0, start, at);
        if kind == Kind::Digits
            && let Some(open) = self.entries.get_mut(self.open as usize)
        {
            open.flags |= HAS_DIGITS;
        }
        Some(at)
    }

    fn word(&mut self, at: usize, word: &[u8], kind: Kind) -> Option<usize> {
        if !self.bytes.get(at..)?.starts_with(word) {
            return None;
        }
        self.push(kind, 0, at, at + word.len());
        Some(at + word.len())
    }
}

fn digits_end(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

/// Where the run of bytes that JSON text holds without an escape ends: at a quote, a backslash, a control character, or
/// the end.
#[inline]
pub(super) fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 0x80;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(ONES * 0x20);
        let quote = (word ^ (ONES * u64::from(b'"'))).wrapping_sub(ONES);
        let backslash = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
        // The lowest bit that is set is right; a borrow can only set wrong ones above it.
        let special = (control | quote | backslash) & !word & HIGH;
        if special != 0 {
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| *byte >= 0x20 && *byte != b'"' && *byte != b'\\') {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_bytes_are_found_wherever_they_stand() {
        for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
            for length in 0..40 {
                for at in 0..length {
                    let mut bytes = vec![b'a'; length];
                    bytes[at..].fill(0xc3);
                    bytes[at] = special;
                    assert_eq!(plain_end(&bytes, 0), at, "{special} {length}");
                }
                assert_eq!(plain_end(&vec![0x7f; length], 0), length);
            }
        }
    }

    #[test]
    fn the_same_texts_are_json_as_elsewhere() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for text in [
            "",
            " ",
            "1",
            " -0 ",
            "-",
            "01",
            "1.",
            ".5",
            "1.5e",
            "1e5",
            "1E+5",
            "1e-5",
            "1e999",
            "[]",
            "[ ]",
            "{}",
            "{ }",
            "[1,]",
            "[,]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":1 \"b\":2}",
            "[1 2]",
            "tru",
            "true",
            "truex",
            "null1",
            "nul",
            "\"a",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"a\nb\"",
            "\"\\\"\"",
            "\"\\",
            "[\"a\",{\"b\":[null,false]}] ",
            "}",
            "]",
            "[}",
            "{]",
            "1 1",
            "\u{feff}1",
            "{\"a\":{\"b\":{}}}",
            &deep(127),
            &deep(128),
            &"[".repeat(500),
            &"9".repeat(310),
            &format!("{}.5", "9".repeat(299)),
        ] {
            let expected = serde_json::from_str::<serde_json::Value>(text).is_ok();
            assert_eq!(scan(text, Vec::new()).is_some(), expected, "{text}");
        }
    }
}
