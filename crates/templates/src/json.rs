//! Values as JSON, as Go's encoder writes it.

use std::fmt::Write as _;

use gotmpl::Value;

/// How it is written.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    /// `<`, `>` and `&` are escaped, so that it can stand in HTML.
    pub(crate) html: bool,
    /// One line for each element.
    pub(crate) pretty: bool,
}

pub(crate) fn write(value: &Value, style: Style) -> Result<String, String> {
    let mut out = String::new();
    element(value, style, 0, &mut out)?;
    Ok(out)
}

fn element(value: &Value, style: Style, level: usize, out: &mut String) -> Result<(), String> {
    crate::cost::fits(out.len())?;
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(number) => write!(out, "{number}").map_err(|fault| fault.to_string())?,
        Value::Uint(number) => write!(out, "{number}").map_err(|fault| fault.to_string())?,
        Value::Float(number) if number.is_finite() => out.push_str(&float(*number)),
        Value::Float(number) => return Err(format!("json: unsupported value: {number}")),
        Value::String(text) => string(text, style.html, out),
        Value::List(items) if items.is_empty() => out.push_str("[]"),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                between(index, style, level + 1, out);
                element(item, style, level + 1, out)?;
            }
            line(style, level, out);
            out.push(']');
        }
        Value::Map(fields) if fields.is_empty() => out.push_str("{}"),
        Value::Map(fields) => {
            out.push('{');
            for (index, (name, value)) in fields.iter().enumerate() {
                between(index, style, level + 1, out);
                string(name, style.html, out);
                out.push_str(if style.pretty { ": " } else { ":" });
                element(value, style, level + 1, out)?;
            }
            line(style, level, out);
            out.push('}');
        }
        Value::Function(_) => return Err("json: unsupported type: func".to_owned()),
    }
    Ok(())
}

fn between(index: usize, style: Style, level: usize, out: &mut String) {
    if index > 0 {
        out.push(',');
    }
    line(style, level, out);
}

fn line(style: Style, level: usize, out: &mut String) {
    if style.pretty {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", level));
    }
}

/// The shortest digits that give the number back; with an exponent where it is very small or large.
fn float(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        return match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
            _ => text,
        };
    }
    format!("{number}")
}

fn string(text: &str, html: bool, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' if html => escape(character, out),
            '\u{2028}' | '\u{2029}' => escape(character, out),
            other if (other as u32) < 0x20 => escape(other, out),
            other => out.push(other),
        }
    }
    out.push('"');
}

fn escape(character: char, out: &mut String) {
    // Writing to memory cannot fail.
    let _ = write!(out, "\\u{:04x}", character as u32);
}
