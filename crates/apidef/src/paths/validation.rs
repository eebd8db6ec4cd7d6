//! What an OpenAPI document says of requests and answers, where these are held to it (contract 3.2 `validateRequest`, 3.5;
//! `validateResponse` is our own).

use super::parameters::{self, Parameter};
use super::schemas::refusal;
use crate::AtPath;
use crate::at_path::oas;
use crate::fields::{Field, acts, in_use};
use crate::oas::{Converter, Operation, Side, Written, ignores_case, operations, resolve};
use crate::section::Section;
use document::{Fault, pointer_join};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// `validateRequest` of an operation.
pub(crate) const OAS_REQUEST: &[Field] = &[acts("enabled"), acts("errorResponseCode")];
/// `validateResponse` of an operation.
pub(crate) const OAS_ANSWER: &[Field] = &[acts("enabled"), acts("mode")];

/// What the requests and answers of an API have to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Validation {
    /// What the schemas of requests refer to (see [`crate::SCHEMAS`]).
    pub request_schemas: Value,
    /// The same of answers.
    pub answer_schemas: Value,
    /// Every operation of the document, also those of which nothing is asked.
    pub operations: Box<[Operation<OperationRules>]>,
    /// Statuses of refusals by patterns of paths, for requests that fit one and are no operation.
    pub guarded: Box<[AtPath<u16>]>,
    /// Upper and lower case of paths are the same.
    pub ignore_case: bool,
}

/// What is asked of one operation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OperationRules {
    /// Where its requests are looked at.
    pub request: Option<RequestRules>,
    /// Where its answers are.
    pub answers: Option<AnswerRules>,
}

/// What requests have to be.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestRules {
    /// Status of the refusal.
    pub status: u16,
    /// Their parameters, in the order in which they are looked at.
    pub parameters: Box<[Parameter]>,
    /// Their body; `None` where the document says nothing of it.
    pub body: Option<BodyRules>,
}

/// What a body has to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BodyRules {
    /// There has to be one.
    pub required: bool,
    /// By content type, with the schema where there is one; empty: anything.
    pub media: Box<[(Box<str>, Option<Value>)]>,
}

/// What answers have to be.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerRules {
    /// What is wrong is refused, not only logged.
    pub refuse: bool,
    /// By status as the document has it, upper case: `200`, `4XX`, `DEFAULT`.
    pub by_status: BTreeMap<Box<str>, BodyRules>,
}

pub(crate) fn read(
    root: &Section<'_>,
    middleware: &Section<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Box<Validation>> {
    let guarded = oas(root, middleware, "validateRequest", faults, |entry, faults| {
        refusal(entry, "errorResponseCode", faults)
    });
    let answers =
        oas(root, middleware, "validateResponse", faults, |entry, faults| match entry.text("mode", faults) {
            "" | "log" => Some(false),
            "refuse" => Some(true),
            mode => {
                let fault = Fault::error(entry.at("mode"), format!("`{mode}` is no mode of validation"));
                faults.push(fault.hint("write `log` or `refuse`"));
                None
            }
        });
    if guarded.is_empty() && answers.is_empty() {
        return None;
    }
    let configured = middleware.get("operations").and_then(Value::as_object);
    let mut requests = Converter::new(root, Side::Request);
    let mut replies = Converter::new(root, Side::Answer);
    let mut all = Vec::new();
    for operation in operations(root) {
        let on = |key: &str| {
            let section = configured.and_then(|all| all.get(&*id(&operation))?.get(key));
            section.filter(|section| section.get("enabled").is_some_and(in_use))
        };
        let request = on("validateRequest").map(|section| RequestRules {
            status: section
                .get("errorResponseCode")
                .and_then(Value::as_u64)
                .filter(|code| *code != 0)
                .unwrap_or(422) as u16,
            parameters: parameters_of(root, &operation, &mut requests, faults),
            body: body_of(root, &operation, &mut requests, faults),
        });
        let answers = on("validateResponse").map(|section| AnswerRules {
            refuse: section.get("mode").and_then(Value::as_str) == Some("refuse"),
            by_status: answers_of(root, &operation, &mut replies, faults),
        });
        all.push(operation.with(OperationRules { request, answers }));
    }
    Some(Box::new(Validation {
        request_schemas: requests.finish(),
        answer_schemas: replies.finish(),
        operations: all.into(),
        guarded,
        ignore_case: ignores_case(root, faults),
    }))
}

/// The id of an operation, as the gateway's part names it (contract 3.1, "Operation binding").
fn id(operation: &Written<'_>) -> String {
    match operation.id() {
        Some(id) if !id.is_empty() => id.to_owned(),
        _ => format!("{}{}", operation.path.trim_start_matches('/'), operation.method.to_uppercase()),
    }
}

fn parameters_of<'v>(
    root: &Section<'v>,
    operation: &Written<'v>,
    converter: &mut Converter<'_, 'v>,
    faults: &mut Vec<Fault>,
) -> Box<[Parameter]> {
    let item = root.get("paths").and_then(|paths| paths.get(operation.path));
    let of_path = item.and_then(|item| item.get("parameters"));
    let at_path = pointer_join(&pointer_join("/paths", operation.path), "parameters");
    let own = operation.object.get("parameters");
    parameters::read(
        root,
        [(of_path, at_path), (own, format!("{}/parameters", operation.pointer))],
        converter,
        faults,
    )
}

fn body_of<'v>(
    root: &Section<'v>,
    operation: &Written<'v>,
    converter: &mut Converter<'_, 'v>,
    faults: &mut Vec<Fault>,
) -> Option<BodyRules> {
    let written = operation.object.get("requestBody")?;
    let at = format!("{}/requestBody", operation.pointer);
    let Some(body) = resolve(root, written).and_then(Value::as_object) else {
        faults.push(Fault::error(at, "there is no body here, and none that this refers to"));
        return None;
    };
    let required = body.get("required") == Some(&Value::Bool(true));
    Some(BodyRules { required, media: media(body, &at, converter, faults) })
}

fn answers_of<'v>(
    root: &Section<'v>,
    operation: &Written<'v>,
    converter: &mut Converter<'_, 'v>,
    faults: &mut Vec<Fault>,
) -> BTreeMap<Box<str>, BodyRules> {
    let at = format!("{}/responses", operation.pointer);
    let written = operation.object.get("responses").and_then(Value::as_object);
    let mut answers = BTreeMap::new();
    for (status, answer) in written.into_iter().flatten() {
        let at = pointer_join(&at, status);
        match resolve(root, answer).and_then(Value::as_object) {
            Some(answer) => {
                let media = media(answer, &at, converter, faults);
                answers.insert(status.to_ascii_uppercase().into(), BodyRules { required: false, media });
            }
            None => faults.push(Fault::error(at, "there is no answer here, and none that this refers to")),
        }
    }
    answers
}

/// The schemas of `content`.
fn media<'v>(
    holder: &'v Map<String, Value>,
    at: &str,
    converter: &mut Converter<'_, 'v>,
    faults: &mut Vec<Fault>,
) -> Box<[(Box<str>, Option<Value>)]> {
    let content = holder.get("content").and_then(Value::as_object).into_iter().flatten();
    let media = content.map(|(kind, media)| {
        let at = pointer_join(&format!("{at}/content"), kind);
        let schema = media.get("schema");
        let schema = schema.map(|schema| converter.schema(schema, &format!("{at}/schema"), faults));
        (kind.trim().to_ascii_lowercase().into(), schema)
    });
    media.collect()
}

#[cfg(test)]
mod tests {
    use super::super::{ParameterPlace, ParameterStyle};
    use super::*;
    use serde_json::json;

    fn read_of(operations: Value, path: Value) -> (Option<Box<Validation>>, Vec<String>) {
        let document = json!({
            "openapi": "3.0.3",
            "paths": {"/a/{id}": path, "/free": {"get": {"operationId": "free"}}},
            "components": {
                "parameters": {"Page": {"name": "page", "in": "query", "schema": {"type": "integer"}}},
                "requestBodies": {"Pet": {"required": true, "content": {"Application/JSON": {"schema": {"type": "object"}}}}},
                "responses": {"Ok": {"content": {"application/json": {}}}},
            },
            "m": {"operations": operations},
        });
        let mut faults = Vec::new();
        let root = Section::root(&document, &mut faults);
        let middleware = root.section("m", &mut faults);
        let validation = read(&root, &middleware, &mut faults);
        (validation, faults.into_iter().map(|fault| fault.pointer).collect())
    }

    #[test]
    fn c3_5_what_a_document_says_of_requests_and_answers() {
        let path = json!({
            "parameters": [
                {"name": "id", "in": "path", "required": true, "schema": {"type": "integer"}},
                {"name": "q", "in": "query"},
            ],
            "post": {
                "parameters": [
                    {"$ref": "#/components/parameters/Page"},
                    {"name": "q", "in": "query", "style": "deepObject", "explode": true, "allowEmptyValue": true},
                    {"name": "Authorization", "in": "header"},
                    {"name": "X-J", "in": "header", "content": {"application/json": {"schema": {"type": "array"}}}},
                ],
                "requestBody": {"$ref": "#/components/requestBodies/Pet"},
                "responses": {"200": {"$ref": "#/components/responses/Ok"}, "4xx": {}},
            },
        });
        let on = json!({"a/{id}POST": {
            "validateRequest": {"enabled": true, "errorResponseCode": 400},
            "validateResponse": {"enabled": true, "mode": "refuse"},
        }});
        let (validation, faults) = read_of(on, path);
        assert!(faults.is_empty(), "{faults:?}");
        let validation = validation.unwrap();
        let [operation, free] = &*validation.operations else { panic!() };
        assert_eq!(free.value, OperationRules::default());
        let request = operation.value.request.as_ref().unwrap();
        let parameters: Vec<_> = request
            .parameters
            .iter()
            .map(|one| (&*one.name, one.place, one.required, one.style, one.explode))
            .collect();
        use ParameterPlace::{Header, Path, Query};
        assert_eq!(
            parameters,
            [
                ("id", Path, true, Some(ParameterStyle::Simple), false),
                ("page", Query, false, Some(ParameterStyle::Form), true),
                ("q", Query, false, Some(ParameterStyle::Deep), true),
                ("X-J", Header, false, None, false),
            ]
        );
        assert_eq!(request.status, 400);
        let body = request.body.as_ref().unwrap();
        assert!(body.required);
        assert_eq!(*body.media, [("application/json".into(), Some(json!({"type": "object"})))]);
        let answers = operation.value.answers.as_ref().unwrap();
        assert!(answers.refuse);
        assert_eq!(answers.by_status.keys().map(|status| &**status).collect::<Vec<_>>(), ["200", "4XX"]);
    }

    #[test]
    fn what_cannot_be_held_to_is_told() {
        let on = json!({"o": {"validateRequest": {"enabled": true}}});
        for (operations, operation, place) in [
            (&on, json!({"parameters": [{"name": "a", "in": "body"}]}), "/parameters/0/in"),
            (&on, json!({"parameters": [{"in": "query"}]}), "/parameters/0/name"),
            (&on, json!({"parameters": [{"$ref": "#/components/parameters/No"}]}), "/parameters/0"),
            (
                &on,
                json!({"parameters": [{"name": "a", "in": "query", "style": "label"}]}),
                "/parameters/0/style",
            ),
            (&on, json!({"requestBody": {"$ref": "#/x"}}), "/requestBody"),
            (
                &on,
                json!({"requestBody": {"content": {"a/b": {"schema": {"$ref": "http://h/"}}}}}),
                "/requestBody/content/a~1b/schema/$ref",
            ),
        ] {
            let mut operation = operation;
            operation["operationId"] = json!("o");
            let (_, faults) = read_of(operations.clone(), json!({"post": operation}));
            assert_eq!(faults, [format!("/paths/~1a~1{{id}}/post{place}")]);
        }
        for (section, place) in [
            (
                json!({"validateRequest": {"enabled": true, "errorResponseCode": 99}}),
                "validateRequest/errorResponseCode",
            ),
            (json!({"validateResponse": {"enabled": true, "mode": "maybe"}}), "validateResponse/mode"),
        ] {
            let (_, faults) = read_of(json!({"free": section}), json!({}));
            assert_eq!(faults, [format!("/m/operations/free/{place}")]);
        }
        assert!(read_of(json!({"free": {"validateRequest": {"enabled": false}}}), json!({})).0.is_none());
    }
}
