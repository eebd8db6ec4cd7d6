//! Methods with regular expressions (the syntax of RE2; linear time).

use regex::{Captures, Regex};

use super::receive::{fits, gather, like, text};
use super::{Example, Kind, Parameter, Spec};
use crate::{Object, Value};

const CHAPTER: &str = "Regular expressions";
const PATTERN: &[Parameter] = &[Parameter::required("pattern", Kind::Regex, "The expression.")];

pub(crate) static TABLE: &[Spec] = &[
    Spec::method(
        CHAPTER,
        "re_match",
        "Whether some part of the text matches.",
        |context, value, arguments| {
            let regex = arguments.regex(context, 0)?;
            Ok(Value::Bool(regex.is_match(&text(&value)?)))
        },
    )
    .parameters(PATTERN)
    .examples(&[Example(r#"root = this.re_match("^[a-z]+$")"#, r#""abc""#, "true")]),
    Spec::method(
        CHAPTER,
        "re_find_all",
        "All matches, as an array of texts.",
        |context, value, arguments| {
            let regex = arguments.regex(context, 0)?;
            let text = text(&value)?;
            gather(regex.find_iter(&text).map(|found| {
                context.budget.step(1)?;
                Ok(like(&value, found.as_str().to_owned()))
            }))
        },
    )
    .parameters(PATTERN)
    .examples(&[Example(r#"root = this.re_find_all("[0-9]+")"#, r#""a1b22""#, r#"["1","22"]"#)]),
    Spec::method(
        CHAPTER,
        "re_find_all_submatch",
        "All matches, each an array of the match and its groups.",
        |context, value, arguments| {
            let regex = arguments.regex(context, 0)?;
            let text = text(&value)?;
            gather(regex.captures_iter(&text).map(|found| {
                context.budget.step(1 + found.len() as u64)?;
                let groups = found.iter().map(|group| Value::from(group.map_or("", |group| group.as_str())));
                Ok(Value::array(groups.collect()))
            }))
        },
    )
    .parameters(PATTERN)
    .examples(&[Example(
        r#"root = this.re_find_all_submatch("([a-z])([0-9])")"#,
        r#""a1 b2""#,
        r#"[["a1","a","1"],["b2","b","2"]]"#,
    )]),
    Spec::method(
        CHAPTER,
        "re_find_object",
        "The first match as an object: groups by name or number, `0` for the whole.",
        |context, value, arguments| {
            let regex = arguments.regex(context, 0)?;
            Ok(regex
                .captures(&text(&value)?)
                .map_or_else(|| Value::object(Object::new()), |found| groups(&regex, &found)))
        },
    )
    .parameters(PATTERN)
    .examples(&[Example(
        r#"root = this.re_find_object("(?P<key>[a-z]+)=([0-9]+)")"#,
        r#""x: a=1""#,
        r#"{"0":"a=1","key":"a","2":"1"}"#,
    )]),
    Spec::method(
        CHAPTER,
        "re_find_all_object",
        "All matches as objects, as of `re_find_object`.",
        |context, value, arguments| {
            let regex = arguments.regex(context, 0)?;
            let text = text(&value)?;
            gather(regex.captures_iter(&text).map(|found| {
                context.budget.step(1 + found.len() as u64)?;
                Ok(groups(&regex, &found))
            }))
        },
    )
    .parameters(PATTERN)
    .examples(&[Example(
        r#"root = this.re_find_all_object("(?P<key>[a-z])=")"#,
        r#""a= b=""#,
        r#"[{"0":"a=","key":"a"},{"0":"b=","key":"b"}]"#,
    )]),
    Spec::method(
        CHAPTER,
        "re_replace_all",
        "Text with each match replaced; `$1` and `${name}` stand for groups.",
        |context, value, arguments| {
            let replacement = arguments.text(context, 1)?;
            let regex = arguments.regex(context, 0)?;
            let text = text(&value)?;
            let (mut out, mut from) = (String::with_capacity(text.len()), 0);
            for captures in regex.captures_iter(&text) {
                let Some(found) = captures.get(0) else { continue };
                context.budget.step(1)?;
                out.push_str(&text[from..found.start()]);
                captures.expand(&replacement, &mut out);
                // Before it grows further: the process ends where memory does.
                fits(out.len())?;
                from = found.end();
            }
            out.push_str(&text[from..]);
            Ok(like(&value, out))
        },
    )
    .aliases(&["re_replace"])
    .parameters(&[
        Parameter::required("pattern", Kind::Regex, "The expression."),
        Parameter::required("value", Kind::Text, "What to put there."),
    ])
    .examples(&[Example(
        r#"root = this.re_replace_all("(a)(b)", "${2}-$1")"#,
        r#""xabx""#,
        r#""xb-ax""#,
    )]),
];

fn groups(regex: &Regex, found: &Captures<'_>) -> Value {
    let object: Object = regex
        .capture_names()
        .enumerate()
        .map(|(index, name)| {
            let key = name.map_or_else(|| index.to_string(), str::to_owned);
            (key, Value::from(found.get(index).map_or("", |group| group.as_str())))
        })
        .collect();
    Value::object(object)
}
