//! The file of the buffer: one SQLite database, one row a batch, one connection, which nobody else may have.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Row as _};

/// Written into the database's header, so that a file of something else is not taken for ours: "sgbf".
const APPLICATION: i32 = 0x7367_6266;
/// Free pages from which on the file is made smaller when it is empty.
const FREE_PAGES: i64 = 1024;

/// What is on disk.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    connection: SqliteConnection,
    /// Bytes of all batches in it.
    pub(super) used: u64,
    /// The id of the newest batch.
    pub(super) last: i64,
}

/// A batch as it is stored.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) id: i64,
    pub(super) bytes: Vec<u8>,
}

impl File {
    /// Opens the file, or makes it. Fails while another stream or process has it.
    pub(super) async fn open(path: &Path) -> Result<File, String> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            // Without the shared memory of a write-ahead log that others might read, too.
            .locking_mode(SqliteLockingMode::Exclusive)
            .journal_mode(SqliteJournalMode::Wal)
            // Every commit is on disk before it is told: a power cut loses nothing that was acknowledged.
            .synchronous(SqliteSynchronous::Full)
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .busy_timeout(Duration::from_millis(200))
            .disable_statement_logging();
        let fault = |fault: sqlx::Error| describe(path, &fault);
        let mut connection = options.connect().await.map_err(fault)?;
        let mut lock = connection.begin_with("BEGIN EXCLUSIVE").await.map_err(fault)?;
        let application: i32 =
            sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *lock).await.map_err(fault)?;
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
            .fetch_one(&mut *lock)
            .await
            .map_err(fault)?;
        if application != APPLICATION {
            if tables > 0 {
                return Err(format!(
                    "{}: this is a database of something else; choose another path",
                    path.display()
                ));
            }
            lock.execute(
                "CREATE TABLE batches (id INTEGER PRIMARY KEY, batch BLOB NOT NULL);
                 PRAGMA application_id = 1936155238",
            )
            .await
            .map_err(fault)?;
        }
        let row = sqlx::query("SELECT coalesce(sum(length(batch)), 0), coalesce(max(id), 0) FROM batches")
            .fetch_one(&mut *lock)
            .await
            .map_err(fault)?;
        let (used, last): (i64, i64) = (row.get(0), row.get(1));
        lock.commit().await.map_err(fault)?;
        Ok(File { path: path.to_owned(), connection, used: u64::try_from(used).unwrap_or(0), last })
    }

    /// Adds batches and removes others, as one step. On disk when it returns, unless only something was removed: that
    /// outlives the process at once, and a power cut once something was added again or some time has passed.
    pub(super) async fn commit(&mut self, added: &[Vec<u8>], removed: &[i64]) -> Result<(), String> {
        let committed = self.try_commit(added, removed).await;
        let (used, last) = committed.map_err(|fault| describe(&self.path, &fault))?;
        (self.used, self.last) = (used, last);
        Ok(())
    }

    async fn try_commit(&mut self, added: &[Vec<u8>], removed: &[i64]) -> sqlx::Result<(u64, i64)> {
        let (mut used, mut last) = (self.used, self.last);
        let lazy = added.is_empty();
        if lazy {
            self.connection.execute("PRAGMA synchronous = NORMAL").await?;
        }
        let committed = async {
            let mut transaction = self.connection.begin().await?;
            for id in removed {
                let size: Option<i64> =
                    sqlx::query_scalar("DELETE FROM batches WHERE id = ? RETURNING length(batch)")
                        .bind(id)
                        .fetch_optional(&mut *transaction)
                        .await?;
                used = used.saturating_sub(size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0));
            }
            for bytes in added {
                last += 1;
                sqlx::query("INSERT INTO batches (id, batch) VALUES (?, ?)")
                    .bind(last)
                    .bind(&bytes[..])
                    .execute(&mut *transaction)
                    .await?;
                used += bytes.len() as u64;
            }
            transaction.commit().await
        };
        let committed = committed.await;
        if lazy {
            self.connection.execute("PRAGMA synchronous = FULL").await?;
        }
        committed.map(|()| (used, last))
    }

    /// The batches after this one, up to so many, and no more once they have so many bytes.
    pub(super) async fn after(&mut self, id: i64, count: i64, bytes: usize) -> Result<Vec<Stored>, String> {
        let mut rows = sqlx::query("SELECT id, batch FROM batches WHERE id > ? ORDER BY id LIMIT ?")
            .bind(id)
            .bind(count)
            .fetch(&mut self.connection);
        let (mut read, mut held) = (Vec::new(), 0);
        while held < bytes {
            match rows.try_next().await {
                Ok(Some(row)) => {
                    let stored = Stored { id: row.get(0), bytes: row.get(1) };
                    held += stored.bytes.len();
                    read.push(stored);
                }
                Ok(None) => break,
                Err(fault) => return Err(describe(&self.path, &fault)),
            }
        }
        Ok(read)
    }

    /// Gives room back to the disk. For when the buffer is empty: it takes time.
    pub(super) async fn shrink(&mut self) -> Result<(), String> {
        let fault = |fault: sqlx::Error| describe(&self.path, &fault);
        let free: i64 = sqlx::query_scalar("PRAGMA freelist_count")
            .fetch_one(&mut self.connection)
            .await
            .map_err(fault)?;
        if free > FREE_PAGES {
            self.connection.execute("PRAGMA incremental_vacuum").await.map_err(fault)?;
        }
        Ok(())
    }

    /// Leaves the file, so that another may have it.
    pub(super) async fn close(self) {
        if let Err(fault) = self.connection.close().await {
            tracing::warn!(path = %self.path.display(), %fault, "the buffer's file was not closed in good order");
        }
    }
}

fn describe(path: &Path, fault: &sqlx::Error) -> String {
    let path = path.display();
    match fault {
        sqlx::Error::Database(fault) if fault.code().is_some_and(|code| code == "5" || code == "261") => {
            format!("{path}: another stream or process has the file; give each buffer a path of its own")
        }
        sqlx::Error::Database(fault) if fault.code().is_some_and(|code| code == "14") => {
            format!("{path}: the file cannot be opened; its folder must exist and be writable")
        }
        sqlx::Error::Database(fault) => format!("{path}: {}", fault.message()),
        other => format!("{path}: {other}"),
    }
}
