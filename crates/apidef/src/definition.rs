//! A definition: the model, the text it came from, and what was noticed on the way.

use crate::limits::OWN;
use crate::references::{Lookup, Nobody, Resolved, Seal, resolve};
use crate::section::Section;
use crate::{Api, Secret, beyond, classic, keys, mcp, oas};
use document::{Document, Fault, Format};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which format a definition was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Tyk classic.
    Classic,
    /// OpenAPI with `x-tyk-api-gateway`.
    Oas,
}

/// One API as it was defined.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The model.
    pub api: Arc<Api>,
    /// The format of `text`.
    pub source: Source,
    /// Compact JSON, otherwise as given: unknown keys are kept.
    pub text: Arc<str>,
    /// Of `text`: equal content, equal digest.
    pub digest: u64,
    /// Which values kept elsewhere it was read with. The text holds the references, the model the values.
    pub seal: Seal,
    /// What is kept without effect, or surprises; each with its place in the text as it was given.
    pub warnings: Vec<Fault>,
    /// Where values kept elsewhere stand; `None` where there are none.
    resolved: Option<Arc<Resolved>>,
}

/// What came of reading a definition, and which values kept elsewhere that depends on.
pub type Read = (Result<Definition, Vec<Fault>>, Seal);

impl Definition {
    /// Reads either format, told apart by `openapi` and `x-tyk-api-gateway`. Of values that are kept elsewhere nothing is
    /// known.
    pub fn parse(text: &str) -> Result<Definition, Vec<Fault>> {
        Self::read(text, None, &Nobody).0
    }

    /// Reads a classic definition (contract 2). Every fault has a pointer and a place.
    pub fn parse_classic(text: &str) -> Result<Definition, Vec<Fault>> {
        Self::read(text, Some(Source::Classic), &Nobody).0
    }

    /// Reads an OpenAPI definition (contract 3). Every fault has a pointer and a place.
    pub fn parse_oas(text: &str) -> Result<Definition, Vec<Fault>> {
        Self::read(text, Some(Source::Oas), &Nobody).0
    }

    /// Reads a definition in the format that is named, or else in either, with values that are kept elsewhere.
    pub fn read(text: &str, source: Option<Source>, lookup: &dyn Lookup) -> Read {
        let document = match read(text) {
            Ok(document) => document,
            Err(faults) => return (Err(faults), Seal::default()),
        };
        let is_oas = |key| document.value().get(key).is_some();
        let source = source.unwrap_or_else(|| {
            if is_oas("openapi") || is_oas(oas::EXTENSION) || is_oas(oas::STREAMING) {
                Source::Oas
            } else {
                Source::Classic
            }
        });
        let mut faults = document.repeated_keys();
        let (value, resolved) = if may_refer(text) {
            let mut value = document.value().clone();
            let resolved = resolve(&mut value, lookup, &mut faults);
            (Some(value), resolved)
        } else {
            (None, Resolved::default())
        };
        let seal = Seal::of(resolved.references.clone(), lookup);
        let value = value.as_ref().unwrap_or_else(|| document.value());
        (Self::build(&document, value, source, faults, resolved, &seal), seal)
    }

    fn build(
        document: &Document,
        value: &Value,
        source: Source,
        mut faults: Vec<Fault>,
        resolved: Resolved,
        seal: &Seal,
    ) -> Result<Definition, Vec<Fault>> {
        let unresolved: Vec<String> =
            faults.iter().filter(|fault| fault.is_error()).map(|fault| fault.pointer.clone()).collect();
        let api = match source {
            Source::Classic => classic::read(value, &mut faults),
            Source::Oas => oas::read(value, &mut faults),
        };
        if !resolved.references.is_empty() {
            // What is said of a reference as if it were the value itself misleads.
            let told = |fault: &Fault| fault.message.starts_with("there is no value for ");
            faults.retain(|fault| !unresolved.contains(&fault.pointer) || told(fault));
            faults.retain(|fault| !resolved.unknown.contains(&fault.pointer));
            faults.iter_mut().for_each(|fault| resolved.cover_fault(fault));
            if let (None, Some(pointer)) = (&api, resolved.unknown.first())
                && !faults.iter().any(Fault::is_error)
            {
                let told =
                    "this is kept elsewhere and not known here; without it the definition cannot be read";
                faults.push(Fault::error(pointer.as_str(), told));
            }
        }
        document.locate(&mut faults);
        // A wrong type is noticed by the table and by who reads the value.
        faults.sort_by_cached_key(|fault| {
            (!fault.is_error(), fault.place.map(|place| (place.line, place.column)), fault.pointer.clone())
        });
        faults.dedup_by(|a, b| a.pointer == b.pointer && a.message == b.message);
        match api {
            Some(api) if !faults.iter().any(Fault::is_error) => {
                let text: Arc<str> = compact(document.text()).into();
                let (digest, _) = keys::murmur3_x64_128(text.as_bytes());
                faults.shrink_to_fit();
                let (api, seal) = (Arc::new(api), seal.clone());
                let resolved = (!resolved.references.is_empty()).then(|| Arc::new(resolved));
                Ok(Definition { api, source, text, digest, seal, warnings: faults, resolved })
            }
            _ => Err(faults),
        }
    }

    /// The classic projection (contract 3.2): of a classic definition itself, of an OpenAPI one what is acted on, with
    /// references in place of their values.
    pub fn classic(&self) -> Value {
        match self.source {
            // The text was read before; were it not JSON, this would be null.
            Source::Classic => serde_json::from_str(&self.text).unwrap_or_default(),
            Source::Oas => {
                let mut written = classic::write(&self.api);
                // The text was read before.
                let given: Value = serde_json::from_str(&self.text).unwrap_or_default();
                beyond::project(&self.api, &given, &mut written);
                if let Some(resolved) = &self.resolved {
                    resolved.cover_all(&mut written);
                }
                written
            }
        }
    }

    /// The classic projection with every key that the format has, as clients of the original are given it (contract 2).
    pub fn whole_classic(&self) -> Value {
        let mut written = self.classic();
        classic::whole(&mut written);
        written
    }

    /// Whether it says the same as another, with the same values.
    pub fn is_same(&self, other: &Definition) -> bool {
        self.digest == other.digest && self.seal == other.seal
    }

    /// What `$secret_…` in its texts stand for, by their names without that mark (`vault.path.field`).
    pub fn secrets(&self) -> Option<&BTreeMap<String, Secret>> {
        self.resolved.as_ref().map(|resolved| &resolved.secrets).filter(|secrets| !secrets.is_empty())
    }

    /// Puts references in the place of values that a fault tells.
    pub fn cover(&self, fault: &mut Fault) {
        if let Some(resolved) = &self.resolved {
            resolved.cover_fault(fault);
        }
    }
}

/// The digest that a definition of this text has.
pub fn digest(text: &str) -> u64 {
    keys::murmur3_x64_128(compact(text).as_bytes()).0
}

/// Whether a text may hold references: most do not, and are not walked through. Escapes may hide them.
fn may_refer(text: &str) -> bool {
    const MARKS: [&str; 9] =
        ["env://", "secrets://", "consul://", "vault://", "file://", "kv://", "$kv{", "secret_", "\\"];
    MARKS.iter().any(|mark| text.contains(mark))
}

fn read(text: &str) -> Result<Document, Vec<Fault>> {
    Document::parse(text, Format::Json).map_err(|fault| vec![fault])
}

/// Gives a definition an identity if it has none, as creating without one does (contract 2.1 `api_id`).
///
/// Returns the text unchanged when it has one. The text may then still be refused by [`Definition::parse`].
pub fn with_id(text: &str, id: &str) -> Result<String, Vec<Fault>> {
    let mut value = read(text)?.into_value();
    let (holder, key) = if value.get("openapi").is_some() || value.get(oas::EXTENSION).is_some() {
        (value.pointer_mut("/x-tyk-api-gateway/info"), "id")
    } else {
        (Some(&mut value), "api_id")
    };
    let Some(holder) = holder.and_then(Value::as_object_mut) else { return Ok(text.to_owned()) };
    match holder.get(key) {
        None | Some(Value::Null) => {}
        Some(Value::String(id)) if id.is_empty() => {}
        Some(_) => return Ok(text.to_owned()),
    }
    holder.insert(key.to_owned(), Value::from(id));
    Ok(value.to_string())
}

/// Says in an OpenAPI document that it speaks MCP, unless it does so already.
///
/// Returns the text unchanged when it does, or is no document; it may then still be refused by [`Definition::parse`].
pub fn as_mcp(text: &str) -> String {
    let Ok(mut value) = read(text).map(Document::into_value) else { return text.to_owned() };
    if !value.is_object() || mcp::speaks(&Section::root(&value, &mut Vec::new()), &mut Vec::new()) {
        return text.to_owned();
    }
    // Where nothing of ours is there yet, what stands in the text stays where it stands, for whoever is told of it.
    if value.get(OWN).is_none()
        && let Some((before, "")) = text.trim_end().rsplit_once('}')
    {
        let comma = if value.as_object().is_some_and(|members| members.is_empty()) { "" } else { "," };
        return format!("{}{comma}\"{OWN}\":{{\"mcp\":{{\"enabled\":true}}}}}}", before.trim_end());
    }
    if !value[OWN].is_object() {
        value[OWN] = json!({});
    }
    value[OWN]["mcp"] = json!({"enabled": true});
    value.to_string()
}

/// JSON without the white space between its tokens. `text` was read before.
fn compact(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}');
    let mut out = String::with_capacity(text.len());
    let (mut start, mut in_string, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
        } else if byte == b'"' {
            in_string = true;
        } else if byte.is_ascii_whitespace() {
            out.push_str(&text[start..at]);
            start = at + 1;
        }
    }
    out.push_str(&text[start..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_text_keeps_strings_and_numbers() {
        assert_eq!(
            compact(" { \"a b\" : [ 1.50 ,\n \" \\\" x\\\\\" , é1 ] }\n"),
            "{\"a b\":[1.50,\" \\\" x\\\\\",é1]}"
        );
    }

    #[test]
    fn a_document_speaks_mcp_once() {
        for (text, expected) in [
            (r#"{"a": 1}  "#, r#"{"a": 1,"x-sluicegate":{"mcp":{"enabled":true}}}"#),
            ("{ }", r#"{"x-sluicegate":{"mcp":{"enabled":true}}}"#),
            (
                r#"{"x-sluicegate":{"graphql":{}}}"#,
                r#"{"x-sluicegate":{"graphql":{},"mcp":{"enabled":true}}}"#,
            ),
            (
                r#"{"x-sluicegate": {"mcp": {"enabled": true}}}"#,
                r#"{"x-sluicegate": {"mcp": {"enabled": true}}}"#,
            ),
            ("[]", "[]"),
            ("{", "{"),
        ] {
            assert_eq!(as_mcp(text), expected, "{text}");
        }
        let says = r#"{"x-tyk-api-gateway":{"middleware":{"mcpTools":{"a":{}}}}}"#;
        assert_eq!(as_mcp(says), says);
    }

    #[test]
    fn an_identity_is_given_once() {
        let cases = [
            (r#"{"name":"n"}"#, r#"{"name":"n","api_id":"new"}"#),
            (r#"{"api_id":"","b":1.50}"#, r#"{"api_id":"new","b":1.5}"#),
            (r#"{ "api_id": "old" }"#, r#"{ "api_id": "old" }"#),
            (
                r#"{"openapi":"3.0.3","x-tyk-api-gateway":{"info":{"name":"n"}}}"#,
                r#"{"openapi":"3.0.3","x-tyk-api-gateway":{"info":{"name":"n","id":"new"}}}"#,
            ),
            (r#"{"openapi":"3.0.3"}"#, r#"{"openapi":"3.0.3"}"#),
            (r#"[]"#, r#"[]"#),
        ];
        for (text, expected) in cases {
            assert_eq!(with_id(text, "new").as_deref(), Ok(expected), "{text}");
        }
        assert!(with_id("{", "new").is_err());
    }
}
