//! Maps.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::Value;

use super::{Made, Table, arg, list, made, str};
use crate::go;

type Fields = Arc<BTreeMap<Arc<str>, Value>>;

pub(super) const TABLE: Table = &[
    ("dict", |args| {
        let pairs =
            args.chunks(2).map(|pair| (go::text(&pair[0]), pair.get(1).cloned().unwrap_or_else(|| made(""))));
        Ok(crate::map(pairs))
    }),
    ("get", |args| Ok(fields(args, 0)?.get(str(args, 1)?).cloned().unwrap_or_else(|| made("")))),
    ("__set", |args| {
        let mut changed = BTreeMap::clone(fields(args, 0)?);
        changed.insert(str(args, 1)?.into(), arg(args, 2)?.clone());
        Ok(Value::Map(Arc::new(changed)))
    }),
    ("__unset", |args| {
        let mut changed = BTreeMap::clone(fields(args, 0)?);
        changed.remove(str(args, 1)?);
        Ok(Value::Map(Arc::new(changed)))
    }),
    ("hasKey", |args| Ok(Value::Bool(fields(args, 0)?.contains_key(str(args, 1)?)))),
    ("pluck", |args| {
        let name = str(args, 0)?;
        let mut found = Vec::new();
        for index in 1..args.len() {
            found.extend(fields(args, index)?.get(name).cloned());
        }
        Ok(list(found))
    }),
    ("keys", |args| {
        let mut names = Vec::new();
        for index in 0..args.len() {
            names.extend(fields(args, index)?.keys().map(|name| made(Arc::clone(name))));
        }
        Ok(list(names))
    }),
    ("values", |args| Ok(list(fields(args, 0)?.values().cloned()))),
    ("pick", |args| chosen(args, true)),
    ("omit", |args| chosen(args, false)),
    ("merge", |args| merged(args, false)),
    ("mustMerge", |args| merged(args, false)),
    ("mergeOverwrite", |args| merged(args, true)),
    ("mustMergeOverwrite", |args| merged(args, true)),
    ("deepCopy", |args| arg(args, 0).cloned()),
    ("mustDeepCopy", |args| arg(args, 0).cloned()),
    ("dig", |args| {
        if args.len() < 3 {
            return Err("dig needs at least three arguments".to_owned());
        }
        let (last, fallback) = (args.len() - 1, args.len() - 2);
        let mut at = &args[last];
        for index in 0..fallback {
            let name = str(args, index)?;
            match at.field(name) {
                Some(value) => at = value,
                None => return Ok(args[fallback].clone()),
            }
        }
        Ok(at.clone())
    }),
];

fn fields(args: &[Value], index: usize) -> Result<&Fields, String> {
    match arg(args, index)? {
        Value::Map(fields) => Ok(fields),
        other => Err(format!(
            "wrong type for value; expected map[string]interface {{}}; got {}",
            other.type_name()
        )),
    }
}

fn chosen(args: &[Value], named: bool) -> Made {
    let mut names = Vec::new();
    for index in 1..args.len() {
        names.push(str(args, index)?);
    }
    let kept = fields(args, 0)?.iter().filter(|(name, _)| names.contains(&&***name) == named);
    Ok(crate::map(kept.map(|(name, value)| (Arc::clone(name), value.clone()))))
}

fn merged(args: &[Value], overwrite: bool) -> Made {
    let mut all = BTreeMap::clone(fields(args, 0)?);
    for index in 1..args.len() {
        merge(&mut all, fields(args, index)?, overwrite);
    }
    Ok(Value::Map(Arc::new(all)))
}

fn merge(into: &mut BTreeMap<Arc<str>, Value>, from: &BTreeMap<Arc<str>, Value>, overwrite: bool) {
    for (name, value) in from {
        match (into.get_mut(name), value) {
            (Some(Value::Map(inner)), Value::Map(others)) => {
                merge(Arc::make_mut(inner), others, overwrite);
            }
            // What is empty counts as not there, on either side.
            (Some(there), _) if there.is_truthy() && !(overwrite && value.is_truthy()) => {}
            _ => {
                into.insert(Arc::clone(name), value.clone());
            }
        }
    }
}
