//! Methods that turn one type into another, or insist on one.

use super::receive::text;
use super::{Example, Kind, Makes, Parameter, Spec};
use crate::Value;
use crate::run::{Arguments, Context, Evaluated, Failure};

const CHAPTER: &str = "Types";

pub(crate) static TABLE: &[Spec] = &[
    Spec::method(CHAPTER, "string", "The value as text; arrays and objects as JSON.", |_, value, _| {
        match value {
            Value::String(_) => Ok(value),
            other => Ok(Value::from(other.to_text())),
        }
    })
    .examples(&[Example(
        "root = this.map_each(v -> v.string())",
        r#"[1,true,{"a":1.50}]"#,
        r#"["1","true","{\"a\":1.50}"]"#,
    )]),
    Spec::method(CHAPTER, "bytes", "The value as bytes, of its text form.", |_, value, _| match value {
        Value::Bytes(_) => Ok(value),
        other => Ok(Value::Bytes(other.to_text_bytes().into())),
    })
    .examples(&[Example("root.a = this.a.bytes().length()", r#"{"a":"ä"}"#, r#"{"a":2}"#)]),
    Spec::method(CHAPTER, "number", "The value as a number; text is parsed.", number)
        .parameters(&[Parameter::optional(
            "default",
            Kind::Number,
            "What to give when the value is no number.",
        )])
        .examples(&[
            Example("root = this.a.number() + 1", r#"{"a":"41.5"}"#, "42.5"),
            Example("root = this.a.number(5)", r#"{"a":"x"}"#, "5"),
        ]),
    Spec::method(
        CHAPTER,
        "bool",
        "The value as a bool: text such as `true`, `T`, `0`, and numbers, where 0 is false.",
        boolean,
    )
    .parameters(&[Parameter::optional("default", Kind::Bool, "What to give when the value is no bool.")])
    .examples(&[Example(
        r#"root = [this.a.bool(), this.b.bool(true)]"#,
        r#"{"a":"F","b":[]}"#,
        "[false,true]",
    )]),
    Spec::method(
        CHAPTER,
        "array",
        "The value itself if it is an array, otherwise an array of the value.",
        |_, value, _| Ok(if matches!(value, Value::Array(_)) { value } else { Value::array(vec![value]) }),
    )
    .makes(Makes::Nothing)
    .examples(&[Example("root = this.a.array()", r#"{"a":1}"#, "[1]")]),
    Spec::method(CHAPTER, "not_null", "The value; fails when it is null.", |_, value, _| match value {
        Value::Null => Err(Failure::new("value is null")),
        value => Ok(value),
    })
    .makes(Makes::Nothing)
    .examples(&[Example("root = this.a.not_null()", r#"{"a":1}"#, "1"), Example("root = this.a.not_null()", "{}", "error: value is null")]),
    Spec::method(
        CHAPTER,
        "not_empty",
        "The value; fails when it is an empty text, array or object.",
        not_empty,
    )
    .makes(Makes::Nothing)
    .examples(&[
        Example("root = this.a.not_empty()", r#"{"a":[]}"#, "error: array value is empty"),
        Example("root = this.a.not_empty()", r#"{"a":[1]}"#, "[1]"),
    ]),
    Spec::method(CHAPTER, "int8", "A whole number from -128 to 127.", |_, value, _| {
        integer(&value, -128, 127)
    })
    .examples(&[Example("root = this.int8()", r#"12"#, "12"), Example("root = this.int8()", "300", "error: does not fit")]),
    Spec::method(CHAPTER, "int16", "A whole number of 16 bits.", |_, value, _| {
        integer(&value, i64::from(i16::MIN), i64::from(i16::MAX))
    })
    .examples(&[Example("root = this.int16()", r#""-300""#, "-300")]),
    Spec::method(CHAPTER, "int32", "A whole number of 32 bits.", |_, value, _| {
        integer(&value, i64::from(i32::MIN), i64::from(i32::MAX))
    })
    .examples(&[Example("root = this.int32()", "7.0", "7")]),
    Spec::method(
        CHAPTER,
        "int64",
        "A whole number of 64 bits; text may have a prefix such as `0x`.",
        |_, value, _| integer(&value, i64::MIN, i64::MAX),
    )
    .examples(&[
        Example("root = this.int64()", r#""0xff""#, "255"),
        Example("root = this.int64()", "1.5", "error: is not a whole number"),
    ]),
    Spec::method(CHAPTER, "uint8", "A whole number from 0 to 255.", |_, value, _| integer(&value, 0, 255))
        .examples(&[Example("root = this.uint8()", r#"12"#, "12"), Example("root = this.uint8()", "-1", "error: does not fit")]),
    Spec::method(CHAPTER, "uint16", "A whole number of 16 bits without sign.", |_, value, _| {
        integer(&value, 0, i64::from(u16::MAX))
    })
    .examples(&[Example("root = this.uint16()", "65535", "65535")]),
    Spec::method(CHAPTER, "uint32", "A whole number of 32 bits without sign.", |_, value, _| {
        integer(&value, 0, i64::from(u32::MAX))
    })
    .examples(&[Example("root = this.uint32()", r#""0b101""#, "5")]),
    Spec::method(
        CHAPTER,
        "uint64",
        "A whole number without sign, up to 18446744073709551615. What is above 9223372036854775807 is passed on as it is; arithmetic with it is that of floating numbers.",
        |_, value, _| uint64(&value),
    )
    .examples(&[
        Example("root = this.uint64()", "12", "12"),
        Example("root = this.uint64()", "18446744073709551615", "18446744073709551615"),
        Example("root = this.uint64()", "-1", "error: does not fit"),
    ]),
    Spec::method(CHAPTER, "float32", "A number rounded to 32 bits.", |_, value, _| {
        float(&value).map(|number| Value::Float(f64::from(number as f32)))
    })
    .examples(&[Example("root = this.float32()", "0.5", "0.5")]),
    Spec::method(CHAPTER, "float64", "A number of 64 bits.", |_, value, _| float(&value).map(Value::Float))
        .examples(&[Example("root = this.float64()", r#""1e3""#, "1000")]),
];

fn number(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    match float(&value) {
        Ok(_) if matches!(value, Value::Int(_) | Value::Float(_)) => Ok(value),
        Ok(number) => Ok(Value::Float(number)),
        Err(_) if arguments.is_given(0) => arguments.value(context, 0),
        Err(failure) => Err(failure),
    }
}

fn float(value: &Value) -> Evaluated<f64> {
    match value {
        Value::Int(number) => Ok(*number as f64),
        Value::Float(number) => Ok(*number),
        Value::String(_) | Value::Bytes(_) => {
            let text = text(value)?;
            text.trim()
                .parse()
                .map_err(|_| Failure::new(format!("cannot parse {:?} as a number", short(&text))))
        }
        other => Err(Failure::expected("number", other)),
    }
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

fn boolean(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let result = match &value {
        Value::Bool(value) => Some(*value),
        Value::Int(number) => Some(*number != 0),
        Value::Float(number) => Some(*number != 0.0),
        Value::String(_) | Value::Bytes(_) => match &*text(&value)? {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
            _ => None,
        },
        _ => None,
    };
    match result {
        Some(result) => Ok(Value::Bool(result)),
        None if arguments.is_given(0) => arguments.value(context, 0),
        None => Err(Failure::expected("bool", &value)),
    }
}

fn not_empty(_: &mut Context<'_>, value: Value, _: &Arguments) -> Evaluated {
    let empty = match &value {
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(object) => object.is_empty(),
        other => return Err(Failure::expected("string, array or object", other)),
    };
    if empty { Err(Failure::new(format!("{} value is empty", value.type_name()))) } else { Ok(value) }
}

/// A whole number within bounds, without losing anything.
fn integer(value: &Value, min: i64, max: i64) -> Evaluated {
    let number = match value {
        Value::Int(number) => *number,
        Value::Float(number) if number.fract() != 0.0 || !number.is_finite() => {
            return Err(Failure::new(format!("{} is not a whole number", value.to_text())));
        }
        Value::Float(number) if (-9.223_372_036_854_776e18..9.223_372_036_854_776e18).contains(number) => {
            *number as i64
        }
        Value::Float(_) => {
            return Err(Failure::new(format!("{} does not fit into 64 bits", value.to_text())));
        }
        Value::String(_) | Value::Bytes(_) => {
            let text = text(value)?;
            parse_integer(&text).ok_or_else(|| {
                Failure::new(format!("cannot parse {:?} as a whole number of 64 bits", short(&text)))
            })?
        }
        other => return Err(Failure::expected("number", other)),
    };
    if number < min || number > max {
        return Err(Failure::new(format!("{number} does not fit between {min} and {max}")));
    }
    Ok(Value::Int(number))
}

/// A whole number without sign; one that only fits without keeps its text.
fn uint64(value: &Value) -> Evaluated {
    let large = match value {
        Value::Digits(text) => text.parse::<u64>().ok(),
        Value::String(text) => parse_unsigned(text),
        Value::Float(number)
            if number.fract() == 0.0
                && (9_223_372_036_854_775_808.0..18_446_744_073_709_551_616.0).contains(number) =>
        {
            Some(*number as u64)
        }
        _ => None,
    };
    match large {
        Some(number) => Ok(Value::from(number)),
        None => integer(&value.clone().settled(), 0, i64::MAX),
    }
}

/// Reads what has no sign; see [`parse_integer`].
fn parse_unsigned(text: &str) -> Option<u64> {
    let (radix, digits) = radix_of(text);
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(&digits, radix).ok()
}

/// Reads `12`, `-0x1f`, `0b101`, `0o17`, `017`.
fn parse_integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = radix_of(digits);
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

/// What base digits say they have, and the digits alone.
fn radix_of(digits: &str) -> (u32, String) {
    let lower = digits.to_ascii_lowercase();
    let (radix, from) = match lower.get(..2) {
        Some("0x") => (16, 2),
        Some("0b") => (2, 2),
        Some("0o") => (8, 2),
        Some(_) if lower.starts_with('0') => (8, 1),
        _ => (10, 0),
    };
    (radix, lower.get(from..).unwrap_or_default().to_owned())
}
