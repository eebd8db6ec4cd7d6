//! Paths with `*`, `?`, `[a-z]` and `**`.

use std::path::{Path, PathBuf};

use regex::Regex;

/// Files of one pattern.
const MOST_FILES: usize = 1_000_000;
/// How deep `**` goes.
const DEEPEST: usize = 64;

/// Whether a path is a pattern.
fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// The files that a path stands for, in the order of their names; the path itself when it is no pattern. It reads folders:
/// not for async threads.
///
/// # Errors
/// A pattern that is none, a folder that cannot be read, or too many files.
pub(super) fn expand(path: &str) -> Result<Vec<PathBuf>, String> {
    if !is_pattern(path) {
        return Ok(vec![PathBuf::from(path)]);
    }
    let root = if path.starts_with('/') { PathBuf::from("/") } else { PathBuf::new() };
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let mut found = Vec::new();
    walk(&root, &parts, 0, &mut found)?;
    found.sort();
    found.dedup();
    Ok(found)
}

fn walk(folder: &Path, parts: &[&str], depth: usize, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let Some((part, rest)) = parts.split_first() else { return Ok(()) };
    if depth > DEEPEST {
        return Ok(());
    }
    if *part == "**" {
        // No folder at all, or any number of them.
        walk(folder, rest, depth + 1, found)?;
        for (path, is_folder) in members(folder)? {
            if is_folder {
                walk(&path, parts, depth + 1, found)?;
            } else if rest.is_empty() {
                add(path, found)?;
            }
        }
        return Ok(());
    }
    if !is_pattern(part) {
        let path = folder.join(part);
        return match rest.is_empty() {
            true if path.is_file() => add(path, found),
            true => Ok(()),
            false => walk(&path, rest, depth + 1, found),
        };
    }
    let pattern = regex(part)?;
    for (path, is_folder) in members(folder)? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // As shells do: hidden files are named by those who want them.
        let hidden = name.starts_with('.') && !part.starts_with('.');
        if hidden || !pattern.is_match(&name) {
            continue;
        }
        if rest.is_empty() {
            if !is_folder {
                add(path, found)?;
            }
        } else if is_folder {
            walk(&path, rest, depth + 1, found)?;
        }
    }
    Ok(())
}

fn add(path: PathBuf, found: &mut Vec<PathBuf>) -> Result<(), String> {
    if found.len() >= MOST_FILES {
        return Err(format!("a pattern stands for more than {MOST_FILES} files"));
    }
    found.push(path);
    Ok(())
}

/// What is in a folder, and whether it is a folder itself; links to folders are not followed. Nothing for what is none.
fn members(folder: &Path) -> Result<Vec<(PathBuf, bool)>, String> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let told = |fault: std::io::Error| format!("the folder `{}` cannot be read: {fault}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(told)? {
        let entry = entry.map_err(told)?;
        let kind = entry.file_type().map_err(told)?;
        let path = entry.path();
        found.push((path.strip_prefix("./").map(Path::to_owned).unwrap_or(path), kind.is_dir()));
    }
    Ok(found)
}

fn regex(part: &str) -> Result<Regex, String> {
    let mut text = String::from("^(?s:");
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => text.push_str(".*"),
            '?' => text.push('.'),
            '[' => {
                let inner: String = chars.by_ref().take_while(|c| *c != ']').collect();
                let inner = match inner.strip_prefix(['!', '^']) {
                    Some(rest) => format!("^{}", rest.replace('\\', "\\\\").replace('[', "\\[")),
                    None => inner.replace('\\', "\\\\").replace('[', "\\["),
                };
                text.push('[');
                text.push_str(&inner);
                text.push(']');
            }
            c => text.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    text.push_str(")$");
    Regex::new(&text).map_err(|_| format!("`{part}` is no pattern of file names"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_files() {
        let root = std::env::temp_dir().join(format!("sluicegate-glob-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root); // of a run that was cut short
        for file in ["a.log", "b.log", "c.txt", ".hidden.log", "d/e.log", "d/f/g.log"] {
            let path = root.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::File::create(path).unwrap();
        }
        for (pattern, expected) in [
            ("*.log", "a.log b.log"),
            ("?.txt", "c.txt"),
            ("[ab].log", "a.log b.log"),
            ("[!a].log", "b.log"),
            ("**/*.log", "a.log b.log d/e.log d/f/g.log"),
            ("d/**", "d/e.log d/f/g.log"),
            ("*/*.log", "d/e.log"),
            (".*.log", ".hidden.log"),
            ("*.none", ""),
            ("none/*.log", ""),
            ("c.txt/*", ""),
        ] {
            let found = expand(&format!("{}/{pattern}", root.display())).unwrap();
            let names: Vec<_> =
                found.iter().map(|path| path.strip_prefix(&root).unwrap().display().to_string()).collect();
            assert_eq!(names.join(" "), expected, "{pattern}");
        }
        assert_eq!(expand("gone.txt").unwrap(), [PathBuf::from("gone.txt")], "no pattern: the path itself");
        assert!(expand(&format!("{}/[z-a]", root.display())).is_err());
        std::fs::remove_dir_all(&root).unwrap();
    }
}
