//! What may be written under the SQL components (streams contract 3.8 to 3.12, SQLCONN and SQLDRV).

use streams::{Default, Field, Kind};

pub(super) const DRIVER: Field = Field::required(
    "driver",
    Kind::Choice(&[
        "mysql",
        "postgres",
        "sqlite",
        "clickhouse",
        "mssql",
        "oracle",
        "snowflake",
        "trino",
        "gocosmos",
        "spanner",
        "duckdb",
    ]),
    "`postgres`, `mysql` (MariaDB, too) or `sqlite`. The others are not offered here, and are refused by their name. `sqlite` opens files of the gate's machine: whoever runs the gate must allow it (`streaming.allow_unsafe: [sqlite]`).",
);

pub(super) const DSN: Field = Field::required(
    "dsn",
    Kind::Text,
    "Where the database is. PostgreSQL: `postgres://user:password@host:5432/name?sslmode=disable`, or `host=... port=... user=... password='...' dbname=...`; without `sslmode` TLS is required, its certificate not checked (`verify-full` does). MySQL: `user:password@tcp(host:3306)/name?tls=true&parseTime=true`. SQLite: `file:/path/name.db?mode=rwc`.",
)
.secret();

pub(super) const TABLE: Field = Field::required("table", Kind::Text, "The table.");
pub(super) const COLUMNS: Field =
    Field::required("columns", Kind::List(&Kind::Text), "The columns, in this order.");
pub(super) const WHERE: Field = Field::optional(
    "where",
    Kind::Text,
    "Which rows, without the word `WHERE`. A `?` outside of quotes stands for the next member of `args_mapping`.",
);
pub(super) const ARGS: Field = Field::optional(
    "args_mapping",
    Kind::Bloblang,
    "Gives an array with the value of each placeholder. Values are bound, never made part of the text.",
);
pub(super) const NEEDED_ARGS: Field = Field::required(
    "args_mapping",
    Kind::Bloblang,
    "Gives an array with the value of each column. Values are bound, never made part of the text.",
);
pub(super) const PREFIX: Field =
    Field::optional("prefix", Kind::Text, "Stands before the statement.").advanced();
pub(super) const SUFFIX: Field =
    Field::optional("suffix", Kind::Text, "Stands behind the statement, such as `ON CONFLICT DO NOTHING`.")
        .advanced();
pub(super) const QUERY: Field = Field::required(
    "query",
    Kind::Text,
    "The statement, with the placeholders of its database: `$1` for PostgreSQL, `?` for MySQL and SQLite.",
);
pub(super) const TEMPLATE: Field = Field::required(
    "query",
    Kind::Text,
    "The statement, with the placeholders of its database: `$1` for PostgreSQL, `?` for MySQL and SQLite. Interpolated only with `unsafe_dynamic_query`.",
);
pub(super) const DYNAMIC: Field = Field::new(
    "unsafe_dynamic_query",
    Kind::Bool,
    Default::Bool(false),
    "Interpolates `query` for each message. Whatever a message says becomes part of the statement: prefer `args_mapping`.",
).advanced();
pub(super) const EXEC_ONLY: Field = Field::new(
    "exec_only",
    Kind::Bool,
    Default::Bool(false),
    "Leaves the message as it is, whatever the statement gives.",
);

const NO_CLOUD: Kind = Kind::Refused("write user and password in `dsn`");

pub(super) const INIT_STATEMENT: Field = Field::optional(
    "init_statement",
    Kind::Text,
    "Executed once, before anything else; several statements may stand in it. Write it so that it can be executed again.",
).advanced();
pub(super) const INIT_FILES: Field = Field::optional(
    "init_files",
    Kind::Refused("write the statements in `init_statement`"),
    "Files with statements.",
)
.advanced();
pub(super) const VERIFY: Field = Field::optional(
    "init_verify_conn",
    Kind::Ignored("a connection is verified in any case, before it is used"),
    "Verify the connection.",
)
.advanced();
pub(super) const IDLE_TIME: Field = Field::optional(
    "conn_max_idle_time",
    Kind::Duration,
    "Closes connections that nobody used for this long.",
)
.advanced();
pub(super) const LIFE_TIME: Field =
    Field::optional("conn_max_life_time", Kind::Duration, "Closes connections that are this old.").advanced();
pub(super) const MAX_IDLE: Field = Field::optional(
    "conn_max_idle",
    Kind::Ignored("idle connections are kept for `conn_max_idle_time`, up to `conn_max_open`"),
    "Most idle connections.",
)
.advanced();
pub(super) const MAX_OPEN: Field = Field::new(
    "conn_max_open",
    Kind::Int,
    Default::Int(64),
    "Most connections at the same time; others wait.",
)
.advanced();
pub(super) const SECRET_NAME: Field = Field::optional("secret_name", NO_CLOUD, "A secret of AWS.").advanced();
pub(super) const IAM: Field =
    Field::new("iam_enabled", NO_CLOUD, Default::Bool(false), "Tokens of AWS.").advanced();
pub(super) const AZURE: Field = Field::optional("azure", NO_CLOUD, "Tokens of Azure.").advanced();
pub(super) const REGION: Field = Field::optional("region", NO_CLOUD, "A region of AWS.").advanced();
pub(super) const ENDPOINT: Field = Field::optional("endpoint", NO_CLOUD, "An endpoint of AWS.").advanced();
pub(super) const CREDENTIALS: Field =
    Field::optional("credentials", NO_CLOUD, "Credentials of AWS.").advanced();

/// The fields of this component, then those of every connection.
macro_rules! with_connection {
    ($($field:expr),* $(,)?) => {{
        use $crate::sql::fields as f;
        streams::Kind::Object(&[
            f::DRIVER, f::DSN, $($field,)*
            f::INIT_STATEMENT, f::INIT_FILES, f::VERIFY, f::IDLE_TIME, f::LIFE_TIME, f::MAX_IDLE, f::MAX_OPEN,
            f::SECRET_NAME, f::IAM, f::AZURE, f::REGION, f::ENDPOINT, f::CREDENTIALS,
        ])
    }};
}
pub(super) use with_connection;
