//! Methods for objects, some of them for arrays too.

use std::sync::Arc;

use super::receive::{gather, object, put};
use super::{Example, Fixed, Kind, Makes, Parameter, Spec};
use crate::run::{Arguments, Context, Evaluated, Failure, path};
use crate::{Array, Object, Text, Value};

const CHAPTER: &str = "Objects";

pub(crate) static TABLE: &[Spec] = &[
    Spec::method(CHAPTER, "keys", "The names of the fields, sorted.", |_, value, _| {
        let object = object(value)?;
        Ok(Value::array(object.sorted().into_iter().map(|(key, _)| Value::String(key.clone())).collect()))
    })
    .examples(&[Example("root = this.keys()", r#"{"b":1,"a":2}"#, r#"["a","b"]"#)]),
    Spec::method(CHAPTER, "values", "The values of the fields, in no particular order.", |_, value, _| {
        Ok(Value::array(object(value)?.iter().map(|(_, value)| value.clone()).collect()))
    })
    .makes(Makes::Shell)
    .examples(&[Example("root = this.values().sort()", r#"{"b":2,"a":1}"#, "[1,2]")]),
    Spec::method(
        CHAPTER,
        "key_values",
        "The fields as objects with `key` and `value`, in no particular order.",
        |_, value, _| {
            let fields = object(value)?;
            gather(fields.iter().map(|(key, value)| {
                let pair = [("key", Value::String(key.clone())), ("value", value.clone())];
                Ok(Value::object(pair.into_iter().collect()))
            }))
        },
    )
    .examples(&[Example("root = this.key_values()", r#"{"a":1}"#, r#"[{"key":"a","value":1}]"#)]),
    Spec::method(
        CHAPTER,
        "map_each_key",
        "Each field's name replaced by what a query gives for it.",
        map_each_key,
    )
    .makes(Makes::Shell)
    .parameters(&[Parameter::required(
        "query",
        Kind::Query,
        "Gives the new name; `deleted()` removes the field.",
    )])
    .examples(&[Example("root = this.map_each_key(k -> k.uppercase())", r#"{"a":1}"#, r#"{"A":1}"#)]),
    Spec::method(
        CHAPTER,
        "merge",
        "Two objects joined deeply (values that collide become an array), or two arrays.",
        |context, value, arguments| {
            let other = arguments.value(context, 0)?;
            check(&value)?;
            context.budget.reads(&other)?;
            Ok(merged(value, &other))
        },
    )
    .makes(Makes::Shell)
    .parameters(&[Parameter::required("with", Kind::Any, "The other value.")])
    .examples(&[
        Example(
            r#"root = this.a.merge(this.b)"#,
            r#"{"a":{"x":1,"y":{"z":1}},"b":{"y":{"w":2},"x":5}}"#,
            r#"{"x":[1,5],"y":{"z":1,"w":2}}"#,
        ),
        Example("root = this.merge([2])", "[1]", "[1,2]"),
    ]),
    Spec::method(
        CHAPTER,
        "assign",
        "Two objects joined deeply; values of the other one win.",
        |context, value, arguments| {
            let other = arguments.value(context, 0)?;
            check(&value)?;
            context.budget.reads(&other)?;
            Ok(assigned(value, &other))
        },
    )
    .makes(Makes::Shell)
    .parameters(&[Parameter::required("with", Kind::Any, "The other value.")])
    .examples(&[Example(
        r#"root = this.a.assign(this.b)"#,
        r#"{"a":{"x":1,"y":{"z":1}},"b":{"y":{"w":2},"x":5}}"#,
        r#"{"x":5,"y":{"z":1,"w":2}}"#,
    )]),
    Spec::method(
        CHAPTER,
        "without",
        "The object without some fields, named by dot paths.",
        |context, value, arguments| {
            let paths = paths(context, arguments)?;
            check(&value)?;
            context.budget.step((value.size() / 512).saturating_mul(paths.len() as u64))?;
            Ok(without(&value, &paths.iter().map(|path| &path[..]).collect::<Vec<_>>()))
        },
    )
    .makes(Makes::Shell)
    .parameters(&[Parameter::many("paths", Kind::Path, "The fields to leave out.")])
    .examples(&[Example(
        r#"root = this.without("a", "b.c")"#,
        r#"{"a":1,"b":{"c":2,"d":3},"e":4}"#,
        r#"{"b":{"d":3},"e":4}"#,
    )]),
    Spec::method(
        CHAPTER,
        "with",
        "The object with some of its fields only, named by dot paths.",
        |context, value, arguments| {
            let paths = paths(context, arguments)?;
            check(&value)?;
            context.budget.step((value.size() / 512).saturating_mul(paths.len() as u64))?;
            Ok(with(&value, &paths.iter().map(|path| &path[..]).collect::<Vec<_>>()))
        },
    )
    .makes(Makes::Shell)
    .parameters(&[Parameter::many("paths", Kind::Path, "The fields to keep.")])
    .examples(&[Example(
        r#"root = this.with("a", "b.c")"#,
        r#"{"a":1,"b":{"c":2,"d":3},"e":4}"#,
        r#"{"a":1,"b":{"c":2}}"#,
    )]),
    Spec::method(
        CHAPTER,
        "collapse",
        "A flat object with a dot path for every value.",
        |context, value, arguments| {
            let include_empty = arguments.boolean(context, 0)?;
            let mut flat = Object::new();
            collapse(&value, "", include_empty, &mut flat)?;
            Ok(Value::object(flat))
        },
    )
    .parameters(&[Parameter::with_default(
        "include_empty",
        Kind::Bool,
        Fixed::Bool(false),
        "Whether to keep empty arrays and objects.",
    )])
    .examples(&[Example(
        "root = this.collapse()",
        r#"{"a":[{"b":1},2],"c":{}}"#,
        r#"{"a.0.b":1,"a.1":2}"#,
    )]),
    Spec::method(
        CHAPTER,
        "explode",
        "One copy of the object for each element (or field) of the array (or object) at a path.",
        explode,
    )
    .parameters(&[Parameter::required("path", Kind::Path, "A dot path.")])
    .examples(&[
        Example(
            r#"root = this.explode("v")"#,
            r#"{"id":1,"v":["a","b"]}"#,
            r#"[{"id":1,"v":"a"},{"id":1,"v":"b"}]"#,
        ),
        Example(r#"root = this.explode("v")"#, r#"{"id":1,"v":{"x":2}}"#, r#"{"x":{"id":1,"v":2}}"#),
        Example(
            r#"root = this.explode("v")"#,
            r#"{"id":1}"#,
            "error: expected array or object value, got null",
        ),
    ]),
];

fn check(value: &Value) -> Evaluated<()> {
    match value {
        Value::Array(_) | Value::Object(_) => Ok(()),
        other => Err(Failure::expected("object or array", other)),
    }
}

fn paths(context: &mut Context<'_>, arguments: &Arguments) -> Evaluated<Vec<path::Path>> {
    (0..arguments.items.len()).map(|index| Ok(arguments.path(context, index)?.into_owned().into())).collect()
}

fn map_each_key(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let fields = object(value)?;
    let mut mapped = Object::with_capacity(fields.len());
    for (key, value) in fields.iter() {
        match arguments.query(context, 0, Value::String(key.clone()))? {
            Value::String(name) => put(&mut mapped, name, value.clone())?,
            Value::Delete => {}
            Value::Nothing => put(&mut mapped, key.clone(), value.clone())?,
            other => return Err(arguments.blame(0, Failure::expected("string", &other))),
        }
    }
    Ok(Value::object(mapped))
}

/// Joins two values; those that collide end up in one array.
pub(super) fn merged(left: Value, right: &Value) -> Value {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => join_fields(left, right, merged),
        (left, right) => {
            // An array that only this merge holds grows in place: merging many values takes no quadratic time.
            let mut all = match left {
                Value::Array(items) => items,
                other => Arc::new(Array::from(vec![other])),
            };
            let grown = Arc::make_mut(&mut all);
            match right {
                Value::Array(items) => items.iter().for_each(|item| grown.push(item.clone())),
                other => grown.push(other.clone()),
            }
            Value::Array(all)
        }
    }
}

/// Joins two values; the right one wins where they collide.
fn assigned(left: Value, right: &Value) -> Value {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => join_fields(left, right, assigned),
        (Value::Array(left), Value::Array(right)) => {
            Value::array(left.iter().chain(right.iter()).cloned().collect())
        }
        (_, right) => right.clone(),
    }
}

fn join_fields(mut left: Arc<Object>, right: &Object, collide: fn(Value, &Value) -> Value) -> Value {
    let all = Arc::make_mut(&mut left);
    for (key, value) in right.iter() {
        if all.contains_key(key) {
            all.update(key, |known| *known = collide(std::mem::replace(known, Value::Null), value));
        } else {
            all.insert(key.clone(), value.clone());
        }
    }
    Value::Object(left)
}

/// The paths that go on below a field.
fn below<'p>(paths: &[&'p [Text]], key: &str) -> Vec<&'p [Text]> {
    paths
        .iter()
        .filter(|path| path.first().is_some_and(|first| **first == *key))
        .map(|path| &path[1..])
        .collect()
}

fn without(value: &Value, paths: &[&[Text]]) -> Value {
    match value {
        Value::Object(object) => {
            let mut left = Object::with_capacity(object.len());
            for (key, value) in object.iter() {
                let inner = below(paths, key);
                if inner.is_empty() {
                    left.insert(key.clone(), value.clone());
                } else if !inner.iter().any(|path| path.is_empty()) {
                    left.insert(key.clone(), without(value, &inner));
                }
            }
            Value::object(left)
        }
        Value::Array(items) => Value::array(items.iter().map(|item| without(item, paths)).collect()),
        other => other.clone(),
    }
}

fn with(value: &Value, paths: &[&[Text]]) -> Value {
    match value {
        Value::Object(object) => {
            let mut kept = Object::new();
            for (key, value) in object.iter() {
                let inner = below(paths, key);
                if inner.iter().any(|path| path.is_empty()) {
                    kept.insert(key.clone(), value.clone());
                } else if !inner.is_empty() && matches!(value, Value::Object(_) | Value::Array(_)) {
                    kept.insert(key.clone(), with(value, &inner));
                }
            }
            Value::object(kept)
        }
        Value::Array(items) => Value::array(items.iter().map(|item| with(item, paths)).collect()),
        other => other.clone(),
    }
}

fn collapse(value: &Value, at: &str, include_empty: bool, flat: &mut Object) -> Evaluated<()> {
    let below = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (key, value) in object.iter() {
                collapse(value, &below(&path::join(&[(**key).into()])), include_empty, flat)?;
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                collapse(item, &below(&index.to_string()), include_empty, flat)?;
            }
        }
        Value::Object(_) | Value::Array(_) if !include_empty => {}
        other => put(flat, at, other.clone())?,
    }
    Ok(())
}

fn explode(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let path = arguments.path(context, 0)?;
    let document = Value::Object(object(value)?);
    let copy = |inner: &Value| {
        let mut copy = document.clone();
        path::write(&mut copy, &path, inner.clone()).map(|()| copy)
    };
    match path::read(&document, &path) {
        Value::Array(items) => gather(items.iter().map(copy)),
        Value::Object(fields) => {
            let mut all = Object::new();
            for (key, inner) in fields.iter() {
                put(&mut all, key.clone(), copy(inner)?)?;
            }
            Ok(Value::object(all))
        }
        other => Err(Failure::expected("array or object", &other)),
    }
}
