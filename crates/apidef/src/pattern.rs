//! Regular expressions of definitions. They are written for RE2 as Go has it; where ours reads a text in another way, it is
//! put so that both mean the same.

use regex::{Regex, RegexBuilder};

/// Memory that one compiled pattern may take, in bytes.
pub(crate) const MAX_PATTERN: usize = 256 * 1024;

/// Compiles a regular expression.
///
/// # Errors
/// Why it cannot be used, in one line.
pub fn pattern(text: &str) -> Result<Regex, String> {
    compile(text).map_err(|error| first_line(&error))
}

pub(crate) fn compile(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&translated(text)).size_limit(MAX_PATTERN).build()
}

/// What is wrong, in one line.
pub(crate) fn first_line(error: &regex::Error) -> String {
    let told = error.to_string();
    let line = told.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// The same expression in our syntax.
pub(crate) fn translated(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => rest = escape(rest, false, &mut out),
            '[' => rest = class(rest, &mut out),
            '{' if !is_repetition(rest) => out.push_str("\\{"),
            c => out.push(c),
        }
    }
    out
}

/// What follows a backslash; gives what is behind it.
fn escape<'t>(rest: &'t str, in_class: bool, out: &mut String) -> &'t str {
    let Some(c) = rest.chars().next() else {
        out.push('\\');
        return rest;
    };
    let behind = &rest[c.len_utf8()..];
    match (c, in_class) {
        // Letters and digits of ASCII only.
        ('d', false) => out.push_str("[0-9]"),
        ('w', false) => out.push_str("[0-9A-Za-z_]"),
        ('s', false) => out.push_str("[\\t\\n\\f\\r ]"),
        ('D', false) => out.push_str("[^0-9]"),
        ('W', false) => out.push_str("[^0-9A-Za-z_]"),
        ('S', false) => out.push_str("[^\\t\\n\\f\\r ]"),
        ('d', true) => out.push_str("0-9"),
        ('w', true) => out.push_str("0-9A-Za-z_"),
        ('s', true) => out.push_str("\\t\\n\\f\\r\\x20"),
        ('D', true) => out.push_str("[^0-9]"),
        ('W', true) => out.push_str("[^0-9A-Za-z_]"),
        ('S', true) => out.push_str("[^\\t\\n\\f\\r ]"),
        ('b', false) => out.push_str("(?-u:\\b)"),
        // These mean something here, and stand for themselves there.
        ('<' | '>', _) => out.push(c),
        ('Q', false) => {
            let (literal, behind) = behind.split_once("\\E").unwrap_or((behind, ""));
            out.push_str(&regex::escape(literal));
            return behind;
        }
        ('E', false) => {}
        _ => {
            out.push('\\');
            out.push(c);
        }
    }
    behind
}

/// What follows an opening bracket; gives what is behind the class.
fn class<'t>(mut rest: &'t str, out: &mut String) -> &'t str {
    out.push('[');
    if let Some(behind) = rest.strip_prefix('^') {
        out.push('^');
        rest = behind;
    }
    let mut first = true;
    while let Some(c) = rest.chars().next() {
        let behind = &rest[c.len_utf8()..];
        match c {
            ']' if !first => {
                out.push(']');
                return behind;
            }
            ']' => out.push_str("\\]"),
            '\\' => {
                rest = escape(behind, true, out);
                first = false;
                continue;
            }
            '[' => {
                // `[:alpha:]` is a class in both; any other bracket stands for itself.
                let named = behind.strip_prefix(':').and_then(|name| Some(&name[..name.find(":]")?]));
                let is_name = |c: char| c.is_ascii_alphabetic() || c == '^';
                match named.filter(|name| name.chars().all(is_name)) {
                    Some(name) => {
                        let end = name.len() + 3;
                        out.push('[');
                        out.push_str(&behind[..end]);
                        rest = &behind[end..];
                        first = false;
                        continue;
                    }
                    None => out.push_str("\\["),
                }
            }
            // Doubled, they are operations on classes here.
            '&' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '-' if first && behind.starts_with('-') => out.push_str("\\-"),
            '-' if behind.starts_with('-') => {
                // A range that ends with a dash.
                out.push_str("-\\-");
                rest = &behind[1..];
                continue;
            }
            c => out.push(c),
        }
        rest = behind;
        first = false;
    }
    rest
}

/// Whether a brace opens a repetition: `2}`, `2,}` or `2,3}` follows.
fn is_repetition(rest: &str) -> bool {
    let Some((inside, _)) = rest.split_once('}') else { return false };
    let (from, to) = inside.split_once(',').unwrap_or((inside, ""));
    !from.is_empty() && from.bytes().chain(to.bytes()).all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_mean_what_they_mean_in_re2() {
        for (text, matches, others) in [
            (r"^\d+$", &["07"][..], &["٣", "x", ""][..]),
            (r"^\D$", &["x", "٣"], &["7"]),
            (r"^[\d.]+$", &["1.2"], &["١.٢"]),
            (r"^[^\w]$", &["é", "-"], &["_", "a"]),
            (r"^[\W]$", &["é"], &["a"]),
            (r"^[\s]$", &[" ", "\t"], &["\u{a0}", "\u{b}"]),
            (r"\bfoo\b", &["a foo b", "éfoo"], &["foobar"]),
            (r"^/users/{id}$", &["/users/{id}"], &["/users/7"]),
            (r"^a{2}$", &["aa"], &["a{2}"]),
            (r"^a{2,}$", &["aaa"], &["a"]),
            (r"^a{,2}$", &["a{,2}"], &["aa"]),
            (r"^a{x$", &["a{x"], &[]),
            (r"^\Qa.b*\E+$", &["a.b*", "a.b**"], &["axb"]),
            (r"^\Qa.b", &["a.bc"], &["axb"]),
            (r"^[[]$", &["["], &["]"]),
            (r"^[]a]+$", &["]a"], &["b"]),
            (r"^[^]]$", &["a"], &["]"]),
            (r"^[[:alpha:]]+$", &["ab"], &["1"]),
            (r"^[[:^alpha:]1]+$", &["12"], &["a"]),
            (r"^[a&&b]+$", &["a&b"], &["c"]),
            (r"^[a~~b]+$", &["a~b"], &["c"]),
            (r"^[+--]+$", &["+,-"], &["."]),
            (r"^\<a\>$", &["<a>"], &["a"]),
            (r"^(?P<n>x)(?i)Y$", &["xy"], &["Xy"]),
            (r"^\pL\x{41}\x41\.$", &["éAA."], &["1AA."]),
            (r"(?i)^abc$", &["ABC"], &["abd"]),
        ] {
            let compiled = pattern(text).expect(text);
            for (sample, fits) in matches.iter().map(|s| (s, true)).chain(others.iter().map(|s| (s, false))) {
                assert_eq!(compiled.is_match(sample), fits, "{text} on {sample}: {}", compiled.as_str());
            }
        }
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        for text in ["(", "a(", "[a", "(?=x)", r"\1(", "(a{900}){900}", "(?<n", r"\"] {
            let why = pattern(text).expect_err(text);
            assert!(!why.is_empty() && !why.contains('\n'), "{text}: {why}");
        }
    }
}
