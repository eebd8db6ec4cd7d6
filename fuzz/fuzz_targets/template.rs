//! Any text is either refused with faults that lie within it, or a template; one without queries gives itself back.

#![no_main]

use bloblang::{BatchView, Environment, MessageView, Template, Value};
use libfuzzer_sys::fuzz_target;

struct Message(Value);

impl MessageView for Message {
    fn content(&self) -> &[u8] {
        b"{}"
    }

    fn structured(&self) -> Result<&Value, String> {
        Ok(&self.0)
    }

    fn metadata(&self, _key: &str) -> Option<&Value> {
        Some(&self.0)
    }

    fn metadata_all(&self, visit: &mut dyn FnMut(&str, &Value)) {
        visit("k", &self.0);
    }

    fn error(&self) -> Option<&str> {
        Some("an error")
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

fuzz_target!(|text: &str| {
    match Template::parse(&Environment::pure().limited(100_000, 1 << 24), text) {
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
            let value = Value::parse_json(br#"{"a":[1,1.50,"x",null],"b":{"c":true}}"#);
            if let Ok(value) = value
                && let Ok(rendered) = template.render(&Message(value), 0)
            {
                assert!(template.as_static().is_none_or(|text| text == rendered));
            }
        }
    }
});
