//! Variables in configuration: `${NAME}` and `${NAME:default}`, written `${{NAME}}` where the text itself is meant
//! (streams contract 5.8).
//!
//! A stand-alone program expands the raw text before it is parsed ([`expand`]), so that a variable can stand for a
//! number or a whole list. Inside of definitions the values are parsed already, and a variable stands for text
//! ([`expand_value`]); a text that is nothing but one variable may become a number or a boolean.

mod ends;
mod file;

use std::borrow::Cow;
use std::ops::Range;

use document::{Fault, MAX_TEXT, Place, pointer_join};
use serde_json::Value as Json;

use ends::Ends;
pub use file::variables_of_file;

/// Deepest nesting of values that is looked into.
const DEPTH: usize = 128;
/// So many faults of one configuration are told.
const MOST_FAULTS: usize = 1000;

/// Which variables a stream may read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Variables {
    /// None: a variable is refused.
    #[default]
    Refused,
    /// Those of these names; a final `*` stands for any rest.
    Named(Vec<String>),
    /// They were expanded before the configuration was parsed: what looks like one is text.
    Expanded,
}

impl Variables {
    /// Whether a variable of this name may be read.
    pub fn allows(&self, name: &str) -> bool {
        match self {
            Variables::Refused | Variables::Expanded => false,
            Variables::Named(names) => names.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == pattern,
            }),
        }
    }
}

/// A variable as it is written.
struct Variable<'t> {
    name: &'t str,
    default: Option<&'t str>,
    escaped: bool,
    /// Bytes of the whole, from `$` to the last brace.
    length: usize,
}

/// The variable at a place of a text where `${` stands. Where defaults end is found out when the first one is met.
fn variable<'t>(whole: &'t str, start: usize, ends: &mut Option<Ends>) -> Option<Variable<'t>> {
    let text = whole.get(start..)?;
    let inside = text.strip_prefix("${")?;
    let (inside, escaped) = match inside.strip_prefix('{') {
        Some(inside) => (inside, true),
        None => (inside, false),
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let end = inside.find(|c: char| !legal(c)).unwrap_or(inside.len());
    let (name, mut rest) = inside.split_at(end);
    if name.is_empty() {
        return None;
    }
    let mut default = None;
    if let Some(text) = rest.strip_prefix(':') {
        let begin = whole.len() - text.len();
        let end = ends.get_or_insert_with(|| Ends::new(whole)).of(begin)?;
        default = Some(&whole[begin..end]);
        rest = &whole[end..];
    }
    let rest = rest.strip_prefix(if escaped { "}}" } else { "}" })?;
    Some(Variable { name, default, escaped, length: text.len() - rest.len() })
}

/// Every variable of a text with its place in bytes, first to last.
fn variables(text: &str) -> impl Iterator<Item = (usize, Variable<'_>)> {
    let (mut at, mut ends) = (0, None);
    std::iter::from_fn(move || {
        loop {
            let start = at + text.get(at..)?.find("${")?;
            match variable(text, start, &mut ends) {
                Some(found) => {
                    at = start + found.length;
                    return Some((start, found));
                }
                None => at = start + 2,
            }
        }
    })
}

/// A text with its variables replaced.
#[derive(Debug, Clone, Default)]
pub struct Expanded {
    /// The new text.
    pub text: String,
    /// Variables that are set nowhere and have no default, with their places in the text as written; the first thousand.
    pub missing: Vec<(String, Place)>,
    /// What was replaced: bytes of the text as written, bytes of the new one.
    pieces: Vec<(Range<usize>, Range<usize>)>,
}

/// Replaces the variables of a raw text. One that is empty counts as not set; line breaks of a value are written `\n`,
/// so that they do not end a line of YAML.
///
/// # Errors
/// When the new text would be longer than a document may be.
pub fn expand(text: &str, look_up: &dyn Fn(&str) -> Option<String>) -> Result<Expanded, String> {
    let mut expanded = Expanded::default();
    let mut written = 0;
    for (start, found) in variables(text) {
        expanded.text.push_str(&text[written..start]);
        let to = expanded.text.len();
        written = start + found.length;
        match value(&found, look_up) {
            Ok(value) => expanded.text.push_str(&value.replace('\n', "\\n")),
            Err(name) if expanded.missing.len() < MOST_FAULTS => {
                expanded.missing.push((name, place(text, start..written)));
            }
            Err(_) => {}
        }
        expanded.pieces.push((start..written, to..expanded.text.len()));
        if expanded.text.len() > MAX_TEXT {
            return Err(too_long());
        }
    }
    expanded.text.push_str(&text[written..]);
    Ok(expanded)
}

fn too_long() -> String {
    format!("with its variables the text is longer than {} MiB", MAX_TEXT >> 20)
}

/// What a variable stands for; the name of one that is set nowhere.
fn value<'t>(found: &Variable<'t>, look_up: &dyn Fn(&str) -> Option<String>) -> Result<Cow<'t, str>, String> {
    if found.escaped {
        let default = found.default.map_or_else(String::new, |default| format!(":{default}"));
        return Ok(Cow::Owned(format!("${{{}{default}}}", found.name)));
    }
    if let Some(value) = look_up(found.name).filter(|value| !value.is_empty()) {
        return Ok(Cow::Owned(value));
    }
    let Some(default) = found.default else { return Err(found.name.to_owned()) };
    let mut text = String::new();
    let mut written = 0;
    for (start, nested) in variables(default) {
        text.push_str(&default[written..start]);
        written = start + nested.length;
        // No deeper: a default of a default is looked up no more.
        let flat = Variable { default: nested.default.filter(|text| !text.contains("${")), ..nested };
        text.push_str(&value(&flat, look_up)?);
        if text.len() > MAX_TEXT {
            break; // whoever asked refuses it
        }
    }
    if written == 0 {
        return Ok(Cow::Borrowed(default));
    }
    text.push_str(&default[written..]);
    Ok(Cow::Owned(text))
}

impl Expanded {
    /// The place in the text as written of a place in the new one.
    pub fn origin(&self, written: &str, place: Place) -> Place {
        if self.pieces.is_empty() {
            return place;
        }
        let start = offset(&self.text, place.line, place.column);
        let end = offset(&self.text, place.line, place.column.saturating_add(place.length));
        let from = self.back(start).start;
        let to = self.back(end.saturating_sub(1)).end.max(from + 1);
        self::place(written, from..to)
    }

    /// Where a byte of the new text comes from.
    fn back(&self, at: usize) -> Range<usize> {
        let mut shift = 0;
        for (from, to) in &self.pieces {
            if at < to.start {
                break;
            }
            if at < to.end {
                return from.clone();
            }
            shift = from.end as i64 - to.end as i64;
        }
        let at = usize::try_from(at as i64 + shift).unwrap_or_default();
        at..at + 1
    }
}

/// Bytes before a line and column, both counted from 1.
fn offset(text: &str, line: u32, column: u32) -> usize {
    let mut at = 0;
    for _ in 1..line {
        match text[at..].find('\n') {
            Some(end) => at += end + 1,
            None => return text.len(),
        }
    }
    let skipped = text[at..].chars().take(column.saturating_sub(1) as usize);
    at + skipped.map(char::len_utf8).sum::<usize>()
}

fn place(text: &str, range: Range<usize>) -> Place {
    let (start, end) = (text.floor_char_boundary(range.start), text.ceil_char_boundary(range.end));
    let before = &text[..start];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
    let length = text[start..end.max(start)].chars().take_while(|c| *c != '\n').count().max(1);
    let short = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Place { line: short(line), column: short(column), length: short(length) }
}

/// The configuration with the variables of its texts replaced, as far as they may be read; a fault for each that may
/// not, or is set nowhere. Keys are left as they are.
pub(crate) fn expand_value<'v>(
    value: &'v Json,
    pointer: &str,
    allowed: &Variables,
    look_up: &dyn Fn(&str) -> Option<String>,
) -> (Cow<'v, Json>, Vec<Fault>) {
    let mut faults = Vec::new();
    if *allowed == Variables::Expanded || !any(value, 0) {
        return (Cow::Borrowed(value), faults);
    }
    let mut copy = value.clone();
    replace(&mut copy, pointer, allowed, look_up, &mut faults, 0);
    (Cow::Owned(copy), faults)
}

fn any(value: &Json, depth: usize) -> bool {
    match value {
        Json::String(text) => variables(text).next().is_some(),
        Json::Array(items) => depth < DEPTH && items.iter().any(|item| any(item, depth + 1)),
        Json::Object(members) => depth < DEPTH && members.values().any(|member| any(member, depth + 1)),
        _ => false,
    }
}

fn replace(
    value: &mut Json,
    pointer: &str,
    allowed: &Variables,
    look_up: &dyn Fn(&str) -> Option<String>,
    faults: &mut Vec<Fault>,
    depth: usize,
) {
    if depth > DEPTH {
        return;
    }
    match value {
        Json::String(text) => {
            if let Some(new) = replaced(text, pointer, allowed, look_up, faults) {
                *value = new;
            }
        }
        Json::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                let at = pointer_join(pointer, &index.to_string());
                replace(item, &at, allowed, look_up, faults, depth + 1);
            }
        }
        Json::Object(members) => {
            for (key, member) in members.iter_mut() {
                replace(member, &pointer_join(pointer, key), allowed, look_up, faults, depth + 1);
            }
        }
        _ => {}
    }
}

fn replaced(
    text: &str,
    pointer: &str,
    allowed: &Variables,
    look_up: &dyn Fn(&str) -> Option<String>,
    faults: &mut Vec<Fault>,
) -> Option<Json> {
    let (mut new, mut written, mut whole) = (String::new(), 0, false);
    for (start, found) in variables(text) {
        new.push_str(&text[written..start]);
        written = start + found.length;
        whole = start == 0 && written == text.len() && !found.escaped;
        if new.len() > MAX_TEXT {
            break;
        }
        if faults.len() >= MOST_FAULTS {
            return None;
        }
        let read = |name: &str| if allowed.allows(name) { look_up(name) } else { None };
        if !found.escaped && !allowed.allows(found.name) {
            faults.push(refused(found.name, pointer, allowed));
            continue;
        }
        match value(&found, &read) {
            Ok(value) => new.push_str(&value),
            Err(name) if allowed.allows(&name) => faults.push(
                Fault::error(pointer, format!("the variable `{name}` is not set"))
                    .hint(format!("set it, or write a default: `${{{name}:…}}`")),
            ),
            Err(name) => faults.push(refused(&name, pointer, allowed)),
        }
    }
    if written == 0 {
        return None;
    }
    new.push_str(&text[written..]);
    if new.len() > MAX_TEXT {
        faults.push(Fault::error(pointer, too_long()));
        return None;
    }
    if whole && let Some(scalar) = scalar(&new) {
        return Some(scalar);
    }
    Some(Json::String(new))
}

fn refused(name: &str, pointer: &str, allowed: &Variables) -> Fault {
    match allowed {
        Variables::Named(_) => Fault::error(pointer, format!("the variable `{name}` may not be read by streams"))
            .hint("whoever runs the gate can add its name to `streaming.environment`"),
        _ => Fault::error(
            pointer,
            format!("`${{{name}}}` is not expanded: streams cannot read the gate's environment"),
        )
        .hint(
            "write the value itself, or have `streaming.environment` name the variable; for text of the message write `${! … }`",
        ),
    }
}

/// The number or boolean that a text is, when nothing of it is lost.
fn scalar(text: &str) -> Option<Json> {
    let value: Json = serde_json::from_str(text).ok()?;
    let written = value.to_string();
    ((value.is_number() || value.is_boolean()) && written == text).then_some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn look_up(name: &str) -> Option<String> {
        let value = match name {
            "A" => "one",
            "LINES" => "x\ny",
            "NUMBER" => "7",
            "VERSION" => "1.10",
            "EMPTY" => "",
            "dotted.name" => "dot",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn variables_of_a_text_are_replaced() {
        for (text, expected, missing) in [
            ("a: ${A}", "a: one", 0),
            ("${A}${A}", "oneone", 0),
            ("${dotted.name}", "dot", 0),
            ("${NONE}", "", 1),
            ("${EMPTY}", "", 1),
            ("${EMPTY:d}", "d", 0),
            ("${NONE:}", "", 0),
            ("${NONE:a b:c}", "a b:c", 0),
            ("${NONE:${A}}!", "one!", 0),
            ("${NONE:x${NONE:y}z}", "xyz", 0),
            ("${NONE:${NOT}}", "", 1),
            ("${A:d}", "one", 0),
            ("${LINES}", "x\\ny", 0),
            ("${{A}} ${{A:d}}", "${A} ${A:d}", 0),
            ("${! json(\"a\") } ${} ${A ${-}", "${! json(\"a\") } ${} ${A ${-}", 0),
            ("$A $${A}", "$A $one", 0),
            ("ä${A}ö${", "äoneö${", 0),
        ] {
            let expanded = expand(text, &look_up).unwrap();
            assert_eq!((&*expanded.text, expanded.missing.len()), (expected, missing), "{text}");
        }
        let huge = |name: &str| (name != "NONE").then(|| "x".repeat(1 << 20));
        for text in ["${A}".repeat(20), format!("${{NONE:{}}}", "${A}".repeat(20))] {
            assert!(expand(&text, &huge).unwrap_err().contains("16 MiB"));
            let (_, faults) = expand_value(&json!(text), "/s", &Variables::Named(vec!["*".into()]), &huge);
            assert!(faults.iter().any(|fault| fault.message.contains("16 MiB")), "{faults:?}");
        }
    }

    #[test]
    fn what_opens_and_never_closes_takes_no_time() {
        // Looked through from each of its places, either of these takes minutes.
        let open = "${A:".repeat(300_000);
        assert_eq!(expand(&open, &look_up).unwrap().text, open);
        let nested = format!("{}{}", "${A:".repeat(100_000), "${B}".repeat(100_000));
        let expanded = expand(&nested, &look_up).unwrap();
        assert_eq!(expanded.missing.len(), MOST_FAULTS);
        let (_, faults) = expand_value(&json!(nested), "", &Variables::Refused, &look_up);
        assert_eq!(faults.len(), MOST_FAULTS);
    }

    #[test]
    fn places_lead_back_to_the_text_as_written() {
        let text = "a: ${NONE:${A}} x\nb: ${A} c ${NONE}";
        let expanded = expand(text, &look_up).unwrap();
        assert_eq!(expanded.text, "a: one x\nb: one c ");
        let missing = Place { line: 2, column: 11, length: 7 };
        assert_eq!(expanded.missing, [("NONE".to_owned(), missing)]);
        let place = |line, column, length| Place { line, column, length };
        for (new, written) in [
            (place(1, 1, 1), place(1, 1, 1)),
            (place(1, 4, 3), place(1, 4, 12)),
            (place(1, 8, 1), place(1, 17, 1)),
            (place(2, 1, 1), place(2, 1, 1)),
            (place(2, 5, 1), place(2, 4, 4)),
            (place(2, 8, 1), place(2, 9, 1)),
        ] {
            assert_eq!(expanded.origin(text, new), written, "{new:?}");
        }
    }

    #[test]
    fn values_are_expanded_as_far_as_allowed() {
        let named = Variables::Named(vec!["A".into(), "NUM*".into(), "VERSION".into(), "NOT_SET".into()]);
        let expand = |value: Json| {
            let (value, faults) = expand_value(&value, "/s", &named, &look_up);
            (value.into_owned(), faults.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>())
        };
        for (value, expected, faults) in [
            (json!({"a": ["x-${A}", 1]}), json!({"a": ["x-one", 1]}), vec![]),
            (json!("${NUMBER}"), json!(7), vec![]),
            (json!("${VERSION}"), json!("1.10"), vec![]),
            (json!("${NUMBER}s"), json!("7s"), vec![]),
            (json!("${{NUMBER}}"), json!("${NUMBER}"), vec![]),
            (json!({"a": {"b/c": "${LINES}"}}), json!({"a": {"b/c": ""}}), vec!["/s/a/b~1c"]),
            (json!("${A:${LINES}}"), json!("one"), vec![]),
            (json!("${NOT_SET:${LINES}}"), json!(""), vec!["/s"]),
            (json!("${NOT_SET}"), json!(""), vec!["/s"]),
            (json!({"${A}": "${! x }"}), json!({"${A}": "${! x }"}), vec![]),
        ] {
            let faults = faults.into_iter().map(str::to_owned).collect();
            assert_eq!(expand(value.clone()), (expected, faults), "{value}");
        }
        let (_, faults) = expand_value(&json!("${A}"), "", &Variables::Refused, &look_up);
        assert!(faults[0].message.contains("not expanded"), "{faults:?}");
        let value = json!("${A}");
        let (kept, faults) = expand_value(&value, "", &Variables::Expanded, &look_up);
        assert_eq!((kept.into_owned(), faults.len()), (json!("${A}"), 0));
    }
}
