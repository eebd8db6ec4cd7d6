//! The functions of templates: those of the language that print, `jsonMarshal` and `xmlMarshal`, and the library that
//! templates of gateways are written with. What reads the environment or looks up names is not among them: a template that
//! calls it is refused when it is parsed.

mod certificates;
mod codes;
mod dates;
mod dicts;
mod lists;
mod numbers;
mod paths;
mod patterns;
mod printf;
mod secrets;
mod slow;
mod text;
mod types;
mod versions;
mod words;

use std::sync::{Arc, LazyLock};

use gotmpl::{FuncMap, TemplateError, Value};

pub(crate) use slow::may_call;

use crate::instrument::{SHOW, STEP};
use crate::{cost, go};

/// What a function makes.
pub(crate) type Made = Result<Value, String>;
type Function = fn(&[Value]) -> Made;
/// Names and what they call.
type Table = &'static [(&'static str, Function)];

/// All functions by name.
pub(crate) fn all() -> &'static FuncMap {
    static ALL: LazyLock<FuncMap> = LazyLock::new(|| {
        let tables = [
            PRINTING,
            certificates::TABLE,
            codes::TABLE,
            dates::TABLE,
            dicts::TABLE,
            lists::TABLE,
            numbers::TABLE,
            paths::TABLE,
            patterns::TABLE,
            secrets::TABLE,
            text::TABLE,
            types::TABLE,
            versions::TABLE,
            words::TABLE,
        ];
        let mut all = FuncMap::new();
        for (name, function) in tables.into_iter().flatten() {
            all.insert((*name).to_owned(), Arc::new(|args: &[Value]| counted(name, *function, args)));
        }
        all
    });
    &ALL
}

fn counted(name: &str, function: Function, args: &[Value]) -> Result<Value, TemplateError> {
    let made = function(args).and_then(|value| cost::made(&value).map(|()| value));
    made.map_err(|fault| TemplateError::Exec(format!("error calling {name}: {fault}")))
}

const PRINTING: Table = &[
    (SHOW, |args| match args.last() {
        Some(Value::Nil) | None => Ok(Value::Nil),
        Some(Value::String(text)) => Ok(Value::String(Arc::clone(text))),
        Some(other) => Ok(Value::String(go::text(other).into())),
    }),
    (STEP, |_| cost::charge(50).map(|()| made(""))),
    ("print", printf::print),
    ("printf", printf::printf),
    ("println", printf::println),
    ("html", printf::html),
    ("js", printf::js),
    ("urlquery", printf::urlquery),
];

/// A text as a value.
fn made(text: impl Into<Arc<str>>) -> Value {
    Value::String(text.into())
}

fn list(items: impl IntoIterator<Item = Value>) -> Value {
    Value::List(items.into_iter().collect())
}

/// An argument that must be there.
fn arg(args: &[Value], index: usize) -> Result<&Value, String> {
    args.get(index).ok_or_else(|| format!("wrong number of args: got {}", args.len()))
}

/// An argument that must be a text.
fn str(args: &[Value], index: usize) -> Result<&str, String> {
    match arg(args, index)? {
        Value::String(text) => Ok(text),
        Value::Nil => Err("invalid value; expected string".to_owned()),
        other => Err(format!("wrong type for value; expected string; got {}", other.type_name())),
    }
}

/// An argument that must be a whole number.
fn int(args: &[Value], index: usize) -> Result<i64, String> {
    match arg(args, index)? {
        Value::Int(number) => Ok(*number),
        Value::Uint(number) => Ok(i64::try_from(*number).unwrap_or(i64::MAX)),
        Value::Nil => Err("invalid value; expected int".to_owned()),
        other => Err(format!("wrong type for value; expected int; got {}", other.type_name())),
    }
}

/// The same where it is a size.
fn size(args: &[Value], index: usize) -> Result<usize, String> {
    usize::try_from(int(args, index)?).map_err(|_| "negative count".to_owned())
}

/// An argument that must be a list.
fn items(args: &[Value], index: usize) -> Result<&Arc<[Value]>, String> {
    match arg(args, index)? {
        Value::List(items) => Ok(items),
        other => Err(format!("a list is expected, not {}", other.type_name())),
    }
}

/// The texts of a list; of anything else its one text; of nothing none.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Nil => Vec::new(),
        Value::List(items) => items.iter().filter(|item| !matches!(item, Value::Nil)).map(go::text).collect(),
        other => vec![go::text(other)],
    }
}

fn only_text(args: &[Value], change: impl FnOnce(&str) -> String) -> Made {
    if args.len() != 1 {
        return Err(format!("wrong number of args: want 1 got {}", args.len()));
    }
    Ok(made(change(str(args, 0)?)))
}
