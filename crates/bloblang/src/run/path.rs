//! Reading and writing by path.

use std::sync::Arc;

use super::{Evaluated, Failure};
use crate::syntax::MAX_PATH;
use crate::{Array, Object, Text, Value};

/// Bytes of what is called large.
const LARGE: u64 = 4096;

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
    search(value, path).map(|(found, _)| found)
}

/// As [`find`], and whether the value was made for it: of a document, or by `*`.
pub(crate) fn search(value: &Value, path: &[Text]) -> Option<(Value, bool)> {
    let mut value = value;
    for (at, segment) in path.iter().enumerate() {
        value = match value {
            // What is large becomes a value once, and is shared from then on.
            Value::Object(object) => match object.searchable().map(|source| source.find(&path[at..])) {
                Some(found) if !found.as_ref().is_some_and(is_large) => {
                    return found.map(|found| (found, true));
                }
                _ => object.get(segment)?,
            },
            Value::Array(items) if segment == "*" => {
                let rest = &path[at + 1..];
                let found = items.iter().filter_map(|item| find(item, rest)).collect();
                return Some((Value::array(found), true));
            }
            Value::Array(items) => match items.searchable().map(|source| source.find(&path[at..])) {
                Some(found) if !found.as_ref().is_some_and(is_large) => {
                    return found.map(|found| (found, true));
                }
                _ => items.get(segment.parse::<usize>().ok()?)?,
            },
            _ => return None,
        };
    }
    Some((value.clone(), false))
}

/// Whether a value of a document is too large to be made of it again and again.
fn is_large(value: &Value) -> bool {
    value.size() > LARGE
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
}
