//! Bodies by content type, held to what the document says of them.

use bytes::Bytes;
use serde_json::{Map, Value};
use streams::multipart;

use super::schemas::Asked;
use super::shape::Shape;
use crate::query;

/// What a body has to be.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) required: bool,
    /// By content type; empty: it may be anything.
    pub(crate) media: Box<[(Box<str>, Option<Schema>)]>,
}

/// A schema, and what of it counts before values are made.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) shape: Shape,
    pub(crate) asked: Asked,
}

impl Content {
    /// Whether the body itself has to be looked at.
    pub(crate) fn looks_inside(&self) -> bool {
        self.required || !self.media.is_empty()
    }

    /// Holds a body, of which `kind` is the content type, to it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check(&self, kind: &str, body: &Bytes) -> Result<(), String> {
        if body.is_empty() {
            return if self.required { Err("value is required but missing".to_owned()) } else { Ok(()) };
        }
        if self.media.is_empty() {
            return Ok(());
        }
        let bare = bare_of(kind).to_ascii_lowercase();
        let schema = self.of_kind(kind, &bare).ok_or_else(|| unexpected(kind))?;
        let Some(schema) = schema else { return Ok(()) };
        let Some(value) = decoded(kind, &bare, body, &schema.shape)
            .map_err(|why| format!("failed to decode request body: {why}"))?
        else {
            return Ok(());
        };
        match schema.asked.violations(value) {
            None => Ok(()),
            Some(told) => Err(format!("doesn't match schema: {told}")),
        }
    }

    /// Holds a body that cannot be waited for to its content type.
    ///
    /// # Errors
    /// That it may not be sent.
    pub(crate) fn check_kind(&self, kind: &str) -> Result<(), String> {
        if self.media.is_empty() {
            return Ok(());
        }
        let bare = bare_of(kind).to_ascii_lowercase();
        match self.of_kind(kind, &bare).ok_or_else(|| unexpected(kind))? {
            // It would have to be read.
            Some(_) if bare.ends_with("+json") => Err("a stream is held to no schema".to_owned()),
            _ => Ok(()),
        }
    }

    /// The type itself comes before its kind, and that before any.
    fn of_kind(&self, kind: &str, bare: &str) -> Option<Option<&Schema>> {
        let group = format!("{}/*", bare.split('/').next().unwrap_or_default());
        let asked = [&*kind.trim().to_ascii_lowercase(), bare, &group, "*/*"];
        asked.iter().find_map(|asked| {
            let known = self.media.iter().find(|(known, _)| **known == **asked || bare_of(known) == *asked);
            known.map(|(_, schema)| schema.as_ref())
        })
    }
}

fn unexpected(kind: &str) -> String {
    format!("header Content-Type has unexpected value: {kind:?}")
}

fn bare_of(kind: &str) -> &str {
    kind.split(';').next().unwrap_or_default().trim()
}

/// The value that a body is; `None`: of this kind nothing can be told.
fn decoded(kind: &str, bare: &str, body: &Bytes, shape: &Shape) -> Result<Option<Value>, String> {
    if bare == "application/json" || bare == "text/json" || bare.ends_with("+json") {
        return serde_json::from_slice(body).map(Some).map_err(|why| why.to_string());
    }
    if bare == "application/x-www-form-urlencoded" {
        let text = std::str::from_utf8(body).map_err(|_| "it is not UTF-8".to_owned())?;
        let pairs: Vec<(String, String)> =
            query::pairs(text).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        return shape.object(&pairs).map(Some);
    }
    if bare == "multipart/form-data" {
        return form_data(kind, body, shape).map(Some);
    }
    if bare.starts_with("text/") {
        return Ok(Some(Value::String(String::from_utf8_lossy(body).into_owned())));
    }
    Ok(None)
}

/// Parts by name: texts, or JSON where they say so.
fn form_data(kind: &str, body: &Bytes, shape: &Shape) -> Result<Value, String> {
    let boundary = multipart::boundary(kind).ok_or("the content type names no boundary")?;
    let (mut pairs, mut rest): (Vec<(String, String)>, Map<String, Value>) = (Vec::new(), Map::new());
    for (headers, payload) in multipart::parts_with_headers(body, &boundary)? {
        let headers = String::from_utf8_lossy(headers);
        let field = |asked: &str| {
            headers.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.trim().eq_ignore_ascii_case(asked).then(|| value.trim().to_owned())
            })
        };
        let disposition = field("content-disposition").unwrap_or_default();
        if disposition.contains("\\\"") {
            // Some take this for the end of the quotes, some do not.
            return Err("a part has an escaped quote in its Content-Disposition".to_owned());
        }
        let name = parameter(&disposition, "name").ok_or("a part has no name")?;
        let is_json = field("content-type")
            .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/json"));
        if is_json || (shape.property(&name).is_object() && !shape.property(&name).is_text_as_well()) {
            let value = serde_json::from_slice(payload).map_err(|why| format!("the part `{name}`: {why}"))?;
            let is_list = shape.property(&name).is_array();
            match rest.get_mut(&name) {
                Some(Value::Array(items)) if is_list => items.push(value),
                _ if is_list && !Value::is_array(&value) => {
                    drop(rest.insert(name, Value::Array(vec![value])))
                }
                _ => drop(rest.insert(name, value)),
            }
        } else {
            pairs.push((name, String::from_utf8_lossy(payload).into_owned()));
        }
    }
    let mut value = shape.object(&pairs)?;
    if let Some(object) = value.as_object_mut() {
        object.extend(rest);
    }
    Ok(value)
}

/// A parameter of a header field: `form-data; name="a"`.
fn parameter(field: &str, asked: &str) -> Option<String> {
    // What stands in quotes ends no parameter.
    let mut quoted = false;
    let parameters = field.split(|character: char| {
        quoted ^= character == '"';
        character == ';' && !quoted
    });
    parameters.skip(1).find_map(|parameter| {
        let (name, value) = parameter.trim().split_once('=')?;
        name.trim().eq_ignore_ascii_case(asked).then(|| value.trim().trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validation::schemas::Schemas;
    use serde_json::json;

    fn content(media: &[(&str, Option<Value>)]) -> Content {
        let known = json!({});
        let mut schemas = Schemas::new(&known).unwrap();
        let media = media.iter().map(|(kind, schema)| ((*kind).into(), schema.clone()));
        let model = apidef::BodyRules { required: true, media: media.collect() };
        let content = schemas.content(&model, "", "the body");
        schemas.finish().unwrap();
        content
    }

    #[test]
    fn c3_5_row_1_bodies_by_content_type() {
        let pet = json!({
            "type": "object", "required": ["name"],
            "properties": {
                "name": {"type": "string", "minLength": 2}, "age": {"type": "integer"},
                "tags": {"type": "array", "items": {"type": "string"}}, "in": {"type": "object"},
            },
        });
        let content = content(&[
            ("application/json", Some(pet.clone())),
            ("application/x-www-form-urlencoded", Some(pet.clone())),
            ("multipart/form-data", Some(pet)),
            ("text/*", Some(json!({"type": "string", "maxLength": 3}))),
            ("image/png", None),
        ]);
        let form = "multipart/form-data; boundary=B";
        let parts = |text: &str| text.replace('\n', "\r\n");
        let good = parts(
            "--B\nContent-Disposition: form-data; name=\"name\"\n\nRex\n--B\nContent-Disposition: form-data; name=\"age\"\n\n7\n\
             --B\nContent-Disposition: form-data; name=\"in\"\nContent-Type: application/json\n\n{\"a\": 1}\n--B--\n",
        );
        let bad = parts("--B\nContent-Disposition: form-data; name=\"age\"\n\n7\n--B--\n");
        let missing = Some("doesn't match schema: Error at \"/name\": property \"name\" is missing");
        for (kind, body, told) in [
            ("application/json", r#"{"name": "Rex", "age": 7}"#, None),
            ("Application/JSON; charset=utf-8", r#"{"name": "Rex"}"#, None),
            ("application/json", "{}", missing),
            ("application/json", "", Some("value is required but missing")),
            (
                "application/json",
                "{",
                Some("failed to decode request body: EOF while parsing an object at line 1 column 1"),
            ),
            ("application/x-www-form-urlencoded", "name=Rex&age=7&tags=a&tags=b", None),
            ("application/x-www-form-urlencoded", "age=7", missing),
            (
                "application/x-www-form-urlencoded",
                "name=Rex&age=x",
                Some("failed to decode request body: value x: an invalid integer: invalid syntax"),
            ),
            (form, &good, None),
            (form, &bad, missing),
            (
                "multipart/form-data",
                &good,
                Some("failed to decode request body: the content type names no boundary"),
            ),
            ("text/plain", "abc", None),
            ("text/html", "abcd", Some("doesn't match schema: maximum string length is 3")),
            ("image/png", "\u{1}", None),
            ("image/gif", "x", Some("header Content-Type has unexpected value: \"image/gif\"")),
            ("", "x", Some("header Content-Type has unexpected value: \"\"")),
        ] {
            let checked = content.check(kind, &Bytes::copy_from_slice(body.as_bytes()));
            assert_eq!(checked.err().as_deref(), told, "{kind} {body}");
        }
    }
}
