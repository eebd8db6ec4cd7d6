//! `printf` and what else prints.

use gotmpl::Value;

use super::Made;
use crate::{cost, go};

/// Widths and precisions above it count as this.
const WIDEST: usize = 10_000;

pub(super) fn print(args: &[Value]) -> Made {
    Ok(Value::String(go::sprint(args).into()))
}

pub(super) fn println(args: &[Value]) -> Made {
    let texts: Vec<String> = args.iter().map(go::text).collect();
    Ok(Value::String(format!("{}\n", texts.join(" ")).into()))
}

pub(super) fn html(args: &[Value]) -> Made {
    Ok(Value::String(gotmpl::html_escape(&go::sprint(args)).into()))
}

pub(super) fn js(args: &[Value]) -> Made {
    Ok(Value::String(gotmpl::js_escape(&go::sprint(args)).into()))
}

pub(super) fn urlquery(args: &[Value]) -> Made {
    Ok(Value::String(gotmpl::url_encode(&go::sprint(args)).into()))
}

/// Flags, width and precision of a verb.
#[derive(Default)]
struct Spec {
    minus: bool,
    plus: bool,
    space: bool,
    sharp: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

pub(super) fn printf(args: &[Value]) -> Made {
    let Some(Value::String(format)) = args.first() else {
        return Err("printf: the first argument must be a text".to_owned());
    };
    let args = &args[1..];
    let (mut out, mut next) = (String::new(), 0);
    let mut characters = format.chars().peekable();
    while let Some(character) = characters.next() {
        cost::fits(out.len())?;
        if character != '%' {
            out.push(character);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = characters.peek() {
            match flag {
                '-' => spec.minus = true,
                '+' => spec.plus = true,
                ' ' => spec.space = true,
                '#' => spec.sharp = true,
                '0' => spec.zero = true,
                _ => break,
            }
            characters.next();
        }
        let mut number = |characters: &mut std::iter::Peekable<std::str::Chars<'_>>, minus: &mut bool| {
            if characters.next_if_eq(&'*').is_some() {
                let wanted = match args.get(next) {
                    Some(Value::Int(number)) => *number,
                    _ => 0,
                };
                next += 1;
                *minus |= wanted < 0;
                return Some((wanted.unsigned_abs() as usize).min(WIDEST));
            }
            let mut value = None;
            while let Some(digit) = characters.peek().and_then(|digit| digit.to_digit(10)) {
                value = Some((value.unwrap_or(0) * 10 + digit as usize).min(WIDEST));
                characters.next();
            }
            value
        };
        spec.width = number(&mut characters, &mut spec.minus);
        if characters.next_if_eq(&'.').is_some() {
            spec.precision = Some(number(&mut characters, &mut false).unwrap_or(0));
        }
        let Some(verb) = characters.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        let Some(arg) = args.get(next) else {
            out.push_str(&format!("%!{verb}(MISSING)"));
            continue;
        };
        next += 1;
        pad(&spec, verb, arg, &mut out);
    }
    if next < args.len() {
        let extra: Vec<String> =
            args[next..].iter().map(|arg| format!("{}={}", kind(arg), go::text(arg))).collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    Ok(Value::String(out.into()))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Nil => "<nil>",
        Value::List(_) => "[]interface {}",
        Value::Map(_) => "map[string]interface {}",
        other => other.type_name(),
    }
}

fn pad(spec: &Spec, verb: char, arg: &Value, out: &mut String) {
    let (text, numeric) = formatted(spec, verb, arg);
    let length = text.chars().count();
    let fill = spec.width.unwrap_or(0).saturating_sub(length);
    if spec.minus {
        out.push_str(&text);
        out.extend(std::iter::repeat_n(' ', fill));
    } else if spec.zero && numeric {
        // Zeros stand behind the sign.
        let sign = usize::from(text.starts_with(['-', '+', ' ']));
        out.push_str(&text[..sign]);
        out.extend(std::iter::repeat_n('0', fill));
        out.push_str(&text[sign..]);
    } else {
        out.extend(std::iter::repeat_n(' ', fill));
        out.push_str(&text);
    }
}

/// The text of a value, and whether it is a number.
fn formatted(spec: &Spec, verb: char, arg: &Value) -> (String, bool) {
    let cut = |text: &str| match spec.precision {
        Some(most) => text.chars().take(most).collect(),
        None => text.to_owned(),
    };
    let signed = |text: String| match (text.starts_with(['-', '+']), spec.plus, spec.space) {
        (false, true, _) => format!("+{text}"),
        (false, false, true) => format!(" {text}"),
        _ => text,
    };
    let wrong = || (format!("%!{verb}({}={})", kind(arg), go::text(arg)), false);
    match (verb, arg) {
        (_, Value::Nil) if verb == 'v' => ("<nil>".to_owned(), false),
        ('T', _) => (kind(arg).to_owned(), false),
        ('v' | 'd', Value::Int(number)) => (signed(number.to_string()), true),
        ('v' | 'd', Value::Uint(number)) => (signed(number.to_string()), true),
        ('v' | 'g' | 'G' | 'e' | 'E' | 'f' | 'F', Value::Float(number)) => {
            let kind = if verb == 'v' { b'g' } else { verb as u8 };
            let usual = if matches!(kind.to_ascii_lowercase(), b'e' | b'f') { Some(6) } else { None };
            (signed(go::float(*number, kind, spec.precision.or(usual))), true)
        }
        ('v' | 't', Value::Bool(value)) => (value.to_string(), false),
        ('v' | 's', Value::String(text)) if !(spec.sharp && verb == 'v') => (cut(text), false),
        ('q', Value::String(text)) | ('v', Value::String(text)) => (quote(&cut(text)), false),
        ('q' | 'c', Value::Int(number)) => {
            let character = u32::try_from(*number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
            (if verb == 'q' { format!("'{character}'") } else { character.to_string() }, false)
        }
        ('x' | 'X' | 'o' | 'b' | 'U', Value::Int(number)) => {
            let size = number.unsigned_abs();
            let digits = match verb {
                'x' => format!("{}{size:x}", if spec.sharp { "0x" } else { "" }),
                'X' => format!("{}{size:X}", if spec.sharp { "0X" } else { "" }),
                'o' => format!("{size:o}"),
                'b' => format!("{size:b}"),
                _ => format!("U+{size:04X}"),
            };
            (signed(if *number < 0 { format!("-{digits}") } else { digits }), true)
        }
        ('x', Value::String(text)) => (text.bytes().map(|byte| format!("{byte:02x}")).collect(), false),
        ('X', Value::String(text)) => (text.bytes().map(|byte| format!("{byte:02X}")).collect(), false),
        ('v', _) => (go::text(arg), false),
        (_, Value::List(items)) => {
            let parts: Vec<String> = items.iter().map(|item| formatted(spec, verb, item).0).collect();
            (format!("[{}]", parts.join(" ")), false)
        }
        (_, Value::Map(fields)) => {
            let parts: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{name}:{}", formatted(spec, verb, value).0))
                .collect();
            (format!("map[{}]", parts.join(" ")), false)
        }
        _ => wrong(),
    }
}

/// A text as Go quotes it.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            other if (other as u32) < 0x20 || other as u32 == 0x7f => {
                out.push_str(&format!("\\x{:02x}", other as u32));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
