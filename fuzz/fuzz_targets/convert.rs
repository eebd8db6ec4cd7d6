//! A definition in its other format is a definition, and the way back ends; never a panic.
#![no_main]

use apidef::{Definition, convert};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(converted) = convert(text, None) {
        let there = converted.definition.to_string();
        Definition::parse(&there).expect("what was converted is a definition");
        let _ = convert(&there, None);
        for (_, version) in converted.versions {
            Definition::parse(&version.to_string()).expect("so is each of its versions");
        }
    }
});
