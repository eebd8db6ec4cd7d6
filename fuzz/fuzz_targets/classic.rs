//! A classic definition is read or refused with the place of every fault, never a panic; what was read reads again.
#![no_main]

use apidef::Definition;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Definition::parse_classic(text) {
        Ok(definition) => {
            let again =
                Definition::parse_classic(&definition.text).expect("the stored text is the same definition");
            assert_eq!((again.digest, &again.api), (definition.digest, &definition.api));
            let _ = definition.classic();
        }
        Err(faults) => assert!(faults.iter().any(|fault| fault.is_error())),
    }
    let _ = apidef::with_id(text, "id");
});
