//! Values as Go's `fmt` prints them.

use std::fmt::Write as _;

use gotmpl::Value;

/// As `%v`.
pub(crate) fn text(value: &Value) -> String {
    let mut out = String::new();
    print(value, &mut out);
    out
}

fn print(value: &Value, out: &mut String) {
    // Writing to memory cannot fail.
    match value {
        Value::Float(number) => out.push_str(&float(*number, b'g', None)),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                print(item, out);
            }
            out.push(']');
        }
        Value::Map(fields) => {
            out.push_str("map[");
            for (index, (name, value)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                let _ = write!(out, "{name}:");
                print(value, out);
            }
            out.push(']');
        }
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

/// A number with a verb of `e`, `f`, `g` or their capitals; without precision with the fewest digits that give it back.
pub(crate) fn float(number: f64, verb: u8, precision: Option<usize>) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let made = match verb.to_ascii_lowercase() {
        b'f' => match precision {
            Some(precision) => format!("{number:.precision$}"),
            None => format!("{number}"),
        },
        b'e' => exponent(number, precision),
        _ => {
            let value = match precision {
                None => number,
                Some(precision) => format!("{number:.*e}", precision.max(1) - 1).parse().unwrap_or(number),
            };
            let shortest = format!("{value:e}");
            let power: i32 =
                shortest.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or_default();
            let digits = shortest.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
            // Without precision six digits decide.
            let limit = match precision.map(|precision| precision.max(1)) {
                None => 6,
                Some(precision) if precision > digits && digits as i32 > power => digits as i32,
                Some(precision) => precision as i32,
            };
            if value != 0.0 && (power < -4 || power >= limit) {
                exponent(value, None)
            } else {
                format!("{value}")
            }
        }
    };
    if verb.is_ascii_uppercase() { made.to_ascii_uppercase() } else { made }
}

/// `1.5e+07`: a sign and two digits at least.
fn exponent(number: f64, precision: Option<usize>) -> String {
    let text = match precision {
        Some(precision) => format!("{number:.precision$e}"),
        None => format!("{number:e}"),
    };
    let Some((digits, power)) = text.split_once('e') else { return text };
    let (sign, power) = match power.strip_prefix('-') {
        Some(power) => ('-', power),
        None => ('+', power),
    };
    format!("{digits}e{sign}{power:0>2}")
}

/// What `print` makes of its arguments: spaces stand between those that are no texts.
pub(crate) fn sprint(args: &[Value]) -> String {
    let mut out = String::new();
    for (index, arg) in args.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::String(_));
        if index > 0 && !is_text(arg) && !is_text(&args[index - 1]) {
            out.push(' ');
        }
        print(arg, &mut out);
    }
    out
}
