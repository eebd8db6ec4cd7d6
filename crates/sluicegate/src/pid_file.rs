//! The file that tells others the id of this process.

use std::fs;
use std::path::{Path, PathBuf};

/// Is there while this lives.
#[derive(Debug)]
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    /// Writes it. A gate that serves is worth more than this file: where it cannot be written, the log says so.
    #[expect(clippy::disallowed_methods, reason = "a few bytes, once, before anything is served")]
    pub(crate) fn write(path: &Path) -> Option<Self> {
        match fs::write(path, format!("{}\n", std::process::id())) {
            Ok(()) => Some(Self(path.to_owned())),
            Err(error) => {
                tracing::error!(
                    file = %path.display(),
                    %error,
                    "the id of this process cannot be written; change `pid_file_location`, or make its folder"
                );
                None
            }
        }
    }
}

impl Drop for PidFile {
    /// Unless another process has made it its own meanwhile.
    #[expect(clippy::disallowed_methods, reason = "a few bytes, once, when nothing is served any more")]
    fn drop(&mut self) {
        let own = std::process::id().to_string();
        if fs::read_to_string(&self.0).is_ok_and(|text| text.trim() == own) {
            let _ = fs::remove_file(&self.0);
        }
    }
}
