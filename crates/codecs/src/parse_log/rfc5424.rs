//! `<34>1 2003-10-11T22:14:15.003Z host app procid msgid [sd k="v"] message` (RFC 5424, section 6).

use bloblang::{Object, Value};

use super::{Fields, rfc3339, word};
use crate::values::object;

/// Elements of structured data, and parameters of each.
const MOST: usize = 10_000;

/// Fills in the fields until the end or the first fault.
pub(super) fn parse(text: &str, fields: &mut Fields) -> Result<(), String> {
    let rest = fields.priority(text)?;
    let (version, rest) = word(rest);
    let digits = (1..=3).contains(&version.len()) && version.bytes().all(|byte| byte.is_ascii_digit());
    let number = version.parse::<i64>().ok().filter(|_| digits && !version.starts_with('0'));
    let Some(number) = number else { return Err("a version is expected behind the priority".to_owned()) };
    fields.all.insert("version", Value::from(number));
    fields.begun = true;
    let (time, rest) = word(rest);
    if time != "-" {
        let fraction =
            time.split_once('.').map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count());
        match rfc3339(time).filter(|_| fraction <= 6) {
            Some(time) => fields.text("timestamp", &time),
            None => return Err(format!("`{time}` is no time")),
        }
    }
    let mut rest = rest;
    for (name, longest) in [("hostname", 255), ("appname", 48), ("procid", 128), ("msgid", 32)] {
        let (value, after) = word(rest);
        let printable = value.bytes().all(|byte| (33..=126).contains(&byte));
        if value.is_empty() || value.len() > longest || !printable {
            return Err(format!("the {name} is not 1 to {longest} printable characters"));
        }
        if value != "-" {
            fields.text(name, value);
        }
        rest = after;
    }
    let rest = structured(rest, fields)?;
    let message = match rest.strip_prefix(' ') {
        Some(message) => message,
        None if rest.is_empty() => return Ok(()),
        None => return Err("a space is expected behind the structured data".to_owned()),
    };
    let message = message.strip_prefix('\u{feff}').unwrap_or(message);
    if !message.is_empty() {
        fields.text("message", message);
    }
    Ok(())
}

/// `-` or `[id name="value" ...]...`; gives the rest.
fn structured<'t>(text: &'t str, fields: &mut Fields) -> Result<&'t str, String> {
    if let Some(rest) = text.strip_prefix('-') {
        return Ok(rest);
    }
    let mut elements = Object::new();
    let mut rest = text;
    while let Some(inner) = rest.strip_prefix('[') {
        let (id, parameters, after) = element(inner)?;
        elements.insert(id, object(parameters));
        rest = after;
        if elements.len() > MOST {
            return Err(format!("there are more than {MOST} elements of structured data"));
        }
    }
    if elements.is_empty() {
        return Err("structured data or `-` is expected".to_owned());
    }
    fields.all.insert("structureddata", object(elements));
    Ok(rest)
}

fn name_end(text: &str) -> Result<usize, String> {
    let end = text.find([' ', '=', ']', '"']).unwrap_or(text.len());
    let name = &text[..end];
    match (1..=32).contains(&name.len()) && name.bytes().all(|byte| (33..=126).contains(&byte)) {
        true => Ok(end),
        false => Err("a name of structured data is not 1 to 32 printable characters".to_owned()),
    }
}

/// An element after its bracket.
fn element(text: &str) -> Result<(&str, Object, &str), String> {
    let end = name_end(text)?;
    let (id, mut rest) = text.split_at(end);
    let mut parameters = Object::new();
    loop {
        if let Some(after) = rest.strip_prefix(']') {
            return Ok((id, parameters, after));
        }
        let Some(inner) = rest.strip_prefix(' ') else {
            return Err(format!("the structured data `{id}` has no `]`"));
        };
        let end = name_end(inner)?;
        let (name, after) = inner.split_at(end);
        let Some(quoted) = after.strip_prefix("=\"") else {
            return Err(format!("`{name}` in the structured data `{id}` has no value in quotes"));
        };
        let (value, after) = quoted_value(quoted)
            .ok_or_else(|| format!("the value of `{name}` in the structured data `{id}` does not end"))?;
        parameters.insert(name, Value::from(value));
        if parameters.len() > MOST {
            return Err(format!("the structured data `{id}` has more than {MOST} parameters"));
        }
        rest = after;
    }
}

/// A value after its first quote. A backslash stands before quotes, backslashes and `]`; elsewhere it is itself.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()? {
                (_, escaped @ ('"' | '\\' | ']')) => value.push(escaped),
                (_, other) => {
                    value.push('\\');
                    value.push(other);
                }
            },
            other => value.push(other),
        }
    }
    None
}
