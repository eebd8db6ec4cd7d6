//! Texts cut, joined and changed.

use gotmpl::Value;

use super::printf::quote;
use super::{Made, Table, arg, int, made, only_text, size, str, texts};
use crate::{cost, go};

pub(super) const TABLE: Table = &[
    ("trim", |args| only_text(args, |text| text.trim().to_owned())),
    ("upper", |args| only_text(args, str::to_uppercase)),
    ("lower", |args| only_text(args, str::to_lowercase)),
    ("trimAll", |args| cut_set(args)),
    ("trimall", |args| cut_set(args)),
    ("trimSuffix", |args| {
        let (end, text) = (str(args, 0)?, str(args, 1)?);
        Ok(made(text.strip_suffix(end).unwrap_or(text)))
    }),
    ("trimPrefix", |args| {
        let (begin, text) = (str(args, 0)?, str(args, 1)?);
        Ok(made(text.strip_prefix(begin).unwrap_or(text)))
    }),
    ("contains", |args| Ok(Value::Bool(str(args, 1)?.contains(str(args, 0)?)))),
    ("hasPrefix", |args| Ok(Value::Bool(str(args, 1)?.starts_with(str(args, 0)?)))),
    ("hasSuffix", |args| Ok(Value::Bool(str(args, 1)?.ends_with(str(args, 0)?)))),
    ("replace", |args| {
        let (from, to, text) = (str(args, 0)?, str(args, 1)?, str(args, 2)?);
        let most = text.len().saturating_add((text.len() / from.len().max(1) + 1).saturating_mul(to.len()));
        cost::fits(most)?;
        Ok(made(text.replace(from, to)))
    }),
    ("repeat", |args| {
        let (count, text) = (size(args, 0)?, str(args, 1)?);
        cost::fits(count.saturating_mul(text.len()))?;
        Ok(made(text.repeat(count)))
    }),
    ("nospace", |args| only_text(args, |text| text.chars().filter(|c| !c.is_whitespace()).collect())),
    ("substr", |args| {
        let (start, end, text) = (int(args, 0)?, int(args, 1)?, str(args, 2)?);
        let length = text.len() as i64;
        if start < 0 {
            return Ok(bytes(text, 0, end));
        }
        Ok(bytes(text, start, if end < 0 || end > length { length } else { end }))
    }),
    ("trunc", |args| {
        let (count, text) = (int(args, 0)?, str(args, 1)?);
        let length = text.len() as i64;
        if count < 0 { Ok(bytes(text, (length + count).max(0), length)) } else { Ok(bytes(text, 0, count)) }
    }),
    ("abbrev", |args| {
        let (width, text) = (int(args, 0)?, str(args, 1)?);
        Ok(made(if width < 4 { text.to_owned() } else { abbreviate(text, 0, width as usize) }))
    }),
    ("abbrevboth", |args| {
        let (left, right, text) = (int(args, 0)?, int(args, 1)?, str(args, 2)?);
        let as_it_is = right < 4 || (left > 0 && right < 7);
        let left = left.max(0) as usize;
        Ok(made(if as_it_is { text.to_owned() } else { abbreviate(text, left, right as usize) }))
    }),
    ("quote", |args| Ok(made(each(args, |text| quote(&text))))),
    ("squote", |args| Ok(made(each(args, |text| format!("'{text}'"))))),
    ("cat", |args| Ok(made(each(args, |text| text)))),
    ("indent", |args| Ok(made(indent(size(args, 0)?, str(args, 1)?)?))),
    ("nindent", |args| Ok(made(format!("\n{}", indent(size(args, 0)?, str(args, 1)?)?)))),
    ("plural", |args| {
        let chosen = if int(args, 2)? == 1 { 0 } else { 1 };
        Ok(made(str(args, chosen)?))
    }),
    ("toString", |args| Ok(made(go::text(arg(args, 0)?)))),
    ("toStrings", |args| Ok(super::list(texts(arg(args, 0)?).into_iter().map(made)))),
    ("join", |args| Ok(made(texts(arg(args, 1)?).join(str(args, 0)?)))),
    ("split", |args| Ok(numbered(str(args, 1)?.split(str(args, 0)?)))),
    ("splitn", |args| {
        let (separator, count, text) = (str(args, 0)?, size(args, 1)?, str(args, 2)?);
        Ok(numbered(text.splitn(count, separator)))
    }),
    ("splitList", |args| Ok(super::list(pieces(str(args, 0)?, str(args, 1)?).into_iter().map(made)))),
    ("sortAlpha", |args| match arg(args, 0)? {
        Value::List(_) => {
            let mut texts = texts(arg(args, 0)?);
            texts.sort();
            Ok(super::list(texts.into_iter().map(made)))
        }
        other => Ok(super::list([made(go::text(other))])),
    }),
];

fn cut_set(args: &[Value]) -> Made {
    let set: Vec<char> = str(args, 0)?.chars().collect();
    Ok(made(str(args, 1)?.trim_matches(&*set)))
}

/// Bytes of a text; where they would cut a character, that one is left out.
fn bytes(text: &str, from: i64, to: i64) -> Value {
    let to = usize::try_from(to).unwrap_or(0).min(text.len());
    let from = usize::try_from(from).unwrap_or(0).min(to);
    made(String::from_utf8_lossy(&text.as_bytes()[from..to]).into_owned())
}

/// The pieces between separators; without one, the characters.
fn pieces<'t>(separator: &str, text: &'t str) -> Vec<&'t str> {
    if separator.is_empty() {
        return text.split("").filter(|piece| !piece.is_empty()).collect();
    }
    text.split(separator).collect()
}

fn numbered<'t>(pieces: impl Iterator<Item = &'t str>) -> Value {
    crate::map(pieces.enumerate().map(|(index, piece)| (format!("_{index}"), made(piece))))
}

fn each(args: &[Value], change: impl Fn(String) -> String) -> String {
    let there = args.iter().filter(|value| !matches!(value, Value::Nil));
    there.map(|value| change(go::text(value))).collect::<Vec<_>>().join(" ")
}

fn indent(spaces: usize, text: &str) -> Result<String, String> {
    let lines = text.matches('\n').count() + 1;
    cost::fits(spaces.saturating_mul(lines).saturating_add(text.len()))?;
    let pad = " ".repeat(spaces);
    Ok(format!("{pad}{}", text.replace('\n', &format!("\n{pad}"))))
}

fn abbreviate(text: &str, offset: usize, width: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    let part = |from: usize, to: usize| characters[from..to].iter().collect::<String>();
    let length = characters.len();
    if length <= width {
        return text.to_owned();
    }
    let mut offset = offset.min(length);
    if length - offset < width - 3 {
        offset = length - (width - 3);
    }
    if offset <= 4 {
        return format!("{}...", part(0, width - 3));
    }
    if offset + width - 3 < length {
        return format!("...{}", abbreviate(&part(offset, length), 0, width - 3));
    }
    format!("...{}", part(length - (width - 3), length))
}
