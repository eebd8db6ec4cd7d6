//! Names and namespaces.

use bloblang::Text;
use serde_json::Value as Json;

/// A name with its namespace, dots between.
pub(super) struct FullName {
    pub(super) full: Text,
}

impl FullName {
    /// The name of a definition.
    pub(super) fn defined(json: &Json, enclosing: &str) -> Result<FullName, String> {
        let name = json.get("name").and_then(Json::as_str).ok_or("a named type needs a `name`")?;
        FullName::of(name, json.get("namespace").and_then(Json::as_str), enclosing)
    }

    /// A name as it is written; one with dots has its namespace in itself.
    pub(super) fn of(name: &str, namespace: Option<&str>, enclosing: &str) -> Result<FullName, String> {
        let namespace = if name.contains('.') { "" } else { namespace.unwrap_or(enclosing) };
        let full = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") };
        if full.split('.').all(is_name) {
            Ok(FullName { full: full.into() })
        } else {
            Err(format!("`{full}` is not a name: letters, digits and `_` are, not beginning with a digit"))
        }
    }

    pub(super) fn namespace(&self) -> &str {
        self.full.rsplit_once('.').map_or("", |(namespace, _)| namespace)
    }
}

/// Whether a text is a name without dots.
pub(super) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
