//! The settings as they count, for those who may see them: what is secret is covered.

use gateway::Inspected;
use serde_json::Value;

use super::check::Given;
use super::environment::name_of;
use super::table::{self, Kind, Standing};
use super::{is_telling, table::Key};

const COVERED: &str = "***";

/// Every setting that the table knows and that may be set.
pub(super) fn settings(given: &Given) -> Vec<Inspected> {
    table::all().filter(|key| key.standing != Standing::Refused).map(|key| setting(key, given)).collect()
}

fn setting(key: &Key, given: &Given) -> Inspected {
    let mut value = given.get(key.path).cloned().unwrap_or_else(|| key.default_value());
    let before = value.clone();
    match key.kind {
        Kind::Secret | Kind::SecretMap => cover_all(&mut value),
        _ => cover(&mut value),
    }
    Inspected {
        field: key.path,
        variable: name_of(key.path),
        description: key.doc,
        obfuscated: value != before,
        value,
    }
}

fn cover_all(value: &mut Value) {
    match value {
        Value::String(text) if !text.is_empty() => COVERED.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(cover_all),
        Value::Object(members) => members.values_mut().for_each(cover_all),
        _ => {}
    }
}

/// Covers what has a name that says that it is secret, and credentials inside of addresses.
fn cover(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some((before, after)) = text.split_once("://")
                && let Some((_, host)) = after.split_once('@')
            {
                *text = format!("{before}://{COVERED}@{host}");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(cover),
        Value::Object(members) => {
            for (name, member) in members {
                if is_telling(name) { cover_all(member) } else { cover(member) }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn c1_1_secrets_are_covered_wherever_they_stand() {
        let mut given = Given::new();
        given.insert("secret", json!("whisper"));
        given.insert("storage.password", json!("whisper"));
        given.insert("listen_port", json!(8123));
        given.insert("secrets", json!({"one": "whisper"}));
        given.insert("kv.stores", json!({"a": {"token": "whisper", "address": "http://u:whisper@host/x"}}));
        let hook = json!({"header_map": {"Authorization": "whisper", "X-API-Key": "whisper"}});
        given.insert("event_handlers", json!({"events": {"QuotaExceeded": [{"handler_meta": hook}]}}));
        let shown = settings(&given);
        let text = format!("{shown:?}");
        assert!(!text.contains("whisper"), "{text}");
        let of = |field| shown.iter().find(|one| one.field == field).unwrap();
        assert_eq!((&of("secret").value, of("secret").obfuscated), (&json!("***"), true));
        assert_eq!((&of("listen_port").value, of("listen_port").obfuscated), (&json!(8123), false));
        assert_eq!(of("listen_port").variable, "TYK_GW_LISTENPORT");
        assert_eq!((&of("node_secret").value, of("node_secret").obfuscated), (&json!(""), false));
        assert_eq!(of("kv.stores").value["a"]["address"], json!("http://***@host/x"));
    }
}
