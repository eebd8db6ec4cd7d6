//! The `.proto` files below some folders.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::types::{LARGEST, MOST};
use crate::files;

/// How deep folders may lie in each other.
const DEEPEST: usize = 32;

/// Reads every `.proto` file below a folder, by its path from there. Links to folders are not followed.
pub(super) fn gather(folder: &str, files: &mut BTreeMap<String, String>) -> Result<(), String> {
    let folder = if folder.is_empty() { "." } else { folder };
    below(Path::new(folder), "", 0, files)
}

fn below(
    folder: &Path,
    prefix: &str,
    depth: usize,
    files: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    let fault = |error: std::io::Error| format!("`{}` cannot be read: {error}", folder.display());
    if depth > DEEPEST {
        return Err(format!("`{}` lies more than {DEEPEST} folders deep", folder.display()));
    }
    for entry in fs::read_dir(folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let name = format!("{prefix}{name}");
        if entry.file_type().map_err(fault)?.is_dir() {
            below(&entry.path(), &format!("{name}/"), depth + 1, files)?;
        } else if name.ends_with(".proto") && !files.contains_key(&name) {
            let text = files::read(&entry.path())?;
            files.insert(name, text);
            if files.len() > MOST || files.values().map(String::len).sum::<usize>() > LARGEST {
                return Err(format!("there are more than {MOST} `.proto` files, or {LARGEST} bytes of them"));
            }
        }
    }
    Ok(())
}
