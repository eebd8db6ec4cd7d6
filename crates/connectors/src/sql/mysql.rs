//! Values of MySQL and MariaDB, in the binary form of prepared statements.

use jiff::civil::DateTime;
use serde_json::{Map, Value as Json};
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Column as _, Decode, MySql, Row as _, TypeInfo as _, Value as _, ValueRef as _};

use super::args::Arg;
use super::client::SqlError;
use super::postgres::{float, text};

/// Executes a statement; `times`: dates are times, as with `parseTime=true`.
pub(super) async fn query(
    connection: &mut MySqlConnection,
    sql: &str,
    args: &[Arg],
    times: bool,
) -> Result<Vec<Json>, SqlError> {
    let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    for arg in args {
        query = match arg {
            Arg::Null => query.bind(None::<String>),
            Arg::Bool(value) => query.bind(*value),
            Arg::Int(value) => query.bind(*value),
            Arg::Float(value) => query.bind(*value),
            Arg::Text(text) => query.bind(time(text).unwrap_or_else(|| text.clone())),
            Arg::Bytes(bytes) => query.bind(bytes.to_vec()),
        };
    }
    let rows = query.fetch_all(connection).await?;
    Ok(rows.iter().map(|found| row(found, times)).collect::<Result<_, _>>()?)
}

/// Times of mappings are RFC 3339 in UTC; columns want them without `T` and zone.
fn time(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if bytes.len() < 20 || bytes.get(10) != Some(&b'T') || !bytes[0].is_ascii_digit() {
        return None;
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(jiff::tz::Offset::UTC.to_datetime(time).strftime("%Y-%m-%d %H:%M:%S%.6f").to_string())
}

fn row(row: &MySqlRow, times: bool) -> Result<Json, String> {
    let mut object = Map::new();
    for column in row.columns() {
        let name = column.name();
        let value = value(row, column.ordinal(), times).map_err(|text| format!("column `{name}`: {text}"))?;
        object.insert(name.to_owned(), value);
    }
    Ok(Json::Object(object))
}

fn value(row: &MySqlRow, index: usize, times: bool) -> Result<Json, String> {
    let raw = row.try_get_raw(index).map_err(|fault| fault.to_string())?;
    if raw.is_null() {
        return Ok(Json::Null);
    }
    let info = raw.type_info().into_owned();
    let name = info.name().to_owned();
    let owned = sqlx::ValueRef::to_owned(&raw);
    fn read<'r, T: Decode<'r, MySql>>(value: sqlx::mysql::MySqlValueRef<'r>) -> Result<T, String> {
        T::decode(value).map_err(|fault| fault.to_string())
    }
    let raw = owned.as_ref();
    Ok(match &*name {
        name if name.ends_with("UNSIGNED") => read::<u64>(raw)?.into(),
        "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => read::<i64>(raw)?.into(),
        "YEAR" | "BIT" => read::<u64>(raw)?.into(),
        "FLOAT" => {
            let value = read::<f32>(raw)?;
            float(value.to_string().parse().unwrap_or(f64::from(value)))
        }
        "DOUBLE" => float(read(raw)?),
        "DATE" | "DATETIME" | "TIMESTAMP" => {
            let bytes = read::<&[u8]>(raw)?;
            moment(bytes, name == "DATE", times).ok_or("the server sent a time that cannot be read")?
        }
        "TIME" => span(read::<&[u8]>(raw)?).ok_or("the server sent a time that cannot be read")?,
        // Decimals keep their digits, as text; JSON is text, too.
        _ => text(read::<&[u8]>(raw)?),
    })
}

/// Length, year, month, day, and perhaps a time of day with microseconds.
fn moment(bytes: &[u8], date_only: bool, times: bool) -> Option<Json> {
    let (length, rest) = bytes.split_first()?;
    let rest = rest.get(..usize::from(*length))?;
    let year = i16::try_from(u16::from_le_bytes([*rest.first()?, *rest.get(1)?])).ok()?;
    let part = |at: usize| rest.get(at).map_or(0, |byte| *byte as i8);
    let micros = rest.get(7..11).map_or(0, |four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    let nanos = i32::try_from(micros.checked_mul(1000)?).ok()?;
    let time = DateTime::new(year, part(2), part(3), part(4), part(5), part(6), nanos).ok()?;
    Some(Json::String(if times {
        format!("{time}Z")
    } else if date_only {
        time.date().to_string()
    } else {
        time.strftime("%Y-%m-%d %H:%M:%S%.f").to_string()
    }))
}

/// Length, sign, days, hours, minutes, seconds, microseconds.
fn span(bytes: &[u8]) -> Option<Json> {
    let (length, rest) = bytes.split_first()?;
    if *length == 0 {
        return Some("00:00:00".into());
    }
    let rest = rest.get(..usize::from(*length))?;
    let days = u32::from_le_bytes(rest.get(1..5)?.try_into().ok()?);
    let hours = u64::from(days) * 24 + u64::from(*rest.get(5)?);
    let sign = if rest.first() == Some(&1) { "-" } else { "" };
    let mut text = format!("{sign}{hours:02}:{:02}:{:02}", rest.get(6)?, rest.get(7)?);
    if let Some(micros) = rest.get(8..12) {
        text += &format!(".{:06}", u32::from_le_bytes(micros.try_into().ok()?));
    }
    Some(text.into())
}
