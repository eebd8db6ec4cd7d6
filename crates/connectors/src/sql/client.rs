//! A pool of connections to one database, made when it is first needed.

use std::sync::Arc;
use std::time::Duration;

use document::Fault;
use serde_json::Value as Json;
use sqlx::pool::PoolOptions;
use sqlx::{AssertSqlSafe, Connection as _, Database, Executor as _, MySqlPool, PgPool, SqlitePool};
use streams::{BuildContext, Egress, Node};
use tokio::sync::{OnceCell, mpsc};

use super::args::Arg;
use super::relay::Relay;
use super::rows::{Row, Rows, To};
use super::{dsn, mysql, postgres, sqlite};

/// How long a statement waits for a connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a statement may take, unless the address says otherwise: so long, no server may be silent.
const STATEMENT: Duration = Duration::from_secs(15 * 60);
/// How long closing waits for statements under way.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long MySQL waits for who reads rows, in seconds: a day.
const SLOW_READER: &str = "SET SESSION net_write_timeout = 86400";

/// Works with a connection for as long as a statement may take. What does not end in time ends with its connection.
macro_rules! within {
    ($client:expr, $pool:expr, |$connection:ident| $work:expr) => {{
        let mut held = $pool.acquire().await?;
        let done = {
            let $connection = &mut *held;
            tokio::time::timeout($client.limits.statement, async { $work }).await
        };
        let done = done.unwrap_or_else(|_| Err(SqlError::silent($client.limits.statement)));
        if done.as_ref().is_err_and(|fault| matches!(fault.cause, Cause::Unread | Cause::Lost)) {
            // Taken out of the pool, which would wait for all of the answer; dropped, it is closed.
            drop(held.detach());
        }
        done
    }};
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    Postgres,
    MySql,
    Sqlite,
}

#[derive(Debug)]
enum Target {
    Postgres(sqlx::postgres::PgConnectOptions),
    MySql(dsn::MySql),
    Sqlite(sqlx::sqlite::SqliteConnectOptions),
}

/// A pool, and the way to its server where the egress policy may refuse it.
#[derive(Debug)]
struct Reached {
    pool: Pool,
    relay: Option<Relay>,
}

#[derive(Debug)]
enum Pool {
    Postgres(PgPool),
    MySql(MySqlPool, bool),
    Sqlite(SqlitePool),
}

/// Why a statement failed.
#[derive(Debug, Clone)]
pub(super) struct SqlError {
    pub(super) text: String,
    pub(super) cause: Cause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The statement; the connection can be used for another one.
    Statement,
    /// What was prepared no longer fits, or a pooler forgot it ("cached plan must not change result type"): nothing
    /// was executed.
    Stale,
    /// Rows were left unread: the connection would have to read them before the next statement.
    Unread,
    /// The connection.
    Lost,
}

impl SqlError {
    pub(super) fn unread(text: String) -> SqlError {
        SqlError { text, cause: Cause::Unread }
    }

    pub(super) fn silent(limit: Duration) -> SqlError {
        let text = format!("the database did not answer within {limit:?}; the connection was closed");
        SqlError { text, cause: Cause::Lost }
    }

    /// The connection came to nothing, and the relay knows why.
    fn explained(self, relay: Option<&Relay>) -> SqlError {
        match relay.filter(|_| self.lost()).and_then(Relay::fault) {
            Some(text) => SqlError { text, ..self },
            None => self,
        }
    }

    /// The connection failed, and not the statement.
    pub(super) fn lost(&self) -> bool {
        self.cause == Cause::Lost
    }
}

impl From<sqlx::Error> for SqlError {
    fn from(fault: sqlx::Error) -> SqlError {
        let cause = match &fault {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => Cause::Lost,
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Cause::Lost,
            sqlx::Error::Database(fault) => match fault.code().as_deref() {
                // PostgreSQL: connection exceptions, a server that stops or starts. MySQL: the same.
                Some(code) if code.starts_with("08") || code.starts_with("57P") || code == "1053" => {
                    Cause::Lost
                }
                Some("26000") => Cause::Stale,
                // Functions may say the same of something else, after they did some of their work.
                Some("0A000") if is_stale_plan(&**fault) => Cause::Stale,
                _ => Cause::Statement,
            },
            _ => Cause::Statement,
        };
        let text = match fault {
            sqlx::Error::Database(fault) => fault.message().to_owned(),
            sqlx::Error::PoolTimedOut => "no connection could be had in time".to_owned(),
            other => other.to_string(),
        };
        SqlError { text, cause }
    }
}

/// Whether this is PostgreSQL's "cached plan must not change result type".
fn is_stale_plan(fault: &(dyn sqlx::error::DatabaseError + 'static)) -> bool {
    let fault = fault.try_downcast_ref::<sqlx::postgres::PgDatabaseError>();
    fault.and_then(|fault| fault.routine()) == Some("RevalidateCachedQuery")
}

impl From<String> for SqlError {
    fn from(text: String) -> SqlError {
        SqlError { text, cause: Cause::Statement }
    }
}

#[derive(Debug)]
struct Limits {
    open: u32,
    idle: Option<Duration>,
    life: Option<Duration>,
    connect: Duration,
    statement: Duration,
}

/// One database.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) driver: Driver,
    target: Target,
    egress: Arc<Egress>,
    limits: Limits,
    init: String,
    pool: OnceCell<Reached>,
}

/// Statements that are executed as one step.
pub(super) type Steps = Vec<(String, Vec<Arg>)>;

impl Client {
    /// Reads `driver`, `dsn` and the fields of connections.
    pub(super) fn read(node: &Node<'_>, context: &BuildContext<'_>) -> Result<Client, Fault> {
        let dsn = node.text("dsn")?;
        let wrong = |text: String| node.field_fault("dsn", text);
        let (driver, target) = match &*node.text("driver")? {
            "postgres" => (Driver::Postgres, Target::Postgres(dsn::postgres(&dsn).map_err(wrong)?)),
            "mysql" => (Driver::MySql, Target::MySql(dsn::mysql(&dsn).map_err(wrong)?)),
            "sqlite" => {
                if !context.settings.alone
                    && !context.settings.allow_unsafe.iter().any(|allowed| allowed == "sqlite")
                {
                    let text =
                        "the driver `sqlite` is not allowed: it reaches the machine that the gate runs on";
                    let hint = "whoever runs the gate can add `sqlite` to `streaming.allow_unsafe`";
                    return Err(node.field_fault("driver", text).hint(hint));
                }
                (Driver::Sqlite, Target::Sqlite(dsn::sqlite(&dsn).map_err(wrong)?))
            }
            other => {
                let text =
                    format!("the driver `{other}` is not offered here; there are postgres, mysql and sqlite");
                return Err(node.field_fault("driver", text));
            }
        };
        let open = u32::try_from(node.count("conn_max_open")?).unwrap_or(u32::MAX);
        let times = match &target {
            Target::Postgres(_) => dsn::postgres_times(&dsn).map_err(wrong)?,
            Target::MySql(target) => target.times,
            Target::Sqlite(_) => dsn::Times::default(),
        };
        let limits = Limits {
            // In the original 0 is no limit.
            open: if open == 0 { 64 } else { open },
            idle: node.duration("conn_max_idle_time")?,
            life: node.duration("conn_max_life_time")?,
            connect: times.connect.unwrap_or(PATIENCE),
            statement: times.statement.unwrap_or(STATEMENT),
        };
        let init = node.text("init_statement")?.into_owned();
        let egress = context.settings.egress.clone();
        Ok(Client { driver, target, egress, limits, init, pool: OnceCell::new() })
    }

    fn options<DB: Database>(&self) -> PoolOptions<DB> {
        PoolOptions::new()
            .max_connections(self.limits.open)
            .idle_timeout(self.limits.idle)
            .max_lifetime(self.limits.life)
            .acquire_timeout(self.limits.connect)
    }

    /// The pool; made, and the database initialised, by whoever comes first.
    async fn pool(&self) -> Result<&Pool, SqlError> {
        let make = || async {
            let relay = self.relay()?;
            match self.make(relay.as_ref()).await {
                Ok(pool) => Ok(Reached { pool, relay }),
                Err(fault) => Err(fault.explained(relay.as_ref())),
            }
        };
        self.pool.get_or_try_init(make).await.map(|reached| &reached.pool)
    }

    async fn make(&self, relay: Option<&Relay>) -> Result<Pool, SqlError> {
        let init = || AssertSqlSafe(self.init.clone());
        Ok(match &self.target {
            Target::Postgres(options) => {
                let options = options.clone();
                let options = match relay {
                    Some(relay) => options.socket(relay.folder()),
                    None => options,
                };
                let pool: PgPool = self.options().connect_with(options).await?;
                within!(self, pool, |connection| connection.execute(init()).await.map_err(SqlError::from))?;
                Pool::Postgres(pool)
            }
            Target::MySql(target) => {
                let options = target.options.clone();
                let options = match relay {
                    Some(relay) => options.socket(relay.path(target.options.get_port())),
                    None => options,
                };
                let pool: MySqlPool = self.options().connect_with(options).await?;
                if !self.init.is_empty() {
                    within!(self, pool, |connection| connection
                        .execute(init())
                        .await
                        .map_err(SqlError::from))?;
                }
                Pool::MySql(pool, target.parse_time)
            }
            Target::Sqlite(options) => {
                let pool = self.options().connect_with(options.clone()).await?;
                pool.execute(init()).await?;
                Pool::Sqlite(pool)
            }
        })
    }

    /// The way to the server, if there is a policy: the pool makes connections by itself, whenever it needs them.
    fn relay(&self) -> Result<Option<Relay>, SqlError> {
        if self.egress.allows_all() {
            return Ok(None);
        }
        let (host, port) = match &self.target {
            Target::Postgres(options) => (options.get_host(), options.get_port()),
            Target::MySql(target) => (target.options.get_host(), target.options.get_port()),
            Target::Sqlite(_) => return Ok(None),
        };
        let opened = Relay::open(self.egress.clone(), host, port);
        opened.map(Some).map_err(|text| SqlError { text, cause: Cause::Lost })
    }

    /// The outcome; where there is no connection, the relay knows why.
    fn explained<T>(&self, done: Result<T, SqlError>) -> Result<T, SqlError> {
        let relay = self.pool.get().and_then(|reached| reached.relay.as_ref());
        done.map_err(|fault| fault.explained(relay))
    }

    /// Sees that the database answers.
    pub(super) async fn connect(&self) -> Result<(), String> {
        let reached = async {
            match self.pool().await? {
                Pool::Postgres(pool) => {
                    within!(self, pool, |connection| Ok::<_, SqlError>(connection.ping().await?))?
                }
                Pool::MySql(pool, _) => {
                    within!(self, pool, |connection| Ok::<_, SqlError>(connection.ping().await?))?
                }
                Pool::Sqlite(pool) => pool.acquire().await?.ping().await?,
            }
            Ok::<_, SqlError>(())
        };
        self.explained(reached.await).map_err(|fault| fault.text)
    }

    /// Executes a statement; its rows, each as an object, as far as one message may hold them.
    pub(super) async fn list(&self, sql: &str, args: &[Arg]) -> Result<Vec<Json>, SqlError> {
        let mut rows = Rows::list();
        self.query(sql, args, &mut rows).await?;
        Ok(match rows.to {
            To::List { rows, .. } => rows,
            _ => Vec::new(),
        })
    }

    /// Executes a statement for what it does.
    pub(super) async fn execute(&self, sql: &str, args: &[Arg]) -> Result<(), SqlError> {
        self.query(sql, args, &mut Rows::unread()).await
    }

    async fn query(&self, sql: &str, args: &[Arg], rows: &mut Rows) -> Result<(), SqlError> {
        self.explained(self.query_once(sql, args, rows).await)
    }

    async fn query_once(&self, sql: &str, args: &[Arg], rows: &mut Rows) -> Result<(), SqlError> {
        match self.pool().await? {
            Pool::Postgres(pool) => {
                within!(self, pool, |connection| postgres::query(connection, sql, args, rows).await)
            }
            Pool::MySql(pool, times) => {
                within!(self, pool, |connection| mysql::query(connection, sql, args, *times, rows).await)
            }
            // A file does not fall silent.
            Pool::Sqlite(pool) => sqlite::query(&mut *pool.acquire().await?, sql, args, rows).await,
        }
    }

    /// Executes a statement, each row of which goes to a reader, as slowly as that one reads.
    pub(super) async fn read_out(
        &self,
        sql: &str,
        args: &[Arg],
        reader: mpsc::Sender<Row>,
    ) -> Result<(), SqlError> {
        let rows = &mut Rows::reader(reader, self.limits.statement);
        self.explained(self.read_once(sql, args, rows).await)
    }

    async fn read_once(&self, sql: &str, args: &[Arg], rows: &mut Rows) -> Result<(), SqlError> {
        // Each on a connection that is not given back: whoever stops reading closes it, instead of reading on.
        match self.pool().await? {
            Pool::Postgres(pool) => {
                postgres::query(&mut pool.acquire().await?.detach(), sql, args, rows).await
            }
            Pool::MySql(pool, times) => {
                let mut connection = pool.acquire().await?.detach();
                // By itself the server ends a connection that takes nothing for a minute. A proxy may refuse it.
                if let Err(fault) = rows.patiently(connection.execute(SLOW_READER)).await? {
                    tracing::debug!(%fault, "the database will not wait for slow readers");
                }
                mysql::query(&mut connection, sql, args, *times, rows).await
            }
            Pool::Sqlite(pool) => sqlite::query(&mut pool.acquire().await?.detach(), sql, args, rows).await,
        }
    }

    /// Executes statements, all of them or none.
    pub(super) async fn all(&self, steps: &Steps) -> Result<(), SqlError> {
        if let [(sql, args)] = &**steps {
            return self.execute(sql, args).await;
        }
        self.explained(self.all_once(steps).await)
    }

    async fn all_once(&self, steps: &Steps) -> Result<(), SqlError> {
        match self.pool().await? {
            Pool::Postgres(pool) => {
                within!(self, pool, |connection| {
                    let mut transaction = connection.begin().await?;
                    for (sql, args) in steps {
                        postgres::query(&mut transaction, sql, args, &mut Rows::unread()).await?;
                    }
                    Ok::<_, SqlError>(transaction.commit().await?)
                })?;
            }
            Pool::MySql(pool, times) => {
                within!(self, pool, |connection| {
                    let mut transaction = connection.begin().await?;
                    for (sql, args) in steps {
                        mysql::query(&mut transaction, sql, args, *times, &mut Rows::unread()).await?;
                    }
                    Ok::<_, SqlError>(transaction.commit().await?)
                })?;
            }
            Pool::Sqlite(pool) => {
                let mut transaction = pool.begin().await?;
                for (sql, args) in steps {
                    sqlite::query(&mut transaction, sql, args, &mut Rows::unread()).await?;
                }
                transaction.commit().await?;
            }
        }
        Ok(())
    }

    pub(super) async fn close(&self) {
        let closed = async {
            match self.pool.get().map(|reached| &reached.pool) {
                Some(Pool::Postgres(pool)) => pool.close().await,
                Some(Pool::MySql(pool, _)) => pool.close().await,
                Some(Pool::Sqlite(pool)) => pool.close().await,
                None => {}
            }
        };
        let _ = tokio::time::timeout(FAREWELL, closed).await;
    }
}
