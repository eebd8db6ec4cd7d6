//! Values of SQLite: each is what it was stored as; columns declared as times or truth values are read so.

use serde_json::Value as Json;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Column as _, Row as _, TypeInfo as _, ValueRef as _};

use super::args::Arg;
use super::client::SqlError;
use super::postgres::{float, text};
use super::rows::{Row, Rows};

pub(super) async fn query(
    connection: &mut SqliteConnection,
    sql: &str,
    args: &[Arg],
    rows: &mut Rows,
) -> Result<(), SqlError> {
    let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    for arg in args {
        query = match arg {
            Arg::Null => query.bind(None::<String>),
            Arg::Bool(value) => query.bind(*value),
            Arg::Int(value) => query.bind(*value),
            Arg::Float(value) => query.bind(*value),
            Arg::Text(text) | Arg::Word(text) => query.bind(text.clone()),
            Arg::Bytes(bytes) => query.bind(bytes.to_vec()),
        };
    }
    rows.gather(query.fetch(connection), row).await
}

fn row(row: &SqliteRow) -> Row {
    let mut read = Row::default();
    for column in row.columns() {
        let declared = column.type_info().name();
        let value = value(row, column.ordinal(), declared).map_err(|fault| fault.to_string());
        read.add(column.name(), declared, value);
    }
    read
}

fn value(row: &SqliteRow, index: usize, declared: &str) -> sqlx::Result<Json> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Json::Null);
    }
    let stored = raw.type_info().name().to_owned();
    Ok(match &*stored {
        "INTEGER" | "BOOLEAN" | "DATETIME" | "DATE" if row.try_get_unchecked::<i64, _>(index).is_ok() => {
            let number: i64 = row.try_get_unchecked(index)?;
            if declared == "BOOLEAN" { Json::Bool(number != 0) } else { number.into() }
        }
        "REAL" => float(row.try_get_unchecked(index)?),
        _ => text(row.try_get_unchecked(index)?),
    })
}
