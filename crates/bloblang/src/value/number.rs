//! Numbers and their texts.

use super::{Text, Value};

/// The number that a JSON text says; one that would be rendered otherwise keeps its text (see [`Value::Digits`]).
pub(super) fn value(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(whole) if !text.starts_with("-0") => return Value::Int(whole),
        _ => {}
    }
    match text.parse::<f64>() {
        Ok(number) if float_text(number) == text => Value::Float(number),
        _ => Value::Digits(Text::from(text)),
    }
}

/// What a number that kept its text is to arithmetic: whole if it fits 64 bits, floating otherwise.
pub(super) fn settle(text: &str) -> Value {
    text.parse().map_or_else(|_| text.parse().map_or(Value::Null, Value::Float), Value::Int)
}

/// The shortest text that reads back as the same number: `1`, `0.5`, `1e+21`. Not a number and the infinities, which
/// JSON does not have, become `null`.
pub(crate) fn float_text(number: f64) -> String {
    let mut out = Vec::with_capacity(24);
    write_float(number, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Appends a number as [`float_text`] gives it.
pub(super) fn write_float(number: f64, out: &mut Vec<u8>) {
    if !number.is_finite() {
        return out.extend_from_slice(b"null");
    }
    let magnitude = number.abs();
    if (1e-4..1e15).contains(&magnitude) {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(number);
        return out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
    }
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        return out.extend_from_slice(format!("{number}").as_bytes());
    }
    let text = format!("{number:e}");
    out.extend_from_slice(
        match text.split_once('e') {
            Some((digits, power)) => match power.strip_prefix('-') {
                Some(power) => format!("{digits}e-{power:0>2}"),
                None => format!("{digits}e+{power:0>2}"),
            },
            None => text,
        }
        .as_bytes(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_go_does() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (1.5, "1.5"),
            (-12.25, "-12.25"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e15, "1000000000000000"),
            (123_456_789_012_345_680.0, "123456789012345680"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.000_001, "0.000001"),
            (0.000_000_1, "1e-07"),
            (f64::NAN, "null"),
            (f64::INFINITY, "null"),
        ] {
            assert_eq!(float_text(number), expected);
        }
    }

    #[test]
    fn texts_that_say_more_than_the_number_stay() {
        for (text, kept) in [
            ("0", false),
            ("-0", false),
            ("9223372036854775807", false),
            ("9223372036854775808", true),
            ("-9223372036854775808", false),
            ("18446744073709551615", true),
            ("1.50", true),
            ("1.0", true),
            ("0.1", false),
            ("1e3", true),
            ("1e+21", false),
            ("0.30000000000000004", false),
            ("3.141592653589793238", true),
        ] {
            assert_eq!(matches!(value(text), Value::Digits(_)), kept, "{text}");
            assert_eq!(value(text).to_json(), text);
        }
    }
}
