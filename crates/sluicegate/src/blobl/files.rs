//! The files that mappings import or read.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bloblang::{File, Files};

/// The largest file.
const LARGEST: u64 = 64 << 20;

/// The machine's files, by paths that are relative to the file that names them, else to the working folder.
pub(crate) struct Folder;

impl Files for Folder {
    fn open(&self, path: &str, within: Option<&str>) -> Result<File, String> {
        let folder = within.and_then(|file| Path::new(file).parent()).unwrap_or(Path::new(""));
        let path = folder.join(path);
        // The same file is recognised whichever way leads to it.
        let path: PathBuf = path.canonicalize().map_err(|error| error.to_string())?;
        let content = content(&path)?;
        Ok(File { name: path.display().to_string(), content: content.into() })
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, String> {
        below(Path::new(folder))
    }
}

/// How deep folders may lie in each other.
const DEEPEST: usize = 32;
/// How many files a folder may hold, with those below it.
const MOST: usize = 100_000;

/// The files below a folder by their paths from there, in order. Links to folders are not followed.
///
/// # Errors
/// Why they cannot be told, without the name of the folder.
pub(crate) fn below(folder: &Path) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    walk(folder, "", 0, &mut found)?;
    found.sort();
    Ok(found)
}

fn walk(folder: &Path, prefix: &str, depth: usize, found: &mut Vec<String>) -> Result<(), String> {
    if depth > DEEPEST {
        return Err(format!("folders lie more than {DEEPEST} levels deep"));
    }
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| error.to_string())?;
        // Nobody can write a name into a configuration that is no text.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let name = format!("{prefix}{name}");
        if entry.file_type().map_err(|error| error.to_string())?.is_dir() {
            walk(&entry.path(), &format!("{name}/"), depth + 1, found)?;
        } else {
            found.push(name);
        }
        if found.len() > MOST {
            return Err(format!("it holds more than {MOST} files"));
        }
    }
    Ok(())
}

/// What is in a file.
///
/// # Errors
/// Why it cannot be read, without its name.
pub(crate) fn content(path: &Path) -> Result<Vec<u8>, String> {
    let read = || -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut content)?;
        Ok(content)
    };
    let content = read().map_err(|error| error.to_string())?;
    if content.len() as u64 > LARGEST {
        return Err(format!("it is larger than {} MiB", LARGEST >> 20));
    }
    Ok(content)
}
