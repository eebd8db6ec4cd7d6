//! YAML in and out.

use std::fmt::Write as _;

use super::receive::{fits, text};
use super::{Example, Spec};
use crate::Value;
use crate::run::{Evaluated, Failure};

pub(crate) static TABLE: &[Spec] = &[
    Spec::method("Parsing", "parse_yaml", "The value of a YAML document.", |_, value, _| {
        let parsed = document::Document::parse(&*text(&value)?, document::Format::Yaml);
        let wrong = |fault: document::Fault| {
            Failure::new(format!("failed to parse value as YAML: {}", fault.message))
        };
        parsed.map(|document| Value::from(document.into_value())).map_err(wrong)
    })
    .examples(&[
        Example(
            "root = this.parse_yaml()",
            r#""a: [1, yes]\nb:\n  c: null""#,
            r#"{"a":[1,"yes"],"b":{"c":null}}"#,
        ),
        Example("root = this.parse_yaml()", r#""a: [""#, "error: failed to parse value as YAML"),
    ]),
    Spec::method("Parsing", "format_yaml", "The value as a YAML document, in bytes.", |_, value, _| {
        let mut out = String::new();
        block(&value, 0, false, &mut out)?;
        Ok(Value::Bytes(out.trim_start_matches('\n').to_owned().into()))
    })
    .examples(&[
        Example(
            "root = this.format_yaml().string()",
            r#"{"b":[1,"x: y",[]],"a":{"c":null}}"#,
            r#""a:\n    c: null\nb:\n    - 1\n    - 'x: y'\n    - []\n""#,
        ),
        Example(
            "root = this.format_yaml().parse_yaml()",
            r#"["true","1.5","a\nb\n"," x","~","é","0x1","2020-01-01"]"#,
            r#"["true","1.5","a\nb\n"," x","~","é","0x1","2020-01-01"]"#,
        ),
    ]),
];

/// Writes a value from a column on; within a list its first field stands on the line of the `-`.
fn block(value: &Value, column: usize, in_list: bool, out: &mut String) -> Evaluated<()> {
    // Columns multiply.
    fits(out.len())?;
    match value {
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                begin(column, in_list && index == 0, out);
                out.push_str("- ");
                nested(item, column, true, out)?;
            }
        }
        Value::Object(object) if !object.is_empty() => {
            for (index, (name, value)) in object.sorted().into_iter().enumerate() {
                begin(column, in_list && index == 0, out);
                let _ = write!(out, "{}:", scalar(&Value::String(name.clone()), column));
                nested(value, column, false, out)?;
            }
        }
        other => {
            begin(column, true, out);
            out.push_str(&scalar(other, column));
            out.push('\n');
        }
    }
    Ok(())
}

fn nested(value: &Value, column: usize, in_list: bool, out: &mut String) -> Evaluated<()> {
    fits(out.len())?;
    let below = column + if in_list { 2 } else { 4 };
    let is_block = match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(object) => !object.is_empty(),
        _ => false,
    };
    if is_block {
        if !in_list {
            out.push('\n');
        }
        return block(value, below, in_list, out);
    }
    if !in_list {
        out.push(' ');
    }
    out.push_str(&scalar(value, below));
    out.push('\n');
    Ok(())
}

fn begin(column: usize, same_line: bool, out: &mut String) {
    if !same_line {
        out.extend(std::iter::repeat_n(' ', column));
    }
}

fn scalar(value: &Value, column: usize) -> String {
    match value {
        Value::String(text) => written(text, column),
        Value::Timestamp(_) => value.to_text(),
        Value::Float(number) if number.is_nan() => ".nan".to_owned(),
        Value::Float(number) if number.is_infinite() => {
            if *number > 0.0 { ".inf" } else { "-.inf" }.to_owned()
        }
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => written(text, column),
            Err(_) => format!("!!binary {}", value.to_json().trim_matches('"')),
        },
        other => other.to_json(),
    }
}

/// Text as it is, between quotes where it would be something else, or as lines of their own.
fn written(text: &str, column: usize) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let printable = text
        .chars()
        .all(|c| c == '\n' || !c.is_control() && !matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}'));
    if !printable || text.contains('\n') && !is_literal(text) {
        let mut quoted = Vec::new();
        crate::value::write_json_text(text, &mut quoted);
        return String::from_utf8_lossy(&quoted).replace('\u{7f}', "\\x7f").replace('\u{feff}', "\\ufeff");
    }
    if !text.contains('\n') {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let body = text.trim_end_matches('\n');
    let ending = match text.len() - body.len() {
        0 => "-",
        1 => "",
        _ => "+",
    };
    let mut out = format!("|{ending}");
    let lines = if ending == "+" { text.strip_suffix('\n').unwrap_or(text) } else { body };
    for line in lines.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', column.max(4)));
            out.push_str(line);
        }
    }
    out
}

/// Whether lines can be told as they stand: they say no indentation of their own.
fn is_literal(text: &str) -> bool {
    !text.starts_with([' ', '\n', '\t']) && !text.trim_end_matches('\n').is_empty()
}

/// Whether text means itself without quotes.
fn is_plain(text: &str) -> bool {
    let simple = |c: char| {
        c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' ' | '(' | ')' | '+' | '$' | ';' | '=')
    };
    let lower = text.to_ascii_lowercase();
    let word = !matches!(
        &*lower,
        "null"
            | "true"
            | "false"
            | "yes"
            | "no"
            | "on"
            | "off"
            | "y"
            | "n"
            | ".inf"
            | ".nan"
            | "-.inf"
            | "+.inf"
    );
    word && text.starts_with(|c: char| c.is_alphabetic() || matches!(c, '/' | '_'))
        && text.chars().all(simple)
        && !text.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for json in [
            r#"{"a b":1,"":2,"- x":[[1,[2]],{"c":{"d":[]}}],"#.to_owned() + r#""t":"line\n  two\n\nthree"}"#,
            r#"["", " ", "a: b", "a #b", "'q'", "\"", "\t", "\u0000", "a\n", "\n", "a\n\n", "\n a", "- ", "? x", "*x", "&x", "%x", "@", "`", "{", "[", "|", ">", "!"]"#.to_owned(),
            r#"[1.5, -0.001, 1e30, 12345678901, true, null, "null", "No", "1_000", "1e3", "0o7", ".5", "12:30", "<<", "=", "---", "..."]"#.to_owned(),
            r#"{"k":["multi\nline",{"x":"multi\nline\n"}],"\u007f":"\ufeff\u2028"}"#.to_owned(),
        ] {
            let value = Value::parse_json(json.as_bytes()).unwrap().settled();
            let mut out = String::new();
            block(&value, 0, false, &mut out).unwrap();
            let back = document::Document::parse(&*out, document::Format::Yaml);
            let back = Value::from(back.unwrap_or_else(|fault| panic!("{fault:?}\n{out}")).into_value());
            assert_eq!(back, value, "\n{out}");
        }
    }
}
