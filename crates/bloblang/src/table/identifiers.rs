//! Functions that make identifiers.

use std::collections::HashMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use parking_lot::Mutex;
use rand::{Rng, RngExt};

use super::{Example, Fixed, Kind, Parameter, Spec};
use crate::run::{Arguments, Context, Evaluated, Failure};
use crate::{Capability, Value};

/// Longest text that `nanoid` gives, in characters.
const MAX_NANOID: i64 = 65_536;
/// The alphabet of `nanoid`: 64 characters that need no escaping in a URL.
const URL_ALPHABET: &str = "useandom-26T198340PX75pxJACKVERYMINDBUSHWOLF_GQZbfghjklqvwyzrict";
/// Where ids of `ksuid` begin to count, in seconds since 1970.
const KSUID_EPOCH: i64 = 1_400_000_000;
/// Where ids of `snowflake_id` begin to count, in milliseconds since 1970.
const SNOWFLAKE_EPOCH: i64 = 1_288_834_974_657;
const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CROCKFORD: &[u8] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

pub(crate) static TABLE: &[Spec] = &[
    Spec::function(
        "ksuid",
        "A random id of 27 letters and digits that sorts by the second in which it was made.",
        |_, _| Ok(Value::from(ksuid(Timestamp::now().as_second(), rand::random()))),
    )
    .examples(&[Example("root = ksuid().length()", "{}", "27")])
    .needs(Capability::Random),
    Spec::function("nanoid", "A random id that needs no escaping in a URL.", nanoid)
        .parameters(&[
            Parameter::optional("length", Kind::Integer, "How many characters; 21 by default."),
            Parameter::optional("alphabet", Kind::Text, "The characters to choose from; only with `length`."),
        ])
        .examples(&[
            Example("root = nanoid().length()", "{}", "21"),
            Example(r#"root = nanoid(5, "a")"#, "{}", r#""aaaaa""#),
            Example(r#"root = nanoid(alphabet: "ab")"#, "{}", "error: needs a length"),
        ])
        .needs(Capability::Random),
    Spec::function("ulid", "A random id that sorts by the millisecond in which it was made.", ulid)
        .parameters(&[
            Parameter::with_default(
                "encoding",
                Kind::Choice(&["crockford", "hex"]),
                Fixed::Text("crockford"),
                "How it is written: 26 letters and digits, or 32 hexadecimal ones.",
            ),
            Parameter::with_default(
                "random_source",
                Kind::Choice(&["secure_random", "fast_random"]),
                Fixed::Text("secure_random"),
                "Accepted; the random part is always one that nobody can guess.",
            ),
        ])
        .examples(&[Example(r#"root = [ulid().length(), ulid("hex").length()]"#, "{}", "[26,32]")])
        .needs(Capability::Random),
    Spec::function(
        "snowflake_id",
        "A whole number as text that no other node gives and that grows with time.",
        snowflake,
    )
    .parameters(&[Parameter::with_default(
        "node_id",
        Kind::Integer,
        Fixed::Int(1),
        "The number of the node, from 0 to 1023.",
    )])
    .examples(&[
        Example("root = snowflake_id() < snowflake_id()", "{}", "true"),
        Example("root = snowflake_id(this)", "1024", "error: from 0 to 1023"),
    ]),
];

/// Seconds in 4 bytes and 16 random bytes, as one number in base 62.
fn ksuid(seconds: i64, random: [u8; 16]) -> String {
    let since = u32::try_from(seconds - KSUID_EPOCH).unwrap_or(0);
    let mut number: Vec<u8> = since.to_be_bytes().into_iter().chain(random).collect();
    let mut digits = [b'0'; 27];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0_u16;
        for byte in &mut number {
            let value = rest * 256 + u16::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(0);
            rest = value % 62;
        }
        *digit = BASE62.get(usize::from(rest)).copied().unwrap_or(b'0');
    }
    digits.into_iter().map(char::from).collect()
}

fn nanoid(context: &mut Context<'_>, arguments: &Arguments) -> Evaluated {
    if !arguments.is_given(0) && arguments.is_given(1) {
        return Err(Failure::new("an alphabet needs a length, too"));
    }
    let length = if arguments.is_given(0) { arguments.integer(context, 0)? } else { 21 };
    if !(1..=MAX_NANOID).contains(&length) {
        return Err(Failure::new(format!("the length {length} must be from 1 to {MAX_NANOID}")));
    }
    let alphabet: Vec<char> = if arguments.is_given(1) {
        arguments.text(context, 1)?.chars().collect()
    } else {
        URL_ALPHABET.chars().collect()
    };
    if alphabet.is_empty() || alphabet.len() > 255 {
        return Err(Failure::new("an alphabet has from 1 to 255 characters"));
    }
    let mut random = rand::rng();
    let mut pick = || alphabet.get(random.random_range(0..alphabet.len())).copied();
    Ok(Value::from((0..length).filter_map(|_| pick()).collect::<String>()))
}

fn ulid(context: &mut Context<'_>, arguments: &Arguments) -> Evaluated {
    let encoding = arguments.text(context, 0)?;
    let source = arguments.text(context, 1)?;
    if !matches!(&*source, "secure_random" | "fast_random") {
        return Err(Failure::new(format!("unknown random source: {source}")));
    }
    let mut random = [0; 16];
    rand::rng().fill_bytes(&mut random);
    let time = u128::try_from(Timestamp::now().as_millisecond()).unwrap_or(0) << 80;
    let number = time | (u128::from_be_bytes(random) >> 48);
    match &*encoding {
        "crockford" => Ok(Value::from(crockford(number))),
        "hex" => Ok(Value::from(format!("{number:032x}"))),
        other => Err(Failure::new(format!("unknown encoding: {other}"))),
    }
}

fn crockford(number: u128) -> String {
    let digit = |at: u32| CROCKFORD.get((number >> (at * 5)) as usize & 31).copied().unwrap_or(b'0');
    (0..26).rev().map(|at| char::from(digit(at))).collect()
}

/// The last millisecond and number within it, for each node.
static LAST: LazyLock<Mutex<HashMap<i64, (i64, i64)>>> = LazyLock::new(Mutex::default);

fn snowflake(context: &mut Context<'_>, arguments: &Arguments) -> Evaluated {
    let node = arguments.integer(context, 0)?;
    if !(0..1024).contains(&node) {
        return Err(Failure::new(format!("the node {node} must be from 0 to 1023")));
    }
    let now = Timestamp::now().as_millisecond() - SNOWFLAKE_EPOCH;
    let mut last = LAST.lock();
    let (time, step) = last.entry(node).or_insert((0, 0));
    if now > *time {
        (*time, *step) = (now, 0);
    } else {
        // A clock that stands still or goes back must not give an id twice: run ahead of it instead.
        *step += 1;
        if *step == 4096 {
            (*time, *step) = (*time + 1, 0);
        }
    }
    Ok(Value::from(((*time << 22) | (node << 12) | *step).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_ids() {
        assert_eq!(ksuid(KSUID_EPOCH, [0; 16]), "0".repeat(27));
        assert_eq!(ksuid(KSUID_EPOCH + i64::from(u32::MAX), [255; 16]), "aWgEPTl1tmebfsQzFP4bxwgy80V");
        assert_eq!(crockford(u128::MAX), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        assert_eq!(crockford(32), "00000000000000000000000010");
    }
}
