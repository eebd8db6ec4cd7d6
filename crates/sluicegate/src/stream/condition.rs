//! What a test asks of a message (streams contract 5.12).

use std::path::{Path, PathBuf};

use bloblang::{Environment, Mapping, Value};
use regex::Regex;
use serde_json::Value as Json;
use streams::{Message, View};

/// Where conditions look beside the message.
pub(super) struct Beside<'a> {
    pub(super) folder: &'a Path,
    pub(super) environment: &'a Environment,
}

/// What of these conditions does not hold for a message of a batch; each as a text that shows the difference.
pub(super) fn unmet(conditions: &Json, batch: &[Message], index: usize, beside: &Beside<'_>) -> Vec<String> {
    let Some(conditions) = conditions.as_object() else {
        return vec!["conditions must be an object such as `content_equals: …`".to_owned()];
    };
    let mut unmet = Vec::new();
    for (name, expected) in conditions {
        if let Err(text) = holds(name, expected, batch, index, beside) {
            unmet.push(format!("{name}: {text}"));
        }
    }
    unmet
}

fn holds(
    name: &str,
    expected: &Json,
    batch: &[Message],
    index: usize,
    beside: &Beside<'_>,
) -> Result<(), String> {
    let message = &batch[index];
    let content = || String::from_utf8_lossy(message.bytes()).into_owned();
    let text = || expected.as_str().map_or_else(|| expected.to_string(), str::to_owned);
    match name {
        "content_equals" => same(&text(), &content()),
        "content_matches" => {
            let pattern = Regex::new(&text()).map_err(|fault| format!("no regular expression: {fault}"))?;
            if pattern.is_match(&content()) { Ok(()) } else { differ(&text(), &content()) }
        }
        "metadata_equals" => {
            for (key, expected) in expected.as_object().ok_or("must be an object of names and values")? {
                let found = message.meta(key).map(Json::from);
                let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                match found {
                    None => return Err(format!("there is no metadata `{key}`")),
                    Some(found) if text(&found) == text(expected) => {}
                    Some(found) => return differ(&format!("{key}: {expected}"), &format!("{key}: {found}")),
                }
            }
            Ok(())
        }
        "json_equals" => json_equals(&structured(expected)?, &json(message)?),
        "json_contains" => json_contains(&structured(expected)?, &json(message)?),
        "file_equals" => same(&file(beside.folder, &text())?, &content()),
        "file_json_equals" => json_equals(&parse(&file(beside.folder, &text())?)?, &json(message)?),
        "file_json_contains" => json_contains(&parse(&file(beside.folder, &text())?)?, &json(message)?),
        "bloblang" => {
            let mapping = Mapping::parse(beside.environment, &text())
                .map_err(|faults| faults.first().map_or_else(String::new, ToString::to_string))?;
            match mapping.query(&View(batch), index).map_err(|fault| fault.to_string())? {
                Value::Bool(true) => Ok(()),
                Value::Bool(false) => Err(format!("`{}` is false of\n    {}", text().trim(), content())),
                other => Err(format!("`{}` gives {}, not true or false", text().trim(), other.type_name())),
            }
        }
        other => Err(format!(
            "there is no condition `{other}`; there are bloblang, content_equals, content_matches, metadata_equals, \
             json_equals, json_contains, file_equals, file_json_equals and file_json_contains"
        )),
    }
}

fn same(expected: &str, found: &str) -> Result<(), String> {
    if expected == found { Ok(()) } else { differ(expected, found) }
}

fn differ(expected: &str, found: &str) -> Result<(), String> {
    Err(format!("\n    expected: {expected}\n    found:    {found}"))
}

/// The payload as JSON, with plain numbers.
fn json(message: &Message) -> Result<Json, String> {
    parse(&String::from_utf8_lossy(message.bytes()))
}

fn parse(text: &str) -> Result<Json, String> {
    serde_json::from_str(text).map_err(|fault| format!("not JSON: {fault}\n    found:    {text}"))
}

/// What is expected may be written as a structure, or as a text of JSON.
fn structured(expected: &Json) -> Result<Json, String> {
    match expected {
        Json::String(text) => parse(text),
        other => Ok(other.clone()),
    }
}

fn json_equals(expected: &Json, found: &Json) -> Result<(), String> {
    if alike(expected, found, true) { Ok(()) } else { differ(&expected.to_string(), &found.to_string()) }
}

fn json_contains(expected: &Json, found: &Json) -> Result<(), String> {
    if alike(expected, found, false) { Ok(()) } else { differ(&expected.to_string(), &found.to_string()) }
}

/// Whether they are equal (`1` and `1.0` are), or with `whole` false, whether `found` has everything of `expected`.
fn alike(expected: &Json, found: &Json, whole: bool) -> bool {
    match (expected, found) {
        (Json::Object(expected), Json::Object(found)) => {
            (!whole || expected.len() == found.len())
                && expected
                    .iter()
                    .all(|(key, member)| found.get(key).is_some_and(|other| alike(member, other, whole)))
        }
        (Json::Array(expected), Json::Array(found)) => {
            (expected.len() == found.len() || (!whole && expected.len() < found.len()))
                && expected.iter().zip(found).all(|(member, other)| alike(member, other, whole))
        }
        (Json::Number(expected), Json::Number(found)) => {
            expected == found || expected.as_f64() == found.as_f64()
        }
        _ => expected == found,
    }
}

/// A file, named from the folder of the tests.
pub(super) fn file(folder: &Path, name: &str) -> Result<String, String> {
    let path: PathBuf = folder.join(name);
    super::source::text(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_hold_or_say_why_not() {
        let mut message = Message::new(r#"{"a":1.0,"b":[1,2],"c":{"d":"x"}}"#);
        message.set_meta("m", "v");
        message.set_meta("n", 7_i64);
        let environment = Environment::pure();
        let beside = Beside { folder: Path::new("."), environment: &environment };
        for (conditions, fault) in [
            (json!({"content_equals": r#"{"a":1.0,"b":[1,2],"c":{"d":"x"}}"#}), None),
            (json!({"content_equals": "x"}), Some("content_equals: \n    expected: x\n    found:    {\"a\"")),
            (json!({"content_matches": "\"b\":\\[1"}), None),
            (json!({"content_matches": "^b"}), Some("content_matches")),
            (json!({"content_matches": "("}), Some("no regular expression")),
            (json!({"metadata_equals": {"m": "v", "n": 7}}), None),
            (json!({"metadata_equals": {"n": "7"}}), None),
            (json!({"metadata_equals": {"m": "w"}}), Some("expected: m: \"w\"")),
            (json!({"metadata_equals": {"o": "w"}}), Some("there is no metadata `o`")),
            (json!({"json_equals": {"c": {"d": "x"}, "b": [1, 2], "a": 1}}), None),
            (json!({"json_equals": r#"{"a":1,"b":[1,2],"c":{"d":"x"}}"#}), None),
            (json!({"json_equals": {"a": 1}}), Some("json_equals")),
            (json!({"json_contains": {"c": {}, "b": [1]}}), None),
            (json!({"json_contains": {"b": [2]}}), Some("json_contains")),
            (json!({"json_contains": {"e": 1}}), Some("json_contains")),
            (json!({"bloblang": "this.b.length() == 2 && @m == \"v\""}), None),
            (json!({"bloblang": "this.a > 1"}), Some("is false of")),
            (json!({"bloblang": "this.a"}), Some("gives number, not true or false")),
            (json!({"file_equals": "no such file"}), Some("cannot read ./no such file")),
            (json!({"content_eqals": "x"}), Some("there is no condition `content_eqals`")),
            (json!("x"), Some("conditions must be an object")),
        ] {
            let unmet = unmet(&conditions, &[message.clone()], 0, &beside).concat();
            match fault {
                None => assert_eq!(unmet, "", "{conditions}"),
                Some(fault) => assert!(unmet.contains(fault), "{conditions}: {unmet}"),
            }
        }
    }
}
