//! Any text is either refused with faults that lie within it, or a mapping that runs to an end on any message.

#![no_main]

use bloblang::{BatchView, Environment, Mapping, MessageView, Value};
use libfuzzer_sys::fuzz_target;

struct Message {
    content: Vec<u8>,
    structured: Result<Value, String>,
}

impl MessageView for Message {
    fn content(&self) -> &[u8] {
        &self.content
    }

    fn structured(&self) -> Result<&Value, String> {
        self.structured.as_ref().map_err(Clone::clone)
    }

    fn metadata(&self, _key: &str) -> Option<&Value> {
        None
    }

    fn metadata_all(&self, _visit: &mut dyn FnMut(&str, &Value)) {}

    fn error(&self) -> Option<&str> {
        None
    }
}

impl BatchView for Message {
    fn len(&self) -> usize {
        1
    }

    fn message(&self, _index: usize) -> &dyn MessageView {
        self
    }
}

// The mapping and the payload.
fuzz_target!(|input: (&str, &[u8])| {
    let (text, content) = input;
    match Mapping::parse(&Environment::pure().limited(100_000, 1 << 24), text) {
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in faults {
                assert!(fault.line >= 1 && fault.column >= 1 && fault.length >= 1);
                assert!(fault.line as usize <= text.matches('\n').count() + 1);
            }
        }
        Ok(mapping) => {
            let message = Message { content: content.to_vec(), structured: Value::parse_json(content) };
            if let Ok(outcome) = mapping.apply(&message, 0)
                && let bloblang::Root::Value(value) = outcome.root
            {
                let _ = value.to_payload();
            }
            let _ = mapping.mutate(&message, 0);
        }
    }
});
