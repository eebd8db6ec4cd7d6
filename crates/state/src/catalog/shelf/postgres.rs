//! A catalog in PostgreSQL.
//!
//! Whoever changes a row locks the head until the end of the transaction, so that numbers become visible in the order
//! in which they are drawn. Changes are called out on the channel of the table's name.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection, PgPool, Row as _,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};

use super::{
    sql::{self, LAYOUT, ROWS, Statements},
    store::{Ears, Fresh, Key, Known, Read, STEPS, Trouble},
};
use crate::{
    Secret,
    catalog::{AddressError, CatalogOptions, Item, Kind},
};

pub(super) struct Postgres {
    connect: PgConnectOptions,
    options: CatalogOptions,
    pool: ArcSwap<PgPool>,
    sql: Statements,
    prepared: AtomicBool,
}

/// Those who connect know the password.
impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("table", &self.sql.table).finish_non_exhaustive()
    }
}

impl Postgres {
    pub(super) fn new(url: &Secret, options: &CatalogOptions) -> Result<Postgres, AddressError> {
        let connect: PgConnectOptions =
            url.expose().parse().map_err(|error: sqlx::Error| AddressError::Unusable(error.to_string()))?;
        let connect = connect
            .application_name("sluicegate")
            // What is prepared once and for all breaks behind poolers.
            .statement_cache_capacity(0)
            .disable_statement_logging();
        Ok(Postgres {
            pool: ArcSwap::from_pointee(pool(&connect, options)),
            connect,
            options: options.clone(),
            sql: Statements::new(&options.name, "text"),
            prepared: AtomicBool::new(false),
        })
    }

    pub(super) fn doubt(&self) {
        self.prepared.store(false, Ordering::Release);
    }

    /// Makes connections anew.
    pub(super) fn reset(&self) {
        let old = self.pool.swap(Arc::new(pool(&self.connect, &self.options)));
        tokio::spawn(async move { old.close().await });
    }

    /// Looks for the tables; makes them where that is wanted, all at once.
    async fn prepare(&self) -> Result<(), Trouble> {
        if self.prepared.load(Ordering::Acquire) {
            return Ok(());
        }
        let pool = self.pool.load_full();
        let mut connection = pool.acquire().await.map_err(|error| sql::trouble(&error))?;
        if !self.is_there(&mut connection).await.map_err(|error| sql::trouble(&error))? {
            if !self.options.create {
                return Err(Trouble::Missing);
            }
            self.create(&mut connection).await.map_err(|error| sql::trouble(&error))?;
        }
        let layout = sqlx::query_scalar(AssertSqlSafe(self.sql.layout.clone())).persistent(false);
        let layout: i64 = layout.fetch_one(&mut *connection).await.map_err(|error| sql::trouble(&error))?;
        sql::check_layout(layout)?;
        self.prepared.store(true, Ordering::Release);
        Ok(())
    }

    async fn is_there(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        // Not by `to_regclass`: within a transaction that waited it answers from before the wait.
        let found = "SELECT EXISTS (SELECT FROM pg_class WHERE relname = $1 AND pg_table_is_visible(oid))";
        let found = sqlx::query_scalar(found).persistent(false);
        found.bind(format!("{}_head", self.sql.table)).fetch_one(connection).await
    }

    async fn create(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let mut transaction = connection.begin().await?;
        // Of two who begin at once, one waits and then finds the tables.
        let lock = sqlx::query("SELECT pg_advisory_xact_lock(hashtext($1))").persistent(false);
        lock.bind(&self.sql.table).execute(&mut *transaction).await?;
        if !self.is_there(&mut transaction).await? {
            transaction.execute(AssertSqlSafe(schema(&self.sql.table))).await?;
        }
        transaction.commit().await
    }

    pub(super) async fn head(&self) -> Result<i64, Trouble> {
        self.prepare().await?;
        let query = sqlx::query_scalar(AssertSqlSafe(self.sql.head.clone())).persistent(false);
        query.fetch_one(&**self.pool.load()).await.map_err(|error| sql::trouble(&error))
    }

    pub(super) async fn read(&self, head: i64, known: &Known<'_>) -> Result<Option<Read>, Trouble> {
        self.prepare().await?;
        self.try_read(head, known).await.map_err(|error| sql::trouble(&error))
    }

    async fn try_read(&self, known_head: i64, known: &Known<'_>) -> sqlx::Result<Option<Read>> {
        let pool = self.pool.load_full();
        let mut moment = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let query = sqlx::query_scalar(AssertSqlSafe(self.sql.head.clone())).persistent(false);
        let head: i64 = query.fetch_one(&mut *moment).await?;
        if head == known_head {
            return Ok(None);
        }
        let keys = self.all_keys(&mut moment).await?;
        let mut fresh = Vec::new();
        if let Some(least) = sql::least(&keys, known) {
            let rows = sqlx::query(AssertSqlSafe(self.sql.texts.clone())).bind(least).persistent(false);
            for row in rows.fetch_all(&mut *moment).await? {
                let text: Option<String> = row.try_get(2)?;
                let text = text.ok_or_else(Fresh::too_large);
                fresh.push(Fresh { kind: row.try_get(0)?, id: row.try_get(1)?, text });
            }
        }
        moment.commit().await?;
        Ok(Some(Read { head, keys, fresh }))
    }

    pub(super) async fn keys(&self) -> Result<Vec<Key>, Trouble> {
        self.prepare().await?;
        let pool = self.pool.load_full();
        let keys = async { self.all_keys(&mut *pool.acquire().await?).await };
        keys.await.map_err(|error| sql::trouble(&error))
    }

    async fn all_keys(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<Key>> {
        let rows = sqlx::query(AssertSqlSafe(self.sql.keys.clone())).persistent(false);
        let rows = rows.fetch_all(connection).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
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
        let done = query.persistent(false).execute(&**self.pool.load()).await;
        let done = done.map_err(|error| sql::trouble(&error))?;
        if done.rows_affected() == 0 { Err(Trouble::Changed) } else { Ok(()) }
    }

    pub(super) async fn delete(&self, kind: &str, id: &str) -> Result<bool, Trouble> {
        self.prepare().await?;
        let query = sqlx::query(AssertSqlSafe(self.sql.delete.clone())).bind(kind).bind(id).persistent(false);
        let done = query.execute(&**self.pool.load()).await.map_err(|error| sql::trouble(&error))?;
        Ok(done.rows_affected() > 0)
    }

    pub(super) async fn write_all(&self, put: &[Item], remove: &[(Kind, Box<str>)]) -> Result<(), Trouble> {
        self.prepare().await?;
        self.try_write(put, remove).await.map_err(|error| sql::trouble(&error))
    }

    async fn try_write(&self, put: &[Item], remove: &[(Kind, Box<str>)]) -> sqlx::Result<()> {
        let table = &self.sql.table;
        let pool = self.pool.load_full();
        let mut transaction = pool.begin().await?;
        for some in remove.chunks(ROWS) {
            let statement = format!(
                "DELETE FROM {table} WHERE (kind, id) IN (SELECT * FROM unnest($1::text[], $2::text[]))"
            );
            let kinds: Vec<&str> = some.iter().map(|(kind, _)| kind.word()).collect();
            let ids: Vec<&str> = some.iter().map(|(_, id)| &**id).collect();
            let query = sqlx::query(AssertSqlSafe(statement)).bind(kinds).bind(ids).persistent(false);
            query.execute(&mut *transaction).await?;
        }
        for some in put.chunks(ROWS) {
            let statement = format!(
                "INSERT INTO {table} (kind, id, text) \
                 SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) \
                 ON CONFLICT (kind, id) DO UPDATE SET text = excluded.text"
            );
            let kinds: Vec<&str> = some.iter().map(|item| item.kind.word()).collect();
            let ids: Vec<&str> = some.iter().map(|item| &*item.id).collect();
            let texts: Vec<&str> = some.iter().map(|item| &*item.text).collect();
            let query = sqlx::query(AssertSqlSafe(statement)).bind(kinds).bind(ids).bind(texts);
            query.persistent(false).execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }

    pub(super) async fn ears(&self) -> Result<Ears, Trouble> {
        let opened = async {
            let pool = self.pool.load_full();
            let mut listener = PgListener::connect_with(&pool).await?;
            // Whoever listens looks after it comes back.
            listener.eager_reconnect(false);
            listener.listen(&self.sql.table).await?;
            Ok(Ears::Postgres(Box::new(listener)))
        };
        opened.await.map_err(|error| sql::trouble(&error))
    }
}

fn pool(connect: &PgConnectOptions, options: &CatalogOptions) -> PgPool {
    PgPoolOptions::new()
        // One listens, one loads, one writes.
        .max_connections(4)
        .acquire_timeout(options.timeout)
        .connect_lazy_with(connect.clone())
}

/// Every change of a row draws the next number, whoever makes it: rows can be written by hand, too.
fn schema(table: &str) -> String {
    format!(
        "CREATE TABLE {table}_head (
             one BIGINT PRIMARY KEY CHECK (one = 1), layout BIGINT NOT NULL, revision BIGINT NOT NULL,
             writer BIGINT NOT NULL
         );
         INSERT INTO {table}_head VALUES (1, {LAYOUT}, 0, 0);
         CREATE TABLE {table} (
             kind TEXT NOT NULL, id TEXT NOT NULL, text TEXT NOT NULL,
             revision BIGINT NOT NULL DEFAULT 0, changed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
             PRIMARY KEY (kind, id)
         );
         CREATE INDEX {table}_revision ON {table} (revision);
         CREATE FUNCTION {table}_draw() RETURNS trigger LANGUAGE plpgsql AS $draw$
         BEGIN
             -- Once a transaction.
             EXECUTE format(
                 'UPDATE %I.%I SET revision = revision + 1 + floor(random() * {STEPS})::bigint,
                      writer = txid_current() WHERE writer <> txid_current()',
                 TG_TABLE_SCHEMA, '{table}_head');
             PERFORM pg_notify('{table}', '');
             RETURN NULL;
         END $draw$;
         CREATE FUNCTION {table}_stamp() RETURNS trigger LANGUAGE plpgsql AS $stamp$
         BEGIN
             EXECUTE format('SELECT revision FROM %I.%I', TG_TABLE_SCHEMA, '{table}_head') INTO NEW.revision;
             NEW.changed_at := now();
             RETURN NEW;
         END $stamp$;
         CREATE TRIGGER {table}_draw BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
             FOR EACH STATEMENT EXECUTE FUNCTION {table}_draw();
         CREATE TRIGGER {table}_stamp BEFORE INSERT OR UPDATE ON {table}
             FOR EACH ROW EXECUTE FUNCTION {table}_stamp();"
    )
}
