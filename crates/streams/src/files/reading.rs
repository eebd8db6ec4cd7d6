//! Files that are read one after the other through a scanner.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::glob;
use crate::ack::Ack;
use crate::component::{ConnectError, Input, ReadError};
use crate::message::Batch;
use crate::scanner::{ScanError, Scanned, Scanner};

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;

/// Reads files, each through a scan of its own; ends behind the last one.
pub struct FileSource {
    patterns: Vec<String>,
    scanner: Arc<dyn Scanner>,
    /// Files go when all of their messages are delivered.
    delete: bool,
    /// Messages of one file that travel together at most.
    together: usize,
    /// What is still to be read; none before the patterns were looked up.
    files: Option<VecDeque<PathBuf>>,
    open: Option<Open>,
    /// Delivered files that are to be deleted.
    done: Arc<Mutex<Vec<PathBuf>>>,
}

impl std::fmt::Debug for FileSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSource").field("patterns", &self.patterns).finish_non_exhaustive()
    }
}

struct Open {
    file: File,
    path: Arc<str>,
    changed: Option<Timestamp>,
    scan: Scanned,
    over: bool,
    /// What could not be cut, told after what was cut before.
    fault: Option<String>,
}

impl FileSource {
    /// Of these paths, which may be patterns.
    pub fn new(
        patterns: Vec<String>,
        scanner: Arc<dyn Scanner>,
        delete: bool,
        together: usize,
    ) -> FileSource {
        FileSource { patterns, scanner, delete, together, files: None, open: None, done: Arc::default() }
    }

    /// Opens the next file; false when there is none.
    async fn next_file(&mut self) -> Result<bool, String> {
        let Some(path) = self.files.as_ref().and_then(|files| files.front().cloned()) else {
            return Ok(false);
        };
        let opened = open(&path).await;
        // It is not tried again: who deletes it meanwhile does not stop the others.
        if let Some(files) = &mut self.files {
            files.pop_front();
        }
        let (file, changed) = opened?;
        let name = path.display().to_string();
        let (done, delete) = (self.done.clone(), self.delete);
        let ack = Ack::new(move |outcome| {
            if delete && outcome.is_ok() {
                done.lock().push(path);
            }
        });
        let scan = Scanned::new(self.scanner.scan(&name), ack);
        self.open = Some(Open { file, path: name.into(), changed, scan, over: false, fault: None });
        Ok(true)
    }

    async fn delete_done(&mut self) {
        // It is forgotten behind its deletion: the future of a read may be dropped at any time.
        while let Some(path) = { self.done.lock().last().cloned() } {
            match tokio::fs::remove_file(&path).await {
                Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %fault, "a file that was read cannot be deleted");
                }
                _ => {}
            }
            self.done.lock().retain(|known| *known != path);
        }
    }
}

async fn open(path: &std::path::Path) -> Result<(File, Option<Timestamp>), String> {
    let told = |fault: std::io::Error| format!("the file `{}` cannot be read: {fault}", path.display());
    let file = File::open(path).await.map_err(told)?;
    let metadata = file.metadata().await.map_err(told)?;
    if metadata.is_dir() {
        return Err(format!("`{}` is a folder, no file", path.display()));
    }
    let changed = metadata.modified().ok().and_then(|time: SystemTime| Timestamp::try_from(time).ok());
    Ok((file, changed))
}

impl Open {
    /// What can be cut now, with the ack of its part of the file; none when more bytes are needed.
    fn take(&mut self, most: usize) -> Option<(Batch, Ack)> {
        let mut batch = Batch::new();
        let mut acks = Vec::new();
        while batch.len() < most.max(1) {
            match self.scan.take() {
                Ok(Some((mut message, ack))) => {
                    message.set_meta("path", &*self.path);
                    if let Some(changed) = self.changed {
                        message.set_meta("mod_time_unix", changed.as_second());
                        message.set_meta("mod_time", changed.to_string());
                    }
                    batch.push(message);
                    acks.push(ack);
                }
                Ok(None) => break,
                Err(ScanError(fault)) => {
                    self.fault = Some(format!("the file `{}` cannot be cut: {fault}", self.path));
                    self.over = true;
                    break;
                }
            }
        }
        (!batch.is_empty()).then(|| (batch, together(acks)))
    }
}

/// One ack for several.
fn together(mut acks: Vec<Ack>) -> Ack {
    match (acks.pop(), acks.is_empty()) {
        (Some(only), true) => only,
        (None, _) => Ack::none(),
        (Some(last), false) => {
            acks.push(last);
            Ack::new(move |outcome| acks.into_iter().for_each(|ack| ack.done(outcome.clone())))
        }
    }
}

#[async_trait]
impl Input for FileSource {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        if self.files.is_some() {
            return Ok(());
        }
        let patterns = self.patterns.clone();
        let expand = move || {
            let mut files = VecDeque::new();
            for pattern in &patterns {
                files.extend(glob::expand(pattern)?);
            }
            Ok(files)
        };
        let files: Result<VecDeque<PathBuf>, String> = match tokio::task::spawn_blocking(expand).await {
            Ok(files) => files,
            Err(fault) => Err(fault.to_string()),
        };
        self.files = Some(files.map_err(ConnectError)?);
        Ok(())
    }

    // What was read of a file is in its scan before anything is waited for: nothing is lost with a read that is given up.
    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        loop {
            self.delete_done().await;
            let Some(open) = &mut self.open else {
                match self.next_file().await {
                    Ok(true) => continue,
                    Ok(false) => return Err(ReadError::End),
                    Err(fault) => return Err(ReadError::Other(fault)),
                }
            };
            if let Some(taken) = open.take(self.together) {
                return Ok(taken);
            }
            if let Some(fault) = open.fault.take() {
                self.open = None;
                return Err(ReadError::Other(fault));
            }
            if open.over {
                self.open = None;
                continue;
            }
            let mut chunk = BytesMut::with_capacity(CHUNK);
            match open.file.read_buf(&mut chunk).await {
                Ok(0) => {
                    open.scan.finish();
                    open.over = true;
                }
                Ok(_) => open.scan.push(Bytes::from(chunk)),
                Err(fault) => {
                    let fault = format!("the file `{}` cannot be read: {fault}", open.path);
                    self.open = None;
                    return Err(ReadError::Other(fault));
                }
            }
        }
    }

    async fn close(&mut self) {
        self.open = None;
        self.delete_done().await;
    }
}
