//! Methods for arrays, some of them for objects too.

use std::collections::HashSet;
use std::sync::Arc;

use super::receive::{add, array, fits, gather, object, put};
use super::{Example, Kind, Makes, Parameter, Spec};
use crate::run::{Arguments, Context, Evaluated, Failure, element, limit};
use crate::{Array, Object, Text, Value};

const CHAPTER: &str = "Arrays";
const TEST: &[Parameter] =
    &[Parameter::required("test", Kind::Query, "A query that gives a bool for an element.")];

pub(crate) static TABLE: &[Spec] = &[
    Spec::method(
        CHAPTER,
        "all",
        "Whether a test holds for every element; false for an empty array.",
        |context, value, arguments| {
            let items = array(value)?;
            let mut all = !items.is_empty();
            for item in items.iter() {
                all = all && arguments.test(context, 0, item.clone())?;
            }
            Ok(Value::Bool(all))
        },
    )
    .parameters(TEST)
    .examples(&[
        Example("root = this.all(n -> n > 1)", "[2,3]", "true"),
        Example("root = this.all(n -> n > 1)", "[]", "false"),
    ]),
    Spec::method(CHAPTER, "any", "Whether a test holds for some element.", |context, value, arguments| {
        let mut any = false;
        for item in array(value)?.iter() {
            any = any || arguments.test(context, 0, item.clone())?;
        }
        Ok(Value::Bool(any))
    })
    .parameters(TEST)
    .examples(&[Example("root = this.any(this > 2)", "[2,3]", "true")]),
    Spec::method(
        CHAPTER,
        "append",
        "The array with more elements at its end.",
        |context, value, arguments| {
            let mut items = array(value)?;
            for value in arguments.rest(context, 0)? {
                add(Arc::make_mut(&mut items), value)?;
            }
            Ok(Value::Array(items))
        },
    )
    .makes(Makes::Shell)
    .parameters(&[Parameter::many("values", Kind::Any, "The new elements.")])
    .examples(&[Example("root = this.append(2, [3])", "[1]", "[1,2,[3]]")]),
    Spec::method(
        CHAPTER,
        "concat",
        "The array with the elements of others at its end.",
        |context, value, arguments| {
            let mut items = array(value)?;
            for other in arguments.rest(context, 0)? {
                context.budget.reads(&other)?;
                for item in array(other)?.iter() {
                    add(Arc::make_mut(&mut items), item.clone())?;
                }
            }
            Ok(Value::Array(items))
        },
    )
    .makes(Makes::Shell)
    .parameters(&[Parameter::many("arrays", Kind::Any, "The other arrays.")])
    .examples(&[Example("root = this.concat([2], [3, 4])", "[1]", "[1,2,3,4]")]),
    Spec::method(
        CHAPTER,
        "enumerated",
        "The elements as objects with `index` and `value`.",
        |_, value, _| {
            let items = array(value)?;
            gather(items.iter().zip(0_i64..).map(|(item, index)| {
                let pair = [("index", Value::Int(index)), ("value", item.clone())];
                Ok(Value::object(pair.into_iter().collect()))
            }))
        },
    )
    .examples(&[Example("root = this.enumerated()", r#"["a"]"#, r#"[{"index":0,"value":"a"}]"#)]),
    Spec::method(CHAPTER, "filter", "The elements, or the fields, for which a test gives true.", filter)
        .makes(Makes::Shell)
        .parameters(&[Parameter::required(
            "test",
            Kind::Query,
            "A query; for fields its context has `key` and `value`.",
        )])
        .examples(&[
            Example("root = this.filter(n -> n > 1)", "[1,2,3]", "[2,3]"),
            Example("root = this.filter(f -> f.value > 1)", r#"{"a":1,"b":2}"#, r#"{"b":2}"#),
        ]),
    Spec::method(
        CHAPTER,
        "find",
        "The index of the first element equal to a value; -1 when there is none.",
        |context, value, arguments| {
            let wanted = arguments.value(context, 0)?;
            let at = array(value)?.iter().position(|item| *item == wanted);
            Ok(Value::Int(at.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1)))
        },
    )
    .parameters(&[Parameter::required("value", Kind::Any, "What to look for.")])
    .examples(&[Example(r#"root = this.find("b")"#, r#"["a","b"]"#, "1")]),
    Spec::method(
        CHAPTER,
        "find_all",
        "The indexes of all elements equal to a value.",
        |context, value, arguments| {
            let wanted = arguments.value(context, 0)?;
            let items = array(value)?;
            let found = items.iter().zip(0_i64..).filter(|(item, _)| **item == wanted);
            Ok(Value::array(found.map(|(_, index)| Value::Int(index)).collect()))
        },
    )
    .parameters(&[Parameter::required("value", Kind::Any, "What to look for.")])
    .examples(&[Example("root = this.find_all(2)", r#"[2,"2",2.0]"#, "[0,2]")]),
    Spec::method(
        CHAPTER,
        "find_all_by",
        "The indexes of all elements for which a test holds.",
        |context, value, arguments| {
            let mut found = Vec::new();
            for (item, index) in array(value)?.iter().zip(0_i64..) {
                if arguments.test(context, 0, item.clone())? {
                    found.push(Value::Int(index));
                }
            }
            Ok(Value::array(found))
        },
    )
    .parameters(&[Parameter::required("query", Kind::Query, "A query that gives a bool for an element.")])
    .examples(&[Example("root = this.find_all_by(n -> n > 1)", "[1,2,3]", "[1,2]")]),
    Spec::method(
        CHAPTER,
        "find_by",
        "The index of the first element for which a test holds; -1 when there is none.",
        |context, value, arguments| {
            for (item, index) in array(value)?.iter().zip(0_i64..) {
                if arguments.test(context, 0, item.clone())? {
                    return Ok(Value::Int(index));
                }
            }
            Ok(Value::Int(-1))
        },
    )
    .parameters(&[Parameter::required("query", Kind::Query, "A query that gives a bool for an element.")])
    .examples(&[Example("root = this.find_by(n -> n > 1)", "[1,2,3]", "1")]),
    Spec::method(
        CHAPTER,
        "flatten",
        "The array with the elements of inner arrays in their place, one level deep.",
        |_, value, _| {
            let mut flat = Vec::new();
            for item in array(value)?.iter() {
                match item {
                    Value::Array(inner) => flat.extend_from_slice(inner),
                    other => flat.push(other.clone()),
                }
            }
            Ok(Value::array(flat))
        },
    )
    .makes(Makes::Shell)
    .examples(&[Example("root = this.flatten()", "[1,[2,[3]]]", "[1,2,[3]]")]),
    Spec::method(
        CHAPTER,
        "fold",
        "One value from all elements: the query sees `tally` (so far) and `value`, and gives the next tally.",
        |context, value, arguments| {
            context.budget.reads(&value)?;
            let mut tally = arguments.value(context, 0)?;
            for item in array(value)?.iter() {
                let pair = [("tally", std::mem::replace(&mut tally, Value::Null)), ("value", item.clone())];
                tally = arguments.query(context, 1, Value::object(pair.into_iter().collect()))?;
            }
            Ok(tally)
        },
    )
    .makes(Makes::Nothing)
    .parameters(&[
        Parameter::required("initial", Kind::Any, "The first tally."),
        Parameter::required("query", Kind::Query, "The query."),
    ])
    .examples(&[Example("root = this.fold(0, item -> item.tally + item.value)", "[1,2,3]", "6")]),
    Spec::method(
        CHAPTER,
        "index",
        "One element of an array, or one of bytes; negative indexes count from the end.",
        |context, value, arguments| {
            let index = arguments.value(context, 0)?;
            context.budget.opens(&value)?;
            element(&value, &index)
        },
    )
    .makes(Makes::Nothing)
    .parameters(&[Parameter::required("index", Kind::Integer, "The index, from 0.")])
    .examples(&[
        Example("root = this.index(-1)", "[1,2]", "2"),
        Example("root = this.index(2)", "[1,2]", "error: out of bounds"),
    ]),
    Spec::method(
        CHAPTER,
        "map_each",
        "Each element, or each field's value, replaced by what a query gives; `deleted()` removes it.",
        map_each,
    )
    .makes(Makes::Shell)
    .parameters(&[Parameter::required(
        "query",
        Kind::Query,
        "A query; for fields its context has `key` and `value`.",
    )])
    .examples(&[
        Example("root = this.map_each(n -> if n == 2 { deleted() } else { n * 10 })", "[1,2,3]", "[10,30]"),
        Example("root = this.map_each(f -> f.key + f.value)", r#"{"a":"x"}"#, r#"{"a":"ax"}"#),
        Example(
            "root = this.map_each(n -> n.uppercase())",
            r#"["a",1]"#,
            "error: failed to process element 1",
        ),
    ]),
    Spec::method(
        CHAPTER,
        "sort",
        "The elements in order: numbers or texts, or by a comparison of `left` and `right`.",
        sort,
    )
    .makes(Makes::Shell)
    .parameters(&[Parameter::optional("compare", Kind::Query, "Whether `left` comes before `right`.")])
    .examples(&[
        Example("root = this.sort()", "[3,1.5,2]", "[1.5,2,3]"),
        Example(
            "root = this.sort(p -> p.left.a > p.right.a)",
            r#"[{"a":1},{"a":2}]"#,
            r#"[{"a":2},{"a":1}]"#,
        ),
        Example("root = this.sort()", r#"[1,"a"]"#, "error: cannot sort"),
    ]),
    Spec::method(
        CHAPTER,
        "sort_by",
        "The elements in the order of what a query gives for each.",
        |context, value, arguments| {
            let mut keyed = Vec::new();
            let mut size = 0;
            for item in array(value)?.iter() {
                let key = arguments.query(context, 0, item.clone())?;
                size += key.size();
                fits(usize::try_from(size).unwrap_or(usize::MAX))?;
                keyed.push((key, item.clone()));
            }
            let sorted = merge_sort(keyed, &mut |left, right| {
                context.budget.compares(&left.0, &right.0)?;
                before(&left.0, &right.0)
            })?;
            Ok(Value::array(sorted.into_iter().map(|(_, item)| item).collect()))
        },
    )
    .makes(Makes::Shell)
    .parameters(&[Parameter::required("query", Kind::Query, "Gives a number or a text for an element.")])
    .examples(&[Example(
        "root = this.sort_by(v -> v.n)",
        r#"[{"n":2},{"n":1}]"#,
        r#"[{"n":1},{"n":2}]"#,
    )]),
    Spec::method(CHAPTER, "squash", "All objects of an array merged into one.", |_, value, _| {
        let mut all = Value::object(Object::new());
        for item in array(value)?.iter() {
            all = super::objects::merged(all, &Value::Object(object(item.clone())?));
            limit(&all)?;
        }
        Ok(all)
    })
    .examples(&[Example(
        "root = this.squash()",
        r#"[{"a":1},{"b":{"c":2}}]"#,
        r#"{"a":1,"b":{"c":2}}"#,
    )]),
    Spec::method(CHAPTER, "unique", "The elements without later repetitions: numbers and texts.", unique)
        .makes(Makes::Shell)
        .parameters(&[Parameter::optional(
            "emit",
            Kind::Query,
            "Gives the number or text by which elements are compared.",
        )])
        .examples(&[
            Example("root = this.unique()", r#"[1,"1",1.0,2]"#, r#"[1,"1",2]"#),
            Example("root = this.unique(v -> v.a)", r#"[{"a":1,"b":1},{"a":1}]"#, r#"[{"a":1,"b":1}]"#),
        ]),
    Spec::method(
        CHAPTER,
        "zip",
        "The first elements of this and other arrays together, then the second ones, and so on.",
        zip,
    )
    .makes(Makes::Shell)
    .parameters(&[Parameter::many("arrays", Kind::Any, "Arrays of the same length.")])
    .examples(&[Example("root = this.zip([3, 4])", "[1,2]", "[[1,3],[2,4]]")]),
];

fn pair(key: &Text, value: &Value) -> Value {
    Value::object([("key", Value::String(key.clone())), ("value", value.clone())].into_iter().collect())
}

fn filter(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let kept = |result: Evaluated| result.map(|result| result.as_bool() == Some(true));
    match value {
        Value::Object(fields) => {
            let mut left = Object::new();
            for (key, value) in fields.iter() {
                if kept(arguments.query(context, 0, pair(key, value)))? {
                    left.insert(key.clone(), value.clone());
                }
            }
            Ok(Value::object(left))
        }
        Value::Array(items) => {
            let mut left = Vec::new();
            for item in items.iter() {
                if kept(arguments.query(context, 0, item.clone()))? {
                    left.push(item.clone());
                }
            }
            Ok(Value::array(left))
        }
        other => Err(Failure::expected("array or object", &other)),
    }
}

fn map_each(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    match value {
        Value::Array(items) => {
            let mut mapped = Array::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                let result = arguments.query(context, 0, item.clone());
                match result
                    .map_err(|why| Failure::new(format!("failed to process element {index}: {why}")))?
                {
                    Value::Delete => {}
                    Value::Nothing => add(&mut mapped, item.clone())?,
                    value => add(&mut mapped, value)?,
                }
            }
            Ok(Value::Array(Arc::new(mapped)))
        }
        Value::Object(fields) => {
            let mut mapped = Object::with_capacity(fields.len());
            for (key, value) in fields.iter() {
                let result = arguments.query(context, 0, pair(key, value));
                match result.map_err(|why| Failure::new(format!("failed to process element {key}: {why}")))? {
                    Value::Delete => {}
                    Value::Nothing => put(&mut mapped, key.clone(), value.clone())?,
                    value => put(&mut mapped, key.clone(), value)?,
                }
            }
            Ok(Value::object(mapped))
        }
        other => Err(Failure::expected("array or object", &other)),
    }
}

fn sort(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let items = array(value)?.to_vec();
    let sorted = if arguments.is_given(0) {
        merge_sort(items, &mut |left, right| {
            let pair = [("left", left.clone()), ("right", right.clone())];
            arguments.test(context, 0, Value::object(pair.into_iter().collect()))
        })?
    } else {
        merge_sort(items, &mut |left, right| {
            context.budget.compares(left, right)?;
            before(left, right)
        })?
    };
    Ok(Value::array(sorted))
}

fn before(left: &Value, right: &Value) -> Evaluated<bool> {
    match (left, right) {
        (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_))
        | (
            Value::String(_) | Value::Bytes(_) | Value::Timestamp(_),
            Value::String(_) | Value::Bytes(_) | Value::Timestamp(_),
        ) => Ok(left.compare(right).is_some_and(std::cmp::Ordering::is_lt)),
        _ => Err(Failure::new(format!("cannot sort {} with {}", left.type_name(), right.type_name()))),
    }
}

/// Sorts stably. Unlike the standard library's it copes with comparisons that fail or contradict themselves, which a
/// mapping may well write.
fn merge_sort<T>(mut items: Vec<T>, before: &mut dyn FnMut(&T, &T) -> Evaluated<bool>) -> Evaluated<Vec<T>> {
    if items.len() < 2 {
        return Ok(items);
    }
    let second = items.split_off(items.len() / 2);
    let mut left = merge_sort(items, before)?.into_iter().peekable();
    let mut right = merge_sort(second, before)?.into_iter().peekable();
    let mut merged = Vec::with_capacity(left.len() + right.len());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let next = if before(b, a)? { right.next() } else { left.next() };
        merged.extend(next);
    }
    merged.extend(left);
    merged.extend(right);
    Ok(merged)
}

fn unique(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let mut seen = HashSet::new();
    let mut left = Vec::new();
    let mut size = 0;
    for item in array(value)?.iter() {
        let key =
            if arguments.is_given(0) { arguments.query(context, 0, item.clone())? } else { item.clone() };
        let kind = match key {
            Value::Int(_) | Value::Float(_) => 'n',
            Value::String(_) | Value::Bytes(_) => 's',
            other => return Err(Failure::expected("string or number", &other)),
        };
        size += key.size();
        fits(usize::try_from(size).unwrap_or(usize::MAX))?;
        if seen.insert((kind, key.to_text_bytes())) {
            left.push(item.clone());
        }
    }
    Ok(Value::array(left))
}

fn zip(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let mut arrays = vec![array(value)?];
    for other in arguments.rest(context, 0)? {
        context.budget.reads(&other)?;
        arrays.push(array(other)?);
    }
    let length = arrays[0].len();
    if arrays.iter().any(|other| other.len() != length) {
        return Err(Failure::new("cannot zip arrays of different lengths"));
    }
    let row =
        |index: usize| Value::array(arrays.iter().filter_map(|array| array.get(index).cloned()).collect());
    gather((0..length).map(|index| Ok(row(index))))
}
