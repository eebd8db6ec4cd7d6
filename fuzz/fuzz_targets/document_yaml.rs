//! YAML text is read or refused, never a panic; every fault and pointer can be placed and shown.
#![no_main]

use document::{Document, Fault, Format, render};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Document::parse(text, Format::Yaml) {
        Ok(document) => {
            let mut faults =
                vec![Fault::error("", "x"), Fault::error("/0/a", "y"), Fault::warning("/a/0", "z").on_key()];
            document.locate(&mut faults);
            for fault in &faults {
                let _ = render("f", text, fault);
            }
            for pointer in ["", "/0", "/a"] {
                let _ = document.place_in_string(pointer, 1, 2, 3);
                let _ = document.place_in_string(pointer, 2, 1, 1);
            }
        }
        Err(fault) => drop(render("f", text, &fault)),
    }
});
