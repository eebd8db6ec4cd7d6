//! Methods for numbers and for arrays of them.

use super::receive::{array, number, whole};
use super::{Example, Kind, Parameter, Spec};
use crate::Value;
use crate::run::{Arguments, Context, Evaluated, Failure};

const CHAPTER: &str = "Numbers";

pub(crate) static TABLE: &[Spec] = &[
    Spec::method(CHAPTER, "abs", "The absolute value.", |_, value, _| match value {
        Value::Int(number) => Ok(Value::Int(number.wrapping_abs())),
        value => number(&value).map(|number| Value::Float(number.abs())),
    })
    .examples(&[Example("root = this.map_each(n -> n.abs())", "[-5,1.5]", "[5,1.5]")]),
    Spec::method(CHAPTER, "ceil", "The next whole number above.", |_, value, _| rounded(&value, f64::ceil))
        .examples(&[Example("root = this.ceil()", "5.1", "6")]),
    Spec::method(CHAPTER, "floor", "The next whole number below.", |_, value, _| rounded(&value, f64::floor))
        .examples(&[Example("root = this.floor()", "-5.1", "-6")]),
    Spec::method(CHAPTER, "round", "The nearest whole number; halves away from zero.", |_, value, _| {
        rounded(&value, f64::round)
    })
    .examples(&[Example("root = this.map_each(n -> n.round())", "[2.5,-2.5,2.4]", "[3,-3,2]")]),
    Spec::method(CHAPTER, "pow", "The number raised to a power.", |context, value, arguments| {
        let exponent = arguments.value(context, 0)?;
        Ok(Value::Float(number(&value)?.powf(number(&exponent)?)))
    })
    .parameters(&[Parameter::required("exponent", Kind::Number, "The power.")])
    .examples(&[Example("root = this.pow(3)", "2", "8")]),
    Spec::method(CHAPTER, "log", "The natural logarithm.", |_, value, _| {
        number(&value).map(|n| Value::Float(n.ln()))
    })
    .examples(&[Example("root = this.log()", "1", "0")]),
    Spec::method(CHAPTER, "log10", "The decimal logarithm.", |_, value, _| {
        number(&value).map(|n| Value::Float(n.log10()))
    })
    .examples(&[Example("root = this.log10()", "1000", "3")]),
    Spec::method(CHAPTER, "max", "The largest number of an array.", |_, value, _| extreme(value, f64::max))
        .examples(&[
            Example("root = this.max()", "[1,5.5,2]", "5.5"),
            Example("root = this.max()", "[]", "error: the array was empty"),
        ]),
    Spec::method(CHAPTER, "min", "The smallest number of an array.", |_, value, _| extreme(value, f64::min))
        .examples(&[Example("root = this.min()", "[1,5.5,2]", "1")]),
    Spec::method(CHAPTER, "sum", "The total of an array of numbers.", sum).examples(&[
        Example("root = this.sum()", "[1,2.5]", "3.5"),
        Example("root = this.sum()", r#"[1,"a"]"#, "error: index 1: expected number value, got string"),
    ]),
];

fn rounded(value: &Value, round: fn(f64) -> f64) -> Evaluated {
    match value {
        Value::Int(number) => Ok(Value::Int(*number)),
        value => number(value).map(|number| whole(round(number))),
    }
}

fn extreme(value: Value, pick: fn(f64, f64) -> f64) -> Evaluated {
    let items = array(value)?;
    let numbers: Evaluated<Vec<f64>> = items.iter().enumerate().map(at_index).collect();
    let best = numbers?.into_iter().reduce(pick);
    best.map(Value::Float).ok_or_else(|| Failure::new("the array was empty"))
}

fn at_index((index, item): (usize, &Value)) -> Evaluated<f64> {
    number(item).map_err(|failure| Failure::new(format!("index {index}: {failure}")))
}

fn sum(_: &mut Context<'_>, value: Value, _: &Arguments) -> Evaluated {
    match value {
        Value::Int(_) | Value::Float(_) => Ok(value),
        value => {
            let numbers: Evaluated<Vec<f64>> = array(value)?.iter().enumerate().map(at_index).collect();
            Ok(Value::Float(numbers?.into_iter().sum()))
        }
    }
}
