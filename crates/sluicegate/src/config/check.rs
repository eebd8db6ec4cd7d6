//! From a document to checked settings: every wrong type and every unknown key, with its pointer.

use std::collections::BTreeMap;

use document::Fault;
use serde_json::{Map, Value};

use super::table::{self, Key, Kind};

/// What the file (and then the environment) sets, by dotted path.
pub(super) type Given = BTreeMap<&'static str, Value>;

/// Walks a configuration document. Faults are gathered, not stopped at.
pub(super) fn walk(root: &Value, faults: &mut Vec<Fault>) -> Given {
    let mut given = Given::new();
    match root {
        Value::Object(members) => group("", "", members, &mut given, faults),
        Value::Null => {} // an empty YAML file
        other => {
            faults.push(Fault::error("", format!("expected an object of settings, found {}", noun(other))))
        }
    }
    given
}

fn group(
    path: &str,
    pointer: &str,
    members: &Map<String, Value>,
    given: &mut Given,
    faults: &mut Vec<Fault>,
) {
    let known = table::children(path);
    for (name, value) in members {
        let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
        // The files that this one is compatible with are read without regard to case.
        let Some(canonical) = known.iter().copied().find(|k| k.eq_ignore_ascii_case(name)) else {
            faults.push(unknown(path, name, &pointer, &known));
            continue;
        };
        let path = if path.is_empty() { canonical.to_owned() } else { format!("{path}.{canonical}") };
        match (table::find(&path), value) {
            (_, Value::Null) => {}
            (Some(key), value) => match self::value(key, value) {
                Ok(value) => drop(given.insert(key.path, value)),
                Err(message) => faults.push(Fault::error(pointer, format!("`{path}`: {message}"))),
            },
            (None, Value::Object(members)) => group(&path, &pointer, members, given, faults),
            (None, other) => faults.push(Fault::error(
                pointer,
                format!("`{path}`: expected an object of settings, found {}", noun(other)),
            )),
        }
    }
}

fn unknown(group: &str, name: &str, pointer: &str, known: &[&'static str]) -> Fault {
    let fault = match group {
        "" => Fault::warning(pointer, format!("unknown setting `{name}`; it is ignored")),
        _ => Fault::warning(pointer, format!("unknown setting `{name}` in `{group}`; it is ignored")),
    };
    let fault = fault.on_key();
    let elsewhere = || table::all().map(|key| key.path).find(|path| path.rsplit('.').next() == Some(name));
    match document::nearest(name, known.iter().copied()) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None => match elsewhere() {
            Some(path) => fault.hint(format!("there is `{path}`: is it in the wrong place?")),
            None => fault,
        },
    }
}

/// Checks one value against its key's kind, and gives it back in its normal form. The error text never repeats the
/// value, which may be a secret.
pub(super) fn value(key: &Key, value: &Value) -> Result<Value, String> {
    let expected = || format!("expected {}, found {}", key.kind.words(), noun(value));
    match key.kind {
        Kind::Bool => value.is_boolean().then(|| value.clone()).ok_or_else(expected),
        Kind::Integer { min, max } => {
            let number = value.as_i64().ok_or_else(expected)?;
            let fits = (min..=max).contains(&number);
            fits.then(|| value.clone())
                .ok_or_else(|| format!("expected {}, found {number}", key.kind.words()))
        }
        Kind::Number => value.is_number().then(|| value.clone()).ok_or_else(expected),
        Kind::Seconds => {
            let number = value.as_f64().ok_or_else(expected)?;
            let fits = (0.0..=1e9).contains(&number);
            fits.then(|| value.clone())
                .ok_or_else(|| format!("expected {}, found {number}", key.kind.words()))
        }
        Kind::Text | Kind::Secret => value.is_string().then(|| value.clone()).ok_or_else(expected),
        Kind::Choice(words) => word(words, value).ok_or_else(|| not_a_choice(words, value, expected())),
        Kind::Choices(words) => {
            let items = value.as_array().ok_or_else(expected)?;
            let choose = |item| word(words, item).ok_or_else(|| not_a_choice(words, item, expected()));
            items.iter().map(choose).collect()
        }
        Kind::Texts => {
            let good = value.as_array().is_some_and(|items| items.iter().all(Value::is_string));
            good.then(|| value.clone()).ok_or_else(expected)
        }
        Kind::TextMap | Kind::SecretMap => {
            let good = value.as_object().is_some_and(|map| map.values().all(Value::is_string));
            good.then(|| value.clone()).ok_or_else(expected)
        }
        Kind::Rows(members) => {
            let row = |row: &Value| {
                row.as_object().is_some_and(|row| {
                    row.iter().all(|(k, v)| members.contains(&k.as_str()) && v.is_string())
                })
            };
            let good = value.as_array().is_some_and(|rows| rows.iter().all(row));
            good.then(|| value.clone()).ok_or_else(expected)
        }
        Kind::Tree => Ok(value.clone()),
    }
}

fn word(words: &[&str], value: &Value) -> Option<Value> {
    let given = value.as_str()?;
    if given.is_empty() {
        return Some(value.clone()); // the zero value: the default is filled in later
    }
    words.iter().find(|word| word.eq_ignore_ascii_case(given)).map(|word| Value::from(*word))
}

/// What is wrong with a word that is none of those known, with the nearest that is.
fn not_a_choice(words: &[&str], value: &Value, expected: String) -> String {
    let near = value.as_str().and_then(|word| document::nearest(word, words.iter().copied()));
    near.map(|near| format!("{expected}; did you mean `{near}`?")).unwrap_or(expected)
}

/// What a value is, in words that give nothing of it away (but for a short text that was meant to be a word).
fn noun(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(n) if n.is_f64() => "a fractional number",
        Value::Number(_) => "a whole number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// True when a value says nothing, or nothing else than the default: zero, empty, or the same as the default at the
/// same place.
pub(super) fn is_default(value: &Value, default: &Value) -> bool {
    match value {
        Value::Object(members) => {
            members.iter().all(|(k, v)| is_default(v, default.get(k).unwrap_or(&Value::Null)))
        }
        Value::Number(number) => number.as_f64() == Some(0.0) || number.as_f64() == default.as_f64(),
        other => is_zero(other) || other == default,
    }
}

/// True for the zero value of any kind; in the files that this one is compatible with it means "the default".
pub(super) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}
