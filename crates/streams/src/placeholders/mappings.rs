//! String literals of mappings, as far as placeholders need to know them.

/// Whether what comes behind this text of a mapping stands inside of a string literal in double quotes. Inside of `"""`
/// nothing can be escaped, so that is no literal for this purpose.
pub(super) fn in_literal(before: &str) -> bool {
    let bytes = before.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'#' => match before[at..].find('\n') {
                Some(end) => at += end,
                None => return false,
            },
            b'"' if before[at..].starts_with("\"\"\"") => match before[at + 3..].find("\"\"\"") {
                Some(end) => at += 3 + end + 2,
                None => return false,
            },
            b'"' => match end_of(&bytes[at + 1..]) {
                Some(end) => at += 1 + end,
                None => return true,
            },
            _ => {}
        }
        at += 1;
    }
    false
}

/// Where a literal ends, whose opening quote was before.
fn end_of(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'"' => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// A value as it stands between the quotes of a literal.
pub(super) fn escaped(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
