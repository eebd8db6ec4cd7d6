//! Files of variables: a line `NAME=VALUE` for each.

use std::collections::BTreeMap;

/// The variables that a file sets; of a name given twice the last one counts. A line may begin with `export`; empty lines
/// and those that begin with `#` say nothing. A value in double quotes may hold `\n`, `\"` and `\\`, one in single quotes
/// is taken as it is, any other ends before ` #`.
///
/// # Errors
/// The number of a line that says nothing, from 1, and why.
pub fn variables_of_file(text: &str) -> Result<BTreeMap<String, String>, (usize, String)> {
    let mut given = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        match variable(line) {
            Ok(Some((name, value))) => drop(given.insert(name, value)),
            Ok(None) => {}
            Err(fault) => return Err((index + 1, fault)),
        }
    }
    Ok(given)
}

/// What a line sets; nothing for those that say nothing.
fn variable(line: &str) -> Result<Option<(String, String)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    let wrong = || format!("`{line}` sets no variable: write NAME=VALUE");
    let (name, value) = line.split_once('=').ok_or_else(wrong)?;
    let (name, value) = (name.trim_end(), value.trim_start());
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.') {
        return Err(wrong());
    }
    let value = match value.chars().next() {
        Some('\'') => value[1..].split_once('\'').map(|(value, _)| value.to_owned()),
        Some('"') => quoted(&value[1..]),
        _ => Some(value.split(" #").next().unwrap_or(value).trim_end().to_owned()),
    };
    match value {
        Some(value) => Ok(Some((name.to_owned(), value))),
        None => Err("the quote is not closed: a value stands in one line".to_owned()),
    }
}

/// What stands before the closing quote.
fn quoted(text: &str) -> Option<String> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some(value),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                c @ ('"' | '\\' | '$') => value.push(c),
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_set_variables() {
        for (line, expected) in [
            ("", Ok(None)),
            ("  # A=1", Ok(None)),
            ("A=1", Ok(Some(("A", "1")))),
            (" export A = a b # c", Ok(Some(("A", "a b")))),
            ("A=", Ok(Some(("A", "")))),
            ("A=x#y=z", Ok(Some(("A", "x#y=z")))),
            ("A='a # \"b\"' # c", Ok(Some(("A", "a # \"b\"")))),
            (r#"A="a\n\"b\" \d" # c"#, Ok(Some(("A", "a\n\"b\" \\d")))),
            ("A", Err(())),
            ("=1", Err(())),
            ("A B=1", Err(())),
            ("A=\"x", Err(())),
            ("A='x", Err(())),
        ] {
            let found = variable(line).map_err(|_| ());
            let expected = expected.map(|some| some.map(|(name, value)| (name.to_owned(), value.to_owned())));
            assert_eq!(found, expected, "{line}");
        }
    }
}
