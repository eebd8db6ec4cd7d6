//! Numbers.

use gotmpl::Value;

use super::{Made, Table, arg, int, made, str};
use rand::RngExt as _;

pub(super) const TABLE: Table = &[
    ("int", |args| Ok(Value::Int(whole(arg(args, 0)?)))),
    ("int64", |args| Ok(Value::Int(whole(arg(args, 0)?)))),
    ("float64", |args| Ok(Value::Float(real(arg(args, 0)?)))),
    ("atoi", |args| Ok(Value::Int(str(args, 0)?.parse().unwrap_or(0)))),
    ("toDecimal", |args| {
        let text = crate::go::text(arg(args, 0)?);
        Ok(Value::Int(i64::from_str_radix(text.trim(), 8).unwrap_or(0)))
    }),
    ("add1", |args| Ok(Value::Int(whole(arg(args, 0)?).wrapping_add(1)))),
    ("add", |args| Ok(Value::Int(args.iter().map(whole).fold(0, i64::wrapping_add)))),
    ("sub", |args| Ok(Value::Int(whole(arg(args, 0)?).wrapping_sub(whole(arg(args, 1)?))))),
    ("mul", |args| Ok(Value::Int(args.iter().map(whole).fold(1, i64::wrapping_mul)))),
    ("div", |args| {
        let by = whole(arg(args, 1)?);
        whole(arg(args, 0)?)
            .checked_div(by)
            .map(Value::Int)
            .ok_or_else(|| "integer divide by zero".to_owned())
    }),
    ("mod", |args| {
        let by = whole(arg(args, 1)?);
        whole(arg(args, 0)?)
            .checked_rem(by)
            .map(Value::Int)
            .ok_or_else(|| "integer divide by zero".to_owned())
    }),
    ("max", |args| most(args, |one, other| one.max(other))),
    ("biggest", |args| most(args, |one, other| one.max(other))),
    ("min", |args| most(args, |one, other| one.min(other))),
    ("maxf", |args| mostf(args, f64::max)),
    ("minf", |args| mostf(args, f64::min)),
    ("add1f", |args| Ok(Value::Float(tidy(real(arg(args, 0)?) + 1.0)))),
    ("addf", |args| folded(args, |one, other| one + other)),
    ("subf", |args| folded(args, |one, other| one - other)),
    ("mulf", |args| folded(args, |one, other| one * other)),
    ("divf", |args| folded(args, |one, other| one / other)),
    ("ceil", |args| Ok(Value::Float(real(arg(args, 0)?).ceil()))),
    ("floor", |args| Ok(Value::Float(real(arg(args, 0)?).floor()))),
    ("round", |args| {
        let (number, places) = (real(arg(args, 0)?), int(args, 1)?.clamp(-300, 300) as i32);
        let up_from = args.get(2).map_or(0.5, real);
        let power = 10f64.powi(places);
        let (scaled, sign) = ((number * power).abs(), number.signum());
        let fraction = scaled.fract();
        let rounded = if fraction >= up_from { scaled.ceil() } else { scaled.floor() };
        Ok(Value::Float(sign * rounded / power))
    }),
    ("randInt", |args| {
        let (from, to) = (int(args, 0)?, int(args, 1)?);
        if to <= from {
            return Err("invalid argument to randInt".to_owned());
        }
        Ok(Value::Int(rand::rng().random_range(from..to)))
    }),
    ("ternary", |args| match arg(args, 2)? {
        Value::Bool(yes) => Ok(arg(args, if *yes { 0 } else { 1 })?.clone()),
        other => Err(format!("wrong type for value; expected bool; got {}", other.type_name())),
    }),
    ("uuidv4", |_| Ok(made(uuid::Uuid::new_v4().to_string()))),
];

/// What a value is as a whole number; 0 where it is none.
pub(super) fn whole(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        Value::Uint(number) => i64::try_from(*number).unwrap_or(i64::MAX),
        Value::Float(number) => *number as i64,
        Value::Bool(value) => i64::from(*value),
        Value::String(text) => parsed(text).unwrap_or(0),
        _ => 0,
    }
}

/// `10`, `0x1f`, `0o17`, `017`, `0b1`.
fn parsed(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let radixes = [("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2)];
    let number = match radixes.iter().find_map(|(prefix, radix)| Some((digits.strip_prefix(prefix)?, *radix)))
    {
        Some((digits, radix)) => i64::from_str_radix(digits, radix).ok()?,
        None if digits.len() > 1 && digits.starts_with('0') => i64::from_str_radix(&digits[1..], 8).ok()?,
        None => digits.parse().ok()?,
    };
    Some(sign * number)
}

fn real(value: &Value) -> f64 {
    match value {
        Value::Float(number) => *number,
        Value::String(text) => text.trim().parse().unwrap_or(0.0),
        other => whole(other) as f64,
    }
}

fn most(args: &[Value], choose: fn(i64, i64) -> i64) -> Made {
    arg(args, 0)?;
    Ok(Value::Int(args.iter().map(whole).reduce(choose).unwrap_or_default()))
}

fn mostf(args: &[Value], choose: fn(f64, f64) -> f64) -> Made {
    arg(args, 0)?;
    Ok(Value::Float(args.iter().map(real).reduce(choose).unwrap_or_default()))
}

/// What decimal arithmetic gives: binary noise behind the 15th digit is no part of it.
fn tidy(number: f64) -> f64 {
    format!("{number:.14e}").parse().unwrap_or(number)
}

fn folded(args: &[Value], step: fn(f64, f64) -> f64) -> Made {
    arg(args, 0)?;
    let result = args.iter().map(real).reduce(|one, other| tidy(step(one, other))).unwrap_or_default();
    if result.is_finite() { Ok(Value::Float(result)) } else { Err("division by zero".to_owned()) }
}
