//! Functions: the message, the batch, the clock, chance, and markers.

use std::collections::HashMap;
use std::sync::LazyLock;

use jiff::{Timestamp, Zoned};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::receive::{array, number};
use super::{Example, Fixed, Kind, Makes, Parameter, Spec};
use crate::run::{Arguments, Context, Evaluated, Failure, path};
use crate::{Capability, Value};

/// Longest array that `range` gives.
const MAX_RANGE: i64 = 1_000_000;

pub(crate) static TABLE: &[Spec] = &[
    Spec::function("content", "The payload of the message as bytes.", |context, _| {
        Ok(Value::Bytes(context.message()?.content_bytes()))
    })
    .examples(&[Example("root.text = content().string()", "hello", r#"{"text":"hello"}"#)]),
    Spec::function("json", "A field of the payload by dot path, whatever `this` is here; the whole document by default.", json)
    .makes(Makes::Shell)
        .parameters(&[Parameter::with_default("path", Kind::Path, Fixed::Text(""), "A dot path.")])
        .examples(&[Example(r#"root = this.a.(this.b + json("c.d"))"#, r#"{"a":{"b":1},"c":{"d":2}}"#, "3")]),
    Spec::function("metadata", "A metadata value of the message as it came in, or all of them as an object; null when there is none.", metadata)
        .parameters(&[Parameter::with_default("key", Kind::Text, Fixed::Text(""), "The key; all metadata when empty.")])
        .examples(&[Example(r#"root.topic = metadata("topic") | "none""#, "{}", r#"{"topic":"none"}"#)]),
    Spec::function("meta", "As `metadata`, with values as text. Prefer `metadata` or `@`.", meta)
        .parameters(&[Parameter::with_default("key", Kind::Text, Fixed::Text(""), "The key; all metadata when empty.")])
        .examples(&[Example(r#"root.topic = meta("topic")"#, "{}", r#"{"topic":null}"#)]),
    Spec::function("root_meta", "As `meta`, but of the message that is being built. Prefer `@`.", root_meta)
        .parameters(&[Parameter::with_default("key", Kind::Text, Fixed::Text(""), "The key; all metadata when empty.")])
        .examples(&[Example("meta a = 5\nroot = root_meta(\"a\")", "{}", r#""5""#)]),
    Spec::function("batch_index", "The index of the message within its batch, from 0.", |context, _| {
        Ok(Value::Int(i64::try_from(context.index).unwrap_or(i64::MAX)))
    })
    .examples(&[Example("root = batch_index()", "{}", "0")]),
    Spec::function("batch_size", "The number of messages in the batch.", |context, _| {
        Ok(Value::Int(context.batch.map_or(0, |batch| i64::try_from(batch.len()).unwrap_or(i64::MAX))))
    })
    .examples(&[Example("root = batch_size()", "{}", "1")]),
    Spec::function("error", "Why an earlier processor failed on this message; null when none did.", |context, _| {
        Ok(context.message()?.error().map_or(Value::Null, Value::from))
    })
    .examples(&[Example("root.error = error()", "{}", r#"{"error":null}"#)]),
    Spec::function("errored", "Whether an earlier processor failed on this message.", |context, _| {
        Ok(Value::Bool(context.message()?.error().is_some()))
    })
    .examples(&[Example("root = errored()", "{}", "false")]),
    Spec::function("deleted", "A marker: the target of the assignment is removed, the message itself when it is root.", |_, _| {
        Ok(Value::Delete)
    })
    .examples(&[
        Example("root = this\nroot.a = deleted()", r#"{"a":1,"b":2}"#, r#"{"b":2}"#),
        Example("root = if this.skip { deleted() }", r#"{"skip":true}"#, "deleted"),
    ]),
    Spec::function("nothing", "A marker: the assignment does not happen.", |_, _| Ok(Value::Nothing))
        .examples(&[Example("root = this\nroot.a = nothing()", r#"{"a":1}"#, r#"{"a":1}"#)]),
    Spec::function("throw", "Fails with a text.", |context, arguments| {
        Err(Failure::new(arguments.text(context, 0)?.to_string()))
    })
    .makes(Makes::Nothing)
    .parameters(&[Parameter::required("why", Kind::Text, "The text of the error.")])
    .examples(&[
        Example(r#"root = if this.a != null { this.a } else { throw("no a") }"#, r#"{"a":1}"#, "1"),
        Example(r#"root = this.a | throw("no a")"#, "{}", "error: no a"),
    ]),
    Spec::function("range", "Whole numbers from `start` up to, but without, `stop`; at most a million.", range)
        .parameters(&[
            Parameter::required("start", Kind::Integer, "The first number."),
            Parameter::required("stop", Kind::Integer, "Where to stop."),
            Parameter::with_default("step", Kind::Integer, Fixed::Int(1), "The distance between numbers."),
        ])
        .examples(&[
            Example("root = range(0, 3)", "{}", "[0,1,2]"),
            Example("root = range(start: 3, stop: 0, step: -2)", "{}", "[3,1]"),
            Example("root = range(0, this)", "-3", "error: with positive step"),
        ]),
    Spec::function("random_int", "A random whole number from `min` to `max`; without a seed, or with seed 0, it differs on every start.", random_int)
        .parameters(&[
            Parameter::with_default("seed", Kind::Any, Fixed::Int(0), "A number, or a query that is evaluated once."),
            Parameter::with_default("min", Kind::Integer, Fixed::Int(0), "The smallest number."),
            Parameter::with_default("max", Kind::Integer, Fixed::Int(i64::MAX - 1), "The largest number."),
        ])
        .examples(&[Example("root = random_int(min: 7, max: 7)", "{}", "7")])
        .needs(Capability::Random),
    Spec::function("now", "The current time in local time, as RFC 3339 text.", |_, _| {
        Ok(Value::from(crate::time::rfc3339(&Zoned::now())))
    })
    .examples(&[Example("root = now().ts_unix() > 1600000000", "{}", "true")]),
    Spec::function("timestamp_unix", "The current time in seconds since 1970.", |_, _| {
        Ok(Value::Int(Timestamp::now().as_second()))
    })
    .examples(&[Example("root = timestamp_unix() > 1600000000", "{}", "true")]),
    Spec::function("timestamp_unix_milli", "The current time in milliseconds since 1970.", |_, _| {
        Ok(Value::Int(Timestamp::now().as_millisecond()))
    })
    .examples(&[Example("root = timestamp_unix_milli() > 1600000000000", "{}", "true")]),
    Spec::function("timestamp_unix_micro", "The current time in microseconds since 1970.", |_, _| {
        Ok(Value::Int(Timestamp::now().as_microsecond()))
    })
    .examples(&[Example("root = timestamp_unix_micro() > 1600000000000000", "{}", "true")]),
    Spec::function("timestamp_unix_nano", "The current time in nanoseconds since 1970.", |_, _| {
        Ok(Value::Int(i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)))
    })
    .examples(&[Example("root = timestamp_unix_nano() > 1600000000000000000", "{}", "true")]),
    Spec::function("uuid_v4", "A random UUID.", |_, _| Ok(Value::from(uuid::Uuid::new_v4().to_string())))
        .examples(&[Example("root = uuid_v4().length()", "{}", "36")])
        .needs(Capability::Random),
    Spec::function("count", "A counter of the whole process by name, starting at 1. Prefer `counter`.", count)
        .parameters(&[Parameter::required("name", Kind::Text, "The name of the counter.")])
        .examples(&[Example(r#"root = [count("docs"), count("docs")]"#, "{}", "[1,2]")]),
    Spec::function("counter", "A counter of this place in the mapping: `min` first, then one more each time, and again `min` after `max`.", counter)
        .parameters(&[
            Parameter::with_default("min", Kind::Integer, Fixed::Int(1), "The first number, above 0."),
            Parameter::with_default("max", Kind::Integer, Fixed::Int(i64::MAX), "The last number."),
            Parameter::optional("set", Kind::Query, "A number to jump to, `null` to look without counting, `deleted()` to start over."),
        ])
        .examples(&[Example("root = [1, 2, 3].map_each(_ -> counter(max: 2))", "{}", "[1,2,1]")]),
    Spec::function("env", "An environment variable; null when it is not set.", env)
        .parameters(&[
            Parameter::required("name", Kind::Text, "The name of the variable."),
            Parameter::with_default("no_cache", Kind::Bool, Fixed::Bool(false), "Accepted; variables are always read anew."),
        ])
        .examples(&[Example(r#"root.a = env("DOCUMENTED_BUT_NEVER_SET")"#, "{}", r#"{"a":null}"#)])
        .needs(Capability::Env),
    Spec::function("hostname", "The name of the machine.", |_, _| match &*HOSTNAME {
        Some(name) => Ok(Value::from(name.as_str())),
        None => Err(Failure::new("the host name is not known")),
    })
    .examples(&[Example("root = hostname().length() > 0", "{}", "true")])
    .needs(Capability::Hostname),
    Spec::function("pi", "The ratio of a circle's circumference to its diameter.", |_, _| {
        Ok(Value::Float(std::f64::consts::PI))
    })
    .examples(&[Example("root = (pi() * 100).floor()", "{}", "314")]),
    Spec::function("cosine_similarity", "How far two lists of numbers point into the same direction, from -1 to 1.", cosine_similarity)
        .parameters(&[
            Parameter::required("a", Kind::Any, "An array of numbers."),
            Parameter::required("b", Kind::Any, "Another of the same length."),
        ])
        .examples(&[
            Example("root = cosine_similarity(this.a, this.b).round()", r#"{"a":[1,2],"b":[2,4]}"#, "1"),
            Example("root = cosine_similarity(this, [1])", "[1,2]", "error: of the same length"),
        ]),
    Spec::function("var", "The value of a variable whose name is written as text: `var(\"x\")` is `$x`.", |context, arguments| {
        // The name is resolved when the mapping is compiled; only what no variable has gets here.
        let name = arguments.text(context, 0)?;
        Err(Failure::new(format!("variable '{name}' undefined")))
    })
    .makes(Makes::Nothing)
    .parameters(&[Parameter::required("name", Kind::Text, "The name of the variable.")])
    .examples(&[
        Example("let x = 5\nroot = var(\"x\")", "{}", "5"),
        Example("let x = 5\nroot = var(this)", "\"x\"", "error: variable 'x' undefined"),
    ]),
];

static HOSTNAME: LazyLock<Option<String>> = LazyLock::new(|| {
    #[expect(clippy::disallowed_methods, reason = "the kernel answers from memory, once per process")]
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = kernel.or_else(|| std::env::var("HOSTNAME").ok())?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
});

fn json(context: &mut Context<'_>, arguments: &Arguments) -> Evaluated {
    let path = arguments.path(context, 0)?;
    let mut made = 0;
    let found = path::search(context.structured()?, &path, &mut made);
    context.budget.finds(made)?;
    Ok(found.unwrap_or(Value::Null))
}

fn metadata(context: &mut Context<'_>, arguments: &Arguments) -> Evaluated {
    let key = arguments.text(context, 0)?;
    if key.is_empty() {
        return context.input_metadata_all().map(Value::object);
    }
    Ok(context.message()?.metadata(&key).cloned().unwrap_or(Value::Null))
}

fn meta(context: &mut Context<'_>, arguments: &Arguments) -> Evaluated {
    metadata(context, arguments).map(as_text)
}

fn root_meta(context: &mut Context<'_>, arguments: &Arguments) -> Evaluated {
    let key = arguments.text(context, 0)?;
    if key.is_empty() {
        return context.output_metadata_all().map(Value::object).map(as_text);
    }
    Ok(context.output_metadata(&key)?.map_or(Value::Null, as_text))
}

fn as_text(value: Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Object(object) => Value::object(
            object.iter().map(|(key, value)| (key.clone(), Value::from(value.to_text()))).collect(),
        ),
        value => Value::from(value.to_text()),
    }
}

fn range(context: &mut Context<'_>, arguments: &Arguments) -> Evaluated {
    let (start, stop) = (arguments.integer(context, 0)?, arguments.integer(context, 1)?);
    let step = arguments.integer(context, 2)?;
    match step {
        0 => return Err(Failure::new("step must be greater than or less than 0")),
        1.. if stop < start => {
            return Err(Failure::new(format!(
                "with positive step arg stop ({stop}) must be at least start ({start})"
            )));
        }
        ..=-1 if stop > start => {
            return Err(Failure::new(format!(
                "with negative step arg stop ({stop}) must be at most start ({start})"
            )));
        }
        _ => {}
    }
    let length = (i128::from(stop) - i128::from(start)) / i128::from(step);
    if length > i128::from(MAX_RANGE) {
        return Err(Failure::new(format!("a range has at most {MAX_RANGE} numbers")));
    }
    let numbers = std::iter::successors(Some(start), |number| number.checked_add(step));
    let before = |number: &i64| if step > 0 { *number < stop } else { *number > stop };
    Ok(Value::array(numbers.take_while(before).map(Value::Int).collect()))
}

fn random_int(context: &mut Context<'_>, arguments: &Arguments) -> Evaluated {
    let (min, max) = (arguments.integer(context, 1)?, arguments.integer(context, 2)?);
    if min < 0 || min > max {
        return Err(Failure::new(format!("min ({min}) must be from 0 to max ({max})")));
    }
    let known = arguments.memory.random.lock().is_some();
    let seed = if known { 0 } else { arguments.integer(context, 0)? };
    let mut random = arguments.memory.random.lock();
    let random = random.get_or_insert_with(|| match seed {
        0 => StdRng::seed_from_u64(rand::random()),
        seed => StdRng::seed_from_u64(seed.unsigned_abs()),
    });
    Ok(Value::Int(random.random_range(min..=max)))
}

/// Names are counted for as long as the process lives, and may come from messages.
const MOST_COUNTS: usize = 10_000;
/// Longest of them.
const MOST_COUNTED: usize = 1000;

static COUNTS: LazyLock<Mutex<HashMap<String, i64>>> = LazyLock::new(Mutex::default);

fn count(context: &mut Context<'_>, arguments: &Arguments) -> Evaluated {
    let name = arguments.text(context, 0)?;
    let mut counts = COUNTS.lock();
    if !counts.contains_key(&*name) && (counts.len() >= MOST_COUNTS || name.len() > MOST_COUNTED) {
        let text = format!("at most {MOST_COUNTS} names of up to {MOST_COUNTED} bytes are counted");
        return Err(Failure::new(text));
    }
    let count = counts.entry(name.to_string()).or_insert(0);
    *count = count.wrapping_add(1);
    Ok(Value::Int(*count))
}

fn counter(context: &mut Context<'_>, arguments: &Arguments) -> Evaluated {
    let (min, max) = (arguments.integer(context, 0)?, arguments.integer(context, 1)?);
    if min < 1 || max < min {
        return Err(Failure::new(format!("min ({min}) must be from 1 to max ({max})")));
    }
    let set = if arguments.is_given(2) { arguments.value(context, 2)? } else { Value::Nothing };
    let mut current = arguments.memory.counter.lock();
    let next = match (set, *current) {
        (Value::Int(number), _) if number >= 0 => number,
        (Value::Null, current) => return Ok(Value::Int(current.unwrap_or(0))),
        (Value::Delete, _) | (Value::Nothing, None) => min,
        (Value::Nothing, Some(number)) if number >= max => min,
        (Value::Nothing, Some(number)) => number + 1,
        (other, _) => return Err(Failure::expected("non-negative integer", &other)),
    };
    *current = Some(next);
    Ok(Value::Int(next))
}

fn cosine_similarity(context: &mut Context<'_>, arguments: &Arguments) -> Evaluated {
    let (a, b) = (array(arguments.value(context, 0)?)?, array(arguments.value(context, 1)?)?);
    if a.is_empty() || a.len() != b.len() {
        return Err(Failure::new("the vectors must not be empty, and of the same length"));
    }
    context.budget.step(a.len() as u64 / 16)?;
    let (mut dot, mut left, mut right) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b.iter()) {
        let (a, b) = (number(a)?, number(b)?);
        dot += a * b;
        left += a * a;
        right += b * b;
    }
    if left == 0.0 || right == 0.0 {
        return Err(Failure::new("a vector of zeros has no direction"));
    }
    Ok(Value::Float((dot / (f64::sqrt(left) * f64::sqrt(right))).clamp(-1.0, 1.0)))
}

fn env(context: &mut Context<'_>, arguments: &Arguments) -> Evaluated {
    let name = arguments.text(context, 0)?;
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(Failure::new("this is no name of an environment variable"));
    }
    Ok(context.program.environment.variable(&name).map_or(Value::Null, Value::from))
}
