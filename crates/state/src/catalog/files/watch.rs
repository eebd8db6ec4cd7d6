//! Seeing changes of files.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    time::{Duration, Instant},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::Change;

/// A burst ends after this long without an event ...
const QUIET: Duration = Duration::from_millis(20);
/// ... or is told after this long in any case.
const LONGEST: Duration = Duration::from_millis(200);
/// How often folders are looked at that cannot be watched, or that are not there.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Events that wait; more are told as "something changed".
const BACKLOG: usize = 4096;

/// Folders, or single files, whose changes matter; absolute.
struct Targets {
    folders: Vec<PathBuf>,
    file: Option<PathBuf>,
}

struct Watch {
    targets: Targets,
    watcher: Option<RecommendedWatcher>,
    /// What is watched, and as which inode: a folder that was replaced is another one.
    watched: HashMap<PathBuf, u64>,
    overflow: Arc<AtomicBool>,
    /// Something could not be watched: look by time instead.
    blind: bool,
}

/// Starts a thread that ends when the receiver is dropped.
pub(super) fn start(folders: &[PathBuf], file: Option<&Path>) -> mpsc::Receiver<Change> {
    let folders: Vec<PathBuf> = folders.iter().map(|folder| absolute(folder)).collect();
    let file = file.map(absolute);
    let (sender, receiver) = mpsc::channel(1);
    let (events, queue) = sync_channel(BACKLOG);
    let overflow = Arc::new(AtomicBool::new(false));
    let lost = Arc::clone(&overflow);
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let relevant = event.as_ref().map_or(true, |event| changes(event.kind) || event.need_rescan());
        if relevant && events.try_send(event).is_err() {
            lost.store(true, Ordering::Release);
        }
    });
    if let Err(error) = &watcher {
        tracing::warn!(%error, "files cannot be watched; looking every {LOOK_EVERY:?} instead");
    }
    let mut watch = Watch {
        targets: Targets { folders, file },
        blind: watcher.is_err(),
        watcher: watcher.ok(),
        watched: HashMap::new(),
        overflow,
    };
    watch.arm();
    let spawned = std::thread::Builder::new()
        .name("catalog-watch".to_owned())
        .spawn(move || watch.run(&queue, &sender));
    if let Err(error) = spawned {
        tracing::error!(%error, "no thread to watch files: changes are seen at the next reload only");
    }
    receiver
}

/// Reading is no change.
fn changes(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

impl Targets {
    /// Whether a change of `path` may be one of ours: in a folder, or of a folder, or of the file, or above them.
    fn concern(&self, path: &Path) -> bool {
        let hidden_temporary = path.extension().is_some_and(|ending| ending == "tmp");
        !hidden_temporary
            && (self.folders.iter().any(|folder| path.parent() == Some(folder) || folder.starts_with(path))
                || self.file.as_ref().is_some_and(|file| {
                    // A link may be switched by renaming its neighbour, as mounted configuration does.
                    file.starts_with(path) || (path.parent() == file.parent() && name(path).starts_with(".."))
                }))
    }

    /// What to watch: the folders, and what is above them, for the day that they come or are replaced.
    fn watchable(&self) -> BTreeSet<PathBuf> {
        let mut paths = BTreeSet::new();
        for target in self.folders.iter().chain(&self.file) {
            if target.is_dir() {
                paths.insert(target.clone());
            }
            paths.extend(target.ancestors().skip(1).find(|folder| folder.is_dir()).map(Path::to_owned));
        }
        paths
    }
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

impl Watch {
    /// Watches what should be and is not; tells whether anything was added.
    fn arm(&mut self) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let mut added = false;
        let mut blind = false;
        for path in self.targets.watchable() {
            let inode = inode(&path);
            if self.watched.get(&path) == Some(&inode) {
                continue;
            }
            // What is watched under this name is gone; that it cannot be let go any more is no surprise.
            watcher.unwatch(&path).ok();
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(path, inode);
                    added = true;
                }
                Err(error) => {
                    if !self.blind {
                        tracing::warn!(%error, path = %path.display(), "cannot watch a folder; looking by time instead");
                    }
                    self.watched.remove(&path);
                    blind = true;
                }
            }
        }
        self.blind = blind;
        added
    }

    fn run(mut self, queue: &Receiver<notify::Result<Event>>, sender: &mpsc::Sender<Change>) {
        let mut paths = BTreeSet::new();
        let mut unknown = false;
        loop {
            // A change that the receiver has not taken yet is tried again soon.
            let pending = unknown || !paths.is_empty();
            let patience = if pending { QUIET } else { LOOK_EVERY };
            match queue.recv_timeout(patience) {
                Ok(event) => {
                    unknown |= self.note(event, &mut paths);
                    unknown |= self.gather(queue, &mut paths);
                }
                Err(RecvTimeoutError::Timeout) if pending => {}
                Err(_) => {
                    // Without events `recv_timeout` may return at once; the pace is kept by the timeout of the queue, whose
                    // sender lives in the watcher. Without a watcher it is gone, and a pause takes its place.
                    if self.watcher.is_none() {
                        std::thread::park_timeout(LOOK_EVERY);
                    }
                    unknown |= self.blind;
                }
            }
            unknown |= self.overflow.swap(false, Ordering::AcqRel);
            // Files may have come before their folder was watched.
            unknown |= self.arm();
            if sender.is_closed() {
                return;
            }
            if unknown || !paths.is_empty() {
                let told = if unknown { Vec::new() } else { paths.iter().cloned().collect() };
                match sender.try_send(Change { paths: told }) {
                    Ok(()) => {
                        paths.clear();
                        unknown = false;
                    }
                    Err(TrySendError::Full(_)) => {}
                    Err(TrySendError::Closed(_)) => return,
                }
            }
        }
    }

    /// Collects a burst; tells whether something changed of which it is not known what.
    fn gather(&mut self, queue: &Receiver<notify::Result<Event>>, paths: &mut BTreeSet<PathBuf>) -> bool {
        let end = Instant::now() + LONGEST;
        let mut unknown = false;
        while Instant::now() < end {
            let Ok(event) = queue.recv_timeout(QUIET) else { break };
            unknown |= self.note(event, paths);
        }
        unknown
    }

    fn note(&mut self, event: notify::Result<Event>, paths: &mut BTreeSet<PathBuf>) -> bool {
        match event {
            Ok(event) => {
                let unknown = event.need_rescan();
                paths.extend(event.paths.into_iter().filter(|path| self.targets.concern(path)));
                unknown
            }
            Err(_) => true,
        }
    }
}

#[cfg(unix)]
fn inode(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map_or(0, |metadata| metadata.ino())
}

#[cfg(not(unix))]
fn inode(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| u64::from(metadata.is_dir()))
}
