//! Ids that are looked up in documents of XML: whatever the expression and the document, it ends, and never panics; and
//! whatever is found stands in the document somewhere.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Only the parser: the rest of the gateway would make this target's build a hundred times longer.
#[path = "../../crates/gateway/src/plugins/identity/xml.rs"]
mod xml;
#[path = "../../crates/gateway/src/plugins/identity/xpath.rs"]
mod xpath;

use xml::Document;
use xpath::XPath;

fuzz_target!(|input: (&str, &str)| {
    let (expression, text) = input;
    let Ok(path) = XPath::read(expression) else { return };
    let Some(document) = Document::read(text) else { return };
    if let Some(found) = path.find(&document) {
        // References are shorter than what they stand for only in characters, never in bytes of a whole document.
        assert!(found.len() <= text.len(), "{found:?}");
    }
});
