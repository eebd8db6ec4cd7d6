//! An OpenAPI definition is read or refused with the place of every fault, never a panic; its classic projection is
//! the same API.
#![no_main]

use apidef::{Backend, Definition};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Definition::parse_oas(text) {
        Ok(definition) => {
            let again =
                Definition::parse_oas(&definition.text).expect("the stored text is the same definition");
            assert_eq!((again.digest, &again.api), (definition.digest, &definition.api));
            let classic = definition.classic().to_string();
            if let Backend::Upstream(_) = definition.api.backend {
                Definition::parse_classic(&classic).expect("the projection is a definition");
            }
        }
        Err(faults) => assert!(faults.iter().any(|fault| fault.is_error())),
    }
    let _ = apidef::with_id(text, "id");
    if let Ok(document) = document::Document::parse(text, document::Format::Json) {
        let kinds = apidef::StatedKinds { examples: true, defaults: true };
        let _ = apidef::stated(document.value(), kinds);
    }
});
