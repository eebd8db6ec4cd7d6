//! The embedded store: the last raw records, and aggregates by minute, hour and day.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
    backends::InMemoryBackend,
};

use crate::{Record, Recorder, recorder::Queue, series::Pending, worker};

/// step (place in `STEPS`), series, beginning of the step -> [`crate::Sums`].
pub(crate) const AGGREGATES: TableDefinition<'_, (u8, &str, u64), &[u8]> = TableDefinition::new("aggregates");
/// Running number -> record as JSON.
pub(crate) const RAW: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("raw");

/// Bytes of the file kept in memory by the storage engine.
const CACHE: usize = 16 << 20;

/// Bounds and pace.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Records that may wait for the worker; more are dropped and counted.
    pub queue: usize,
    /// Raw records that are kept.
    pub raw: usize,
    /// Different keys (of an API, in a minute) counted one by one between two writes; more are counted as one.
    pub keys: usize,
    /// How often the file is written: what a killed process loses.
    pub write_every: Duration,
    /// How long aggregates are kept.
    pub retention: Retention,
}

/// How long aggregates of each step are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// By minute.
    pub minutes: Duration,
    /// By hour.
    pub hours: Duration,
    /// By day.
    pub days: Duration,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Default for Settings {
    fn default() -> Settings {
        let retention = Retention { minutes: 2 * DAY, hours: 62 * DAY, days: 732 * DAY };
        Settings { queue: 16_384, raw: 2000, keys: 100_000, write_every: Duration::from_secs(5), retention }
    }
}

/// Why a store did not open. Each says which file, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "analytics file {} is in use by another process: stop that process, or give this one a folder of its own",
        .0.display()
    )]
    InUse(PathBuf),
    /// Its content is not what this program wrote.
    #[error("analytics file {} is damaged ({reason}): move it away to start without history", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The operating system refused.
    #[error(
        "cannot open analytics file {}: {source}; make sure that the folder exists and that this user may write to it",
        path.display()
    )]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The step is too fine for the range.
    #[error("{asked} points are too many (at most {most}): ask for a shorter time or a longer step")]
    TooManyPoints {
        /// By this question.
        asked: u64,
        /// Allowed.
        most: u64,
    },
    /// The file cannot be read.
    #[error("analytics cannot be read: {0}")]
    Storage(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for QueryError {
    fn from(error: E) -> QueryError {
        QueryError::Storage(error.into())
    }
}

/// The store. Cloning costs one reference count; when the last clone is dropped, what waits is written.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the worker and questions share. Exchanges touch none of it but the queue.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) queue: Arc<Queue>,
    pub(crate) database: Database,
    pub(crate) settings: Settings,
    pub(crate) pending: Mutex<Pending>,
    pub(crate) ring: Mutex<Ring>,
    pub(crate) stopping: std::sync::atomic::AtomicBool,
    pub(crate) error: Mutex<Option<String>>,
}

/// The last raw records, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    pub(crate) records: VecDeque<Record>,
    /// Number of the record that comes next.
    pub(crate) next: u64,
    /// Number of the first record that the file does not have.
    pub(crate) unwritten: u64,
}

impl Store {
    /// Opens `analytics.redb` in `dir` (created if missing), or keeps everything in memory, and starts the worker.
    /// Blocking.
    pub fn open(dir: Option<&Path>, settings: Settings) -> Result<(Store, Recorder), OpenError> {
        let (database, path) = open(dir)?;
        let damaged =
            |error: redb::Error| OpenError::Damaged { path: path.clone(), reason: error.to_string() };
        let ring = load(&database, settings.raw).map_err(damaged)?;
        let (recorder, queue) = Recorder::new(settings.queue);
        let shared = Arc::new(Shared {
            queue,
            database,
            settings,
            pending: Mutex::default(),
            ring: Mutex::new(ring),
            stopping: false.into(),
            error: Mutex::default(),
        });
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("analytics".to_owned())
            .spawn(move || worker::run(&worker))
            .map_err(|source| OpenError::Io { path, source })?;
        Ok((Store(Arc::new(Inner { shared, thread: Some(thread) })), recorder))
    }

    /// The last raw records, newest first, at most `limit`.
    pub fn recent(&self, limit: usize) -> Vec<Record> {
        let now = SystemTime::now();
        let ring = self.shared().ring.lock();
        ring.records.iter().rev().filter(|record| !record.is_expired(now)).take(limit).cloned().collect()
    }

    /// Takes in what waits and writes it. Blocking; for the end of the process, which dropping the store does as well.
    pub fn flush(&self) {
        worker::take_in(self.shared());
        worker::write(self.shared());
    }

    /// Why the last write failed; `None` when it did not.
    pub fn error(&self) -> Option<String> {
        self.shared().error.lock().clone()
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0.shared
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stopping.store(true, std::sync::atomic::Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the thread was reported by the panic hook.
            thread.join().ok();
        }
    }
}

fn open(dir: Option<&Path>) -> Result<(Database, PathBuf), OpenError> {
    let path = dir.map(|dir| dir.join("analytics.redb")).unwrap_or_default();
    if let Some(dir) = dir {
        std::fs::create_dir_all(dir).map_err(|source| OpenError::Io { path: dir.to_owned(), source })?;
        create_private(&path).map_err(|source| OpenError::Io { path: path.clone(), source })?;
    }
    // A damaged file may surprise the storage engine in ways that it did not foresee; that is a damaged file, no crash.
    let opened = std::panic::catch_unwind(|| match dir {
        Some(_) => Database::builder().set_cache_size(CACHE).create(&path),
        None => Database::builder().set_cache_size(CACHE).create_with_backend(InMemoryBackend::new()),
    });
    let error = match opened {
        Ok(Ok(database)) => return Ok((database, path)),
        Ok(Err(error)) => error,
        Err(_) => return Err(OpenError::Damaged { path, reason: "its structure makes no sense".to_owned() }),
    };
    Err(match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(path),
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() != io::ErrorKind::InvalidData => {
            OpenError::Io { path, source }
        }
        other => OpenError::Damaged { path, reason: other.to_string() },
    })
}

/// Records tell who did what: nobody but this user may read them.
fn create_private(path: &Path) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(|_| ())
}

fn load(database: &Database, raw: usize) -> Result<Ring, redb::Error> {
    let create = database.begin_write()?;
    create.open_table(AGGREGATES)?;
    create.open_table(RAW)?;
    create.commit()?;
    let mut ring = Ring::default();
    for row in database.begin_read()?.open_table(RAW)?.iter()?.rev().take(raw) {
        let (number, row) = row?;
        ring.next = ring.next.max(number.value() + 1);
        match serde_json::from_slice(row.value()) {
            Ok(record) => ring.records.push_front(record),
            Err(error) => tracing::warn!(%error, "a stored record cannot be read and is left out"),
        }
    }
    ring.unwritten = ring.next;
    Ok(ring)
}
