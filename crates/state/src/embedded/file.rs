//! The file of the embedded store: opening it, what a row looks like, and what to tell when it cannot be opened.

use std::{
    io,
    path::{Path, PathBuf},
};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition};

use super::{Held, Memory, quota_log::QuotaLog, records::Record, writer::Edit};
use crate::Stored;
use crate::values::{unix_millis, unix_now};

/// name -> expiry in Unix milliseconds (8 bytes, little endian), session JSON.
pub(super) const SESSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sessions");
/// key -> expiry in Unix milliseconds (8 bytes, little endian), value.
pub(super) const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
/// key, member -> score.
pub(super) const COLLECTIONS: TableDefinition<'_, (&str, &str), f64> = TableDefinition::new("collections");

/// Bytes of the file kept in memory by the storage engine: sessions are read from it only at start.
const CACHE: usize = 16 << 20;

/// Why an embedded store did not open. Each says which file, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another store of this one, has it.
    #[error(
        "state file {} is in use by another process: stop that process, or give this one a state folder of its own",
        .0.display()
    )]
    InUse(PathBuf),
    /// Its content is not what this program wrote.
    #[error(
        "state file {} is damaged ({reason}): put a backup in its place, or move it away to start without any keys",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The operating system refused.
    #[error(
        "cannot open state file {}: {source}; make sure that the folder exists and that this user may write to it",
        path.display()
    )]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
}

/// Opens or creates `state.redb` in `dir`. Blocking.
pub(super) fn open(dir: &Path) -> Result<(Database, PathBuf), OpenError> {
    let path = dir.join("state.redb");
    std::fs::create_dir_all(dir).map_err(|source| OpenError::Io { path: dir.to_owned(), source })?;
    create_private(&path).map_err(|source| OpenError::Io { path: path.clone(), source })?;
    // A damaged file may surprise the storage engine in ways that it did not foresee; that is a damaged file, no crash.
    let opened = std::panic::catch_unwind(|| Database::builder().set_cache_size(CACHE).create(&path));
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

/// The file holds secrets of keys: nobody but this user may read it.
fn create_private(path: &Path) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(|_| ())
}

/// Reads everything that is still alive into memory, and removes the rest. Blocking.
pub(super) fn load(database: &Database, path: &Path, memory: &Memory) -> Result<QuotaLog, OpenError> {
    let damaged = |reason: String| OpenError::Damaged { path: path.to_owned(), reason };
    load_rows(database, memory).map_err(|error| damaged(error.to_string()))
}

fn load_rows(database: &Database, memory: &Memory) -> Result<QuotaLog, redb::Error> {
    let now = unix_millis();
    let write = database.begin_write()?;
    write.open_table(SESSIONS)?.retain(|_, row| expiry(row).is_none_or(|expires_at| now < expires_at))?;
    write.open_table(RECORDS)?.retain(|_, row| expiry(row).is_none_or(|expires_at| now < expires_at))?;
    write.open_table(COLLECTIONS)?;
    write.commit()?;

    let read = database.begin_read()?;
    let sessions = memory.sessions.pin();
    let stored = read.open_table(SESSIONS)?;
    for row in stored.iter()? {
        let (name, value) = row?;
        match decode(value.value()) {
            Some(held) => drop(sessions.insert(name.value().into(), memory.sharing(held))),
            None => tracing::warn!(file = "state.redb", "a stored session cannot be read and is left out"),
        }
    }
    for row in read.open_table(RECORDS)?.iter()? {
        let (key, value) = row?;
        if let Some((record, key)) = read_record(value.value()).zip(Some(key.value().into())) {
            memory.records.apply(Edit::Put { key, record });
        }
    }
    for row in read.open_table(COLLECTIONS)?.iter()? {
        let (name, score) = row?;
        let (key, member) = name.value();
        let edit = Edit::AddMember { key: key.into(), member: member.into(), score: score.value() };
        memory.records.apply(edit);
    }
    let shared = |name: &str| match sessions.get_key_value(name) {
        Some((name, _)) => std::sync::Arc::clone(name),
        None => name.into(),
    };
    QuotaLog::load(database, &memory.counters.quotas, &shared, unix_now())
}

pub(super) fn encode(held: &Held) -> Vec<u8> {
    [&held.expires_at.to_le_bytes()[..], &held.stored.text()].concat()
}

fn decode(row: &[u8]) -> Option<Held> {
    Some(Held { stored: Stored::new(row.get(8..)?), expires_at: expiry(row)? })
}

pub(super) fn record_row(record: &Record) -> Vec<u8> {
    [&record.expires_at.to_le_bytes()[..], &record.value].concat()
}

fn read_record(row: &[u8]) -> Option<Record> {
    Some(Record { value: row.get(8..)?.into(), expires_at: expiry(row)? })
}

/// The expiry of a row, without reading the session.
pub(super) fn expiry(row: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(row.get(..8)?.try_into().ok()?))
}
