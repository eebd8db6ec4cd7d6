//! Reading and writing by path.

use std::sync::Arc;

use super::{Evaluated, Failure};
use crate::syntax::MAX_PATH;
use crate::value::ELEMENT;
use crate::{Array, Object, Text, Value};

/// Bytes of what is called large: it is not made of its document again and again.
const LARGE: usize = 4096;

/// A path that was split once.
pub(crate) type Path = Box<[Text]>;

/// Splits a dot path given as text: `~1` stands for `.` and `~0` for `~`. The empty text is the empty path.
pub(crate) fn split(text: &str) -> Result<Path, String> {
    if text.is_empty() {
        return Ok(Box::default());
    }
    if text.bytes().filter(|byte| *byte == b'.').count() >= MAX_PATH {
        return Err(format!("a path has at most {MAX_PATH} segments"));
    }
    Ok(text.split('.').map(|segment| segment.replace("~1", ".").replace("~0", "~").into()).collect())
}

/// The path as text, escaped the other way round.
pub(crate) fn join(path: &[Text]) -> String {
    let segments: Vec<String> =
        path.iter().map(|segment| segment.replace('~', "~0").replace('.', "~1")).collect();
    segments.join(".")
}

/// The value at a path; none when something on the way is missing. `*` goes through every element of an array.
pub(crate) fn find(value: &Value, path: &[Text]) -> Option<Value> {
    search(value, path, &mut 0)
}

/// As [`find`], and adds to `made` how many bytes of memory it took to make values of a document.
pub(crate) fn search(value: &Value, path: &[Text], made: &mut u64) -> Option<Value> {
    let mut value = value;
    for (at, segment) in path.iter().enumerate() {
        // What is large becomes a value once, and is shared from then on.
        let source = match value {
            Value::Object(object) => object.searchable(),
            Value::Array(items) => items.searchable(),
            _ => return None,
        };
        if let Some(source) = source {
            let place = source.locate(&path[at..])?;
            if source.size_at(&place) <= LARGE {
                return Some(source.make(place, made));
            }
        }
        *made = made.saturating_add(value.opening());
        value = match value {
            Value::Object(object) => object.get(segment)?,
            Value::Array(items) if segment == "*" => {
                let rest = &path[at + 1..];
                let found: Vec<Value> = items.iter().filter_map(|item| search(item, rest, made)).collect();
                *made = made.saturating_add((found.len() as u64 + 1) * ELEMENT);
                return Some(Value::array(found));
            }
            Value::Array(items) => items.get(segment.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value.clone())
}

/// The value at a path, null when something on the way is missing.
pub(crate) fn read(value: &Value, path: &[Text]) -> Value {
    find(value, path).unwrap_or(Value::Null)
}

/// Sets the value at a path, creating missing parents as objects. A delete marker removes what is there.
pub(crate) fn write(target: &mut Value, path: &[Text], value: Value) -> Evaluated<()> {
    write_below(target, path, 0, value)
}

fn write_below(target: &mut Value, path: &[Text], at: usize, value: Value) -> Evaluated<()> {
    let Some(segment) = path.get(at) else {
        *target = value;
        return Ok(());
    };
    let removes = matches!(value, Value::Delete);
    if target.is_absent() {
        if removes {
            return Ok(());
        }
        *target = Value::object(Object::new());
    }
    let last = at + 1 == path.len();
    match target {
        Value::Object(object) => {
            if removes && (last || !object.contains_key(segment)) {
                if object.contains_key(segment) {
                    Arc::make_mut(object).remove(segment);
                }
                return Ok(());
            }
            Arc::make_mut(object).update(segment, |field| write_below(field, path, at + 1, value))
        }
        Value::Array(items) => write_element(Arc::make_mut(items), path, at, value),
        other => Err(Failure::new(format!(
            "unable to set target path {} as the value of {} was a non-object type ({})",
            join(path),
            if at == 0 { "root".to_owned() } else { join(&path[..at]) },
            other.type_name()
        ))),
    }
}

fn write_element(items: &mut Array, path: &[Text], at: usize, value: Value) -> Evaluated<()> {
    let segment = &path[at];
    let last = at + 1 == path.len();
    let removes = matches!(value, Value::Delete);
    if segment == "-" {
        if !removes {
            let mut item = Value::Null;
            write_below(&mut item, path, at + 1, value)?;
            items.push(item);
        }
        return Ok(());
    }
    let index = segment.parse::<usize>().ok().filter(|index| *index < items.len());
    let Some(index) = index else {
        return Err(Failure::new(format!(
            "unable to set target path {}: `{segment}` is not an index of an array of {} elements",
            join(path),
            items.len()
        )));
    };
    if removes && last {
        items.remove(index);
        return Ok(());
    }
    items.update(index, |item| write_below(item, path, at + 1, value)).unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes() {
        for (before, path, value, expected) in [
            ("null", "a.b", "1", Some(r#"{"a":{"b":1}}"#)),
            (r#"{"a":null}"#, "a.b", "1", Some(r#"{"a":{"b":1}}"#)),
            (r#"{"a":[1,2]}"#, "a.1", "9", Some(r#"{"a":[1,9]}"#)),
            (r#"{"a":[1,2]}"#, "a.-", "9", Some(r#"{"a":[1,2,9]}"#)),
            (r#"{"a":[1,2]}"#, "a.-.x", "9", Some(r#"{"a":[1,2,{"x":9}]}"#)),
            (r#"{"a":[1,2]}"#, "a.2", "9", None),
            (r#"{"a":5}"#, "a.b.c", "9", None),
            ("{}", "a~1b.c~0d", "1", Some(r#"{"a.b":{"c~d":1}}"#)),
        ] {
            let mut target = Value::parse_json(before.as_bytes()).unwrap();
            let value = Value::parse_json(value.as_bytes()).unwrap();
            let result = write(&mut target, &split(path).unwrap(), value).map(|()| target.to_json());
            assert_eq!(result.ok().as_deref(), expected, "{before} {path}");
        }
    }

    #[test]
    fn writing_never_changes_a_shared_value() {
        let original = Value::parse_json(br#"{"a":{"b":[1]}}"#).unwrap();
        let mut copy = original.clone();
        write(&mut copy, &split("a.b.0").unwrap(), Value::Int(2)).unwrap();
        assert_eq!(
            (original.to_json(), copy.to_json()),
            (r#"{"a":{"b":[1]}}"#.into(), r#"{"a":{"b":[2]}}"#.into())
        );
    }

    #[test]
    fn reads_through_every_element() {
        let value = Value::parse_json(br#"{"a":[{"b":1},{"c":2},{"b":3}]}"#).unwrap();
        assert_eq!(read(&value, &split("a.*.b").unwrap()).to_json(), "[1,3]");
        assert_eq!(read(&value, &split("a.2.b").unwrap()).to_json(), "3");
        assert_eq!(read(&value, &split("a.x.b").unwrap()).to_json(), "null");
    }

    #[test]
    fn what_is_made_of_a_document_is_counted_and_large_fields_are_made_once() {
        const MANY: usize = 100_000;
        let long = "x".repeat(MANY);
        let many: Vec<String> = (0..1000).map(|n| format!(r#""f{n}":"{}""#, "y".repeat(100))).collect();
        // Document, path; bytes that are made, at least and at most; the same for the second time.
        for (text, path, first, second) in [
            (r#"{"a":{"b":5}}"#.to_owned(), "a.b", (0, 0), (0, 0)),
            (r#"{"a":{"b":"short"}}"#.to_owned(), "a.b", (0, 0), (0, 0)),
            (format!(r#"{{"a":"{}"}}"#, "x".repeat(1000)), "a", (1000, 1000), (1000, 1000)),
            (format!(r#"{{"a":{{"b":{{"c":"{long}"}}}}}}"#), "a.b.c", (MANY, MANY + 400), (0, 0)),
            (format!(r#"{{"a":["{long}","{long}"]}}"#), "a.1", (2 * MANY, 2 * MANY + 200), (0, 0)),
            (format!(r#"{{"a":["{long}","{long}"]}}"#), "a.*", (2 * MANY, 2 * MANY + 400), (80, 200)),
            (r#"{"a":["12345678901234567890123456789"]}"#.to_owned(), "a.*", (29, 200), (29, 200)),
            // So many fields are searched through an index, for which all of them are made.
            (format!("{{{}}}", many.join(",")), "f5", (1000 * 100, 1000 * 200), (0, 0)),
            (format!("{{{}}}", many.join(",")), "absent", (1000 * 100, 1000 * 200), (0, 0)),
        ] {
            let value = Value::parse_json(text.as_bytes()).unwrap();
            let path = split(path).unwrap();
            for (time, (least, most)) in [("first", first), ("second", second)] {
                let mut made = 0;
                search(&value, &path, &mut made);
                let within = (least as u64..=most as u64).contains(&made);
                assert!(within, "{time} {} {path:?}: {made}", &text[..text.len().min(40)]);
            }
        }
    }
}
