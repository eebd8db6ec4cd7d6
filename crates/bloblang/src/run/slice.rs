//! `x[i]` and `x[low:high:step]`.

use super::{Evaluated, Failure};
use crate::Value;

/// One element of an array, or one byte of text or bytes; negative indexes count from the end.
pub(crate) fn element(value: &Value, index: &Value) -> Evaluated {
    let index = match index {
        Value::Int(index) => *index,
        Value::Float(index) if index.fract() == 0.0 => *index as i64,
        other => return Err(Failure::expected("integer", other)),
    };
    let length = match value {
        Value::Array(items) => items.len(),
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        other => return Err(Failure::expected("array", other)),
    };
    let from_start = if index < 0 { index.saturating_add_unsigned(length as u64) } else { index };
    let at = usize::try_from(from_start)
        .ok()
        .filter(|at| *at < length)
        .ok_or_else(|| Failure::new(format!("index '{index}' was out of bounds for array size: {length}")))?;
    Ok(match value {
        Value::Array(items) => items.get(at).cloned().unwrap_or(Value::Null),
        Value::String(text) => {
            text.as_bytes().get(at).map_or(Value::Null, |byte| Value::Int(i64::from(*byte)))
        }
        Value::Bytes(bytes) => bytes.get(at).map_or(Value::Null, |byte| Value::Int(i64::from(*byte))),
        _ => Value::Null,
    })
}

/// A part of an array, text (by character) or bytes.
pub(crate) fn slice(value: &Value, low: Option<i64>, high: Option<i64>, step: Option<i64>) -> Evaluated {
    if let (None, Some(low), Some(high)) = (step, low, high)
        && low > high
    {
        return Err(Failure::new(format!(
            "lower slice bound {low} must be lower than or equal to upper bound {high}"
        )));
    }
    if step == Some(0) {
        return Err(Failure::new("the step of a slice cannot be 0"));
    }
    Ok(match value {
        Value::Array(items) => {
            let kept = indexes(items.len(), low, high, step).filter_map(|at| items.get(at).cloned());
            Value::array(kept.collect())
        }
        Value::String(text) => {
            let count = text.chars().count();
            if step.unwrap_or(1) == 1 {
                // Without a list of the characters, which is four times as large.
                let mut kept = indexes(count, low, high, step);
                let first = kept.next().unwrap_or(count);
                let length = usize::from(first < count) + kept.count();
                return Ok(Value::from(text.chars().skip(first).take(length).collect::<String>()));
            }
            let characters: Vec<char> = text.chars().collect();
            let kept = indexes(count, low, high, step).filter_map(|at| characters.get(at));
            Value::from(kept.collect::<String>())
        }
        Value::Bytes(bytes) => {
            let kept = indexes(bytes.len(), low, high, step).filter_map(|at| bytes.get(at).copied());
            Value::Bytes(kept.collect())
        }
        other => return Err(Failure::expected("array", other)),
    })
}

/// The indexes that Python would visit.
pub(crate) fn indexes(
    length: usize,
    low: Option<i64>,
    high: Option<i64>,
    step: Option<i64>,
) -> impl Iterator<Item = usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let step = step.unwrap_or(1);
    let (first, last) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let clamp = |bound: i64| {
        let bound = if bound < 0 { bound.saturating_add(length) } else { bound };
        bound.clamp(first, last)
    };
    let start = low.map_or(if step > 0 { first } else { last }, clamp);
    let end = high.map_or(if step > 0 { last } else { first }, clamp);
    let mut at = Some(start);
    std::iter::from_fn(move || {
        let current = at.filter(|at| if step > 0 { *at < end } else { *at > end })?;
        at = current.checked_add(step);
        usize::try_from(current).ok()
    })
}
