//! Any two texts as bodies that the API of streams mode takes, a configuration and a patch of it: faults or a configuration, never a
//! panic; a patch that was merged changes nothing when it is merged again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use streams::{Registry, Settings, lint, locate, merge_patch, read_body};

fuzz_target!(|input: (&str, &str, bool)| {
    let (text, patch, lenient) = input;
    let Ok(document) = read_body(text) else { return };
    let mut settings = Settings::new(Registry::standard());
    settings.lenient = lenient;
    let mut faults = document.repeated_keys();
    faults.extend(lint(document.value(), "", &settings));
    locate(&document, &mut faults);
    let Ok(patch) = read_body(patch) else { return };
    let mut merged = document.value().clone();
    merge_patch(&mut merged, patch.value());
    let _ = lint(&merged, "", &settings);
    let once = merged.clone();
    merge_patch(&mut merged, patch.value());
    assert_eq!(merged, once);
});
