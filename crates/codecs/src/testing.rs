//! What tests of several modules share.

use serde_json::{Value as Json, json};
use streams::{Batch, Message, Processors, Registry, Settings};

pub(crate) fn settings() -> Settings {
    let mut registry = Registry::standard();
    crate::register(&mut registry);
    Settings::new(registry)
}

/// Lints and builds a stream with this processor.
pub(crate) fn built(processor: &Json) -> Result<(), String> {
    let stream = json!({
        "input": { "generate": { "mapping": "root = {}", "count": 1 } },
        "pipeline": { "processors": [processor] },
        "output": { "drop": {} },
    });
    match streams::build("test", &stream, "", &settings()) {
        Ok(_) => Ok(()),
        Err(faults) => Err(faults
            .iter()
            .map(|fault| format!("{}: {}", fault.pointer, fault.message))
            .collect::<Vec<_>>()
            .join("\n")),
    }
}

/// What processors make of messages: payloads, each with what it is flagged with.
pub(crate) async fn processed(processors: &Json, messages: Batch) -> Vec<String> {
    messages_of(processors, messages)
        .await
        .iter()
        .map(|message| {
            let flag = message.error().map(|fault| format!("!{fault}")).unwrap_or_default();
            format!("{}{flag}", String::from_utf8_lossy(message.bytes()))
        })
        .collect()
}

/// What processors make of messages.
pub(crate) async fn messages_of(processors: &Json, messages: Batch) -> Vec<Message> {
    let settings = settings();
    let processors = Processors::build(processors, "", &settings)
        .unwrap_or_else(|fault| panic!("{}: {}", fault.pointer, fault.message));
    processors.run(messages).await.into_iter().flatten().collect()
}

/// What one processor makes of one payload.
pub(crate) async fn one(processor: Json, payload: &str) -> String {
    processed(&Json::Array(vec![processor]), vec![Message::new(payload.to_owned())]).await.join("\n")
}
