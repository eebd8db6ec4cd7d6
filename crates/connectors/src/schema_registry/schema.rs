//! From what the registry answers to what reads and writes messages.

use bloblang::{Mapping, Root};
use codecs::registry::{Codec, Language};
use serde_json::Value as Json;
use streams::{Message, View};

use super::client::Found;

/// What is done to schemas of Avro before they are used.
#[derive(Debug, Clone, Default)]
pub(super) struct Change {
    pub(super) mapping: Option<Mapping>,
    pub(super) sanitize: bool,
}

/// Reads a schema, on a thread where that may take long.
pub(super) async fn compile(found: Found, change: Change) -> Result<Codec, String> {
    let compiled = tokio::task::spawn_blocking(move || {
        let Found { id, language, mut text, mut references } = found;
        if language == Language::Avro {
            for text in references.iter_mut().map(|reference| &mut reference.text).chain([&mut text]) {
                change.apply(text).map_err(|fault| format!("the schema {id}: {fault}"))?;
            }
        }
        Codec::new(language, &text, &references)
            .map_err(|fault| format!("the schema {id} cannot be used: {fault}"))
    });
    compiled.await.map_err(|_| "the schema cannot be used".to_owned())?
}

impl Change {
    fn apply(&self, text: &mut String) -> Result<(), String> {
        if let Some(mapping) = &self.mapping {
            let batch = [Message::new(text.clone())];
            match mapping.apply(&View(&batch), 0).map_err(|fault| fault.to_string())?.root {
                Root::Unchanged => {}
                Root::Deleted => return Err("`mapping` deletes it".to_owned()),
                Root::Value(value) => *text = value.to_json(),
            }
        }
        if self.sanitize
            && let Ok(mut schema) = serde_json::from_str(text)
        {
            sanitize(&mut schema);
            *text = schema.to_string();
        }
        Ok(())
    }
}

/// Makes names of what stands where a schema has names.
fn sanitize(schema: &mut Json) {
    match schema {
        Json::String(name) => {
            *name = name.chars().map(|letter| if allowed(letter) { letter } else { '_' }).collect();
        }
        Json::Array(branches) => branches.iter_mut().for_each(sanitize),
        Json::Object(parts) => {
            for part in ["namespace", "type", "items", "values"] {
                if let Some(part) = parts.get_mut(part) {
                    sanitize(part);
                }
            }
            // A name with dots has its namespace in itself.
            if let Some(Json::String(name)) = parts.get_mut("name")
                && let Some((space, own)) = name.rsplit_once('.')
            {
                let mut space = Json::from(space);
                sanitize(&mut space);
                *name = format!("{}.{own}", space.as_str().unwrap_or_default());
            }
            if let Some(Json::Array(fields)) = parts.get_mut("fields") {
                fields.iter_mut().for_each(sanitize);
            }
        }
        _ => {}
    }
}

fn allowed(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.')
}

#[cfg(test)]
mod tests {
    use super::Change;

    #[test]
    fn namespaces_become_names() {
        for (schema, expected) in [
            (
                r#"{"namespace":"a-b.c","name":"R","doc":"x-y"}"#,
                r#"{"namespace":"a_b.c","name":"R","doc":"x-y"}"#,
            ),
            (
                r#"{"name":"a-b.R","fields":[{"name":"f","default":"x-y","type":["null","a-b.Q"]}]}"#,
                r#"{"name":"a_b.R","fields":[{"name":"f","default":"x-y","type":["null","a_b.Q"]}]}"#,
            ),
            (r#""a-b.R""#, r#""a_b.R""#),
        ] {
            let mut text = schema.to_owned();
            Change { mapping: None, sanitize: true }.apply(&mut text).unwrap();
            let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            assert_eq!(json(&text), json(expected));
        }
    }
}
