//! What has been gathered so far: the answers of parts, with who sent which object, and what failed.

use serde_json::{Map, Value};

use crate::engine::query::OWN_TYPE;

/// Who sent an object, and what of it could not be had. No name of a client has a dot.
pub(super) const FROM: &str = "sluicegate.from";
pub(super) const FAILED: &str = "sluicegate.failed";

pub(super) fn at_path<'t>(tree: &'t mut Value, path: &[Value]) -> Option<&'t mut Value> {
    path.iter().try_fold(tree, |value, step| match step {
        Value::String(key) => value.get_mut(key),
        step => value.get_mut(usize::try_from(step.as_u64()?).ok()?),
    })
}

pub(super) fn fail(object: &mut Value, key: &str, why: String) {
    if let Value::Object(members) = object {
        let failed = members.entry(FAILED).or_insert_with(|| Value::Object(Map::new()));
        failed[key] = why.into();
    }
}

/// Puts in what a part sent; its objects are of that part.
pub(super) fn put(object: &mut Value, key: &str, mut value: Value, part: usize) {
    mark(&mut value, part);
    if let Value::Object(members) = object {
        members.insert(key.to_owned(), value);
    }
}

/// As deep as JSON is read.
fn mark(value: &mut Value, part: usize) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| mark(item, part)),
        Value::Object(members) if members.contains_key(OWN_TYPE) => {
            members.values_mut().for_each(|member| mark(member, part));
            members.remove(FAILED);
            members.insert(FROM.to_owned(), part.into());
        }
        _ => {}
    }
}

pub(super) fn errors_of(answer: &Value) -> Vec<Value> {
    answer["errors"].as_array().cloned().unwrap_or_default()
}

pub(super) fn message(error: &Value) -> String {
    error["message"].as_str().unwrap_or("the part failed").to_owned()
}
