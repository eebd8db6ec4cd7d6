//! Go's `fmt` verbs, for the `format` method.

use crate::Value;
use crate::value::MAX_SIZE;

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

/// Fills the verbs of a pattern. What does not fit is told within the text, as Go does: `%!d(string=x)`, `%!s(MISSING)`,
/// `%!(EXTRA string=x)`.
///
/// # Errors
/// When the text would be larger than any value may be.
pub(crate) fn sprintf(pattern: &str, values: &[Value]) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut next = 0;
    let mut reordered = false;
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut verb = flags(&mut rest);
        let mut right_index = index(&mut rest, values.len(), &mut next, &mut reordered);
        if let Some(after) = rest.strip_prefix('*') {
            rest = after;
            match values.get(next) {
                Some(Value::Int(width)) if width.unsigned_abs() < 10_000 => {
                    verb.minus |= *width < 0;
                    verb.width = usize::try_from(width.unsigned_abs()).unwrap_or(0);
                }
                _ => out.push_str("%!(BADWIDTH)"),
            }
            next += 1;
        } else {
            verb.width = digits(&mut rest).unwrap_or(0);
        }
        if let Some(after) = rest.strip_prefix('.') {
            rest = after;
            verb.precision = Some(digits(&mut rest).unwrap_or(0));
        }
        right_index &= index(&mut rest, values.len(), &mut next, &mut reordered);
        let Some(kind) = rest.chars().next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        rest = &rest[kind.len_utf8()..];
        match values.get(next) {
            _ if kind == '%' => out.push('%'),
            _ if !right_index => out.push_str(&format!("%!{kind}(BADINDEX)")),
            Some(value) => {
                next += 1;
                format_value(kind, &verb, value, &mut out);
            }
            None => out.push_str(&format!("%!{kind}(MISSING)")),
        }
        if out.len() as u64 > MAX_SIZE {
            return Err(format!("the result would be larger than {} MiB", MAX_SIZE >> 20));
        }
    }
    out.push_str(rest);
    if let Some(extra) = values.get(next..).filter(|extra| !extra.is_empty() && !reordered) {
        let extra: Vec<String> = extra.iter().map(typed).collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    Ok(out)
}

/// The place of the next value, if it is written (`[2]`); false when there is no such value.
fn index(rest: &mut &str, count: usize, next: &mut usize, reordered: &mut bool) -> bool {
    let Some((number, after)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) else {
        return true;
    };
    *reordered = true;
    *rest = after;
    match number.parse::<usize>() {
        Ok(number) if (1..=count).contains(&number) => {
            *next = number - 1;
            true
        }
        _ => false,
    }
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
    verb
}

/// A number of at most four digits, so that no pattern can ask for a gigantic text.
fn digits(rest: &mut &str) -> Option<usize> {
    let length = rest.bytes().take(4).take_while(u8::is_ascii_digit).count();
    let number = rest[..length].parse().ok();
    *rest = &rest[length..];
    number
}

/// Writes a value; those within arrays and objects, too, are written by the verb.
fn format_value(kind: char, verb: &Verb, value: &Value, out: &mut String) {
    match (kind, value) {
        ('T', value) => pad(go_type(value), verb, out),
        ('v' | 'd', Value::Bytes(bytes)) => {
            let numbers = bytes.iter().map(|byte| Value::Int(i64::from(*byte)));
            list(('[', ']'), numbers, out, |number, out| format_value(kind, verb, &number, out));
        }
        (_, Value::Array(items)) => {
            list(('[', ']'), items.iter(), out, |item, out| format_value(kind, verb, item, out));
        }
        (_, Value::Object(fields)) => {
            out.push_str("map");
            list(('[', ']'), fields.sorted().into_iter(), out, |(name, value), out| {
                format_value(kind, verb, &Value::String(name.clone()), out);
                out.push(':');
                format_value(kind, verb, value, out);
            });
        }
        _ => match simple(kind, verb, value) {
            Some(text) => pad(&text, verb, out),
            None if value.is_absent() => out.push_str(&format!("%!{kind}(<nil>)")),
            None => {
                out.push_str(&format!("%!{kind}({}=", go_type(value)));
                format_value('v', verb, value, out);
                out.push(')');
            }
        },
    }
}

fn list<T>(
    brackets: (char, char),
    items: impl Iterator<Item = T>,
    out: &mut String,
    mut write: impl FnMut(T, &mut String),
) {
    out.push(brackets.0);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(' ');
        }
        write(item, out);
    }
    out.push(brackets.1);
}

/// The text of a value that is no list, without padding; none when it does not go with the verb.
fn simple(kind: char, verb: &Verb, value: &Value) -> Option<String> {
    let plus = verb.plus && kind != 'v';
    let signed = |text: String, negative: bool| match (negative, plus, verb.space) {
        (false, true, _) => format!("+{text}"),
        (false, false, true) => format!(" {text}"),
        _ => text,
    };
    Some(match (kind, value) {
        ('v', Value::Null | Value::Delete | Value::Nothing) => "<nil>".to_owned(),
        ('v', Value::String(text)) if verb.sharp => quoted(text),
        ('v' | 's', Value::Timestamp(time)) => {
            crate::time::format(time, "2006-01-02 15:04:05.999999999 -0700 MST")
        }
        ('v', Value::Float(number)) => signed(general(*number, None), number.is_sign_negative()),
        ('v', Value::Int(number)) => signed(number.to_string(), *number < 0),
        ('v', value) => value.to_text(),
        ('s' | 'q' | 'x' | 'X', Value::String(_) | Value::Bytes(_)) => {
            let text = value.to_text_bytes();
            let text = match (verb.precision, std::str::from_utf8(&text)) {
                (Some(precision), Ok(text)) if !matches!(kind, 'x' | 'X') => {
                    text.chars().take(precision).collect::<String>().into_bytes()
                }
                (Some(precision), _) => text.get(..precision).unwrap_or(&text).to_vec(),
                (None, _) => text,
            };
            match kind {
                's' => String::from_utf8_lossy(&text).into_owned(),
                'q' => quoted(&String::from_utf8_lossy(&text)),
                'x' => text.iter().map(|byte| format!("{byte:02x}")).collect(),
                _ => text.iter().map(|byte| format!("{byte:02X}")).collect(),
            }
        }
        ('t', Value::Bool(value)) => value.to_string(),
        ('d', Value::Int(number)) => {
            let digits = format!("{:0>1$}", number.unsigned_abs(), verb.precision.unwrap_or(0));
            signed(if *number < 0 { format!("-{digits}") } else { digits }, *number < 0)
        }
        ('x', Value::Int(number)) => radix(*number, if verb.sharp { "0x" } else { "" }, |n| format!("{n:x}")),
        ('X', Value::Int(number)) => radix(*number, if verb.sharp { "0X" } else { "" }, |n| format!("{n:X}")),
        ('o', Value::Int(number)) => radix(*number, if verb.sharp { "0" } else { "" }, |n| format!("{n:o}")),
        ('O', Value::Int(number)) => radix(*number, "0o", |n| format!("{n:o}")),
        ('b', Value::Int(number)) => radix(*number, if verb.sharp { "0b" } else { "" }, |n| format!("{n:b}")),
        ('c', Value::Int(number)) => character(*number).to_string(),
        ('q', Value::Int(number)) => match character(*number) {
            '\'' => "'\\''".to_owned(),
            '"' => "'\"'".to_owned(),
            c => format!("'{}'", quoted(&c.to_string()).trim_matches('"')),
        },
        ('U', Value::Int(number)) => {
            let code = format!("U+{number:04X}");
            match u32::try_from(*number).ok().and_then(char::from_u32) {
                Some(c) if verb.sharp && !c.is_control() => format!("{code} '{c}'"),
                _ => code,
            }
        }
        ('f' | 'F', Value::Float(number)) => {
            signed(format!("{number:.*}", verb.precision.unwrap_or(6)), number.is_sign_negative())
        }
        ('e' | 'E', Value::Float(number)) => {
            let text = exponential(*number, Some(verb.precision.unwrap_or(6)));
            signed(if kind == 'E' { text.to_uppercase() } else { text }, number.is_sign_negative())
        }
        ('g' | 'G', Value::Float(number)) => {
            let text = general(*number, verb.precision);
            signed(if kind == 'G' { text.to_uppercase() } else { text }, number.is_sign_negative())
        }
        _ => return None,
    })
}

fn character(number: i64) -> char {
    u32::try_from(number).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// What Go calls the type of a value.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null | Value::Delete | Value::Nothing => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Float(_) | Value::Digits(_) => "float64",
        Value::String(_) => "string",
        Value::Bytes(_) => "[]uint8",
        Value::Timestamp(_) => "time.Time",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// `string=x`, for what no verb asks for.
fn typed(value: &Value) -> String {
    if value.is_absent() {
        return "<nil>".to_owned();
    }
    let mut text = format!("{}=", go_type(value));
    format_value('v', &Verb::default(), value, &mut text);
    text
}

/// `%e`: the digits after the point, as few as are needed when it is none, and an exponent of two digits at least.
fn exponential(number: f64, precision: Option<usize>) -> String {
    let text = match precision {
        Some(precision) => format!("{number:.precision$e}"),
        None => format!("{number:e}"),
    };
    match text.split_once('e') {
        Some((digits, power)) => match power.strip_prefix('-') {
            Some(power) => format!("{digits}e-{power:0>2}"),
            None => format!("{digits}e+{power:0>2}"),
        },
        None => text,
    }
}

/// `%g`: with an exponent where that is small, or as large as the precision (six, when as few digits as are needed are
/// written); otherwise without. Zeros at the end are left out.
fn general(number: f64, precision: Option<usize>) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = exponential(number, precision.map(|precision| precision.max(1) - 1));
    let Some((digits, power)) = text.split_once('e') else { return text };
    let digits =
        if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    let power: i32 = power.parse().unwrap_or(0);
    let significant = i32::try_from(digits.bytes().filter(u8::is_ascii_digit).count()).unwrap_or(0);
    let limit = match precision {
        None => 6,
        Some(precision) => {
            let precision = i32::try_from(precision.max(1)).unwrap_or(i32::MAX);
            if precision > significant && significant > power { significant } else { precision }
        }
    };
    if power < -4 || power >= limit {
        let sign = if power < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", power.abs());
    }
    let places = usize::try_from((significant - 1 - power).max(0)).unwrap_or(0);
    let plain: f64 = format!("{digits}e{power}").parse().unwrap_or(number);
    format!("{plain:.places$}")
}

fn radix(number: i64, prefix: &str, digits: fn(u64) -> String) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{prefix}{}", digits(number.unsigned_abs()))
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
            ("a%20b", "[]", "a%!b(MISSING)"),
            ("%5d|%5z", r#"["x",1]"#, "%!d(string=    x)|%!z(int64=    1)"),
            ("%s", r#"["a",1,null,[true]]"#, "a%!(EXTRA int64=1, <nil>, []interface {}=[true])"),
            ("%q %q %q %q", r#"["a",65,39,10]"#, r#""a" 'A' '\'' '\n'"#),
            ("%U %#U", "[228,228]", "U+00E4 U+00E4 'ä'"),
            (
                "%T %T %T %T %T %T",
                r#"[1,1.5,"a",true,[],null]"#,
                "int64 float64 string bool []interface {} <nil>",
            ),
            ("%d %s", r#"[[1,2],["a",1]]"#, "[1 2] [a %!s(int64=1)]"),
            ("%[2]v %[1]v %[3]v", "[1,2]", "2 1 %!v(BADINDEX)"),
            ("%*d|%-*d|%*d", r#"[4,1,4,1,"x",1]"#, "   1|1   |%!(BADWIDTH)1"),
            ("%.3d %O %#b", "[5,8,5]", "005 0o10 0b101"),
            ("%v %v %v %g", "[0.00001,1.5,1e300,123456789.5]", "1e-05 1.5 1e+300 1.234567895e+08"),
            ("%.3g %.3g %.3g %.10g", "[1234.5,0.5,100.5,0.1]", "1.23e+03 0.5 100 0.1"),
            ("%+v %+d", "[1,1]", "1 +1"),
            ("%d %x", "[null,true]", "%!d(<nil>) %!x(bool=true)"),
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
