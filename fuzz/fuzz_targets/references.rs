//! Where references stand in any text, and values put in their places.

#![no_main]

use apidef::Definition;
use apidef::references::{Lookup, Reference, Value, found, later};
use libfuzzer_sys::fuzz_target;

#[derive(Debug)]
struct Says(String);

impl Lookup for Says {
    fn look_up(&self, reference: &Reference) -> Value {
        if reference.name.len() % 3 == 0 {
            Value::Missing("none".to_owned())
        } else {
            Value::Is(self.0.as_str().into())
        }
    }
}

fuzz_target!(|input: (&str, &str)| {
    let (text, value) = input;
    let mut end = 0;
    for (range, reference) in found(text) {
        assert!(range.start >= end && range.end <= text.len() && range.start < range.end);
        assert!(text.is_char_boundary(range.start) && text.is_char_boundary(range.end));
        assert!(text[range.clone()].contains(&*reference.name));
        end = range.end;
    }
    for reference in later(text) {
        assert!(text.contains(&*reference.name));
    }
    let lookup = Says(value.to_owned());
    let (read, seal) = Definition::read(text, None, &lookup);
    assert!(seal.holds(&lookup));
    if let Ok(definition) = read {
        let again = Definition::read(&definition.text, None, &lookup).0.expect("the stored text is the same");
        assert!(again.is_same(&definition));
    }
});
