//! Any line is refused as it was, or becomes an object with a priority.

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

fuzz_target!(|line: &[u8]| {
    for format in ["syslog_rfc5424", "syslog_rfc3164"] {
        for best_effort in [true, false] {
            let list = json!([{ "parse_log": { "format": format, "best_effort": best_effort } }]);
            let Ok(processors) = Processors::build(&list, "", &SETTINGS) else { return };
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
            let made = runtime.block_on(processors.run(vec![Message::new(line.to_vec())]));
            for message in made.iter().flatten() {
                match message.error() {
                    Some(_) => assert_eq!(&message.bytes()[..], line),
                    None => assert!(message.value().is_ok_and(|value| value.get("priority").is_some())),
                }
            }
        }
    }
});
