//! Equality and order as the language defines them.

use std::cmp::Ordering;

use super::document::Source;
use super::{Value, number};

impl PartialEq for Value {
    /// Deep; numbers by value across whole and floating, a bool against a number as 0 or 1, text against bytes by
    /// content, timestamps against text as RFC 3339; other mixed types are unequal.
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            // Large whole numbers differ when their texts do, where floats would not tell.
            (Value::Digits(a), Value::Digits(b)) if a == b || (is_whole(a) && is_whole(b)) => a == b,
            (Value::Digits(a), other) => &number::settle(a) == other,
            (other, Value::Digits(b)) => other == &number::settle(b),
            (Value::Null, Value::Null)
            | (Value::Delete, Value::Delete)
            | (Value::Nothing, Value::Nothing) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Bool(a), number @ (Value::Int(_) | Value::Float(_))) => {
                &Value::Int(i64::from(*a)) == number
            }
            (number @ (Value::Int(_) | Value::Float(_)), Value::Bool(b)) => {
                number == &Value::Int(i64::from(*b))
            }
            (Value::Array(a), Value::Array(b)) => same(a.source(), b.source()) || a[..] == b[..],
            (Value::Object(a), Value::Object(b)) => {
                same(a.source(), b.source())
                    || a.len() == b.len() && a.iter().all(|(name, value)| b.get(name) == Some(value))
            }
            _ => self.compare(other) == Some(Ordering::Equal),
        }
    }
}

impl Value {
    /// The order of two values: numbers with numbers, text (also bytes, timestamps) with text; none for others.
    pub(crate) fn compare(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Digits(a), other) => number::settle(a).compare(other),
            (other, Value::Digits(b)) => other.compare(&number::settle(b)),
            (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
            (Value::Int(a), Value::Float(b)) => compare_mixed(*a, *b),
            (Value::Float(a), Value::Int(b)) => compare_mixed(*b, *a).map(Ordering::reverse),
            (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            (Value::Timestamp(_), Value::Timestamp(_) | Value::String(_) | Value::Bytes(_))
            | (Value::String(_) | Value::Bytes(_), Value::Timestamp(_)) => {
                Some(self.to_text_bytes().cmp(&other.to_text_bytes()))
            }
            (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
            (Value::Bytes(a), Value::String(b)) => Some(a[..].cmp(b.as_bytes())),
            (Value::String(a), Value::Bytes(b)) => Some(a.as_bytes().cmp(&b[..])),
            _ => None,
        }
    }
}

/// Whether both are still the same value of the same document.
fn same(left: Option<&Source>, right: Option<&Source>) -> bool {
    matches!((left, right), (Some(left), Some(right)) if left.is(right))
}

/// Whether a number's text is that of a whole number in its only form.
fn is_whole(text: &str) -> bool {
    text != "-0" && !text.contains(['.', 'e', 'E'])
}

/// Compares without losing the digits of large whole numbers.
fn compare_mixed(whole: i64, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if float >= 9_223_372_036_854_775_808.0 {
        return Some(Ordering::Less);
    }
    if float < -9_223_372_036_854_775_808.0 {
        return Some(Ordering::Greater);
    }
    let truncated = float.trunc();
    Some(whole.cmp(&(truncated as i64)).then_with(|| 0.0_f64.total_cmp(&(float - truncated + 0.0))))
}
