//! What the gate itself answers to calls of MCP, where tools are made of an API: what it is, its tools, and what came of a call.

use apidef::{Tool, ToolHints};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// Versions of the protocol that are spoken, the newest last.
pub const VERSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// The answer to a call, as JSON; `id` as in [`crate::Call`], `result` is JSON.
pub fn result(id: &str, result: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}")
}

/// Whoever begins is told who answers, and in which version: the one that was asked for, or the newest.
pub fn initialized(asked: &Value, name: &str, version: &str) -> String {
    let asked = asked.get("protocolVersion").and_then(Value::as_str);
    let spoken = asked.filter(|asked| VERSIONS.contains(asked)).unwrap_or(VERSIONS[VERSIONS.len() - 1]);
    json!({
        "protocolVersion": spoken,
        "capabilities": {"tools": {}},
        "serverInfo": {"name": name, "version": version},
    })
    .to_string()
}

/// All tools, as they are listed.
pub fn listed<'t>(tools: impl Iterator<Item = &'t Tool>) -> String {
    json!({"tools": tools.map(shown).collect::<Vec<_>>()}).to_string()
}

fn shown(tool: &Tool) -> Value {
    let mut shown = json!({"name": tool.name, "description": tool.description, "inputSchema": tool.input});
    // Clients refuse answers that do not fit, so that only what the API itself holds them to is told.
    if let Some(output) = tool.output.as_ref().filter(|_| tool.answers_checked) {
        shown["outputSchema"] = output.clone();
    }
    let hints = hints(&tool.hints);
    if !hints.is_empty() {
        shown["annotations"] = Value::Object(hints);
    }
    shown
}

fn hints(hints: &ToolHints) -> Map<String, Value> {
    let mut all = Map::new();
    if let Some(title) = &hints.title {
        all.insert("title".to_owned(), (**title).into());
    }
    for (name, hint) in [
        ("readOnlyHint", hints.read_only),
        ("destructiveHint", hints.destructive),
        ("idempotentHint", hints.idempotent),
        ("openWorldHint", hints.open_world),
    ] {
        if let Some(hint) = hint {
            all.insert(name.to_owned(), hint.into());
        }
    }
    all
}

/// What came of a call, in words.
pub fn told(text: &str, is_error: bool) -> String {
    json!({"content": [{"type": "text", "text": text}], "isError": is_error}).to_string()
}

/// An answer of the API that is text; `structured` where it is documented as JSON: then an object is told as such as well, with
/// its numbers as they are written.
pub fn answered(text: &str, structured: bool) -> String {
    let object = serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get);
    let object = object.filter(|object| structured && object.starts_with('{'));
    let told = json!([{"type": "text", "text": text}]);
    match object {
        Some(object) => format!("{{\"content\":{told},\"structuredContent\":{object},\"isError\":false}}"),
        None => format!("{{\"content\":{told},\"isError\":false}}"),
    }
}

/// An answer that is a picture (`image`) or a sound (`audio`), in base64.
pub fn pictured(kind: &str, media: &str, data: &str) -> String {
    json!({"content": [{"type": kind, "data": data, "mimeType": media}], "isError": false}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_begins_is_answered_in_its_version() {
        for (asked, spoken) in [
            (json!({"protocolVersion": "2025-03-26"}), "2025-03-26"),
            (json!({"protocolVersion": "1999-01-01"}), "2025-11-25"),
            (json!({}), "2025-11-25"),
            (json!(null), "2025-11-25"),
        ] {
            let told: Value = serde_json::from_str(&initialized(&asked, "n", "1")).unwrap();
            assert_eq!(told["protocolVersion"], spoken, "{asked}");
        }
    }

    #[test]
    fn answers_keep_their_numbers() {
        let text = "{ \"a\": 1.50, \"b\": 12345678901234567890123 }\n";
        let told = answered(text, true);
        assert!(
            told.contains("\"structuredContent\":{ \"a\": 1.50, \"b\": 12345678901234567890123 }"),
            "{told}"
        );
        for (text, structured) in [("{\"a\":1}", false), ("[1]", true), ("{", true), ("", true)] {
            let told: Value = serde_json::from_str(&answered(text, structured)).unwrap();
            assert_eq!(told, json!({"content": [{"type": "text", "text": text}], "isError": false}));
        }
        assert_eq!(result("\"a\"", "{}"), r#"{"jsonrpc":"2.0","id":"a","result":{}}"#);
    }
}
