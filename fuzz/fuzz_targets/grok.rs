//! Any grok expression is refused or makes objects of any text: the first line is the expression, the second a pattern.

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
    let mut parts = text.splitn(3, '\n');
    let mut part = || parts.next().unwrap_or_default();
    let (expression, pattern, payload) = (part(), part(), part());
    for all in [true, false] {
        let list = json!([{ "grok": {
            "expressions": [expression],
            "pattern_definitions": { "P": pattern },
            "named_captures_only": !all,
            "remove_empty_values": all,
        } }]);
        let Ok(processors) = Processors::build(&list, "", &SETTINGS) else { continue };
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let Ok(runtime) = runtime else { return };
        let made = runtime.block_on(processors.run(vec![Message::new(payload.to_owned())]));
        for message in made.iter().flatten().filter(|message| message.error().is_none()) {
            assert!(message.value().is_ok_and(|value| value.as_object().is_some()));
        }
    }
});
