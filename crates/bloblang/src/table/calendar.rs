//! Methods for durations of ISO 8601: years, months, days and the time of day.

use std::sync::Arc;

use super::receive::text;
use super::timestamps::timestamp;
use super::{Example, Kind, Parameter, Spec};
use crate::Value;
use crate::run::{Arguments, Context, Evaluated, Failure};
use crate::time::Period;

const DURATION: &[Parameter] =
    &[Parameter::required("duration", Kind::Text, "The duration, as `P1Y2M3DT4H5M6S`.")];

pub(crate) static TABLE: &[Spec] = &[
    Spec::method("Time", "parse_duration_iso8601", "The nanoseconds of a duration such as `P3DT12H30M5.5S`; a year counts 365.2425 days, a month a twelfth of it.", |_, value, _| {
        let text = text(&value)?;
        let period = parse(&text)?;
        period.nanoseconds().map(Value::Int).ok_or_else(|| Failure::new(format!("duration {text:?} does not fit into 64 bits")))
    })
    .examples(&[
        Example("root = this.parse_duration_iso8601()", r#""PT1H30M5.5S""#, "5405500000000"),
        Example("root = this.parse_duration_iso8601()", r#""P3Y6M4DT12H30M5S""#, "110839937000000000"),
        Example("root = this.parse_duration_iso8601()", r#""1h""#, "error: invalid ISO 8601 duration"),
    ]),
    Spec::method("Time", "ts_add_iso8601", "The time that is a duration later, by the calendar.", |context, value, arguments| {
        moved(context, &value, arguments, 1)
    })
    .parameters(DURATION)
    .examples(&[
        Example(r#"root.t = this.ts_add_iso8601("P1M1DT1H")"#, r#""2024-02-29T12:00:00Z""#, r#"{"t":"2024-03-30T13:00:00Z"}"#),
        Example(r#"root.t = this.ts_add_iso8601("P1Y")"#, r#""2024-02-29T12:00:00Z""#, r#"{"t":"2025-03-01T12:00:00Z"}"#),
    ]),
    Spec::method("Time", "ts_sub_iso8601", "The time that is a duration earlier, by the calendar.", |context, value, arguments| {
        moved(context, &value, arguments, -1)
    })
    .parameters(DURATION)
    .examples(&[Example(r#"root.t = this.ts_sub_iso8601("P1W")"#, r#""2024-03-01T12:00:00Z""#, r#"{"t":"2024-02-23T12:00:00Z"}"#)]),
];

fn parse(text: &str) -> Evaluated<Period> {
    Period::parse(text).ok_or_else(|| Failure::new(format!("invalid ISO 8601 duration {text:?}")))
}

fn moved(context: &mut Context<'_>, value: &Value, arguments: &Arguments, sign: i64) -> Evaluated {
    let time = timestamp(value)?;
    let period = parse(&arguments.text(context, 0)?)?;
    let moved = period.after(&time, sign).ok_or_else(|| Failure::new("the time is out of range"))?;
    Ok(Value::Timestamp(Arc::new(moved)))
}
