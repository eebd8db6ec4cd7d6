//! What tests of several modules share.

use std::sync::Arc;

use bloblang::{Environment, File, Files};
use serde_json::{Value as Json, json};
use streams::{Batch, Message, Processors, Registry, Settings};

pub(crate) fn settings() -> Settings {
    let mut registry = Registry::standard();
    crate::register(&mut registry);
    Settings::new(registry)
}

/// The same, with these files for streams to read, by their paths.
pub(crate) fn with_files(files: &[(&'static str, &'static str)]) -> Settings {
    let files = Arc::new(Memory(files.to_vec()));
    Settings { environment: Environment::pure().with_files(files), ..settings() }
}

struct Memory(Vec<(&'static str, &'static str)>);

impl Files for Memory {
    fn open(&self, path: &str, _: Option<&str>) -> Result<File, String> {
        let found = self.0.iter().find(|(name, _)| *name == path);
        let (_, text) = found.ok_or("there is none")?;
        Ok(File { name: path.to_owned(), content: text.as_bytes().into() })
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, String> {
        let below = |path: &str| path.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned);
        let names: Vec<String> = self.0.iter().filter_map(|(path, _)| below(path)).collect();
        if names.is_empty() { Err("there is none".to_owned()) } else { Ok(names) }
    }
}

/// Lints and builds a stream with this processor.
pub(crate) fn built(processor: &Json) -> Result<(), String> {
    built_under(&settings(), processor)
}

/// As [`built`], under these settings.
pub(crate) fn built_under(settings: &Settings, processor: &Json) -> Result<(), String> {
    let stream = json!({
        "input": { "generate": { "mapping": "root = {}", "count": 1 } },
        "pipeline": { "processors": [processor] },
        "output": { "drop": {} },
    });
    match streams::build("test", &stream, "", settings) {
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
    told(&messages_of(&settings(), processors, messages).await)
}

/// Payloads, each with what it is flagged with.
pub(crate) fn told(messages: &[Message]) -> Vec<String> {
    messages
        .iter()
        .map(|message| {
            let flag = message.error().map(|fault| format!("!{fault}")).unwrap_or_default();
            format!("{}{flag}", String::from_utf8_lossy(message.bytes()))
        })
        .collect()
}

/// What processors make of messages.
pub(crate) async fn messages_of(settings: &Settings, processors: &Json, messages: Batch) -> Vec<Message> {
    let processors = Processors::build(processors, "", settings)
        .unwrap_or_else(|fault| panic!("{}: {}", fault.pointer, fault.message));
    processors.run(messages).await.into_iter().flatten().collect()
}

/// What one processor makes of one payload.
pub(crate) async fn one(processor: Json, payload: &str) -> String {
    processed(&Json::Array(vec![processor]), vec![Message::new(payload.to_owned())]).await.join("\n")
}
