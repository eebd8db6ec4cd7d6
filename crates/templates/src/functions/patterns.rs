//! Regular expressions. Those of a template are compiled once.

use std::cell::RefCell;
use std::collections::HashMap;

use gotmpl::Value;
use regex::{NoExpand, Regex};

use super::{Made, Table, int, list, made, str};

/// Compiled patterns that a thread keeps.
const KEPT: usize = 256;
/// Largest compiled pattern, in bytes.
const LARGEST: usize = 1 << 20;

pub(super) const TABLE: Table = &[
    ("regexMatch", |args| Ok(Value::Bool(pattern(str(args, 0)?)?.is_match(str(args, 1)?)))),
    ("mustRegexMatch", |args| Ok(Value::Bool(pattern(str(args, 0)?)?.is_match(str(args, 1)?)))),
    ("regexFind", find),
    ("mustRegexFind", find),
    ("regexFindAll", find_all),
    ("mustRegexFindAll", find_all),
    ("regexReplaceAll", replace),
    ("mustRegexReplaceAll", replace),
    ("regexReplaceAllLiteral", replace_literally),
    ("mustRegexReplaceAllLiteral", replace_literally),
    ("regexSplit", split),
    ("mustRegexSplit", split),
    ("regexQuoteMeta", |args| Ok(made(regex::escape(str(args, 0)?)))),
    ("mustRegexQuoteMeta", |args| Ok(made(regex::escape(str(args, 0)?)))),
];

fn pattern(text: &str) -> Result<Regex, String> {
    thread_local!(static COMPILED: RefCell<HashMap<String, Regex>> = RefCell::default());
    COMPILED.with_borrow_mut(|compiled| {
        if let Some(regex) = compiled.get(text) {
            return Ok(regex.clone());
        }
        crate::cost::charge(10_000)?;
        let regex = regex::RegexBuilder::new(text)
            .size_limit(LARGEST)
            .build()
            .map_err(|fault| format!("error parsing regexp: {fault}"))?;
        if compiled.len() >= KEPT {
            compiled.clear();
        }
        compiled.insert(text.to_owned(), regex.clone());
        Ok(regex)
    })
}

fn find(args: &[Value]) -> Made {
    let found = pattern(str(args, 0)?)?.find(str(args, 1)?).map(|found| found.as_str().to_owned());
    Ok(made(found.unwrap_or_default()))
}

/// So many, or all where the number is negative.
fn most(count: i64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn find_all(args: &[Value]) -> Made {
    let regex = pattern(str(args, 0)?)?;
    let found = regex.find_iter(str(args, 1)?).take(most(int(args, 2)?));
    Ok(list(found.map(|found| made(found.as_str()))))
}

/// `$1` and `${name}` in the replacement, as Go has them.
fn replace(args: &[Value]) -> Made {
    let (text, with) = (str(args, 1)?, str(args, 2)?);
    crate::cost::fits(text.len().saturating_mul(with.len() + 1))?;
    Ok(made(pattern(str(args, 0)?)?.replace_all(text, with)))
}

fn replace_literally(args: &[Value]) -> Made {
    let (text, with) = (str(args, 1)?, str(args, 2)?);
    crate::cost::fits(text.len().saturating_mul(with.len() + 1))?;
    Ok(made(pattern(str(args, 0)?)?.replace_all(text, NoExpand(with))))
}

fn split(args: &[Value]) -> Made {
    let regex = pattern(str(args, 0)?)?;
    let (text, count) = (str(args, 1)?, int(args, 2)?);
    if count < 0 {
        return Ok(list(regex.split(text).map(made)));
    }
    Ok(list(regex.splitn(text, count as usize).map(made)))
}
