//! Methods for numbers and for arrays of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::receive::{array, bytes, number, whole};
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
    Spec::method(CHAPTER, "sin", "The sine of an angle in radians.", |_, value, _| {
        number(&value).map(|n| Value::Float(n.sin()))
    })
    .examples(&[Example("root = (this * pi() / 180).sin().round()", "90", "1")]),
    Spec::method(CHAPTER, "cos", "The cosine of an angle in radians.", |_, value, _| {
        number(&value).map(|n| Value::Float(n.cos()))
    })
    .examples(&[Example("root = (this * pi() / 180).cos()", "0", "1")]),
    Spec::method(CHAPTER, "tan", "The tangent of an angle in radians.", |_, value, _| {
        number(&value).map(|n| Value::Float(n.tan()))
    })
    .examples(&[Example("root = this.tan()", "0", "0")]),
    Spec::method(CHAPTER, "parse_big_decimal", "Decimal text of a whole number in two's complement, highest byte first (bytes, or text in base64), of which some digits stand after the point.", parse_big_decimal)
        .parameters(&[Parameter::required("scale", Kind::Integer, "How many digits stand after the point, from 0 to 16383.")])
        .examples(&[
            Example("root = this.parse_big_decimal(2)", r#""AeJA""#, r#""1234.56""#),
            Example(r#"root = this.decode("hex").parse_big_decimal(3)"#, r#""ff""#, r#""-0.001""#),
            Example("root = this.parse_big_decimal(2)", r#""""#, "error: the number is empty"),
        ]),
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
            // `Iterator::sum` of nothing is -0.
            Ok(Value::Float(numbers?.into_iter().fold(0.0, |sum, number| sum + number)))
        }
    }
}

/// Most bytes of a number that `parse_big_decimal` reads; converting takes quadratic time.
const MAX_BIG: usize = 8192;

fn parse_big_decimal(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let scale = arguments.integer(context, 0)?;
    let scale = usize::try_from(scale).ok().filter(|scale| *scale < 16_384);
    let scale = scale.ok_or_else(|| Failure::new("the scale must be from 0 to 16383"))?;
    let mut number = match &value {
        Value::String(text) => STANDARD
            .decode(text.as_bytes())
            .map_err(|error| Failure::new(format!("failed to decode as base64: {error}")))?,
        value => bytes(value)?.into_owned(),
    };
    if number.is_empty() {
        return Err(Failure::new("the number is empty"));
    }
    if number.len() > MAX_BIG {
        return Err(Failure::new(format!("the number has more than {MAX_BIG} bytes")));
    }
    context.budget.step((number.len() * number.len()) as u64 / 256)?;
    let negative = number.first().is_some_and(|first| first & 0x80 != 0);
    if negative {
        let mut carry = true;
        for byte in number.iter_mut().rev() {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    let digits = decimal(number);
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if negative { "-" } else { "" };
    let point = if scale == 0 { "" } else { "." };
    Ok(Value::from(format!("{sign}{whole}{point}{fraction}")))
}

/// A number without sign, highest byte first, in decimal digits.
fn decimal(mut number: Vec<u8>) -> String {
    const STEP: u64 = 1_000_000_000;
    let mut parts = Vec::new();
    let mut start = 0;
    while let Some(rest) = number.get_mut(start..).filter(|rest| !rest.is_empty()) {
        let mut remainder = 0;
        for byte in rest.iter_mut() {
            let value = remainder * 256 + u64::from(*byte);
            *byte = u8::try_from(value / STEP).unwrap_or(0);
            remainder = value % STEP;
        }
        start += rest.iter().take_while(|byte| **byte == 0).count();
        parts.push(remainder);
    }
    let mut digits = String::new();
    for part in parts.iter().rev() {
        digits.push_str(&format!("{part:09}"));
    }
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() { "0".to_owned() } else { digits.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn large_numbers() {
        for number in [0, 1, 255, 999_999_999, 1_000_000_000, u128::from(u64::MAX), u128::MAX] {
            assert_eq!(decimal(number.to_be_bytes().to_vec()), number.to_string());
        }
    }
}
