//! Any text as a template of a component, and another as a configuration that may use it: faults or a component, never a panic.

#![no_main]

use std::sync::Arc;

use bloblang::Environment;
use document::{Document, Format};
use libfuzzer_sys::fuzz_target;
use streams::{Registry, Settings, Template, Templates, check_text};

fuzz_target!(|input: (&str, &str)| {
    let (template, config) = input;
    let mut settings = Settings::new(Registry::standard());
    settings.environment = Environment::pure().limited(100_000, 1 << 24);
    let Ok(document) = Document::parse(template, Format::Yaml) else { return };
    match Template::read(&document, &settings) {
        Err(faults) => assert!(!faults.is_empty()),
        Ok((template, _)) => {
            let _ = template.test(&document, &settings);
            let mut templates = Templates::default();
            assert!(templates.add(template).is_ok());
            settings.templates = Arc::new(templates);
            let _ = check_text("fuzz", config, Format::Yaml, &settings);
        }
    }
});
