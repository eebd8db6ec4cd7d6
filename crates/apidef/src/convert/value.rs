//! Values on their way from one format to the other, and what is left where they were.

use super::To;
use super::table::{How, Pair};
use crate::section::parse_duration;
use document::pointer_join;
use serde_json::{Map, Value, json};

/// Takes a value away from where it stands.
pub(super) fn take(holder: &mut Value, pointer: &str) -> Option<Value> {
    let (parent, key) = pointer.rsplit_once('/')?;
    let key = key.replace("~1", "/").replace("~0", "~");
    holder.pointer_mut(parent)?.as_object_mut()?.shift_remove(&key)
}

/// Puts a value where a pointer says, with the objects that are missing on the way.
pub(super) fn put(holder: &mut Value, pointer: &str, value: Value) {
    let mut at = holder;
    for key in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[key.replace("~1", "/").replace("~0", "~")];
    }
    *at = value;
}

/// Moves what the pairs name; what cannot be converted stays in `from`.
pub(super) fn move_pairs(
    pairs: &[Pair],
    to: To,
    (from, from_base): (&mut Value, &dyn Fn(&str) -> String),
    (out, out_base): (&mut Value, &dyn Fn(&str) -> String),
) {
    let whole = from.clone();
    for Pair(classic, oas, how) in pairs {
        let (there, here) = match to {
            To::Oas => (classic, oas),
            To::Classic => (oas, classic),
        };
        let (source, target) = (from_base(there), out_base(here));
        let given = whole.pointer(&source);
        // The section of the switch, in the OpenAPI form.
        let section = |pointer: &str| pointer.rsplit_once('/').map_or(String::new(), |(up, _)| up.to_owned());
        let has_section = match to {
            To::Oas => out.pointer(&section(&target)).is_some(),
            To::Classic => whole.pointer(&section(&source)).is_some(),
        };
        let converted = match how {
            How::Said if given.is_none_or(is_blank) => None,
            // Nothing is there that could be on.
            How::Not if matches!(to, To::Oas) && given == Some(&Value::Bool(false)) && !has_section => None,
            How::Each(pairs) => {
                let written = from.pointer_mut(&source).and_then(|list| each(list, pairs, to));
                if let Some(written) = written {
                    put(out, &target, written);
                }
                continue;
            }
            How::Only(pairs) => {
                if let Some(written) = from.pointer_mut(&source).and_then(|held| only(held, pairs, to)) {
                    put(out, &target, written);
                }
                continue;
            }
            How::Not | How::NotAlways if given.is_none_or(Value::is_null) => {
                let wanted = has_section || (matches!(how, How::NotAlways) && matches!(to, To::Oas));
                wanted.then_some(Value::Bool(true))
            }
            How::Given => {
                let on = given.is_some_and(|value| !is_blank(value));
                match to {
                    To::Oas if on => put(out, &target, true.into()),
                    To::Oas => {}
                    To::Classic if on => drop(take(from, &source)),
                    // Switched off: classic knows that only as nothing at all.
                    To::Classic => drop(take(out, &target)),
                }
                continue;
            }
            _ => given.and_then(|value| convert(value, *how, to)),
        };
        if let Some(value) = converted {
            take(from, &source);
            put(out, &target, value);
        }
    }
}

fn convert(value: &Value, how: How, to: To) -> Option<Value> {
    match (how, to) {
        (How::Same | How::Said, _) => Some(value.clone()),
        (How::Not | How::NotAlways, _) => value.as_bool().map(|on| Value::Bool(!on)),
        (How::Given | How::Each(_) | How::Only(_), _) => None,
        (How::By(convert), to) => convert(value, to),
        (How::Seconds, To::Oas) => {
            let seconds = value.as_f64().filter(|seconds| seconds.is_finite())?;
            if seconds.fract() == 0.0 {
                return Some(json!(format!("{}s", seconds as i64)));
            }
            Some(json!(format!("{seconds}s")))
        }
        (How::Seconds, To::Classic) => {
            let duration = parse_duration(value.as_str()?)?;
            match duration.subsec_nanos() {
                0 => Some(json!(duration.as_secs())),
                _ => Some(json!(duration.as_secs_f64())),
            }
        }
        (How::Weights, To::Oas) => {
            let mut weights: Vec<(&str, u64)> = Vec::new();
            for url in value.as_array()? {
                let url = url.as_str()?;
                match weights.iter_mut().find(|(known, _)| *known == url) {
                    Some((_, weight)) => *weight += 1,
                    None => weights.push((url, 1)),
                }
            }
            Some(weights.iter().map(|(url, weight)| json!({"url": url, "weight": weight})).collect())
        }
        (How::Weights, To::Classic) => {
            const MOST: u64 = 10_000;
            let mut urls = Vec::new();
            let mut sum = 0_u64;
            for target in value.as_array()? {
                let weight = target.get("weight").map_or(Some(0), Value::as_u64)?;
                sum = sum.saturating_add(weight);
                if sum > MOST {
                    return None;
                }
                let url = target.get("url")?.as_str()?;
                urls.extend((0..weight).map(|_| json!(url)));
            }
            Some(Value::Array(urls))
        }
        (How::Named(name, held), To::Oas) => {
            Some(value.as_object()?.iter().map(|(key, value)| json!({name: key, held: value})).collect())
        }
        (How::Named(name, held), To::Classic) => {
            let mut object = Map::new();
            for entry in value.as_array()? {
                let key = entry.get(name)?.as_str()?;
                let twice = object.insert(key.to_owned(), entry.get(held)?.clone()).is_some();
                if twice || entry.as_object()?.len() > 2 {
                    return None;
                }
            }
            Some(Value::Object(object))
        }
        (How::Nanoseconds, To::Oas) => {
            let nanoseconds = value.as_u64()?;
            match nanoseconds % 1_000_000_000 {
                0 => Some(json!(format!("{}s", nanoseconds / 1_000_000_000))),
                _ => Some(json!(format!("{nanoseconds}ns"))),
            }
        }
        (How::Nanoseconds, To::Classic) => {
            u64::try_from(parse_duration(value.as_str()?)?.as_nanos()).ok().map(Value::from)
        }
        (How::Listed(name, held), To::Oas) => {
            let texts = value.as_object()?.iter().map(|(key, value)| {
                let texts: Vec<&str> = value.as_str()?.split(',').map(str::trim).collect();
                Some(json!({name: key, held: texts}))
            });
            texts.collect()
        }
        (How::Listed(name, held), To::Classic) => {
            let mut object = Map::new();
            for entry in value.as_array()? {
                let texts: Option<Vec<&str>> =
                    entry.get(held)?.as_array()?.iter().map(Value::as_str).collect();
                if object.insert(entry.get(name)?.as_str()?.to_owned(), texts?.join(",").into()).is_some() {
                    return None;
                }
            }
            Some(Value::Object(object))
        }
        (How::Tls, To::Oas) => {
            let minor = value.as_u64()?.checked_sub(769).filter(|minor| *minor <= 3)?;
            Some(json!(format!("1.{minor}")))
        }
        (How::Tls, To::Classic) => {
            let minor: u64 = value.as_str()?.strip_prefix("1.")?.parse().ok()?;
            (minor <= 3).then(|| json!(769 + minor))
        }
    }
}

/// A list of objects; what is left of each stays there. `None` where there is no such list.
pub(super) fn each(list: &mut Value, pairs: &[Pair], to: To) -> Option<Value> {
    let list = list.as_array_mut().filter(|list| !list.is_empty() && list.iter().all(Value::is_object))?;
    let as_it_is = |pointer: &str| pointer.to_owned();
    let written = list.iter_mut().map(|entry| {
        let mut written = json!({});
        move_pairs(pairs, to, (entry, &as_it_is), (&mut written, &as_it_is));
        written
    });
    Some(written.collect())
}

/// An object as a list with it alone, or the other way round; what is left of it stays there.
fn only(held: &mut Value, pairs: &[Pair], to: To) -> Option<Value> {
    if is_blank(held) {
        return None;
    }
    match to {
        To::Oas => {
            let mut list = json!([held.take()]);
            let written = each(&mut list, pairs, to);
            *held = list[0].take();
            written
        }
        To::Classic if held.as_array().is_some_and(|list| list.len() == 1) => {
            each(held, pairs, to).map(|mut written| written[0].take())
        }
        To::Classic => None,
    }
}

/// The text at a pointer; empty where there is none.
pub(super) fn text<'v>(holder: &'v Value, pointer: &str) -> &'v str {
    holder.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a value says nothing that its absence would not say.
pub(super) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.iter().all(is_blank),
        Value::Object(members) => members.values().all(is_blank),
    }
}

/// The pointers of everything that still says something; lists are told as one unless they hold objects.
pub(super) fn left(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        value if is_blank(value) => {}
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| left(value, &pointer_join(pointer, key), found));
        }
        Value::Array(list) if list.iter().any(Value::is_object) => {
            for (index, value) in list.iter().enumerate() {
                left(value, &pointer_join(pointer, &index.to_string()), found);
            }
        }
        _ => found.push(pointer.to_owned()),
    }
}
