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
    /// Kept, and told of: the original may do something about it, the gate does not.
    Ignored,
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
pub(crate) const fn ignored(name: &'static str) -> Field {
    Field::new(name, Means::Ignored)
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
        if let Some(why) = idle(field, object) {
            if says_something(value) {
                let at = pointer_join(pointer, name);
                faults.push(
                    Fault::warning(at, format!("`{name}` has no effect: {}", why.0)).hint(why.1).on_key(),
                );
            }
            continue;
        }
        match (&field.means, value) {
            (Means::Ignored, value) if in_use(value) => {
                let text = format!("`{name}` is kept and has no effect");
                faults.push(Fault::warning(pointer_join(pointer, name), text).on_key());
            }
            (Means::Acts | Means::Kept | Means::Ignored, _) => {}
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

/// Why a key does not count beside its siblings, and what to do about that.
fn idle(field: &Field, object: &Map<String, Value>) -> Option<(String, String)> {
    let on = |sibling: &str| object.get(sibling).is_some_and(in_use);
    if let Some(when) = field.when.filter(|when| !on(when)) {
        return Some((format!("`{when}` is off"), format!("switch `{when}` on, or take this out")));
    }
    let unless = field.unless.filter(|unless| on(unless))?;
    Some((format!("`{unless}` is on"), format!("switch `{unless}` off, or take this out")))
}

/// Whether somebody meant something by a value of a key that does not count. Dashboards write all keys, and -1 for numbers
/// that nobody gave.
fn says_something(value: &Value) -> bool {
    in_use(value) && value.as_i64() != Some(-1)
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
            Means::Ignored => "kept, without effect".to_owned(),
        };
        let _ = writeln!(out, "| `{name}` | {fate}{condition} |");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A key that counts only with or without a sibling, and how an object is put around the one that it is in.
    struct Conditional {
        field: &'static Field,
        around: Vec<(&'static Field, bool)>,
    }

    fn conditional(fields: &'static [Field], around: &[(&'static Field, bool)], out: &mut Vec<Conditional>) {
        for field in fields {
            if field.when.or(field.unless).is_some() {
                out.push(Conditional { field, around: around.to_vec() });
            }
            let (inner, many) = match field.means {
                Means::Section(inner) => (inner, false),
                Means::Each(inner) => (inner, true),
                _ => continue,
            };
            conditional(inner, &[around, &[(field, many)]].concat(), out);
        }
    }

    impl Conditional {
        /// What is told of the key and of nothing else, with this value of it and this one of its switch.
        fn told(&self, root: &[Field], value: &Value, switch: bool) -> Vec<Fault> {
            let sibling = self.field.when.or(self.field.unless).unwrap();
            let mut object = json!({self.field.name: value, sibling: switch});
            let mut pointer = format!("/{}", self.field.name);
            for (field, many) in self.around.iter().rev() {
                let inner = if *many { json!({"k": object}) } else { object };
                pointer = format!("/{}{}{pointer}", field.name, if *many { "/k" } else { "" });
                object = json!({field.name: inner});
                if let Some(when) = field.when {
                    object[when] = true.into();
                }
            }
            let mut faults = Vec::new();
            check(root, object.as_object().unwrap(), "", &mut faults);
            faults.retain(|fault| fault.pointer == pointer);
            faults
        }
    }

    #[test]
    fn every_key_that_does_not_count_is_told_of_where_it_says_something() {
        let tables = [crate::classic::table::ROOT, crate::oas::table::ROOT];
        let mut checked = Vec::new();
        for root in tables {
            let mut all = Vec::new();
            conditional(root, &[], &mut all);
            for one in &all {
                let (name, off) = (one.field.name, one.field.when.is_none());
                let sibling = one.field.when.or(one.field.unless).unwrap();
                checked.push((name, sibling));
                let says = match one.field.means {
                    Means::Section(_) | Means::Each(_) => json!({"k": {"enabled": true, "url": "x"}}),
                    _ => json!("x"),
                };
                let told = one.told(root, &says, off);
                let [fault] = &told[..] else { panic!("{name}: {told:?}") };
                assert!(!fault.is_error() && fault.at_key, "{fault:?}");
                let state = if off { "on" } else { "off" };
                assert_eq!(fault.message, format!("`{name}` has no effect: `{sibling}` is {state}"));
                assert!(fault.hint.as_deref().unwrap().contains(sibling), "{fault:?}");
                let told = one.told(root, &says, !off);
                assert!(told.iter().all(|fault| !fault.message.contains("has no effect")), "{told:?}");
                for usual in [
                    json!(null),
                    json!(""),
                    json!([]),
                    json!({}),
                    json!(0),
                    json!(-1),
                    json!(false),
                    json!({"enabled": false, "k": "x"}),
                    json!({"k": [], "l": {"m": ""}, "n": 0}),
                ] {
                    assert_eq!(one.told(root, &usual, off), [], "{name} {usual}");
                }
            }
        }
        for known in [
            ("extended_paths", "use_extended_paths"),
            ("paths", "use_extended_paths"),
            ("target_list", "enable_load_balancing"),
            ("jwt_source", "enable_jwt"),
            ("client_certificates", "use_mutual_tls_auth"),
            ("hmac", "enabled"),
        ] {
            assert!(checked.contains(&known), "{known:?} of {checked:?}");
        }
    }

    #[test]
    fn keys_that_nothing_is_done_about_are_told_of_where_they_are_used() {
        let fields = [ignored("debug"), kept("name")];
        let told = |value: Value| {
            let mut faults = Vec::new();
            check(&fields, value.as_object().unwrap(), "/CORS", &mut faults);
            faults.into_iter().map(|fault| (fault.pointer, fault.message)).collect::<Vec<_>>()
        };
        let expected = ("/CORS/debug".to_owned(), "`debug` is kept and has no effect".to_owned());
        assert_eq!(told(json!({"debug": true, "name": "x"})), [expected]);
        assert_eq!(told(json!({"debug": false, "name": "x"})), []);
    }
}
