//! Answers that lie in a store which others write, too: reading one never panics, and what was read is written as it was.
#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;

// Only the reading and writing: the rest of the gateway would make this target's build a hundred times longer.
#[allow(dead_code, unused_imports, unreachable_pub)]
#[path = "../../crates/gateway/src/fields.rs"]
mod fields;
#[allow(dead_code)]
#[path = "../../crates/gateway/src/hex.rs"]
mod hex;
#[allow(dead_code, unused_imports, unreachable_pub)]
#[path = "../../crates/gateway/src/http1/mod.rs"]
mod http1;
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/gateway/src/cache/wire.rs"]
mod wire;

use base64::Engine as _;

fuzz_target!(|input: (bool, i64, &[u8])| {
    let (head, ends, wire) = input;
    let method = if head { Method::HEAD } else { Method::GET };
    round(wire, &method);
    // Most texts are no base64: as one that is, too.
    let text = format!("{}|{ends}", base64::prelude::BASE64_STANDARD.encode(wire));
    round(text.as_bytes(), &method);
});

fn round(text: &[u8], method: &Method) {
    // Two lines more would be too many.
    let Some(entry) = wire::decode(text, method).filter(|entry| entry.headers.len() < 95) else { return };
    let again = wire::decode(&wire::encode(&entry, method), method).expect("what is written can be read");
    assert_eq!(again, entry);
}
