//! Values of PostgreSQL. The server says which type each placeholder has, so that text and numbers of messages fit
//! columns as they do when they are written into a statement; values travel in the binary form of that type.

use base64::Engine as _;
use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{
    PgArgumentBuffer, PgArguments, PgConnection, PgRow, PgTypeInfo, PgTypeKind, PgValueFormat, PgValueRef,
};
use sqlx::{
    Arguments as _, AssertSqlSafe, Column as _, Connection as _, Either, Encode, Executor as _, Postgres,
    Row as _, SqlSafeStr as _, Statement as _, Type, TypeInfo as _, ValueRef as _,
};

use super::args::Arg;
use super::client::{Cause, SqlError};
use super::rows::{Row, Rows};

/// Most elements of an array that is read, and its deepest nesting.
const DEPTH: i32 = 6;

/// Executes a statement. What was prepared before a table changed is prepared anew, once, unless rows were passed on already.
pub(super) async fn query(
    connection: &mut PgConnection,
    sql: &str,
    args: &[Arg],
    rows: &mut Rows,
) -> Result<(), SqlError> {
    match attempt(connection, sql, args, rows).await {
        Err(fault) if fault.cause == Cause::Stale && rows.passed == 0 && connection.is_idle() => {
            connection.clear_cached_statements().await?;
            attempt(connection, sql, args, rows).await
        }
        done => done,
    }
}

trait Idle {
    fn is_idle(&self) -> bool;
}

impl Idle for PgConnection {
    /// Whether no transaction is open, in which a failure cannot be mended.
    fn is_idle(&self) -> bool {
        !sqlx::Connection::is_in_transaction(self)
    }
}

async fn attempt(
    connection: &mut PgConnection,
    sql: &str,
    args: &[Arg],
    rows: &mut Rows,
) -> Result<(), SqlError> {
    let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
    let statement = rows.patiently(connection.prepare(sql)).await??;
    let types = match statement.parameters() {
        Some(Either::Left(types)) => types,
        _ => &[],
    };
    if types.len() != args.len() {
        return Err(SqlError::from(format!(
            "the statement has {} placeholders, args_mapping gave {} values",
            types.len(),
            args.len()
        )));
    }
    let mut bound = PgArguments::default();
    for (index, (arg, info)) in args.iter().zip(types).enumerate() {
        let place = |text: String| SqlError::from(format!("value {}: {text}", index + 1));
        let bytes = encode(arg, info).map_err(place)?;
        bound.add(Raw { bytes, info: info.clone() }).map_err(|fault| place(fault.to_string()))?;
    }
    rows.gather(statement.query_with(bound).fetch(&mut *connection), row).await
}

/// A value in its binary form.
struct Raw {
    bytes: Option<Vec<u8>>,
    info: PgTypeInfo,
}

impl Type<Postgres> for Raw {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("text")
    }
}

impl Encode<'_, Postgres> for Raw {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let Some(bytes) = &self.bytes else { return Ok(IsNull::Yes) };
        buffer.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.info.clone())
    }
}

/// The innermost type of a domain.
fn base(info: &PgTypeInfo) -> &PgTypeInfo {
    match info.kind() {
        PgTypeKind::Domain(inner) => base(inner),
        _ => info,
    }
}

fn encode(arg: &Arg, info: &PgTypeInfo) -> Result<Option<Vec<u8>>, String> {
    let Some(text) = arg.text() else { return Ok(None) };
    let info = base(info);
    let wrong = || format!("`{text:.60}` is no {}", info.name().to_lowercase());
    let integer = || -> Result<i64, String> {
        match arg {
            Arg::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => Ok(*value as i64),
            _ => text.trim().parse().map_err(|_| wrong()),
        }
    };
    if matches!(info.kind(), PgTypeKind::Enum(_)) {
        return Ok(Some(text.into_bytes()));
    }
    Ok(Some(match &*info.name().to_uppercase() {
        "BOOL" => match &*text.to_lowercase() {
            "true" | "t" | "1" | "on" | "yes" => vec![1],
            "false" | "f" | "0" | "off" | "no" => vec![0],
            _ => return Err(wrong()),
        },
        "INT2" => i16::try_from(integer()?).map_err(|_| wrong())?.to_be_bytes().to_vec(),
        "INT4" => i32::try_from(integer()?).map_err(|_| wrong())?.to_be_bytes().to_vec(),
        "INT8" => integer()?.to_be_bytes().to_vec(),
        "OID" => u32::try_from(integer()?).map_err(|_| wrong())?.to_be_bytes().to_vec(),
        "FLOAT4" => text.trim().parse::<f32>().map_err(|_| wrong())?.to_be_bytes().to_vec(),
        "FLOAT8" => text.trim().parse::<f64>().map_err(|_| wrong())?.to_be_bytes().to_vec(),
        "NUMERIC" => numeric::encode(text.trim()).ok_or_else(wrong)?,
        "TEXT" | "VARCHAR" | "CHAR" | "BPCHAR" | "NAME" | "UNKNOWN" | "CITEXT" | "XML" | "JSON"
        | "\"CHAR\"" => {
            if text.contains('\0') {
                return Err("PostgreSQL takes no NUL in text".to_owned());
            }
            text.into_bytes()
        }
        "JSONB" => [&[1][..], text.as_bytes()].concat(),
        "BYTEA" => match arg {
            Arg::Bytes(bytes) => bytes.to_vec(),
            _ => text.into_bytes(),
        },
        "UUID" => {
            let digits: String = text.chars().filter(|c| !matches!(c, '-' | '{' | '}')).collect();
            let number = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32);
            number.ok_or_else(wrong)?.to_be_bytes().to_vec()
        }
        "DATE" => {
            let date = date_time(&text).map(|time| time.date()).ok_or_else(wrong)?;
            let days = epoch().date().until(date).map_err(|_| wrong())?.get_days();
            days.to_be_bytes().to_vec()
        }
        "TIME" => {
            let time: Time = text.trim().parse().map_err(|_| wrong())?;
            micros(Date::default().at(0, 0, 0, 0), Date::default().to_datetime(time)).to_be_bytes().to_vec()
        }
        "TIMESTAMP" => micros(epoch(), date_time(&text).ok_or_else(wrong)?).to_be_bytes().to_vec(),
        "TIMESTAMPTZ" => {
            let time = match text.trim().parse::<Timestamp>() {
                Ok(time) => time,
                // Without a zone: UTC.
                Err(_) => jiff::tz::Offset::UTC
                    .to_timestamp(date_time(&text).ok_or_else(wrong)?)
                    .map_err(|_| wrong())?,
            };
            (time.as_microsecond() - EPOCH_MICROS).to_be_bytes().to_vec()
        }
        other => {
            let other = other.to_lowercase();
            return Err(format!(
                "values cannot be bound to the type {other}; cast the placeholder: `$1::text::{other}`"
            ));
        }
    }))
}

/// 2000-01-01, from which PostgreSQL counts, since the Unix epoch.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

fn epoch() -> DateTime {
    jiff::civil::date(2000, 1, 1).at(0, 0, 0, 0)
}

fn micros(from: DateTime, to: DateTime) -> i64 {
    i64::try_from(to.duration_since(from).as_micros()).unwrap_or(i64::MAX)
}

/// A date, with or without a time of day; a zone is left out, as the server does for types without one.
fn date_time(text: &str) -> Option<DateTime> {
    let text = text.trim();
    if let Ok(time) = text.parse::<DateTime>() {
        return Some(time);
    }
    let zoned = jiff::fmt::temporal::Pieces::parse(text).ok()?;
    Some(zoned.date().to_datetime(zoned.time().unwrap_or_default()))
}

fn row(row: &PgRow) -> Row {
    let mut read = Row::default();
    for column in row.columns() {
        let value = row.try_get_raw(column.ordinal()).map_err(|fault| fault.to_string());
        read.add(column.name(), column.type_info().name(), value.and_then(|value| value_of(&value)));
    }
    read
}

fn value_of(value: &PgValueRef<'_>) -> Result<Json, String> {
    if value.is_null() {
        return Ok(Json::Null);
    }
    let bytes = value.as_bytes().map_err(|fault| fault.to_string())?;
    if value.format() == PgValueFormat::Text {
        return Ok(text(bytes));
    }
    decode(bytes, &value.type_info(), 0)
}

/// What is not UTF-8 becomes base64.
pub(super) fn text(bytes: &[u8]) -> Json {
    match str::from_utf8(bytes) {
        Ok(text) => Json::String(text.to_owned()),
        Err(_) => Json::String(base64::engine::general_purpose::STANDARD.encode(bytes)),
    }
}

pub(super) fn float(value: f64) -> Json {
    serde_json::Number::from_f64(value).map_or_else(|| Json::String(value.to_string()), Json::Number)
}

fn decode(bytes: &[u8], info: &PgTypeInfo, depth: i32) -> Result<Json, String> {
    let info = base(info);
    let short = || "the server sent a value of a strange length".to_owned();
    let i16s = || bytes.try_into().map(i16::from_be_bytes).map_err(|_| short());
    let i32s = || bytes.try_into().map(i32::from_be_bytes).map_err(|_| short());
    let i64s = || bytes.try_into().map(i64::from_be_bytes).map_err(|_| short());
    match info.kind() {
        PgTypeKind::Enum(_) => return Ok(text(bytes)),
        PgTypeKind::Array(element) => return array(bytes, element, depth),
        _ => {}
    }
    Ok(match &*info.name().to_uppercase() {
        "BOOL" => Json::Bool(bytes.first() == Some(&1)),
        "INT2" => i16s()?.into(),
        "INT4" => i32s()?.into(),
        "INT8" => i64s()?.into(),
        "OID" => bytes.try_into().map(u32::from_be_bytes).map_err(|_| short())?.into(),
        "FLOAT4" => {
            let value = bytes.try_into().map(f32::from_be_bytes).map_err(|_| short())?;
            // Its own shortest digits, not those of the wider type.
            float(value.to_string().parse().unwrap_or(f64::from(value)))
        }
        "FLOAT8" => float(bytes.try_into().map(f64::from_be_bytes).map_err(|_| short())?),
        "NUMERIC" => Json::String(numeric::decode(bytes).ok_or_else(short)?),
        "JSONB" => text(bytes.get(1..).unwrap_or_default()),
        "TEXT" | "VARCHAR" | "CHAR" | "BPCHAR" | "NAME" | "UNKNOWN" | "CITEXT" | "XML" | "JSON" | "BYTEA"
        | "\"CHAR\"" => text(bytes),
        "VOID" => Json::Null,
        "UUID" => {
            let number = bytes.try_into().map(u128::from_be_bytes).map_err(|_| short())?;
            let hex = format!("{number:032x}");
            let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
            Json::String(parts.join("-"))
        }
        "DATE" => match i32s()? {
            i32::MAX => "infinity".into(),
            i32::MIN => "-infinity".into(),
            days => {
                let date = epoch().checked_add(SignedDuration::from_hours(24 * i64::from(days)));
                format!("{}T00:00:00Z", date.map_err(|fault| fault.to_string())?.date()).into()
            }
        },
        "TIME" => clock(i64s()?)?.into(),
        "TIMESTAMP" | "TIMESTAMPTZ" => match i64s()? {
            i64::MAX => "infinity".into(),
            i64::MIN => "-infinity".into(),
            micros => {
                let time = micros.checked_add(EPOCH_MICROS).ok_or_else(short)?;
                Timestamp::from_microsecond(time).map_err(|fault| fault.to_string())?.to_string().into()
            }
        },
        other => {
            let other = other.to_lowercase();
            return Err(format!("values of {other} are not read here; select it as `::text`"));
        }
    })
}

fn clock(micros: i64) -> Result<String, String> {
    let midnight = Date::default().at(0, 0, 0, 0);
    let time =
        midnight.checked_add(SignedDuration::from_micros(micros)).map_err(|fault| fault.to_string())?;
    Ok(time.time().to_string())
}

/// Dimensions, then each element with its length.
fn array(bytes: &[u8], element: &PgTypeInfo, depth: i32) -> Result<Json, String> {
    fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
        let (taken, left) = rest.split_at_checked(length)?;
        *rest = left;
        Some(taken)
    }
    fn number(rest: &mut &[u8]) -> Option<i32> {
        take(rest, 4)?.try_into().ok().map(i32::from_be_bytes)
    }
    fn level(
        rest: &mut &[u8],
        sizes: &[i32],
        element: &PgTypeInfo,
        depth: i32,
    ) -> Option<Result<Json, String>> {
        let (size, inner) = sizes.split_first()?;
        let mut items = Vec::new();
        for _ in 0..*size {
            let item = if inner.is_empty() {
                match number(rest)? {
                    -1 => Ok(Json::Null),
                    length => decode(take(rest, usize::try_from(length).ok()?)?, element, depth + 1),
                }
            } else {
                level(rest, inner, element, depth)?
            };
            match item {
                Ok(item) => items.push(item),
                Err(text) => return Some(Err(text)),
            }
        }
        Some(Ok(Json::Array(items)))
    }
    let strange = || "the server sent an array that cannot be read".to_owned();
    let mut rest = bytes;
    let dimensions = number(&mut rest).filter(|count| (0..=DEPTH).contains(count) && depth < DEPTH);
    let dimensions = dimensions.ok_or_else(strange)?;
    take(&mut rest, 8).ok_or_else(strange)?;
    if dimensions == 0 {
        return Ok(Json::Array(Vec::new()));
    }
    let mut sizes = Vec::new();
    for _ in 0..dimensions {
        sizes.push(number(&mut rest).ok_or_else(strange)?);
        take(&mut rest, 4).ok_or_else(strange)?;
    }
    level(&mut rest, &sizes, element, depth).ok_or_else(strange)?
}

/// Decimals: digits of base 10000, with the weight of the first.
mod numeric {
    const NEGATIVE: u16 = 0x4000;

    pub(super) fn encode(text: &str) -> Option<Vec<u8>> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (NEGATIVE, rest),
            None => (0, text.strip_prefix('+').unwrap_or(text)),
        };
        let (digits, exponent) = match digits.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok().filter(|e| e.abs() < 1000)?),
            None => (digits, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        if all.is_empty() || all.len() > 5000 || !all.iter().all(u8::is_ascii_digit) {
            return None;
        }
        // Where the point stands in `all`, moved to a multiple of four digits.
        let point = i32::try_from(whole.len()).ok()? + exponent;
        let scale = (i32::try_from(all.len()).ok()? - point).max(0);
        let groups_before = point.div_euclid(4) + i32::from(point.rem_euclid(4) != 0);
        let lead = usize::try_from(groups_before * 4 - point).ok()?;
        let mut padded = vec![b'0'; lead];
        padded.extend(&all);
        let mut groups: Vec<u16> = padded
            .chunks(4)
            .map(|chunk| {
                (0..4).fold(0, |n, at| n * 10 + u16::from(chunk.get(at).copied().unwrap_or(b'0') - b'0'))
            })
            .collect();
        let mut weight = groups_before - 1;
        while groups.first() == Some(&0) {
            groups.remove(0);
            weight -= 1;
        }
        while groups.last() == Some(&0) {
            groups.pop();
        }
        if groups.is_empty() {
            weight = 0;
        }
        let mut out = Vec::with_capacity(8 + 2 * groups.len());
        out.extend(u16::try_from(groups.len()).ok()?.to_be_bytes());
        out.extend(i16::try_from(weight).ok()?.to_be_bytes());
        out.extend(if groups.is_empty() { 0 } else { sign }.to_be_bytes());
        out.extend(u16::try_from(scale).ok()?.to_be_bytes());
        groups.iter().for_each(|group| out.extend(group.to_be_bytes()));
        Some(out)
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<String> {
        let words: Vec<u16> = bytes.chunks_exact(2).map(|two| u16::from_be_bytes([two[0], two[1]])).collect();
        let [count, weight, sign, scale, groups @ ..] = &*words else { return None };
        match sign {
            0xC000 => return Some("NaN".to_owned()),
            0xD000 => return Some("Infinity".to_owned()),
            0xF000 => return Some("-Infinity".to_owned()),
            _ => {}
        }
        if usize::from(*count) != groups.len() {
            return None;
        }
        let weight = i32::from(*weight as i16);
        let group =
            |at: i32| usize::try_from(weight - at).ok().and_then(|at| groups.get(at)).copied().unwrap_or(0);
        let mut text = String::new();
        for at in (0..=weight.max(0)).rev() {
            text += &format!("{:04}", group(at));
        }
        let whole = text.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        let mut fraction = String::new();
        let mut at = -1;
        while fraction.len() < usize::from(*scale) {
            fraction += &format!("{:04}", group(at));
            at -= 1;
        }
        fraction.truncate(usize::from(*scale));
        let sign = if *sign == NEGATIVE { "-" } else { "" };
        Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn decimals_keep_their_digits() {
            for (text, expected) in [
                ("0", "0"),
                ("-0", "0"),
                ("1", "1"),
                ("12345.678900", "12345.678900"),
                ("-0.00012", "-0.00012"),
                ("100000000", "100000000"),
                ("1e3", "1000"),
                ("1.5e-7", "0.00000015"),
                ("0.10", "0.10"),
                ("99999999999999999999.0001", "99999999999999999999.0001"),
                ("+7", "7"),
            ] {
                let bytes = super::encode(text).unwrap_or_else(|| panic!("{text}"));
                assert_eq!(super::decode(&bytes).as_deref(), Some(expected), "{text}");
            }
            for text in ["", "a", "1.2.3", "1e9999", "--1", "0x1"] {
                assert!(super::encode(text).is_none(), "{text}");
            }
            assert!(super::decode(&[0, 9, 0]).is_none());
        }
    }
}
