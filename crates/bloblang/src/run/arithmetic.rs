//! Operators.

use std::cmp::Ordering;

use super::{Evaluated, Failure, Node};
use crate::Value;
use crate::syntax::tree::Operator;

/// Applies an operator that needs both of its sides; the nodes only serve error texts.
pub(crate) fn operate(operator: Operator, left: &Value, right: &Value, sides: (&Node, &Node)) -> Evaluated {
    if matches!(left, Value::Digits(_)) || matches!(right, Value::Digits(_)) {
        // Equality knows more of such numbers than their values.
        match operator {
            Operator::Equal => return Ok(Value::Bool(left == right)),
            Operator::NotEqual => return Ok(Value::Bool(left != right)),
            _ => return operate(operator, &left.clone().settled(), &right.clone().settled(), sides),
        }
    }
    let order = |wanted: fn(Ordering) -> bool| match left.compare(right) {
        Some(order) => Ok(Value::Bool(wanted(order))),
        // Not a number compares with no number.
        None if is_number(left) && is_number(right) => Ok(Value::Bool(false)),
        None => Err(mismatch("compare", left, right, sides)),
    };
    match operator {
        Operator::Equal => Ok(Value::Bool(left == right)),
        Operator::NotEqual => Ok(Value::Bool(left != right)),
        Operator::Greater => order(Ordering::is_gt),
        Operator::GreaterEqual => order(Ordering::is_ge),
        Operator::Less => order(Ordering::is_lt),
        Operator::LessEqual => order(Ordering::is_le),
        Operator::Add => add(left, right).ok_or_else(|| mismatch("add", left, right, sides)),
        Operator::Subtract => numbers(left, right, i64::wrapping_sub, |a, b| a - b)
            .ok_or_else(|| mismatch("subtract", left, right, sides)),
        Operator::Multiply => numbers(left, right, i64::wrapping_mul, |a, b| a * b)
            .ok_or_else(|| mismatch("multiply", left, right, sides)),
        Operator::Divide => match (float(left), float(right)) {
            (Some(_), Some(0.0)) => Err(Failure::new("attempted to divide by zero")),
            (Some(a), Some(b)) => Ok(Value::Float(a / b)),
            _ => Err(mismatch("divide", left, right, sides)),
        },
        Operator::Modulo => match (whole(left), whole(right)) {
            (Some(_), Some(0)) => Err(Failure::new("attempted to divide by zero")),
            (Some(a), Some(b)) => Ok(Value::Int(a.wrapping_rem(b))),
            _ => Err(mismatch("modulo", left, right, sides)),
        },
        // These look at their right side only when they need it; see `evaluate`.
        Operator::And | Operator::Or | Operator::Coalesce => Ok(right.clone()),
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Int(_) | Value::Float(_))
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Float(number) => Some(*number as i64),
        _ => None,
    }
}

fn numbers(
    left: &Value,
    right: &Value,
    ints: fn(i64, i64) -> i64,
    floats: fn(f64, f64) -> f64,
) -> Option<Value> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => Some(Value::Int(ints(*a, *b))),
        _ => Some(Value::Float(floats(float(left)?, float(right)?))),
    }
}

fn add(left: &Value, right: &Value) -> Option<Value> {
    let text = |value: &Value| matches!(value, Value::String(_) | Value::Bytes(_));
    match (left, right) {
        (Value::String(a), Value::String(b)) => {
            let mut joined = String::with_capacity(a.len() + b.len());
            joined.push_str(a);
            joined.push_str(b);
            Some(Value::from(joined))
        }
        _ if text(left) && text(right) => {
            let mut joined = left.to_text_bytes();
            joined.extend_from_slice(&right.to_text_bytes());
            // What is joined is text, also of bytes, as long as it is readable as such.
            Some(match String::from_utf8(joined) {
                Ok(joined) => Value::from(joined),
                Err(joined) => Value::Bytes(joined.into_bytes().into()),
            })
        }
        _ => numbers(left, right, i64::wrapping_add, |a, b| a + b),
    }
}

fn mismatch(verb: &str, left: &Value, right: &Value, sides: (&Node, &Node)) -> Failure {
    Failure::new(format!(
        "cannot {verb} types {} (from {}) and {} (from {})",
        left.type_name(),
        sides.0.describe(),
        right.type_name(),
        sides.1.describe()
    ))
}

/// What `&&` and `||` take a value for: a bool, or a number that is not 0.
pub(crate) fn truth(value: &Value) -> Evaluated<bool> {
    match value {
        Value::Bool(value) => Ok(*value),
        Value::Int(number) => Ok(*number != 0),
        Value::Float(number) => Ok(*number != 0.0),
        Value::Digits(_) => truth(&value.clone().settled()),
        other => Err(Failure::expected("bool", other)),
    }
}

/// `!value`, for bools only.
pub(crate) fn not(value: &Value) -> Evaluated {
    match value {
        Value::Bool(value) => Ok(Value::Bool(!value)),
        other => Err(Failure::expected("bool", other)),
    }
}

/// `-value`
pub(crate) fn negate(value: &Value) -> Evaluated {
    match value {
        Value::Int(number) => Ok(Value::Int(number.wrapping_neg())),
        Value::Float(number) => Ok(Value::Float(-number)),
        Value::Digits(_) => negate(&value.clone().settled()),
        other => Err(Failure::expected("number", other)),
    }
}
