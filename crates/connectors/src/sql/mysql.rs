//! Values of MySQL and MariaDB, in the binary form of prepared statements.

use jiff::civil::DateTime;
use serde_json::Value as Json;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Column as _, Decode, MySql, Row as _, TypeInfo as _, Value as _, ValueRef as _};

use super::args::Arg;
use super::client::SqlError;
use super::postgres::{float, text};
use super::rows::{Row, Rows};

/// Executes a statement; `times`: dates are times, as with `parseTime=true`.
pub(super) async fn query(
    connection: &mut MySqlConnection,
    sql: &str,
    args: &[Arg],
    times: bool,
    rows: &mut Rows,
) -> Result<(), SqlError> {
    let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    for arg in args {
        query = match arg {
            Arg::Null => query.bind(None::<String>),
            Arg::Bool(value) => query.bind(*value),
            Arg::Int(value) => query.bind(*value),
            Arg::Float(value) => query.bind(*value),
            Arg::Text(text) => query.bind(time(text).unwrap_or_else(|| text.clone())),
            Arg::Word(text) => query.bind(text.clone()),
            Arg::Bytes(bytes) => query.bind(bytes.to_vec()),
        };
    }
    rows.gather(query.fetch(connection), |found| row(found, times)).await
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

fn row(row: &MySqlRow, times: bool) -> Row {
    let mut read = Row::default();
    for column in row.columns() {
        read.add(column.name(), column.type_info().name(), value(row, column.ordinal(), times));
    }
    read
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

/// Length, year, month, day, and perhaps a time of day with microseconds; nothing at all is the zero of these types.
fn moment(bytes: &[u8], date_only: bool, times: bool) -> Option<Json> {
    let (length, rest) = bytes.split_first()?;
    let rest = rest.get(..usize::from(*length))?;
    let part = |at: usize| rest.get(at).map_or(0, |byte| *byte as i8);
    let year = rest.get(..2).map_or(0, |two| u16::from_le_bytes([two[0], two[1]]));
    let micros = rest.get(7..11).map_or(0, |four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    let [month, day, hour, minute, second] = [2, 3, 4, 5, 6].map(part);
    if times {
        if rest.iter().all(|byte| *byte == 0) {
            return Some("0001-01-01T00:00:00Z".into());
        }
        let nanos = i32::try_from(micros.checked_mul(1000)?).ok()?;
        let year = i16::try_from(year).ok()?;
        let time = DateTime::new(year, month, day, hour, minute, second, nanos).ok()?;
        return Some(format!("{time}Z").into());
    }
    // Days that are none, such as `2026-00-00`, may stand in a table.
    let mut text = format!("{year:04}-{month:02}-{day:02}");
    if !date_only {
        text += &format!(" {hour:02}:{minute:02}:{second:02}");
        if micros > 0 {
            text += format!(".{micros:06}").trim_end_matches('0');
        }
    }
    Some(text.into())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_also_where_they_are_none() {
        const NOON: &[u8] = &[11, 0xea, 7, 2, 28, 12, 0, 1, 0x90, 0xd0, 3, 0];
        // As sent; a date, `parseTime`; as shown.
        for (bytes, date_only, times, expected) in [
            (NOON, false, false, Some("2026-02-28 12:00:01.25")),
            (NOON, false, true, Some("2026-02-28T12:00:01.25Z")),
            (&[4, 0xea, 7, 2, 28], true, false, Some("2026-02-28")),
            (&[4, 0xea, 7, 2, 28], false, false, Some("2026-02-28 00:00:00")),
            (&[4, 0xea, 7, 2, 28], true, true, Some("2026-02-28T00:00:00Z")),
            (&[0], true, false, Some("0000-00-00")),
            (&[0], false, false, Some("0000-00-00 00:00:00")),
            (&[0], false, true, Some("0001-01-01T00:00:00Z")),
            (&[4, 0xea, 7, 0, 0], true, false, Some("2026-00-00")),
            (&[4, 0xea, 7, 0, 0], true, true, None),
            (&[7, 0xea, 7], false, false, None),
            (&[], false, false, None),
        ] {
            let shown = moment(bytes, date_only, times);
            assert_eq!(shown.as_ref().and_then(Json::as_str), expected, "{bytes:?} {date_only} {times}");
        }
    }
}
