//! What values are, what stands for those that are not there, and JSON and XML.

use gotmpl::Value;

use super::{Made, Table, arg, made, str};
use crate::json::{self, Style};
use crate::{document, from_json};

const PLAIN: Style = Style { html: true, pretty: false };
const PRETTY: Style = Style { html: true, pretty: true };
const RAW: Style = Style { html: false, pretty: false };

pub(super) const TABLE: Table = &[
    ("default", |args| match args.get(1) {
        Some(given) if given.is_truthy() => Ok(given.clone()),
        _ => arg(args, 0).cloned(),
    }),
    ("empty", |args| Ok(Value::Bool(!arg(args, 0)?.is_truthy()))),
    ("coalesce", |args| Ok(args.iter().find(|value| value.is_truthy()).cloned().unwrap_or(Value::Nil))),
    ("all", |args| Ok(Value::Bool(args.iter().all(Value::is_truthy)))),
    ("any", |args| Ok(Value::Bool(args.iter().any(Value::is_truthy)))),
    ("fail", |args| Err(str(args, 0)?.to_owned())),
    ("typeOf", |args| Ok(made(type_of(arg(args, 0)?)))),
    ("typeIs", |args| Ok(Value::Bool(str(args, 0)? == type_of(arg(args, 1)?)))),
    ("typeIsLike", |args| {
        let wanted = str(args, 0)?;
        let found = type_of(arg(args, 1)?);
        Ok(Value::Bool(wanted == found || wanted.strip_prefix('*') == Some(found)))
    }),
    ("kindOf", |args| Ok(made(kind_of(arg(args, 0)?)))),
    ("kindIs", |args| Ok(Value::Bool(str(args, 0)? == kind_of(arg(args, 1)?)))),
    ("deepEqual", |args| Ok(Value::Bool(super::lists::same(arg(args, 0)?, arg(args, 1)?)))),
    ("toJson", |args| Ok(made(json::write(arg(args, 0)?, PLAIN).unwrap_or_default()))),
    ("toPrettyJson", |args| Ok(made(json::write(arg(args, 0)?, PRETTY).unwrap_or_default()))),
    ("toRawJson", |args| Ok(made(json::write(arg(args, 0)?, RAW).unwrap_or_default()))),
    ("mustToJson", |args| json::write(arg(args, 0)?, PLAIN).map(made)),
    ("mustToPrettyJson", |args| json::write(arg(args, 0)?, PRETTY).map(made)),
    ("mustToRawJson", |args| json::write(arg(args, 0)?, RAW).map(made)),
    ("jsonMarshal", |args| json::write(arg(args, 0)?, PLAIN).map(made)),
    ("fromJson", |args| Ok(parsed(str(args, 0)?).unwrap_or(Value::Nil))),
    ("mustFromJson", |args| parsed(str(args, 0)?)),
    ("xmlMarshal", |args| match arg(args, 0)? {
        Value::Map(fields) => document::to_xml(fields).map(made),
        other => Ok(made(plain_xml(other))),
    }),
];

fn parsed(text: &str) -> Made {
    serde_json::from_str(text).map(|value| from_json(&value)).map_err(|fault| fault.to_string())
}

/// A value that is no map: an element with the name of its type, of lists one for each.
fn plain_xml(value: &Value) -> String {
    let element = |name: &str| format!("<{name}>{}</{name}>", gotmpl::html_escape(&crate::go::text(value)));
    match value {
        Value::Nil => String::new(),
        Value::List(items) => items.iter().map(plain_xml).collect::<Vec<_>>().join("\n"),
        Value::Map(fields) => document::to_xml(fields).unwrap_or_default(),
        Value::Float(_) => element("float64"),
        Value::Bool(_) => element("bool"),
        Value::String(_) => element("string"),
        _ => element("int"),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Nil => "<nil>",
        Value::List(_) => "[]interface {}",
        Value::Map(_) => "map[string]interface {}",
        other => other.type_name(),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Nil => "invalid",
        Value::List(_) => "slice",
        Value::Map(_) => "map",
        other => other.type_name(),
    }
}
