//! Configurations as programs send them: whole, or as a patch of what there is.

use document::{Document, Fault, Format};
use serde_json::{Map, Value as Json};

/// Reads a configuration in JSON, or in YAML when it does not begin as an object of JSON does.
///
/// # Errors
/// Why it is neither, with the place.
pub fn read_body(text: &str) -> Result<Document, Fault> {
    let format = if text.trim_start().starts_with('{') { Format::Json } else { Format::Yaml };
    Document::parse(text, format)
}

/// Merges a patch into a configuration as RFC 7396 has it: members that are null go away.
pub fn merge_patch(config: &mut Json, patch: &Json) {
    let Json::Object(members) = patch else {
        *config = patch.clone();
        return;
    };
    if !config.is_object() {
        *config = Json::Object(Map::new());
    }
    let Json::Object(config) = config else { return };
    for (key, value) in members {
        if value.is_null() {
            config.remove(key);
        } else {
            merge_patch(config.entry(key).or_insert(Json::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patches_merge_and_take_away() {
        for (config, patch, expected) in [
            (
                json!({"a": {"b": 1, "c": [1, 2]}, "d": 2}),
                json!({"a": {"b": null, "c": [3]}, "e": {"f": {"g": null, "h": 1}}}),
                json!({"a": {"c": [3]}, "d": 2, "e": {"f": {"h": 1}}}),
            ),
            (json!([1]), json!({"a": 1}), json!({"a": 1})),
            (json!({"a": 1}), json!("b"), json!("b")),
            (json!({"a": 1}), json!({}), json!({"a": 1})),
        ] {
            let mut merged = config.clone();
            merge_patch(&mut merged, &patch);
            assert_eq!(merged, expected, "{config} {patch}");
            // What is merged once more changes nothing.
            merge_patch(&mut merged, &patch);
            assert_eq!(merged, expected, "{config} {patch}");
        }
    }

    #[test]
    fn bodies_are_json_or_yaml() {
        for text in ["{\"a\": 1}", " \n{\"a\":1}", "a: 1\n"] {
            assert_eq!(read_body(text).unwrap().value(), &json!({"a": 1}), "{text}");
        }
        assert!(read_body("{a: 1").is_err());
    }
}
