//! Any jq program is refused, or ends on any document: the first line is the document, the rest the program.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use streams::{Message, Processors, Registry, Settings};

static SETTINGS: LazyLock<Settings> = LazyLock::new(|| {
    let mut registry = Registry::standard();
    codecs::register(&mut registry);
    Settings::new(registry)
});

fuzz_target!(|text: &str| {
    let (document, program) = text.split_once('\n').unwrap_or(("null", text));
    let list = json!([{ "jq": { "query": program } }]);
    let Ok(processors) = Processors::build(&list, "", &SETTINGS) else { return };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
    let made = runtime.block_on(processors.run(vec![Message::new(document.to_owned())]));
    for message in made.iter().flatten().filter(|message| message.error().is_none()) {
        assert!(message.value().is_ok(), "{:?}", message.value());
    }
});
