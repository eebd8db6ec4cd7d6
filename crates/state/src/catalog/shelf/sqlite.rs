//! A catalog in a SQLite file.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _, SqliteConnection,
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    sql::{self, LAYOUT, Statements},
    store::{Fresh, Key, Known, Read, STEPS, Trouble},
};
use crate::catalog::{CatalogOptions, Item, Kind};

#[derive(Debug)]
pub(super) struct Sqlite {
    path: PathBuf,
    pool: SqlitePool,
    sql: Statements,
    create: bool,
    prepared: AtomicBool,
}

impl Sqlite {
    pub(super) fn new(path: &Path, options: &CatalogOptions) -> Sqlite {
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(options.create)
            .journal_mode(SqliteJournalMode::Wal)
            // Every commit is on disk before it is told.
            .synchronous(SqliteSynchronous::Full)
            // Several gates may write.
            .busy_timeout(options.timeout)
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new()
            .max_connections(2)
            .acquire_timeout(options.timeout)
            .connect_lazy_with(connect);
        Sqlite {
            path: path.to_owned(),
            pool,
            // Others may have written bytes that are no text: that must harm their row only.
            sql: Statements::new(&options.name, "CAST(text AS BLOB)"),
            create: options.create,
            prepared: AtomicBool::new(false),
        }
    }

    pub(super) fn doubt(&self) {
        self.prepared.store(false, Ordering::Release);
    }

    /// Looks for the tables; makes them where that is wanted, all at once.
    async fn prepare(&self) -> Result<(), Trouble> {
        if self.prepared.load(Ordering::Acquire) {
            return Ok(());
        }
        if !matches!(tokio::fs::try_exists(&self.path).await, Ok(true)) {
            if !self.create {
                return Err(Trouble::Missing);
            }
            self.make().await;
        }
        let trouble = |error: sqlx::Error| self.trouble(&error);
        let mut connection = self.pool.acquire().await.map_err(trouble)?;
        let found = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = $1";
        let head = format!("{}_head", self.sql.table);
        let count: i64 =
            sqlx::query_scalar(found).bind(&head).fetch_one(&mut *connection).await.map_err(trouble)?;
        if count == 0 && !self.create {
            return Err(Trouble::Missing);
        }
        if count == 0 {
            let schema = schema(&self.sql.table);
            // Immediately: of two who begin at once, one waits and then finds the tables.
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(trouble)?;
            transaction.execute(AssertSqlSafe(schema)).await.map_err(trouble)?;
            transaction.commit().await.map_err(trouble)?;
        }
        let layout: i64 = sqlx::query_scalar(AssertSqlSafe(self.sql.layout.clone()))
            .fetch_one(&mut *connection)
            .await
            .map_err(trouble)?;
        sql::check_layout(layout)?;
        self.prepared.store(true, Ordering::Release);
        Ok(())
    }

    /// Makes the file for the user of this process alone: secrets of clients will be in it. What prevents it is told when
    /// it is opened.
    async fn make(&self) {
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        options.mode(0o600);
        options.open(&self.path).await.ok();
    }

    pub(super) async fn head(&self) -> Result<i64, Trouble> {
        self.prepare().await?;
        let query = sqlx::query_scalar(AssertSqlSafe(self.sql.head.clone()));
        query.fetch_one(&self.pool).await.map_err(|error| self.trouble(&error))
    }

    pub(super) async fn read(&self, head: i64, known: &Known<'_>) -> Result<Option<Read>, Trouble> {
        self.prepare().await?;
        self.try_read(head, known).await.map_err(|error| self.trouble(&error))
    }

    async fn try_read(&self, known_head: i64, known: &Known<'_>) -> sqlx::Result<Option<Read>> {
        // One moment: in a write-ahead log a reading transaction sees what was there when it began.
        let mut moment = self.pool.begin().await?;
        let head: i64 =
            sqlx::query_scalar(AssertSqlSafe(self.sql.head.clone())).fetch_one(&mut *moment).await?;
        if head == known_head {
            return Ok(None);
        }
        let keys = self.all_keys(&mut moment).await?;
        let mut fresh = Vec::new();
        if let Some(least) = sql::least(&keys, known) {
            let rows = sqlx::query(AssertSqlSafe(self.sql.texts.clone())).bind(least);
            for row in rows.fetch_all(&mut *moment).await? {
                let bytes: Option<Vec<u8>> = row.try_get_unchecked(2)?;
                let text = match bytes.map(String::from_utf8) {
                    Some(Ok(text)) => Ok(text),
                    Some(Err(_)) => Err("this text is not UTF-8".to_owned()),
                    None => Err(Fresh::too_large()),
                };
                let bytes = |index| row.try_get_unchecked::<Vec<u8>, usize>(index);
                let (kind, id) = (bytes(0)?, bytes(1)?);
                fresh.push(Fresh {
                    kind: String::from_utf8_lossy(&kind).into_owned(),
                    id: String::from_utf8_lossy(&id).into_owned(),
                    text,
                });
            }
        }
        Ok(Some(Read { head, keys, fresh }))
    }

    pub(super) async fn keys(&self) -> Result<Vec<Key>, Trouble> {
        self.prepare().await?;
        let keys = async { self.all_keys(&mut *self.pool.acquire().await?).await };
        keys.await.map_err(|error| self.trouble(&error))
    }

    async fn all_keys(&self, connection: &mut SqliteConnection) -> sqlx::Result<Vec<Key>> {
        let rows = sqlx::query(AssertSqlSafe(self.sql.keys.clone())).fetch_all(connection).await?;
        let text = |row: &sqlx::sqlite::SqliteRow, index| {
            let bytes: Vec<u8> = row.try_get_unchecked(index)?;
            Ok::<_, sqlx::Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        rows.iter().map(|row| Ok((text(row, 0)?, text(row, 1)?, row.try_get_unchecked(2)?))).collect()
    }

    pub(super) async fn put(
        &self,
        kind: &str,
        id: &str,
        text: &str,
        expected: Option<i64>,
    ) -> Result<(), Trouble> {
        self.prepare().await?;
        let statement = if expected.is_some() { &self.sql.put_over } else { &self.sql.put };
        let mut query = sqlx::query(AssertSqlSafe(statement.clone())).bind(kind).bind(id).bind(text);
        if let Some(expected) = expected {
            query = query.bind(expected);
        }
        let done = query.execute(&self.pool).await.map_err(|error| self.trouble(&error))?;
        if done.rows_affected() == 0 { Err(Trouble::Changed) } else { Ok(()) }
    }

    pub(super) async fn delete(&self, kind: &str, id: &str) -> Result<bool, Trouble> {
        self.prepare().await?;
        let query = sqlx::query(AssertSqlSafe(self.sql.delete.clone())).bind(kind).bind(id);
        let done = query.execute(&self.pool).await.map_err(|error| self.trouble(&error))?;
        Ok(done.rows_affected() > 0)
    }

    pub(super) async fn write_all(&self, put: &[Item], remove: &[(Kind, Box<str>)]) -> Result<(), Trouble> {
        self.prepare().await?;
        self.try_write(put, remove).await.map_err(|error| self.trouble(&error))
    }

    async fn try_write(&self, put: &[Item], remove: &[(Kind, Box<str>)]) -> sqlx::Result<()> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        for (kind, id) in remove {
            let query = sqlx::query(AssertSqlSafe(self.sql.delete.clone())).bind(kind.word()).bind(&**id);
            query.execute(&mut *transaction).await?;
        }
        for item in put {
            let query = sqlx::query(AssertSqlSafe(self.sql.put.clone()));
            let query = query.bind(item.kind.word()).bind(&*item.id).bind(&*item.text);
            query.execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }

    fn trouble(&self, error: &sqlx::Error) -> Trouble {
        match error {
            sqlx::Error::Database(fault) if fault.code().is_some_and(|code| code == "14") => {
                Trouble::Away(format!(
                    "the file {} cannot be opened; its folder must exist and be writable",
                    self.path.display()
                ))
            }
            other => sql::trouble(other),
        }
    }
}

/// Every change of a row draws the next number, whoever makes it: rows can be written by hand, too.
fn schema(table: &str) -> String {
    let step = format!("1 + (random() & {})", STEPS - 1);
    let next = format!("UPDATE {table}_head SET revision = revision + {step};");
    let stamp = format!(
        "{next}
         UPDATE {table} SET revision = (SELECT revision FROM {table}_head),
             changed_at = strftime('%Y-%m-%dT%H:%M:%SZ', 'now')
         WHERE kind = new.kind AND id = new.id;"
    );
    format!(
        "CREATE TABLE IF NOT EXISTS {table}_head (
             one INTEGER PRIMARY KEY CHECK (one = 1), layout INTEGER NOT NULL, revision INTEGER NOT NULL
         ) STRICT;
         INSERT OR IGNORE INTO {table}_head VALUES (1, {LAYOUT}, 0);
         CREATE TABLE IF NOT EXISTS {table} (
             kind TEXT NOT NULL, id TEXT NOT NULL, text TEXT NOT NULL,
             revision INTEGER NOT NULL DEFAULT 0, changed_at TEXT NOT NULL DEFAULT '',
             PRIMARY KEY (kind, id)
         ) STRICT;
         CREATE INDEX IF NOT EXISTS {table}_revision ON {table} (revision);
         CREATE TRIGGER IF NOT EXISTS {table}_added AFTER INSERT ON {table} BEGIN {stamp} END;
         CREATE TRIGGER IF NOT EXISTS {table}_changed AFTER UPDATE OF kind, id, text ON {table} BEGIN {stamp} END;
         CREATE TRIGGER IF NOT EXISTS {table}_removed AFTER DELETE ON {table} BEGIN {next} END;"
    )
}
