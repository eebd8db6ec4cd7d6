//! Any text as a stream configuration: faults or a dry build, never a panic.

#![no_main]

use document::Format;
use libfuzzer_sys::fuzz_target;
use streams::{Registry, Settings, check_text};

fuzz_target!(|text: &str| {
    let settings = Settings::new(Registry::standard());
    for format in [Format::Json, Format::Yaml] {
        let _ = check_text("fuzz", text, format, &settings);
    }
});
