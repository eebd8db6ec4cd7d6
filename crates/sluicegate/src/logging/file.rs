//! A log in a file that is begun anew when it is large. Used by the thread that writes the log, which may block.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use streams::LogFile;

/// A file of this size is put aside.
const MOST: u64 = 100 << 20;

/// Where the log goes.
pub(super) struct Rotating {
    settings: LogFile,
    most: u64,
    file: File,
    size: u64,
}

impl Rotating {
    /// Opens it, to go on where it ends.
    pub(super) fn open(settings: LogFile) -> io::Result<Rotating> {
        Rotating::with_size(settings, MOST)
    }

    fn with_size(settings: LogFile, most: u64) -> io::Result<Rotating> {
        if let Some(folder) = settings.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let (file, size) = open(&settings.path)?;
        let rotating = Rotating { settings, most, file, size };
        rotating.forget();
        Ok(rotating)
    }

    /// Puts the file aside under a name with the time, and begins a new one.
    fn rotate(&mut self) -> io::Result<()> {
        let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%S%.3f").to_string();
        fs::rename(&self.settings.path, aside(&self.settings.path, &time))?;
        (self.file, self.size) = open(&self.settings.path)?;
        self.forget();
        Ok(())
    }

    /// Deletes what was put aside too long ago. What cannot be deleted stays.
    fn forget(&self) {
        let Some(days) = self.settings.days.filter(|_| self.settings.rotate) else { return };
        let oldest = SystemTime::now().checked_sub(Duration::from_secs(days.saturating_mul(86_400)));
        let folder = self.settings.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let Ok(entries) = fs::read_dir(folder.unwrap_or(Path::new("."))) else { return };
        for entry in entries.flatten() {
            let modified = entry.metadata().and_then(|known| known.modified()).ok();
            if was_aside(&self.settings.path, &entry.path()) && modified < oldest {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Write for Rotating {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // When it cannot be put aside it goes on growing: lines matter more than size.
        if self.settings.rotate && self.size > 0 && self.size + bytes.len() as u64 > self.most {
            let _ = self.rotate();
        }
        let written = self.file.write(bytes)?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

fn parts(path: &Path) -> (String, String) {
    let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let extension = text(path.extension());
    (text(path.file_stem()), if extension.is_empty() { extension } else { format!(".{extension}") })
}

fn aside(path: &Path, time: &str) -> PathBuf {
    let (stem, extension) = parts(path);
    path.with_file_name(format!("{stem}-{time}{extension}"))
}

/// Whether a file is one that was put aside: the name of the log with a time in it.
fn was_aside(path: &Path, found: &Path) -> bool {
    let (stem, extension) = parts(path);
    let name = found.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let time = name.strip_prefix(&format!("{stem}-")).and_then(|rest| rest.strip_suffix(&extension));
    time.is_some_and(|time| {
        time.len() == 23
            && time.chars().enumerate().all(|(at, c)| match at {
                4 | 7 | 13 | 16 => c == '-',
                10 => c == 'T',
                19 => c == '.',
                _ => c.is_ascii_digit(),
            })
    })
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test may read and write files")]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_is_put_aside_and_old_ones_go() {
        let folder = std::env::temp_dir().join(format!("log-{}", std::process::id()));
        let path = folder.join("deep/stream.log");
        let settings = LogFile { path: path.clone(), rotate: true, days: Some(2) };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "before\n").unwrap();
        let (old, other) = (aside(&path, "2020-01-01T00-00-00.000"), folder.join("deep/stream-notes.log"));
        for kept in [&old, &other] {
            let file = File::create(kept).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(3 * 86_400)).unwrap();
        }
        let mut log = Rotating::with_size(settings, 20).unwrap();
        assert!(!old.exists() && other.exists(), "only its own old files go");
        for line in ["first line\n", "second line\n", "third\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "second line\nthird\n");
        let put = fs::read_dir(path.parent().unwrap()).unwrap().flatten().map(|entry| entry.path());
        let put: Vec<PathBuf> = put.filter(|found| was_aside(&path, found)).collect();
        assert_eq!(put.len(), 1, "{put:?}");
        assert_eq!(fs::read_to_string(&put[0]).unwrap(), "before\nfirst line\n");
        fs::remove_dir_all(&folder).unwrap();
    }
}
