//! Every configuration key that is known, as data: one row gives its place in the file, its kind, its default, and
//! what is done with it. Parsing, the warnings, the names of the environment variables and `docs/configuration.md` are
//! all read from here.

mod acme;
mod definitions;
mod extensions;
mod keys;
mod node;
mod records;
mod server;
mod storage;
mod telemetry;
mod upstream;

/// What kind of value a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number within the bounds (both included).
    Integer { min: i64, max: i64 },
    /// Any finite number.
    Number,
    /// A number of seconds, zero or more; fractions are allowed.
    Seconds,
    /// Text.
    Text,
    /// Text that is never shown, and that may be a reference such as `env://NAME`.
    Secret,
    /// One of the words; letter case does not matter.
    Choice(&'static [&'static str]),
    /// A list of words out of these.
    Choices(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// A map from text to text.
    TextMap,
    /// A map from text to text whose values are never shown.
    SecretMap,
    /// A list of objects with these text members.
    Rows(&'static [&'static str]),
    /// Any value; what is inside is not looked at.
    Tree,
}

impl Kind {
    /// The kind in words, for error texts and the reference page.
    pub(crate) fn words(self) -> String {
        let quoted = |words: &[&str]| {
            words.iter().filter(|w| !w.is_empty()).map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(", ")
        };
        match self {
            Kind::Bool => "true or false".into(),
            Kind::Integer { min: i64::MIN, max: i64::MAX } => "a whole number".into(),
            Kind::Integer { min, max: i64::MAX } => format!("a whole number, {min} or more"),
            Kind::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Number => "a number".into(),
            Kind::Seconds => "a number of seconds".into(),
            Kind::Text | Kind::Secret => "text".into(),
            Kind::Choice(words) => format!("one of {}", quoted(words)),
            Kind::Choices(words) => format!("a list of {}", quoted(words)),
            Kind::Texts => "a list of texts".into(),
            Kind::TextMap | Kind::SecretMap => "a map of texts".into(),
            Kind::Rows(members) => format!("a list of objects with {}", quoted(members)),
            Kind::Tree => "an object".into(),
        }
    }
}

/// What is done with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Acted on.
    Acted,
    /// Known from `tyk.conf`, without effect so far. Named in the warning when set to something else than its default.
    Pending,
    /// Known from `tyk.conf`, and there is nothing to do here. Accepted in silence.
    Idle,
    /// Guards access and is not built yet: set to something else than its default, it stops the start.
    Refused,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// Dotted path in the file, for example `storage.host`.
    pub(crate) path: &'static str,
    /// What it takes.
    pub(crate) kind: Kind,
    /// The default as JSON text; empty for the kind's zero value.
    pub(crate) default: &'static str,
    /// What is done with it.
    pub(crate) standing: Standing,
    /// True for a key that `tyk.conf` does not have.
    pub(crate) ours: bool,
    /// One or two sentences for the reference page.
    pub(crate) doc: &'static str,
}

impl Key {
    /// The default as a JSON value.
    pub(crate) fn default_value(&self) -> serde_json::Value {
        use serde_json::{Map, Value};
        if let Ok(value) = serde_json::from_str(self.default) {
            return value;
        }
        match self.kind {
            Kind::Bool => Value::Bool(false),
            Kind::Integer { .. } | Kind::Number | Kind::Seconds => Value::from(0),
            Kind::Text | Kind::Secret | Kind::Choice(_) => Value::String(String::new()),
            Kind::Choices(_) | Kind::Texts | Kind::Rows(_) => Value::Array(Vec::new()),
            Kind::TextMap | Kind::SecretMap | Kind::Tree => Value::Object(Map::new()),
        }
    }
}

const COUNT: Kind = Kind::Integer { min: 0, max: i64::MAX };
const PORT: Kind = Kind::Integer { min: 0, max: 65_535 };
const TLS_VERSION: Kind = Kind::Integer { min: 0, max: 772 };

const fn key(
    path: &'static str,
    kind: Kind,
    default: &'static str,
    standing: Standing,
    doc: &'static str,
) -> Key {
    Key { path, kind, default, standing, ours: false, doc }
}

/// A key that is acted on.
const fn acted(path: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    key(path, kind, default, Standing::Acted, doc)
}

/// A key that is acted on and that `tyk.conf` does not have.
const fn ours(path: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { path, kind, default, standing: Standing::Acted, ours: true, doc }
}

/// A key that has no effect so far.
const fn pending(path: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    key(path, kind, default, Standing::Pending, doc)
}

/// A key for which there is nothing to do.
const fn idle(path: &'static str, kind: Kind, doc: &'static str) -> Key {
    key(path, kind, "", Standing::Idle, doc)
}

/// A chapter of the table, in the order of the reference page.
#[derive(Debug)]
pub(crate) struct Chapter {
    /// Its heading.
    #[cfg_attr(not(test), expect(dead_code, reason = "told by the reference page, which a test writes"))]
    pub(crate) title: &'static str,
    /// Its rows.
    pub(crate) keys: &'static [Key],
}

/// The whole table.
pub(crate) static CHAPTERS: &[Chapter] = &[
    Chapter { title: "Node and admin API", keys: node::KEYS },
    Chapter { title: "Listener", keys: server::KEYS },
    Chapter { title: "Certificates from a directory", keys: acme::KEYS },
    Chapter { title: "Definitions and policies", keys: definitions::KEYS },
    Chapter { title: "Storage and caches", keys: storage::KEYS },
    Chapter { title: "Keys, limits and sessions", keys: keys::KEYS },
    Chapter { title: "Upstreams", keys: upstream::KEYS },
    Chapter { title: "Records, logs and telemetry", keys: records::KEYS },
    Chapter { title: "OpenTelemetry", keys: telemetry::KEYS },
    Chapter { title: "Streams, plugins and the rest", keys: extensions::KEYS },
];

/// Every row.
pub(crate) fn all() -> impl Iterator<Item = &'static Key> {
    CHAPTERS.iter().flat_map(|chapter| chapter.keys)
}

/// The row of a dotted path.
pub(crate) fn find(path: &str) -> Option<&'static Key> {
    all().find(|key| key.path == path)
}

/// True when some row lies below the dotted path.
pub(crate) fn is_group(path: &str) -> bool {
    all().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// The names that may stand directly below a dotted path (empty for the top level).
pub(crate) fn children(path: &str) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = all()
        .filter_map(|key| match path {
            "" => Some(key.path),
            _ => key.path.strip_prefix(path)?.strip_prefix('.'),
        })
        .filter_map(|rest| rest.split('.').next())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn rows_are_unique_and_no_row_is_a_group() {
        let mut seen = BTreeSet::new();
        for key in all() {
            assert!(seen.insert(key.path), "{} stands twice", key.path);
            assert!(!is_group(key.path), "{} is a row and a group", key.path);
            assert!(
                !key.doc.is_empty() && !key.doc.contains('|'),
                "{}: a doc that the page can show",
                key.path
            );
        }
    }

    #[test]
    fn defaults_are_json_of_their_kind() {
        for key in all().filter(|key| !key.default.is_empty()) {
            let value: serde_json::Value =
                serde_json::from_str(key.default).unwrap_or_else(|e| panic!("{}: {e}", key.path));
            let checked = super::super::check::value(key, &value);
            assert!(checked.is_ok(), "{}: default {} is not {}", key.path, key.default, key.kind.words());
        }
    }
}
