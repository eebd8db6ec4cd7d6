//! What becomes of each key of a definition: tables that the parsers, the warnings and the documentation share.

use crate::section::kind;
use document::{Fault, nearest, pointer_join};
use serde_json::{Map, Value};

/// One key of a format.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) means: Means,
    /// The key counts only when this sibling is true …
    pub(crate) when: Option<&'static str>,
    /// … and not when this one is.
    pub(crate) unless: Option<&'static str>,
}

/// What becomes of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Means {
    /// The parser reads it.
    Acts,
    /// Kept; nothing to do about it here.
    Kept,
    /// An object with keys of its own.
    Section(&'static [Field]),
    /// An array or map of such objects.
    Each(&'static [Field]),
}

impl Field {
    const fn new(name: &'static str, means: Means) -> Field {
        Field { name, means, when: None, unless: None }
    }
    pub(crate) const fn when(mut self, sibling: &'static str) -> Field {
        self.when = Some(sibling);
        self
    }
    pub(crate) const fn unless(mut self, sibling: &'static str) -> Field {
        self.unless = Some(sibling);
        self
    }
}

pub(crate) const fn acts(name: &'static str) -> Field {
    Field::new(name, Means::Acts)
}
pub(crate) const fn kept(name: &'static str) -> Field {
    Field::new(name, Means::Kept)
}
pub(crate) const fn section(name: &'static str, fields: &'static [Field]) -> Field {
    Field::new(name, Means::Section(fields))
}
pub(crate) const fn each(name: &'static str, fields: &'static [Field]) -> Field {
    Field::new(name, Means::Each(fields))
}

/// Why a definition that guards itself with something not built is refused.
pub(crate) const LEFT_OPEN: &str = "not supported yet; the API is refused so that it is not left open";

/// After so many faults unknown keys are not told any more: proposals cost time, and nobody reads on.
const MAX_TOLD: usize = 100;

/// Compares an object with its table and tells what is unknown, refused or without effect.
pub(crate) fn check(fields: &[Field], object: &Map<String, Value>, pointer: &str, faults: &mut Vec<Fault>) {
    for (name, value) in object {
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            let fault = unknown(fields, name, pointer, faults);
            faults.extend(fault);
            continue;
        };
        let flag = |sibling: &str| object.get(sibling).is_some_and(in_use);
        if field.when.is_some_and(|when| !flag(when)) || field.unless.is_some_and(flag) {
            continue;
        }
        match (&field.means, value) {
            (Means::Acts | Means::Kept, _) => {}
            (Means::Section(fields), Value::Object(inner)) => {
                check(fields, inner, &pointer_join(pointer, name), faults);
            }
            (Means::Each(fields), Value::Object(inner)) => {
                let base = pointer_join(pointer, name);
                for (key, item) in inner {
                    check_item(fields, item, pointer_join(&base, key), faults);
                }
            }
            (Means::Each(fields), Value::Array(items)) => {
                let base = pointer_join(pointer, name);
                for (index, item) in items.iter().enumerate() {
                    check_item(fields, item, pointer_join(&base, &index.to_string()), faults);
                }
            }
            (Means::Section(_) | Means::Each(_), Value::Null) => {}
            (Means::Section(_) | Means::Each(_), value) => {
                let at = pointer_join(pointer, name);
                faults.push(Fault::error(at, format!("`{name}` must be an object, not {}", kind(value))));
            }
        }
    }
}

fn check_item(fields: &[Field], item: &Value, pointer: String, faults: &mut Vec<Fault>) {
    match item {
        Value::Object(object) => check(fields, object, &pointer, faults),
        Value::Null => {}
        _ => faults.push(Fault::error(pointer, "this must be an object")),
    }
}

fn unknown(fields: &[Field], name: &str, pointer: &str, faults: &[Fault]) -> Option<Fault> {
    let at = pointer_join(pointer, name);
    // Other readers of these formats take keys in any case, so a guard may hide behind such a spelling.
    if let Some(field) = fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)) {
        let fault = Fault::error(at, format!("unknown key `{name}`; keys are case-sensitive"));
        return Some(fault.hint(format!("write `{}`", field.name)).on_key());
    }
    if name.starts_with("x-") || faults.len() >= MAX_TOLD {
        return None;
    }
    let fault = Fault::warning(at, format!("unknown key `{name}`; it is kept and has no effect")).on_key();
    Some(match nearest(name, fields.iter().map(|field| field.name)) {
        Some(meant) => fault.hint(format!("did you mean `{meant}`?")),
        None => fault,
    })
}

/// Whether a value asks for anything: not empty, not zero, and not switched off by its own `enabled` or `disabled`.
pub(crate) fn in_use(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(on) => *on,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => items.iter().any(in_use),
        Value::Object(members) => {
            for switch in ["enabled", "enable", "is_enabled"] {
                if let Some(on) = members.get(switch) {
                    return in_use(on);
                }
            }
            if members.get("disabled").is_some_and(in_use) {
                return false;
            }
            members.values().any(in_use)
        }
    }
}

/// Markdown rows of a table: each key, and what becomes of it.
pub(crate) fn describe(fields: &[Field], prefix: &str, condition: &str, out: &mut String) {
    use std::fmt::Write as _;
    for field in fields {
        let name = format!("{prefix}{}", field.name);
        let condition = match (field.when, field.unless) {
            (Some(when), _) => format!("{condition}, with `{when}`"),
            (_, Some(unless)) => format!("{condition}, without `{unless}`"),
            _ => condition.to_owned(),
        };
        let fate = match field.means {
            Means::Section(fields) => {
                describe(fields, &format!("{name}."), &condition, out);
                continue;
            }
            Means::Each(fields) => {
                describe(fields, &format!("{name}.*."), &condition, out);
                continue;
            }
            Means::Acts => "acted on".to_owned(),
            Means::Kept => "kept".to_owned(),
        };
        let _ = writeln!(out, "| `{name}` | {fate}{condition} |");
    }
}
