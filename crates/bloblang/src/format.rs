//! Go's `fmt` verbs, for the `format` method.

use crate::Value;
use crate::value::{MAX_SIZE, float_text};

/// A verb's flags, width and precision.
#[derive(Default)]
struct Verb {
    minus: bool,
    plus: bool,
    zero: bool,
    space: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
}

/// Fills the verbs of a pattern. What does not fit is told within the text, as Go does: `%!d(string=x)`, `%!s(MISSING)`.
pub(crate) fn sprintf(pattern: &str, values: &[Value]) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut values = values.iter();
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let verb = flags(&mut rest);
        let Some(kind) = rest.chars().next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        rest = &rest[kind.len_utf8()..];
        if kind == '%' {
            out.push('%');
            continue;
        }
        let text = match values.next() {
            Some(value) => format_value(kind, &verb, value),
            None => format!("%!{kind}(MISSING)"),
        };
        pad(&text, &verb, &mut out);
        if out.len() as u64 > MAX_SIZE {
            return Err(format!("the result would be larger than {} MiB", MAX_SIZE >> 20));
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn flags(rest: &mut &str) -> Verb {
    let mut verb = Verb::default();
    while let Some(flag) = rest.chars().next() {
        match flag {
            '-' => verb.minus = true,
            '+' => verb.plus = true,
            '0' => verb.zero = true,
            ' ' => verb.space = true,
            '#' => verb.sharp = true,
            _ => break,
        }
        *rest = &rest[1..];
    }
    verb.width = digits(rest).unwrap_or(0);
    if let Some(after) = rest.strip_prefix('.') {
        *rest = after;
        verb.precision = Some(digits(rest).unwrap_or(0));
    }
    verb
}

/// A number of at most four digits, so that no pattern can ask for a gigantic text.
fn digits(rest: &mut &str) -> Option<usize> {
    let length = rest.bytes().take(4).take_while(u8::is_ascii_digit).count();
    let number = rest[..length].parse().ok();
    *rest = &rest[length..];
    number
}

fn format_value(kind: char, verb: &Verb, value: &Value) -> String {
    let signed = |text: String, negative: bool| match (negative, verb.plus, verb.space) {
        (false, true, _) => format!("+{text}"),
        (false, false, true) => format!(" {text}"),
        _ => text,
    };
    match (kind, value) {
        ('v', value) => plain(value),
        ('s' | 'q' | 'x' | 'X', Value::String(_) | Value::Bytes(_)) => {
            let text = value.to_text();
            let text: String = match verb.precision {
                Some(precision) => text.chars().take(precision).collect(),
                None => text,
            };
            match kind {
                's' => text,
                'q' => quoted(&text),
                'x' => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
                _ => text.bytes().map(|byte| format!("{byte:02X}")).collect(),
            }
        }
        ('s', value @ (Value::Array(_) | Value::Object(_) | Value::Timestamp(_))) => plain(value),
        ('t', Value::Bool(value)) => value.to_string(),
        ('d', Value::Int(number)) => signed(number.to_string(), *number < 0),
        ('x', Value::Int(number)) => radix(*number, if verb.sharp { "0x" } else { "" }, |n| format!("{n:x}")),
        ('X', Value::Int(number)) => radix(*number, if verb.sharp { "0X" } else { "" }, |n| format!("{n:X}")),
        ('o', Value::Int(number)) => radix(*number, if verb.sharp { "0" } else { "" }, |n| format!("{n:o}")),
        ('b', Value::Int(number)) => radix(*number, "", |n| format!("{n:b}")),
        ('c', Value::Int(number)) => u32::try_from(*number)
            .ok()
            .and_then(char::from_u32)
            .unwrap_or(char::REPLACEMENT_CHARACTER)
            .to_string(),
        ('f' | 'F', Value::Float(number)) => {
            signed(format!("{number:.*}", verb.precision.unwrap_or(6)), number.is_sign_negative())
        }
        ('e' | 'E', Value::Float(number)) => {
            let text = format!("{number:.*e}", verb.precision.unwrap_or(6));
            let text = match text.split_once('e') {
                Some((digits, power)) => match power.strip_prefix('-') {
                    Some(power) => format!("{digits}e-{power:0>2}"),
                    None => format!("{digits}e+{power:0>2}"),
                },
                None => text,
            };
            signed(if kind == 'E' { text.to_uppercase() } else { text }, number.is_sign_negative())
        }
        ('g' | 'G', Value::Float(number)) => signed(float_text(*number), number.is_sign_negative()),
        (kind, value) => {
            let go_type = match value {
                Value::Null | Value::Delete | Value::Nothing => return format!("%!{kind}(<nil>)"),
                Value::Bool(_) => "bool",
                Value::Int(_) => "int64",
                Value::Float(_) | Value::Digits(_) => "float64",
                Value::String(_) => "string",
                Value::Bytes(_) => "[]uint8",
                Value::Timestamp(_) => "time.Time",
                Value::Array(_) => "[]interface {}",
                Value::Object(_) => "map[string]interface {}",
            };
            format!("%!{kind}({go_type}={})", plain(value))
        }
    }
}

fn radix(number: i64, prefix: &str, digits: fn(u64) -> String) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{prefix}{}", digits(number.unsigned_abs()))
}

/// `%v`: arrays as `[a b]`, objects as `map[k:v]` with sorted keys.
fn plain(value: &Value) -> String {
    match value {
        Value::Null | Value::Delete | Value::Nothing => "<nil>".to_owned(),
        Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Object(object) => {
            let fields: Vec<String> =
                object.sorted().into_iter().map(|(name, value)| format!("{name}:{}", plain(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
        other => other.to_text(),
    }
}

fn pad(text: &str, verb: &Verb, out: &mut String) {
    let missing = verb.width.saturating_sub(text.chars().count());
    if verb.minus {
        out.push_str(text);
        out.extend(std::iter::repeat_n(' ', missing));
    } else if verb.zero {
        let sign = text.len() - text.trim_start_matches(['+', '-']).len();
        out.push_str(&text[..sign]);
        out.extend(std::iter::repeat_n('0', missing));
        out.push_str(&text[sign..]);
    } else {
        out.extend(std::iter::repeat_n(' ', missing));
        out.push_str(text);
    }
}

/// A text between double quotes, with the escapes of Go.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs() {
        for (pattern, values, expected) in [
            ("%5d|%-5d|%05d|%+d", "[42,42,-42,42]", "   42|42   |-0042|+42"),
            ("%8.3f|%e|%g", "[3.14159,123456.789,0.5]", "   3.142|1.234568e+05|0.5"),
            ("%s %q %x", r#"["a","b\n","hi"]"#, r#"a "b\n" 6869"#),
            ("%d %s", r#"["x"]"#, "%!d(string=x) %!s(MISSING)"),
            ("%x %X %#x %b %c", "[255,255,255,5,228]", "ff FF 0xff 101 ä"),
            ("%v %v %t", r#"[{"b":1,"a":[1,null]},1.0,true]"#, "map[a:[1 <nil>] b:1] 1 true"),
            ("100%% %", "[]", "100% %!(NOVERB)"),
            ("%.2s|%3s|%-3s|", r#"["abc","ä","b"]"#, "ab|  ä|b  |"),
        ] {
            let values = Value::parse_json(values.as_bytes()).unwrap().settled();
            assert_eq!(sprintf(pattern, values.as_array().unwrap()).unwrap(), expected, "{pattern}");
        }
    }
}
