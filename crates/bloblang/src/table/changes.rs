//! What differs between two values, and how to apply it.

use std::sync::Arc;

use super::receive::{add, array, text};
use super::{Example, Kind, Parameter, Spec};
use crate::run::{Budget, Context, Evaluated, Failure, limit};
use crate::{Array, Object, Value};

pub(crate) static TABLE: &[Spec] = &[
    Spec::method("Objects", "diff", "The changes that make another value of this one: objects with `Type` (create, update, delete), `Path`, `From` and `To`. Elements of arrays that are in both, wherever, are no change.", |context, value, arguments| {
        let other = arguments.value(context, 0)?;
        if matches!(value, Value::Null) {
            return Ok(Value::Null);
        }
        let mut changes = Changes { budget: &mut context.budget, path: Vec::new(), found: Array::default() };
        changes.compare(&value, &other)?;
        Ok(Value::Array(Arc::new(changes.found)))
    })
    .parameters(&[Parameter::required("other", Kind::Any, "The other value.")])
    .examples(&[
        Example(
            "root = this.a.diff(this.b)",
            r#"{"a":{"x":1,"y":[1,2],"z":0},"b":{"x":2,"y":[2,3,4],"w":{}}}"#,
            r#"[{"From":null,"Path":["w"],"To":{},"Type":"create"},{"From":1,"Path":["x"],"To":2,"Type":"update"},{"From":1,"Path":["y","0"],"To":null,"Type":"delete"},{"From":null,"Path":["y","1"],"To":3,"Type":"create"},{"From":null,"Path":["y","2"],"To":4,"Type":"create"},{"From":0,"Path":["z"],"To":null,"Type":"delete"}]"#,
        ),
        Example("root = this.a.diff(this.b)", r#"{"a":{"x":1},"b":{"x":"1"}}"#, "error: types do not match"),
    ]),
    Spec::method("Objects", "patch", "The value with changes applied, as `diff` gives them.", |context, value, arguments| {
        let changes = array(arguments.value(context, 0)?)?;
        if matches!(value, Value::Null) {
            return Ok(Value::Null);
        }
        apply(context, value, &changes)
    })
    .parameters(&[Parameter::required("changelog", Kind::Any, "The changes.")])
    .examples(&[
        Example("root = this.a.patch(this.a.diff(this.b))", r#"{"a":{"x":1,"y":[1,2,3],"z":0},"b":{"x":2,"y":[2],"w":{}}}"#, r#"{"x":2,"y":[2],"w":{}}"#),
        Example(r#"root = this.patch([{"Type":"update","Path":["a","b"],"To":1}])"#, r#"{"a":5}"#, "error: cannot apply change"),
    ]),
];

struct Changes<'c> {
    budget: &'c mut Budget,
    path: Vec<String>,
    found: Array,
}

impl Changes<'_> {
    fn add(&mut self, kind: &str, from: Value, to: Value) -> Evaluated<()> {
        let path = self.path.iter().map(|part| Value::from(part.as_str())).collect();
        let change = [("Type", Value::from(kind)), ("Path", Value::array(path)), ("From", from), ("To", to)];
        add(&mut self.found, Value::object(change.into_iter().collect()))
    }

    fn below(&mut self, part: String, from: Option<&Value>, to: Option<&Value>) -> Evaluated<()> {
        self.path.push(part);
        match (from, to) {
            (Some(from), Some(to)) => self.compare(from, to)?,
            (Some(from), None) => self.add("delete", from.clone(), Value::Null)?,
            (None, Some(to)) => self.add("create", Value::Null, to.clone())?,
            (None, None) => {}
        }
        self.path.pop();
        Ok(())
    }

    fn compare(&mut self, from: &Value, to: &Value) -> Evaluated<()> {
        // On each level, since elements of arrays are compared whole.
        self.budget.step(from.size().saturating_add(to.size()) / 64)?;
        match (from, to) {
            (Value::Null, Value::Null) => {}
            (Value::Null, _) | (_, Value::Null) => self.add("update", from.clone(), to.clone())?,
            (Value::Object(left), Value::Object(right)) => {
                let mut names: Vec<_> = left.iter().chain(right.iter()).map(|(name, _)| name).collect();
                names.sort_unstable();
                names.dedup();
                for name in names {
                    self.below(name.to_string(), left.get(name), right.get(name))?;
                }
            }
            (Value::Array(left), Value::Array(right)) => {
                let gone = without(left, right);
                let new = without(right, left);
                for at in 0..left.len().max(right.len()) {
                    let at_index = |side: &[bool]| side.get(at).copied().unwrap_or(false);
                    let from = left.get(at).filter(|_| at_index(&gone));
                    self.below(at.to_string(), from, right.get(at).filter(|_| at_index(&new)))?;
                }
            }
            (from, to) if from.type_name() != to.type_name() => {
                return Err(Failure::new(format!(
                    "types do not match: {} and {}",
                    from.type_name(),
                    to.type_name()
                )));
            }
            (from, to) if from != to => self.add("update", from.clone(), to.clone())?,
            _ => {}
        }
        Ok(())
    }
}

/// Which elements the other array does not have, counted as often as they stand in it.
fn without(items: &[Value], other: &[Value]) -> Vec<bool> {
    let mut counts: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    for item in other {
        *counts.entry(item.to_json()).or_default() += 1;
    }
    let mut missing = |item: &Value| match counts.get_mut(&item.to_json()) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    };
    items.iter().map(&mut missing).collect()
}

/// One change.
struct Change {
    path: Vec<String>,
    to: Option<Value>,
}

fn read(change: &Value) -> Evaluated<Change> {
    let Value::Object(fields) = change else { return Err(Failure::expected("object", change)) };
    let field =
        |name: &str| fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    let path = field("Path").ok_or_else(|| Failure::new("a change has no `Path`"))?;
    let path =
        array(path.clone())?.iter().map(|part| Ok(text(part)?.into_owned())).collect::<Evaluated<_>>()?;
    let to = field("To").cloned().unwrap_or(Value::Null);
    match field("Type").and_then(Value::as_str) {
        Some("create" | "update") => Ok(Change { path, to: Some(to) }),
        Some("delete") => Ok(Change { path, to: None }),
        _ => Err(Failure::new("the `Type` of a change must be create, update or delete")),
    }
}

fn apply(context: &mut Context<'_>, value: Value, changes: &[Value]) -> Evaluated {
    let mut value = value;
    for (index, change) in changes.iter().enumerate() {
        // What is changed is copied on each level.
        context.budget.step(1 + value.size() / 1024)?;
        limit(&value)?;
        let change = read(change).map_err(|failure| Failure::new(format!("change {index}: {failure}")))?;
        value = changed(value, &change.path, change.to.as_ref()).map_err(|why| {
            Failure::new(format!("cannot apply change {index} at {}: {why}", change.path.join(".")))
        })?;
    }
    Ok(swept(value))
}

/// The value with one change made. Elements of arrays that go are only marked, so that indexes stay right.
fn changed(value: Value, path: &[String], to: Option<&Value>) -> Result<Value, String> {
    let Some((part, rest)) = path.split_first() else { return Ok(to.cloned().unwrap_or(Value::Null)) };
    match value {
        Value::Object(fields) => {
            let mut fields: Object = (*fields).clone();
            match (rest.is_empty(), to) {
                (true, None) => {
                    fields.remove(part);
                }
                _ => {
                    let inner = fields.get(part).cloned();
                    let inner = match (inner, rest.is_empty()) {
                        (Some(inner), _) => inner,
                        (None, true) => Value::Null,
                        (None, false) => return Err("there is no such field".to_owned()),
                    };
                    fields.insert(part.as_str(), changed(inner, rest, to)?);
                }
            }
            Ok(Value::object(fields))
        }
        Value::Array(items) => {
            let mut items = items.to_vec();
            let at: usize = part.parse().map_err(|_| format!("`{part}` is no index"))?;
            match items.get_mut(at) {
                Some(item) if rest.is_empty() && to.is_none() => *item = Value::Delete,
                // What is new comes where something went, or at the end.
                Some(item) => {
                    let inner = std::mem::replace(item, Value::Null);
                    *item = changed(inner, rest, to)?;
                }
                None if rest.is_empty() => items.extend(to.cloned()),
                None => return Err("there is no such element".to_owned()),
            }
            Ok(Value::array(items))
        }
        other => Err(format!("the value there is a {}", other.type_name())),
    }
}

/// The value without the marks of elements that are gone.
fn swept(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::array(
            items.iter().filter(|item| !matches!(item, Value::Delete)).cloned().map(swept).collect(),
        ),
        Value::Object(fields) => {
            Value::object(fields.iter().map(|(name, value)| (name.clone(), swept(value.clone()))).collect())
        }
        other => other,
    }
}
