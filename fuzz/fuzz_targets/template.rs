//! Any text is either refused with faults that lie within it, or a template; one without queries gives itself back.

#![no_main]

use bloblang::{Environment, Template};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Template::parse(&Environment::pure(), text) {
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in faults {
                assert!(fault.line >= 1 && fault.column >= 1 && fault.length >= 1);
                assert!(fault.line as usize <= text.matches('\n').count() + 1);
            }
        }
        Ok(template) => {
            if !text.contains("${") {
                assert_eq!(template.as_static(), Some(text));
            }
        }
    }
});
