//! Names, stamps and atomic replacement of files. Everything here is blocking.

use std::{
    fs::{self, File, Metadata},
    hash::{DefaultHasher, Hasher},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

/// Larger files are refused unread.
const LARGEST: u64 = 64 << 20;

/// A file younger than this may change again without a new time (clocks of file systems tick as slowly as 2 s), so its
/// stamp proves nothing yet.
const SETTLED: Duration = Duration::from_secs(2);

/// What tells, without reading it, that a file is the one that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    /// Inode and time of its last change, where there are such things: they see a replacement that kept size and time.
    identity: (u64, i64, i64),
    length: u64,
}

impl Stamp {
    /// `None` when there is no such file.
    pub(super) fn of(path: &Path) -> Option<Stamp> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => Some(metadata).filter(Metadata::is_file)?,
            // A link to nothing is a definition that cannot be read, not one that is not there.
            Err(_) => fs::symlink_metadata(path).ok().filter(Metadata::is_symlink)?,
        };
        Some(Stamp {
            modified: metadata.modified().ok(),
            identity: identity(&metadata),
            length: metadata.len(),
        })
    }

    /// Whether the file was left alone long enough for the stamp to be proof.
    pub(super) fn settled(&self) -> bool {
        let age = self.modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        age.is_some_and(|age| age > SETTLED)
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, i64, i64) {
    (0, 0, 0)
}

/// Names of `*.json` in a folder, sorted, hidden ones left out.
pub(super) fn json_names(folder: &Path) -> io::Result<Vec<String>> {
    names(folder, ".json")
}

/// Names with an ending in a folder, sorted, hidden ones left out.
pub(super) fn names(folder: &Path, ending: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        // A name that is not Unicode cannot be an id either.
        let Ok(name) = entry?.file_name().into_string() else { continue };
        if name.ends_with(ending) && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Reads a text file, without its byte order mark.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("file is larger than {} MiB", LARGEST >> 20)));
    }
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

/// A digest of several texts, for comparison within this process.
pub(super) fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for text in texts {
        hasher.write(text.as_bytes());
        hasher.write_u8(0xff);
    }
    hasher.finish()
}

/// An id as the name of a file: what is unsafe in names is written as `%` and two digits. `None` for one that is too long.
pub(super) fn encoded(id: &str) -> Option<String> {
    use std::fmt::Write as _;
    let mut name = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"_~-".contains(&byte) || (byte == b'.' && !name.is_empty()) {
            name.push(char::from(byte));
        } else {
            write!(name, "%{byte:02x}").ok()?;
        }
    }
    (1..=240).contains(&name.len()).then_some(name)
}

/// The id that [`encoded`] made a name of.
pub(super) fn decoded(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = tail.get(2..)?;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

/// Whether an id is safe as a file name, wherever the file may go.
pub(in crate::catalog) fn is_safe(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.~-".contains(&byte);
    (1..=200).contains(&id.len()) && !id.starts_with('.') && id.bytes().all(allowed)
}

/// Replaces or creates a file such that whoever reads it, now or after a crash, finds the old or the new content whole.
pub(super) fn replace(path: &Path, content: &str) -> io::Result<()> {
    write_anew(path, content, false)
}

/// The same for a file with secrets: a new one is for the user of this process alone.
pub(super) fn replace_private(path: &Path, content: &str) -> io::Result<()> {
    write_anew(path, content, true)
}

fn write_anew(path: &Path, content: &str, private: bool) -> io::Result<()> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // Through a link, so that the link stays.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().unwrap_or(folder);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temporary: PathBuf = folder.join(format!(".{name}.{}-{number}.tmp", std::process::id()));
    let write = || {
        let mut file = create(&temporary, private)?;
        // A file that few may read stays one.
        if let Ok(before) = fs::metadata(&path) {
            file.set_permissions(before.permissions())?;
        }
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        sync_folder(folder)
    };
    write().inspect_err(|_| {
        fs::remove_file(&temporary).ok();
    })
}

#[cfg(unix)]
fn create(path: &Path, private: bool) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mode = if private { 0o600 } else { 0o666 };
    File::options().write(true).create_new(true).mode(mode).open(path)
}

#[cfg(not(unix))]
fn create(path: &Path, _: bool) -> io::Result<File> {
    File::create_new(path)
}

/// Removes a file; tells whether there was one.
pub(super) fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_folder).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes names durable. Not every file system can; the content is durable in any case.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if error.kind() != io::ErrorKind::InvalidInput && cfg!(unix) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_names_and_back() {
        for (id, name) in [
            ("a.b", "a.b"),
            ("api/client", "api%2fclient"),
            ("..", "%2e."),
            (".x", "%2ex"),
            ("50%", "50%25"),
            ("ä", "%c3%a4"),
        ] {
            assert_eq!(encoded(id).as_deref(), Some(name));
            assert_eq!(decoded(name).as_deref(), Some(id));
        }
        assert_eq!(encoded(""), None);
        assert_eq!(encoded(&"/".repeat(90)), None);
        for name in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(decoded(name), None, "{name}");
        }
    }

    #[test]
    fn ids_as_file_names() {
        for (id, safe) in [
            ("a", true),
            ("5f3b-9.x_y~Z", true),
            ("", false),
            (".", false),
            ("..", false),
            (".hidden", false),
            ("a/b", false),
            ("..\\x", false),
            ("a b", false),
            ("a\0", false),
            ("ä", false),
            ("a:b", false),
            (&"x".repeat(200), true),
            (&"x".repeat(201), false),
        ] {
            assert_eq!(is_safe(id), safe, "{id:?}");
        }
    }
}
