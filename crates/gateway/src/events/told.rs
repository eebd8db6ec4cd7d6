//! One event as handlers see it: as JSON, and as the data of templates (contract 8.12).

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use apidef::Event;
use serde_json::{Map, Value, json};
use templates::Value as Data;

use crate::clock::rfc3339;

/// What happened.
#[derive(Debug)]
pub(crate) struct Told {
    pub(super) event: Event,
    pub(super) at: SystemTime,
    /// The API, where it is one's.
    pub(super) api: Option<Arc<str>>,
    pub(super) org: Arc<str>,
    /// What there is to say of it, by the names that JSON has for it.
    pub(super) meta: Map<String, Value>,
}

/// Names that templates have where JSON has others.
const OTHER_NAMES: [(&str, &str); 4] = [
    ("org_id", "OrgID"),
    ("key", "Key"),
    ("trigger_limit", "TriggerLimit"),
    ("usage_percentage", "UsagePercentage"),
];
/// What templates ask of any event.
const COMMON: [&str; 5] = ["Message", "OriginatingRequest", "Path", "Origin", "Key"];

impl Told {
    /// As handlers in JavaScript and in servers get it.
    pub(super) fn json(&self) -> Value {
        json!({"Type": self.event.name(), "Meta": self.meta, "TimeStamp": go_time(self.at)})
    }

    /// What handlers are told of the API.
    pub(super) fn context(&self) -> Value {
        json!({"APIID": self.api.as_deref().unwrap_or_default(), "OrgID": &*self.org})
    }

    /// As templates see it. Texts are escaped, so that what a client sends ends no string of a body.
    pub(super) fn data(&self) -> Data {
        let mut meta = self.meta.clone();
        for (name, other) in OTHER_NAMES {
            if let Some(value) = self.meta.get(name) {
                meta.insert(other.to_owned(), value.clone());
            }
        }
        for name in COMMON {
            meta.entry(name).or_insert_with(|| "".into());
        }
        let meta = templates::from_json(&escaped(Value::Object(meta)));
        let text = |text: &str| Data::String(escape(text).into());
        templates::map([
            ("Type", text(self.event.name())),
            ("Meta", meta),
            ("TimeStamp", Data::String(go_time(self.at).into())),
            ("APIID", text(self.api.as_deref().unwrap_or_default())),
            ("OrgID", text(&self.org)),
        ])
    }

    /// A member of the meta as text.
    pub(super) fn text(&self, name: &str) -> &str {
        self.meta.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

fn escaped(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(escape(&text)),
        Value::Array(items) => items.into_iter().map(escaped).collect(),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (name, escaped(value))).collect())
        }
        other => other,
    }
}

/// As in HTML, and of what would mean something in a string of JSON.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '\\' => out.push_str("&#92;"),
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

/// A time as Go prints it, in UTC.
fn go_time(time: SystemTime) -> String {
    let seconds = rfc3339(time);
    let (day, clock) = seconds.trim_end_matches('Z').split_once('T').unwrap_or_default();
    let nanos = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    let digits = format!("{nanos:09}");
    let fraction = match digits.trim_end_matches('0') {
        "" => String::new(),
        digits => format!(".{digits}"),
    };
    format!("{day} {clock}{fraction} +0000 UTC")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_go_prints_them() {
        for (millis, text) in [
            (0, "1970-01-01 00:00:00 +0000 UTC"),
            (951_782_400_120, "2000-02-29 00:00:00.12 +0000 UTC"),
            (951_782_400_001, "2000-02-29 00:00:00.001 +0000 UTC"),
        ] {
            assert_eq!(go_time(UNIX_EPOCH + Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn what_clients_send_ends_no_string() {
        assert_eq!(escape("a\"b\\c\n<'&>"), "a&#34;b&#92;c &lt;&#39;&amp;&gt;");
    }
}
