//! Typed reading of a definition: each read tells a fault when the value has the wrong type, and goes on.

use document::{Fault, pointer_join};
use serde_json::{Map, Value};
use std::time::Duration;

/// Some 300 years: longer times are cut, so that adding them to a date cannot overflow.
const MAX_SECONDS: f64 = 1e10;

/// An object of a definition, or the lack of it.
#[derive(Debug, Clone)]
pub(crate) struct Section<'v> {
    pub(crate) object: Option<&'v Map<String, Value>>,
    pub(crate) pointer: String,
}

impl<'v> Section<'v> {
    pub(crate) fn root(value: &'v Value, faults: &mut Vec<Fault>) -> Section<'v> {
        if !value.is_object() {
            faults.push(Fault::error("", format!("a definition must be an object, not {}", kind(value))));
        }
        Section { object: value.as_object(), pointer: String::new() }
    }

    pub(crate) fn exists(&self) -> bool {
        self.object.is_some()
    }

    pub(crate) fn at(&self, key: &str) -> String {
        pointer_join(&self.pointer, key)
    }

    /// The member, `null` counting as none.
    pub(crate) fn get(&self, key: &str) -> Option<&'v Value> {
        self.object?.get(key).filter(|value| !value.is_null())
    }

    fn typed<T>(
        &self,
        key: &str,
        wanted: &str,
        read: impl Fn(&'v Value) -> Option<T>,
        faults: &mut Vec<Fault>,
    ) -> Option<T> {
        let value = self.get(key)?;
        let read = read(value);
        if read.is_none() {
            faults.push(Fault::error(self.at(key), format!("`{key}` must be {wanted}, not {}", kind(value))));
        }
        read
    }

    pub(crate) fn section(&self, key: &str, faults: &mut Vec<Fault>) -> Section<'v> {
        Section { object: self.typed(key, "an object", Value::as_object, faults), pointer: self.at(key) }
    }

    pub(crate) fn text(&self, key: &str, faults: &mut Vec<Fault>) -> &'v str {
        self.typed(key, "a string", Value::as_str, faults).unwrap_or_default()
    }

    pub(crate) fn flag(&self, key: &str, faults: &mut Vec<Fault>) -> bool {
        self.typed(key, "true or false", Value::as_bool, faults).unwrap_or_default()
    }

    pub(crate) fn number(&self, key: &str, faults: &mut Vec<Fault>) -> f64 {
        self.typed(key, "a number", Value::as_f64, faults).unwrap_or_default()
    }

    pub(crate) fn texts(&self, key: &str, faults: &mut Vec<Fault>) -> Box<[Box<str>]> {
        let Some(items) = self.typed(key, "an array", Value::as_array, faults) else { return Box::default() };
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item.as_str() {
                Some(text) => texts.push(text.into()),
                None => faults.push(Fault::error(
                    pointer_join(&self.at(key), &index.to_string()),
                    format!("this must be a string, not {}", kind(item)),
                )),
            }
        }
        texts.into()
    }

    /// Whole seconds; 0 and less mean none.
    pub(crate) fn seconds(&self, key: &str, faults: &mut Vec<Fault>) -> Option<Duration> {
        let seconds = self.number(key, faults);
        (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(MAX_SECONDS)))
    }

    /// A duration such as `1m30s`; zero means none.
    pub(crate) fn duration(&self, key: &str, faults: &mut Vec<Fault>) -> Option<Duration> {
        let text = self.text(key, faults);
        if text.is_empty() {
            return None;
        }
        match parse_duration(text) {
            Some(duration) => Some(duration).filter(|duration| !duration.is_zero()),
            None => {
                let what = if text.starts_with('-') { "is negative" } else { "is not a duration" };
                faults.push(
                    Fault::error(self.at(key), format!("`{text}` {what}"))
                        .hint("write numbers with units ns, us, ms, s, m or h, for example `1m30s`"),
                );
                None
            }
        }
    }
}

/// Whether it can be the name of a header field or a method (RFC 9110 section 5.6.2).
pub(crate) fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// What a value is, in words that fit behind "not".
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// `1h2m3.5s`, units ns, us, µs, ms, s, m, h; a bare `0` is zero. Never negative.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut seconds = 0f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|at| *at > 0)?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let size = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * size;
        rest = tail;
    }
    Some(Duration::from_secs_f64(seconds.min(MAX_SECONDS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c3_1_row_8_durations() {
        for (text, expected) in [
            ("1m30s", Some(Duration::from_secs(90))),
            ("1.5h", Some(Duration::from_secs(5400))),
            ("100ms", Some(Duration::from_millis(100))),
            ("2µs", Some(Duration::from_micros(2))),
            ("0", Some(Duration::ZERO)),
            ("", None),
            ("10", None),
            ("s", None),
            ("-1s", None),
            ("1.2.3s", None),
            ("1 s", None),
            ("99999999999999999999h", Some(Duration::from_secs(10_000_000_000))),
        ] {
            assert_eq!(parse_duration(text), expected, "{text}");
        }
    }
}
