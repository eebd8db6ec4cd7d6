//! The `json_schema` processor (streams contract 3.7).

use bloblang::formats::json_schema::{JsonSchema, Mismatch};
use document::Fault;
use streams::{BuildContext, Default, Field, Kind, Message, Node, Processor, ProcessorSpec};

use crate::each::Change;
use crate::schemas::{SCHEMA_PATH, by_schema};

pub(crate) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "json_schema",
    summary: "Checks messages against a JSON schema (drafts 4 to 2020-12, 7 where it names none). Those that fit are passed on as they are, the others are flagged with all that is wrong: a line for each fault, with the JSON pointer of its place first.",
    config: Kind::Object(&[Field::new("schema", Kind::Text, Default::Text(""), "The schema."), SCHEMA_PATH]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    by_schema(node, context, |text| {
        let schema = JsonSchema::parse(text);
        schema.map(Check).map_err(|fault| format!("the JSON schema cannot be used: {fault}"))
    })
}

struct Check(JsonSchema);

impl Change for Check {
    fn change(&self, message: &mut Message) -> Result<(), String> {
        let value = message.value().map_err(|fault| format!("json_schema: {fault}"))?;
        told(&self.0.check(value))
    }
}

/// Mismatches as the text of a fault.
pub(crate) fn told(mismatches: &[Mismatch]) -> Result<(), String> {
    if mismatches.is_empty() {
        return Ok(());
    }
    let lines = mismatches.iter().map(|Mismatch { pointer, reason }| {
        format!("{} {reason}", if pointer.is_empty() { "(root)" } else { pointer })
    });
    Err(lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{built, one};

    #[tokio::test]
    async fn messages_are_checked_and_stay_as_they_are() {
        let schema =
            r#"{"type":"object","properties":{"a":{"items":{"type":"integer"}},"b~":{"maximum":5}}}"#;
        for (payload, expected) in [
            (r#"{ "a": [1, 2.0] }"#, r#"{ "a": [1, 2.0] }"#),
            (r#"{"a":[1,"x"]}"#, r#"{"a":[1,"x"]}!/a/1 "x" is not of type "integer""#),
            (
                r#"{"a":[null],"b~":7}"#,
                "{\"a\":[null],\"b~\":7}!/a/0 null is not of type \"integer\"\n/b~0 7 is greater than the maximum of 5",
            ),
            ("5", r#"5!(root) 5 is not of type "object""#),
            ("{", "{!json_schema: parse as json: EOF while parsing an object at line 1 column 1"),
        ] {
            let made = one(json!({"json_schema": {"schema": schema}}), payload).await;
            assert_eq!(made, expected, "{payload}");
        }
    }

    #[test]
    fn wrong_schemas_are_refused() {
        for (config, expected) in [
            (json!({}), "one of `schema` and `schema_path` is required"),
            (json!({"schema": "{"}), "/json_schema/schema: the JSON schema cannot be used"),
            (
                json!({"schema": r#"{"type":"nothing"}"#}),
                "/json_schema/schema: the JSON schema cannot be used",
            ),
            (json!({"schema": r#"{"$ref":"http://127.0.0.1:9/x"}"#}), "nothing is fetched"),
            (json!({"schema_path": "ftp://127.0.0.1:9/x"}), "must begin with `file://`"),
            (json!({"schema_path": "file:///etc/hostname"}), "reading files is not allowed here"),
        ] {
            let fault = built(&json!({"json_schema": config})).unwrap_err();
            assert!(fault.contains(expected), "{fault}");
        }
    }
}
