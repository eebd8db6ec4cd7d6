//! Values of jq as JSON, within limits.

use jaq_json::{Num, Val};

use super::meter::MOST_BYTES;

/// Values that are gone through may have so many parts, however often the same part stands in them.
const MOST_PARTS: u64 = if cfg!(test) { 100_000 } else { 4_000_000 };
const DEEPEST: usize = 1000;

const TOO_LARGE: &str = "a value is too large";
const TOO_DEEP: &str = "a value is nested too deeply";

/// How many parts a value has, when it is neither too large nor too deep to be gone through.
pub(super) fn fits(value: &Val) -> Result<u64, &'static str> {
    let mut parts = 0;
    count(value, 0, &mut parts)?;
    Ok(parts)
}

fn count(value: &Val, depth: usize, parts: &mut u64) -> Result<(), &'static str> {
    *parts += 1;
    if *parts > MOST_PARTS {
        return Err(TOO_LARGE);
    }
    if depth > DEEPEST {
        return Err(TOO_DEEP);
    }
    match value {
        Val::Arr(items) => items.iter().try_for_each(|item| count(item, depth + 1, parts)),
        Val::Obj(fields) => fields.iter().try_for_each(|(key, value)| {
            count(key, depth + 1, parts)?;
            count(value, depth + 1, parts)
        }),
        Val::TStr(text) | Val::BStr(text) => {
            *parts += text.len() as u64 / 64;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Writes a value as compact JSON.
///
/// # Errors
/// When it is too large, too deep, or not to be said in JSON.
pub(super) fn json(value: &Val, out: &mut Vec<u8>) -> Result<(), &'static str> {
    write(value, 0, out)
}

fn write(value: &Val, depth: usize, out: &mut Vec<u8>) -> Result<(), &'static str> {
    if out.len() as u64 > MOST_BYTES {
        return Err(TOO_LARGE);
    }
    if depth > DEEPEST {
        return Err(TOO_DEEP);
    }
    match value {
        Val::Null => out.extend_from_slice(b"null"),
        Val::Bool(true) => out.extend_from_slice(b"true"),
        Val::Bool(false) => out.extend_from_slice(b"false"),
        Val::Num(number) => write_number(number, out),
        Val::TStr(text) | Val::BStr(text) => write_text(text, out),
        Val::Arr(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(item, depth + 1, out)?;
            }
            out.push(b']');
        }
        Val::Obj(fields) => {
            // As every document that is written here: sorted by name.
            let mut sorted = Vec::with_capacity(fields.len());
            for (key, value) in fields.iter() {
                match key {
                    Val::TStr(key) => sorted.push((&key[..], value)),
                    _ => return Err("an object has a key that is no text"),
                }
            }
            sorted.sort_unstable_by_key(|(key, _)| *key);
            out.push(b'{');
            for (at, (key, value)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_text(key, out);
                out.push(b':');
                write(value, depth + 1, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_number(number: &Num, out: &mut Vec<u8>) {
    match number {
        // As jq: what JSON has no number for.
        Num::Float(float) if float.is_nan() => out.extend_from_slice(b"null"),
        Num::Float(float) if float.is_infinite() => {
            out.extend_from_slice(serde_json::json!(f64::MAX.copysign(*float)).to_string().as_bytes());
        }
        // A float that is a whole number is written as one.
        Num::Float(float) if float.fract() == 0.0 && float.abs() < 1e17 => {
            out.extend_from_slice(format!("{float:.0}").as_bytes());
        }
        Num::Float(float) => out.extend_from_slice(serde_json::json!(float).to_string().as_bytes()),
        // A literal of a program stays as it is written, where JSON writes it so, too: not `04.4`, not `.5`.
        other => {
            let text = other.to_string();
            match (serde_json::from_str::<serde_json::Number>(&text), text.parse::<f64>()) {
                (Err(_), Ok(float)) => write_number(&Num::Float(float), out),
                _ => out.extend_from_slice(text.as_bytes()),
            }
        }
    }
}

fn write_text(text: &[u8], out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(text);
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}
