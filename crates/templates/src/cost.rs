//! What a run of a template may cost.

use std::cell::Cell;

use gotmpl::Value;

/// Calls of functions and templates, printed values and the sizes of what functions make, together.
const MOST: u64 = 20_000_000;
/// Largest text or list that one function makes: bytes, or elements.
pub(crate) const LARGEST: usize = 16 << 20;
/// How deep lists and maps may stand in each other.
const DEEPEST: usize = 200;

thread_local!(static LEFT: Cell<u64> = const { Cell::new(MOST) });

/// Runs something with a fresh allowance.
pub(crate) fn metered<T>(run: impl FnOnce() -> T) -> T {
    let outer = LEFT.replace(MOST);
    let result = run();
    LEFT.set(outer);
    result
}

/// Takes from the allowance of the present run.
pub(crate) fn charge(cost: u64) -> Result<(), String> {
    let left = LEFT.get().checked_sub(cost);
    LEFT.set(left.unwrap_or(0));
    left.map(|_| ()).ok_or_else(|| "the template takes too many steps".to_owned())
}

/// Charges for a value that a function made.
pub(crate) fn made(value: &Value) -> Result<(), String> {
    match value {
        Value::String(text) => {
            fits(text.len())?;
            charge(1 + text.len() as u64 / 64)
        }
        Value::List(items) => {
            charge(1 + items.len() as u64)?;
            shallow(value, 0)
        }
        Value::Map(fields) => {
            charge(1 + fields.len() as u64)?;
            shallow(value, 0)
        }
        _ => charge(1),
    }
}

/// Whether something of this size may be made.
pub(crate) fn fits(size: usize) -> Result<(), String> {
    if size > LARGEST {
        return Err(format!("a value is larger than {LARGEST} bytes or elements"));
    }
    Ok(())
}

/// What nests too deeply could be neither printed nor dropped.
fn shallow(value: &Value, depth: usize) -> Result<(), String> {
    if depth > DEEPEST {
        return Err(format!("lists and maps nest deeper than {DEEPEST} levels"));
    }
    match value {
        Value::List(items) => {
            charge(items.len() as u64 / 16)?;
            items.iter().try_for_each(|item| shallow(item, depth + 1))
        }
        Value::Map(fields) => {
            charge(fields.len() as u64 / 16)?;
            fields.values().try_for_each(|item| shallow(item, depth + 1))
        }
        _ => Ok(()),
    }
}
