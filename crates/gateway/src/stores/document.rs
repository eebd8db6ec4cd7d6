//! What is kept under one path, and the value that is meant in it.

use serde_json::Value;

/// What a path holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Document {
    Text(String),
    Fields(Value),
}

impl Document {
    /// The value of a field, or of all of it. A text with fields is JSON.
    pub(super) fn value(&self, field: Option<&str>) -> Result<String, String> {
        let Some(field) = field else {
            return Ok(match self {
                Self::Text(text) => text.clone(),
                Self::Fields(fields) => plain(fields),
            });
        };
        let parsed;
        let fields = match self {
            Self::Fields(fields) => fields,
            Self::Text(text) => {
                parsed = serde_json::from_str::<Value>(text)
                    .map_err(|_| format!("what is there is no JSON, so it has no field `{field}`"))?;
                &parsed
            }
        };
        // A name with dots may be one name.
        let found = fields.get(field).or_else(|| {
            field.split('.').try_fold(fields, |value, part| match value {
                Value::Array(items) => items.get(part.parse::<usize>().ok()?),
                value => value.get(part),
            })
        });
        found.map(plain).ok_or_else(|| format!("what is there has no field `{field}`"))
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Where a name leads in a store: a path without anything that an address or a folder would understand, and a field.
pub(super) fn place(name: &str) -> Result<(&str, Option<&str>), String> {
    let (path, field) = match name.split_once('#') {
        Some((path, field)) => (path, Some(field).filter(|field| !field.is_empty())),
        None => (name, None),
    };
    let path = path.trim_matches('/');
    let strange = |segment: &str| segment.is_empty() || matches!(segment, "." | "..");
    if path.split('/').any(strange) || path.contains(['?', '%', '\\', '\0']) {
        return Err("that is no path: no `.`, `..`, `?`, `%` or empty segments".to_owned());
    }
    Ok((path, field))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_lead_to_paths_and_fields() {
        for (name, expected) in [
            ("a/b", Some(("a/b", None))),
            ("/a/b/", Some(("a/b", None))),
            ("a#f.g", Some(("a", Some("f.g")))),
            ("a#", Some(("a", None))),
            ("../a", None),
            ("a/../b", None),
            ("a//b", None),
            ("a/./b", None),
            ("a?raw", None),
            ("a%2e%2e", None),
            ("", None),
            ("..", None),
            ("a\\..\\b", None),
        ] {
            assert_eq!(place(name).ok(), expected, "{name}");
        }
    }

    #[test]
    fn fields_are_looked_up_in_json() {
        let fields = Document::Fields(json!({"a": {"b": [1, "two"]}, "a.b": "dotted", "n": 5}));
        let text = Document::Text("{\"x\":\"y\"}".to_owned());
        for (document, field, expected) in [
            (&fields, Some("a.b"), Some("dotted")),
            (&fields, Some("a.b.1"), Some("two")),
            (&fields, Some("n"), Some("5")),
            (&fields, Some("none"), None),
            (&text, Some("x"), Some("y")),
            (&text, None, Some("{\"x\":\"y\"}")),
            (&Document::Text("plain".to_owned()), Some("x"), None),
            (&Document::Fields(json!({"a": {"b": [1, "two"]}})), Some("a.b.1"), Some("two")),
        ] {
            assert_eq!(document.value(field).ok().as_deref(), expected, "{field:?}");
        }
    }
}
