//! The arguments of a function or method, prepared as far as they are known.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use regex::Regex;

use super::path::{self, Path};
use super::patterns::{Patterns, compile_regex};
use super::{Context, Evaluated, Failure, Node};
use crate::{Text, Value};

/// How many steps compiling a pattern is worth; it may take some milliseconds.
const COMPILING: u64 = 2000;

/// One argument.
#[derive(Debug)]
pub(crate) enum Argument {
    /// Left out, and without a default.
    Missing,
    /// Known when the mapping was compiled.
    Fixed(Value),
    /// A pattern known when the mapping was compiled.
    Regex(Arc<Regex>),
    /// A dot path known when the mapping was compiled.
    Path(Path),
    /// The index of a map known when the mapping was compiled.
    Map(usize),
    /// A query that gives the argument, in the context of the call.
    Dynamic(Node),
    /// A query that the method runs itself, on a context of its choice.
    Query(Node),
}

/// All arguments of a call, and what the call remembers from run to run.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) items: Box<[Argument]>,
    /// Whether the method passes numbers on as they are written.
    pub(crate) keeps_digits: bool,
    pub(crate) memory: Memory,
}

/// What one call site remembers.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) counter: Mutex<Option<i64>>,
    pub(crate) random: Mutex<Option<StdRng>>,
    pub(crate) patterns: Patterns,
    /// What was prepared from arguments that were known when the mapping was compiled.
    pub(crate) prepared: OnceLock<Prepared>,
    /// The file in which the call stands.
    pub(crate) within: Option<Arc<str>>,
}

/// Something that is made once for a call.
#[derive(Debug)]
pub(crate) enum Prepared {
    Value(Value),
    Schema(Box<crate::formats::json_schema::JsonSchema>),
    JsonPath(Box<jsonpath_rust::parser::model::JpQuery>),
    Addresses(Box<maxminddb::Reader<Bytes>>),
}

impl Arguments {
    pub(crate) fn is_given(&self, index: usize) -> bool {
        !matches!(self.items.get(index), None | Some(Argument::Missing))
    }

    /// A text that was known when the mapping was compiled.
    pub(crate) fn fixed_text(&self, index: usize) -> Option<&str> {
        match self.items.get(index) {
            Some(Argument::Fixed(value)) => value.as_str(),
            _ => None,
        }
    }

    /// A bool that was known when the mapping was compiled.
    pub(crate) fn fixed_bool(&self, index: usize) -> Option<bool> {
        match self.items.get(index) {
            Some(Argument::Fixed(value)) => value.as_bool(),
            _ => None,
        }
    }

    /// The argument; null when it was left out.
    pub(crate) fn value(&self, context: &mut Context<'_>, index: usize) -> Evaluated {
        let value = self.written(context, index)?;
        if self.keeps_digits || !value.has_digits() {
            return Ok(value);
        }
        context.budget.make(value.size())?;
        Ok(value.settled())
    }

    fn written(&self, context: &mut Context<'_>, index: usize) -> Evaluated {
        match self.items.get(index) {
            Some(Argument::Fixed(value)) => Ok(value.clone()),
            Some(Argument::Dynamic(node) | Argument::Query(node)) => {
                let value = node.evaluate(context)?;
                if !matches!(value, Value::Array(_) | Value::Object(_)) {
                    context.budget.reads(&value)?;
                }
                Ok(value)
            }
            Some(Argument::Regex(regex)) => Ok(Value::from(regex.as_str())),
            Some(Argument::Path(path)) => Ok(Value::from(path::join(path))),
            Some(Argument::Map(_) | Argument::Missing) | None => Ok(Value::Null),
        }
    }

    /// All arguments from `start` on.
    pub(crate) fn rest(&self, context: &mut Context<'_>, start: usize) -> Evaluated<Vec<Value>> {
        (start..self.items.len()).map(|index| self.value(context, index)).collect()
    }

    fn typed<T>(
        &self,
        context: &mut Context<'_>,
        index: usize,
        expected: &'static str,
        convert: impl FnOnce(&Value) -> Option<T>,
    ) -> Evaluated<T> {
        let value = self.value(context, index)?.settled();
        convert(&value).ok_or_else(|| self.blame(index, Failure::expected(expected, &value)))
    }

    pub(crate) fn text(&self, context: &mut Context<'_>, index: usize) -> Evaluated<Text> {
        self.typed(context, index, "string", |value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Bytes(bytes) => std::str::from_utf8(bytes).ok().map(Text::from),
            _ => None,
        })
    }

    pub(crate) fn integer(&self, context: &mut Context<'_>, index: usize) -> Evaluated<i64> {
        self.typed(context, index, "integer", |value| match value {
            Value::Int(number) => Some(*number),
            Value::Float(number) if number.fract() == 0.0 => Some(*number as i64),
            _ => None,
        })
    }

    pub(crate) fn boolean(&self, context: &mut Context<'_>, index: usize) -> Evaluated<bool> {
        self.typed(context, index, "bool", Value::as_bool)
    }

    pub(crate) fn path<'a>(&'a self, context: &mut Context<'_>, index: usize) -> Evaluated<Cow<'a, [Text]>> {
        match self.items.get(index) {
            Some(Argument::Path(path)) => Ok(Cow::Borrowed(path)),
            _ => path::split(&self.text(context, index)?)
                .map(|path| Cow::Owned(path.into()))
                .map_err(Failure::new),
        }
    }

    pub(crate) fn regex(&self, context: &mut Context<'_>, index: usize) -> Evaluated<Arc<Regex>> {
        match self.items.get(index) {
            Some(Argument::Regex(regex)) => Ok(Arc::clone(regex)),
            _ => self.compiled(context, index),
        }
    }

    /// A pattern that comes while the mapping runs.
    fn compiled(&self, context: &mut Context<'_>, index: usize) -> Evaluated<Arc<Regex>> {
        let pattern = self.text(context, index)?;
        if let Some(regex) = self.memory.patterns.find(&pattern) {
            return Ok(regex);
        }
        context.budget.step(COMPILING + pattern.len() as u64)?;
        let regex = Arc::new(compile_regex(&pattern).map_err(Failure::new)?);
        self.memory.patterns.keep(&regex);
        Ok(regex)
    }

    /// Runs a query argument with `this` being `value`.
    pub(crate) fn query(&self, context: &mut Context<'_>, index: usize, value: Value) -> Evaluated {
        context.count_step()?;
        match self.items.get(index) {
            Some(Argument::Query(node)) => {
                let result = context.with_this(value, |context| node.evaluate(context))?;
                Ok(if self.keeps_digits { result } else { result.settled() })
            }
            _ => self.value(context, index),
        }
    }

    /// Runs a query argument that must give a bool.
    pub(crate) fn test(&self, context: &mut Context<'_>, index: usize, value: Value) -> Evaluated<bool> {
        match self.query(context, index, value)? {
            Value::Bool(value) => Ok(value),
            other => Err(self.blame(index, Failure::expected("bool", &other))),
        }
    }

    /// The failure, blamed on what an argument gave.
    pub(crate) fn blame(&self, index: usize, failure: Failure) -> Failure {
        match self.items.get(index) {
            Some(Argument::Dynamic(node) | Argument::Query(node)) => failure.blame(node),
            _ => failure,
        }
    }
}

/// Functions and methods that only move values around, or hand them to queries: they leave numbers as they are written. All others
/// see them as whole or floating.
const KEEP_DIGITS: [&str; 39] = [
    "all",
    "any",
    "append",
    "apply",
    "assign",
    "cache_add",
    "cache_set",
    "catch",
    "collapse",
    "concat",
    "enumerated",
    "exists",
    "explode",
    "filter",
    "find_all_by",
    "find_by",
    "flatten",
    "fold",
    "format_json",
    "from",
    "from_all",
    "get",
    "index",
    "json_schema",
    "key_values",
    "keys",
    "length",
    "map",
    "map_each",
    "map_each_key",
    "merge",
    "not_null",
    "or",
    "set",
    "string",
    "uint64",
    "values",
    "with",
    "without",
];

pub(crate) fn keeps_digits(method: &str) -> bool {
    KEEP_DIGITS.contains(&method)
}
