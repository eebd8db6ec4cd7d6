//! Lists.

use gotmpl::Value;

use super::{Made, Table, arg, int, items, list, made, size};
use crate::cost;

/// Most elements that `until` and its like count.
const MOST: i64 = 1_000_000;

pub(super) const TABLE: Table = &[
    ("list", |args| Ok(list(args.iter().cloned()))),
    ("tuple", |args| Ok(list(args.iter().cloned()))),
    ("first", |args| Ok(items(args, 0)?.first().cloned().unwrap_or(Value::Nil))),
    ("mustFirst", |args| Ok(items(args, 0)?.first().cloned().unwrap_or(Value::Nil))),
    ("last", |args| Ok(items(args, 0)?.last().cloned().unwrap_or(Value::Nil))),
    ("mustLast", |args| Ok(items(args, 0)?.last().cloned().unwrap_or(Value::Nil))),
    ("rest", rest),
    ("mustRest", rest),
    ("initial", initial),
    ("mustInitial", initial),
    ("append", append),
    ("mustAppend", append),
    ("push", append),
    ("mustPush", append),
    ("prepend", prepend),
    ("mustPrepend", prepend),
    ("concat", |args| {
        let mut all = Vec::new();
        for index in 0..args.len() {
            all.extend(items(args, index)?.iter().cloned());
            cost::fits(all.len())?;
        }
        Ok(list(all))
    }),
    ("reverse", |args| Ok(list(items(args, 0)?.iter().rev().cloned()))),
    ("mustReverse", |args| Ok(list(items(args, 0)?.iter().rev().cloned()))),
    ("compact", |args| Ok(list(items(args, 0)?.iter().filter(|item| item.is_truthy()).cloned()))),
    ("mustCompact", |args| Ok(list(items(args, 0)?.iter().filter(|item| item.is_truthy()).cloned()))),
    ("uniq", uniq),
    ("mustUniq", uniq),
    ("without", without),
    ("mustWithout", without),
    ("has", has),
    ("mustHas", has),
    ("slice", slice),
    ("mustSlice", slice),
    ("chunk", chunk),
    ("mustChunk", chunk),
    ("until", |args| {
        let end = int(args, 0)?;
        Ok(list(steps(0, end, if end < 0 { -1 } else { 1 })?.into_iter().map(Value::Int)))
    }),
    ("untilStep", |args| {
        Ok(list(steps(int(args, 0)?, int(args, 1)?, int(args, 2)?)?.into_iter().map(Value::Int)))
    }),
    ("seq", |args| {
        let direction = |from: i64, to: i64| if to < from { -1 } else { 1 };
        let (from, step, to) = match args.len() {
            0 => return Ok(made("")),
            1 => (1, direction(1, int(args, 0)?), int(args, 0)?),
            2 => (int(args, 0)?, direction(int(args, 0)?, int(args, 1)?), int(args, 1)?),
            3 => (int(args, 0)?, int(args, 1)?, int(args, 2)?),
            _ => return Ok(made("")),
        };
        let numbers = steps(from, to.saturating_add(step.signum()), step)?;
        Ok(made(numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(" ")))
    }),
];

fn steps(from: i64, to: i64, step: i64) -> Result<Vec<i64>, String> {
    if step == 0 || (step > 0) != (to > from) {
        return Ok(Vec::new());
    }
    let count = (i128::from(to) - i128::from(from)).unsigned_abs().div_ceil(u128::from(step.unsigned_abs()));
    if count > MOST as u128 {
        return Err(format!("more than {MOST} numbers"));
    }
    Ok((0..count as i64).map(|turn| from + turn * step).collect())
}

fn rest(args: &[Value]) -> Made {
    Ok(list(items(args, 0)?.iter().skip(1).cloned()))
}

fn initial(args: &[Value]) -> Made {
    let items = items(args, 0)?;
    Ok(list(items[..items.len().saturating_sub(1)].iter().cloned()))
}

fn append(args: &[Value]) -> Made {
    Ok(list(items(args, 0)?.iter().chain([arg(args, 1)?]).cloned()))
}

fn prepend(args: &[Value]) -> Made {
    Ok(list([arg(args, 1)?].into_iter().chain(items(args, 0)?.iter()).cloned()))
}

/// Whether two values are the same, their types included.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    one == other
}

fn uniq(args: &[Value]) -> Made {
    let mut kept: Vec<Value> = Vec::new();
    for item in items(args, 0)?.iter() {
        cost::charge(1 + kept.len() as u64 / 8)?;
        if !kept.iter().any(|before| same(before, item)) {
            kept.push(item.clone());
        }
    }
    Ok(list(kept))
}

fn without(args: &[Value]) -> Made {
    let omitted = args.get(1..).unwrap_or_default();
    Ok(list(items(args, 0)?.iter().filter(|item| !omitted.iter().any(|out| same(out, item))).cloned()))
}

fn has(args: &[Value]) -> Made {
    let needle = arg(args, 0)?;
    match arg(args, 1)? {
        Value::Nil => Ok(Value::Bool(false)),
        _ => Ok(Value::Bool(items(args, 1)?.iter().any(|item| same(item, needle)))),
    }
}

fn slice(args: &[Value]) -> Made {
    let items = items(args, 0)?;
    if items.is_empty() {
        return Ok(Value::Nil);
    }
    let from = if args.len() > 1 { size(args, 1)? } else { 0 };
    let to = if args.len() > 2 { size(args, 2)? } else { items.len() };
    let part = items.get(from..to).ok_or_else(|| format!("slice bounds out of range [{from}:{to}]"))?;
    Ok(list(part.iter().cloned()))
}

fn chunk(args: &[Value]) -> Made {
    let width = size(args, 0)?.max(1);
    Ok(list(items(args, 1)?.chunks(width).map(|part| list(part.iter().cloned()))))
}
