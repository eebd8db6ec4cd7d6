//! Methods for points in time: timestamps, RFC 3339 text, or seconds since 1970.

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::receive::text;
use super::{Example, Fixed, Kind, Parameter, Spec};
use crate::Value;
use crate::run::failure::short;
use crate::run::{Arguments, Context, Evaluated, Failure};
use crate::time;

const CHAPTER: &str = "Time";

pub(crate) static TABLE: &[Spec] = &[
    Spec::method(
        CHAPTER,
        "ts_parse",
        "The timestamp that text holds, read by a layout of Go.",
        |context, value, arguments| {
            let layout = arguments.text(context, 0)?;
            let time = time::parse(&text(&value)?, &layout).map_err(Failure::new)?;
            Ok(Value::Timestamp(Arc::new(time)))
        },
    )
    .aliases(&["parse_timestamp"])
    .parameters(&[Parameter::required("format", Kind::Text, "The layout, as `2006-01-02T15:04:05`.")])
    .examples(&[
        Example(
            r#"root.t = this.ts_parse("2006-Jan-02")"#,
            r#""2024-Feb-29""#,
            r#"{"t":"2024-02-29T00:00:00Z"}"#,
        ),
        Example(r#"root.t = this.ts_parse("2006-Jan-02")"#, r#""2024-Feb-31""#, "error: parsing time"),
    ]),
    Spec::method(CHAPTER, "ts_format", "The time as text, written by a layout of Go.", ts_format)
        .aliases(&["format_timestamp"])
        .parameters(&[
            Parameter::with_default(
                "format",
                Kind::Text,
                Fixed::Text(time::RFC3339_NANO),
                "The layout; RFC 3339 by default.",
            ),
            Parameter::optional(
                "tz",
                Kind::Text,
                "The zone to write it in, as `Europe/Berlin`; its own by default.",
            ),
        ])
        .examples(&[
            Example(
                r#"root = this.ts_format("2006-01-02 15:04:05.000")"#,
                "1709200000.5",
                r#""2024-02-29 09:46:40.500""#,
            ),
            Example(
                r#"root = this.ts_format("Mon 15:04 MST", "Europe/Berlin")"#,
                r#""2024-02-29T12:00:00Z""#,
                r#""Thu 13:00 CET""#,
            ),
        ]),
    Spec::method(
        CHAPTER,
        "ts_strptime",
        "The timestamp that text holds, read by a format of strptime.",
        |context, value, arguments| {
            let format = arguments.text(context, 0)?;
            let text = text(&value)?;
            let wrong = |error: jiff::Error| {
                Failure::new(format!("parsing time {:?} as {:?}: {error}", short(&text), short(&format)))
            };
            let parsed =
                jiff::fmt::strtime::parse(time::strtime(&format, None), text.as_bytes()).map_err(wrong)?;
            let zoned = parsed.to_zoned().or_else(|_| parsed.to_datetime()?.to_zoned(TimeZone::UTC));
            Ok(Value::Timestamp(Arc::new(zoned.map_err(wrong)?)))
        },
    )
    .aliases(&["parse_timestamp_strptime"])
    .parameters(&[Parameter::required("format", Kind::Text, "The format, as `%Y-%m-%d %H:%M:%S`.")])
    .examples(&[Example(
        r#"root.t = this.ts_strptime("%Y-%m-%d %H:%M:%S%.f")"#,
        r#""2024-02-29 10:00:00.25""#,
        r#"{"t":"2024-02-29T10:00:00.25Z"}"#,
    )]),
    Spec::method(
        CHAPTER,
        "ts_strftime",
        "The time as text, written by a format of strftime.",
        |context, value, arguments| {
            let time = in_zone(timestamp(&value)?, context, arguments, 1)?;
            let format = arguments.text(context, 0)?;
            let text = jiff::fmt::strtime::format(time::strtime(&format, Some(&time)), &time);
            text.map(Value::from).map_err(|error| Failure::new(error.to_string()))
        },
    )
    .aliases(&["format_timestamp_strftime"])
    .parameters(&[
        Parameter::required("format", Kind::Text, "The format, as `%Y-%m-%d`."),
        Parameter::optional("tz", Kind::Text, "The zone to write it in; its own by default."),
    ])
    .examples(&[
        Example(r#"root = this.ts_strftime("%d.%m.%Y")"#, "1709200000", r#""29.02.2024""#),
        Example(
            r#"root = this.ts_strftime("%c, %x %X, %r, %f, %Z")"#,
            r#""2024-02-09T15:04:05.5+02:00""#,
            r#""Fri Feb  9 15:04:05 2024, 02/09/24 15:04:05, 03:04:05 PM, 500000, +0200""#,
        ),
    ]),
    Spec::method(CHAPTER, "ts_unix", "Seconds since 1970.", |_, value, _| {
        Ok(Value::Int(timestamp(&value)?.timestamp().as_nanosecond().div_euclid(1_000_000_000) as i64))
    })
    .aliases(&["format_timestamp_unix"])
    .examples(&[Example("root = this.ts_unix()", r#""2024-02-29T09:46:40Z""#, "1709200000")]),
    Spec::method(CHAPTER, "ts_unix_milli", "Milliseconds since 1970.", |_, value, _| {
        Ok(Value::Int(timestamp(&value)?.timestamp().as_nanosecond().div_euclid(1_000_000) as i64))
    })
    .aliases(&["format_timestamp_unix_milli"])
    .examples(&[Example("root = this.ts_unix_milli()", r#""2024-02-29T09:46:40.5Z""#, "1709200000500")]),
    Spec::method(CHAPTER, "ts_unix_micro", "Microseconds since 1970.", |_, value, _| {
        Ok(Value::Int(timestamp(&value)?.timestamp().as_nanosecond().div_euclid(1_000) as i64))
    })
    .aliases(&["format_timestamp_unix_micro"])
    .examples(&[Example("root = this.ts_unix_micro()", "1.5", "1500000")]),
    Spec::method(CHAPTER, "ts_unix_nano", "Nanoseconds since 1970.", |_, value, _| {
        let nanoseconds = timestamp(&value)?.timestamp().as_nanosecond();
        i64::try_from(nanoseconds)
            .map(Value::Int)
            .map_err(|_| Failure::new("the time does not fit into 64 bits"))
    })
    .aliases(&["format_timestamp_unix_nano"])
    .examples(&[Example("root = this.ts_unix_nano()", "2", "2000000000")]),
    Spec::method(CHAPTER, "ts_tz", "The same instant in another zone.", |context, value, arguments| {
        let time = in_zone(timestamp(&value)?, context, arguments, 0)?;
        Ok(Value::Timestamp(Arc::new(time)))
    })
    .parameters(&[Parameter::required("tz", Kind::Text, "The zone, as `Europe/Berlin`.")])
    .examples(&[Example(
        r#"root.t = this.ts_tz("Europe/Berlin")"#,
        r#""2024-02-29T12:00:00Z""#,
        r#"{"t":"2024-02-29T13:00:00+01:00"}"#,
    )]),
    Spec::method(
        CHAPTER,
        "ts_sub",
        "The nanoseconds from another time to this one.",
        |context, value, arguments| {
            let other = arguments.value(context, 0)?;
            let difference = timestamp(&value)?.timestamp().as_nanosecond()
                - timestamp(&other)?.timestamp().as_nanosecond();
            i64::try_from(difference)
                .map(Value::Int)
                .map_err(|_| Failure::new("the difference does not fit into 64 bits"))
        },
    )
    .parameters(&[Parameter::required("t2", Kind::Timestamp, "The other time.")])
    .examples(&[Example(
        "root = this.ts_sub(\"2024-02-29T12:00:00Z\")",
        r#""2024-02-29T12:00:01Z""#,
        "1000000000",
    )]),
    Spec::method(CHAPTER, "ts_round", "The time rounded to a duration in nanoseconds, halves up.", ts_round)
        .parameters(&[Parameter::required("duration", Kind::Integer, "The duration.")])
        .examples(&[Example(
            r#"root.t = this.ts_round("1h".parse_duration())"#,
            r#""2024-02-29T12:30:00Z""#,
            r#"{"t":"2024-02-29T13:00:00Z"}"#,
        )]),
    Spec::method(
        CHAPTER,
        "parse_duration",
        "The nanoseconds of a duration such as `1h15m30.5s`.",
        |_, value, _| {
            let text = text(&value)?;
            let nanoseconds = time::parse_duration(&text);
            nanoseconds
                .map(Value::Int)
                .ok_or_else(|| Failure::new(format!("invalid duration {:?}", short(&text))))
        },
    )
    .examples(&[
        Example("root = this.parse_duration()", r#""1m1.5s""#, "61500000000"),
        Example("root = this.parse_duration()", r#""1 day""#, "error: invalid duration"),
    ]),
];

pub(super) fn timestamp(value: &Value) -> Evaluated<Zoned> {
    match value {
        Value::Timestamp(time) => Ok(Zoned::clone(time)),
        Value::String(_) | Value::Bytes(_) => {
            let text = text(value)?;
            time::parse_rfc3339(&text)
                .ok_or_else(|| Failure::new(format!("{:?} is not a time of RFC 3339", short(&text))))
        }
        Value::Int(seconds) => Timestamp::from_second(*seconds)
            .map(|time| time.to_zoned(TimeZone::UTC))
            .map_err(|_| Failure::new(format!("{seconds} seconds are out of range"))),
        Value::Float(seconds) => time::from_seconds(*seconds)
            .ok_or_else(|| Failure::new(format!("{seconds} seconds are out of range"))),
        other => Err(Failure::expected("timestamp", other)),
    }
}

fn in_zone(time: Zoned, context: &mut Context<'_>, arguments: &Arguments, index: usize) -> Evaluated<Zoned> {
    if !arguments.is_given(index) {
        return Ok(time);
    }
    let zone = time::zone(&arguments.text(context, index)?).map_err(Failure::new)?;
    Ok(time.with_time_zone(zone))
}

fn ts_format(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let time = in_zone(timestamp(&value)?, context, arguments, 1)?;
    Ok(Value::from(time::format(&time, &arguments.text(context, 0)?)))
}

fn ts_round(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let time = timestamp(&value)?;
    let duration = i128::from(arguments.integer(context, 0)?);
    if duration <= 0 {
        return Ok(Value::Timestamp(Arc::new(time)));
    }
    // Like Go, rounding counts from the year 1.
    let year_one = 62_135_596_800 * 1_000_000_000_i128;
    let since = time.timestamp().as_nanosecond() + year_one;
    let rounded = (since + duration / 2).div_euclid(duration) * duration - year_one;
    let rounded =
        Timestamp::from_nanosecond(rounded).map_err(|_| Failure::new("the time is out of range"))?;
    Ok(Value::Timestamp(Arc::new(rounded.to_zoned(time.time_zone().clone()))))
}
