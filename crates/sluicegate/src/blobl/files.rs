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
