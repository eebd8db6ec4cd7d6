//! The variables that configurations may read: those of the process, and before them those of `--env-file`.

use std::collections::BTreeMap;
use std::path::Path;

/// Variables by name, before those of the process.
pub(super) type Given = BTreeMap<String, String>;

/// A variable as a configuration sees it.
pub(super) fn look_up(given: &Given, name: &str) -> Option<String> {
    given.get(name).cloned().or_else(|| std::env::var(name).ok())
}

/// The variables of these files; of a name given twice the last one counts.
///
/// # Errors
/// Which file cannot be read, or which line says nothing.
pub(super) fn read(files: &[impl AsRef<Path>]) -> Result<Given, String> {
    let mut given = Given::new();
    for file in files {
        let file = file.as_ref();
        let text =
            super::source::text(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        for (index, line) in text.lines().enumerate() {
            match variable(line) {
                Ok(Some((name, value))) => drop(given.insert(name, value)),
                Ok(None) => {}
                Err(fault) => return Err(format!("{}:{}: {fault}", file.display(), index + 1)),
            }
        }
    }
    Ok(given)
}

/// A line `NAME=VALUE`, with or without `export` before it; nothing for empty lines and those that begin with `#`.
/// A value in double quotes may hold `\n`, `\"` and `\\`, one in single quotes is taken as it is, any other ends before
/// ` #`.
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
