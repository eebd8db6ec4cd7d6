//! What a filter tells by properties that it sets, since the interface has no other word for it: who is calling
//! (`metadata.token`, `session.*`), and what a record is to be (`record.*`).

use std::collections::BTreeMap;

use apidef::Session;
use serde_json::{Map, Value, json};

use crate::{Fault, Outcome};

/// Properties that were set, by their paths: names with zero bytes between.
pub(super) type Told = BTreeMap<Vec<u8>, Vec<u8>>;

/// The key and the session of the caller, as far as they were told.
pub(super) fn caller(told: &Told) -> Result<Outcome, Fault> {
    let mut outcome = Outcome::default();
    let mut session: Option<Map<String, Value>> = None;
    for (path, value) in told {
        match &names(path)[..] {
            ["metadata", name] => {
                outcome.metadata.insert((*name).to_owned(), text(value).into());
            }
            ["session"] => session = Some(whole(path, value)?),
            ["session", "meta_data", name] => {
                let metadata =
                    session.get_or_insert_default().entry("meta_data").or_insert_with(|| json!({}));
                let metadata = metadata.as_object_mut().ok_or_else(|| unusable(path, value))?;
                metadata.insert((*name).to_owned(), text(value).into());
            }
            ["session", name] => {
                session.get_or_insert_default().insert((*name).to_owned(), of_session(path, name, value)?);
            }
            ["session", ..] => return Err(unusable(path, value)),
            _ => {}
        }
    }
    if let Some(session) = session {
        let session: Session = serde_json::from_value(Value::Object(session))
            .map_err(|why| Fault::Shape(format!("this is no session: {why}")))?;
        outcome.session = Some(Box::new(session));
    }
    Ok(outcome)
}

/// A field of a session: a text where it is one, and else JSON.
fn of_session(path: &[u8], name: &str, value: &[u8]) -> Result<Value, Fault> {
    let candidates = [Some(Value::String(text(value))), serde_json::from_slice(value).ok()];
    let fits = |candidate: &Value| {
        let session = serde_json::from_value::<Session>(json!({name: candidate}));
        session.is_ok_and(|session| session.other.is_empty())
    };
    candidates.into_iter().flatten().find(fits).ok_or_else(|| unusable(path, value))
}

/// What becomes of a record. What is set to nothing is taken out.
pub(super) fn record(before: &str, told: &Told) -> Result<String, Fault> {
    let mut record: Value =
        serde_json::from_str(before).map_err(|why| Fault::Unusable(format!("this is no record: {why}")))?;
    for (path, value) in told {
        let names = names(path);
        let [names @ .., last] = &names[..] else { continue };
        match names {
            [] if *last == "record" => record = Value::Object(whole(path, value)?),
            ["record", within @ ..] => {
                let mut place = &mut record;
                for name in within {
                    place = place.get_mut(name).ok_or_else(|| unusable(path, value))?;
                }
                let place = place.as_object_mut().ok_or_else(|| unusable(path, value))?;
                if value.is_empty() {
                    place.remove(*last);
                    continue;
                }
                let is_text = place.get(*last).is_none_or(Value::is_string);
                let made = match is_text {
                    true => Value::String(text(value)),
                    false => serde_json::from_slice(value).map_err(|_| unusable(path, value))?,
                };
                place.insert((*last).to_owned(), made);
            }
            _ => {}
        }
    }
    Ok(record.to_string())
}

fn whole(path: &[u8], value: &[u8]) -> Result<Map<String, Value>, Fault> {
    serde_json::from_slice(value).map_err(|_| unusable(path, value))
}

fn names(path: &[u8]) -> Vec<&str> {
    path.split(|byte| *byte == 0).map(|name| str::from_utf8(name).unwrap_or_default()).collect()
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// The value is not told: it may be a secret.
fn unusable(path: &[u8], value: &[u8]) -> Fault {
    let name = names(path).join(".");
    Fault::Shape(format!("the property `{name}` cannot be set to these {} bytes", value.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pairs: &[(&str, &str)]) -> Told {
        pairs.iter().map(|(path, value)| (path.replace('.', "\0").into(), (*value).into())).collect()
    }

    #[test]
    fn a_caller_is_put_together_from_what_is_told() {
        let outcome = caller(&told(&[
            ("metadata.token", "key"),
            ("session.alias", "12"),
            ("session.rate", "5"),
            ("session.meta_data.team", "7"),
            ("session.apply_policies", r#"["gold"]"#),
            ("other.thing", "x"),
        ]))
        .unwrap();
        let session = outcome.session.unwrap();
        assert_eq!((&*session.alias, session.rate), ("12", 5.0));
        assert_eq!(
            (&session.meta_data["team"], &session.apply_policies[..]),
            (&json!("7"), &["gold".into()][..])
        );
        assert_eq!(outcome.metadata["token"], "key");
        // Fields beside the whole are laid over it.
        let outcome = caller(&told(&[("session", r#"{"alias": "a", "rate": 3}"#), ("session.alias", "b")]));
        let session = outcome.unwrap().session.unwrap();
        assert_eq!((&*session.alias, session.rate), ("b", 3.0));
        assert_eq!(caller(&told(&[("metadata.token", "key")])).unwrap().session, None);
    }

    #[test]
    fn what_is_no_session_and_no_record_is_refused_by_its_name() {
        for (path, value) in [
            ("session", "[]"),
            ("session.rate", "fast"),
            ("session.alais", "a"),
            ("session.meta_data", "3"),
            ("session.a.b.c", "3"),
        ] {
            let fault = caller(&told(&[(path, value)])).unwrap_err().to_string();
            assert!(fault.contains(&format!("`{path}`")), "{fault}");
        }
        let before = r#"{"path": "/", "response_code": 200, "latency": {"total": 1}}"#;
        for (path, value) in [
            ("record", "5"),
            ("record.response_code", "good"),
            ("record.path.more", "1"),
            ("record.none.total", "1"),
        ] {
            let fault = record(before, &told(&[(path, value)])).unwrap_err().to_string();
            assert!(fault.contains(&format!("`{path}`")), "{fault}");
        }
    }
}
