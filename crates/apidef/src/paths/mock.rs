//! Answers that stand for the backend's (contract 3.2 `mockResponse`, 3.6).

use super::example::example;
use super::reply::{Fields, Reply, fields, status};
use crate::AtPath;
use crate::at_path::{Operation, oas_with};
use crate::fields::{Field, acts, section};
use crate::oas::resolve;
use crate::section::Section;
use document::Fault;
use serde_json::Value;
use std::collections::BTreeMap;

/// `mockResponse` of an operation.
pub(crate) const OAS: &[Field] = &[
    acts("enabled"),
    acts("code"),
    acts("body"),
    acts("headers"),
    section("fromOASExamples", &[acts("enabled"), acts("code"), acts("contentType"), acts("exampleName")]),
];

/// An answer that stands for the backend's.
#[derive(Debug, Clone, PartialEq)]
pub enum Mock {
    /// It is always the same.
    Fixed(Reply),
    /// It is chosen from what the document says of answers.
    Examples(Examples),
}

/// What the document says of the answers of an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Examples {
    /// Status where the client asks for none.
    pub status: u16,
    /// Content type where the client asks for none.
    pub content_type: Box<str>,
    /// Name of an example where the client asks for none; empty for any.
    pub name: Box<str>,
    /// By status as it is written: `200`, `4XX`.
    pub answers: BTreeMap<Box<str>, ExampleAnswer>,
}

/// What the document says of one answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExampleAnswer {
    /// Header fields.
    pub headers: Fields,
    /// By content type.
    pub media: BTreeMap<Box<str>, ExampleMedia>,
}

/// Bodies of one content type.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExampleMedia {
    /// The one without a name, …
    pub example: Option<Value>,
    /// … those with one, …
    pub named: BTreeMap<Box<str>, Value>,
    /// … and the one that is made from the schema.
    pub made: Option<Value>,
}

/// The mocks of every operation.
pub(crate) fn read(
    root: &Section<'_>,
    middleware: &Section<'_>,
    faults: &mut Vec<Fault>,
) -> Box<[AtPath<Mock>]> {
    oas_with(root, middleware, "mockResponse", faults, |entry, operation, faults| {
        let from = entry.section("fromOASExamples", faults);
        if from.flag("enabled", faults) {
            return examples(root, &from, operation, faults).map(Mock::Examples);
        }
        let (status, headers) = (status(entry, "code", faults)?, fields(entry, "headers", faults)?);
        Some(Mock::Fixed(Reply { status, headers, body: entry.text("body", faults).into() }))
    })
}

fn examples(
    root: &Section<'_>,
    from: &Section<'_>,
    operation: &Operation<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Examples> {
    let content_type = match from.text("contentType", faults) {
        "" => "application/json",
        named => named,
    };
    let mut answers = BTreeMap::new();
    let responses = operation.operation.get("responses").and_then(Value::as_object);
    for (status, response) in responses.into_iter().flatten() {
        if let Some(response) = resolve(root, response) {
            answers.insert(status.to_ascii_uppercase().into(), answer(root, response));
        }
    }
    Some(Examples {
        status: status(from, "code", faults)?,
        content_type: content_type.into(),
        name: from.text("exampleName", faults).into(),
        answers,
    })
}

fn answer(root: &Section<'_>, response: &Value) -> ExampleAnswer {
    let members = |key: &str| response.get(key).and_then(Value::as_object).into_iter().flatten();
    let mut headers = Vec::new();
    for (name, header) in members("headers") {
        let Some(header) = resolve(root, header) else { continue };
        let schema = header.get("schema").and_then(|schema| resolve(root, schema));
        let of_schema = || schema.and_then(|schema| schema.get("example").or(schema.get("default")));
        let text = match header.get("example").or_else(of_schema) {
            Some(Value::String(text)) => text.clone(),
            None | Some(Value::Null) => continue,
            Some(other) => other.to_string(),
        };
        // What cannot stand in a header is left out: it is an example, not a setting.
        headers.extend(super::reply::field(name, &text.into(), String::new(), &mut Vec::new()));
    }
    let mut media = BTreeMap::new();
    for (kind, content) in members("content") {
        let examples = content.get("examples").and_then(Value::as_object);
        let named = examples.into_iter().flatten().filter_map(|(name, example)| {
            Some((name.as_str().into(), resolve(root, example)?.get("value")?.clone()))
        });
        media.insert(
            kind.as_str().into(),
            ExampleMedia {
                example: content.get("example").cloned(),
                named: named.collect(),
                made: content.get("schema").map(|schema| example(root, schema)),
            },
        );
    }
    ExampleAnswer { headers: headers.into(), media }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn c3_6_row_3_answers_of_a_document() {
        let document = json!({
            "paths": {"/a": {"get": {"operationId": "a", "responses": {
                "200": {"$ref": "#/components/responses/Ok"},
                "4xx": {"description": "no", "content": {"text/plain": {"example": "no"}}},
            }}, "put": {"operationId": "b"}}},
            "components": {"responses": {"Ok": {
                "headers": {
                    "X-One": {"schema": {"type": "integer", "example": 1}},
                    "X-None": {"schema": {"type": "integer"}},
                    "X-Bad": {"example": "a\nb"},
                },
                "content": {"application/json": {
                    "examples": {"z": {"value": 1}, "b": {"value": {"x": 2}}, "c": {"externalValue": "http://x"}},
                    "schema": {"type": "string"},
                }},
            }}},
            "m": {"operations": {
                "a": {"mockResponse": {"enabled": true, "fromOASExamples": {"enabled": true, "exampleName": "b"}}},
                "b": {"mockResponse": {"enabled": true, "code": 404, "body": "x", "headers": [{"name": "a", "value": "b"}]}},
            }},
        });
        let mut faults = Vec::new();
        let root = Section::root(&document, &mut faults);
        let middleware = root.section("m", &mut faults);
        let mocks = read(&root, &middleware, &mut faults);
        assert_eq!(faults, []);
        let [a, b] = &*mocks else { panic!("{mocks:?}") };
        let headers: Fields = [("a".into(), "b".into())].into();
        assert_eq!(b.value, Mock::Fixed(Reply { status: 404, headers, body: "x".into() }));
        let Mock::Examples(examples) = &a.value else { panic!("{a:?}") };
        assert_eq!(
            (examples.status, &*examples.content_type, &*examples.name),
            (200, "application/json", "b")
        );
        let ok = &examples.answers["200"];
        assert_eq!(*ok.headers, [("X-One".into(), "1".into())]);
        let media = &ok.media["application/json"];
        assert_eq!(media.named.keys().map(|name| &**name).collect::<Vec<_>>(), ["b", "z"]);
        assert_eq!((&media.example, &media.made), (&None, &Some(json!("string"))));
        assert_eq!(examples.answers["4XX"].media["text/plain"].example, Some(json!("no")));
    }
}
