//! Any pattern, URL and new URL, held to a plain reading of them.

#![no_main]

use libfuzzer_sys::fuzz_target;

// Only what reads and renders them: the rest of the gateway would make this target's build a hundred times longer.
#[allow(dead_code, reason = "the rest of the gateway uses what this target does not")]
#[path = "../../crates/gateway/src/transform/goal.rs"]
mod goal;
#[path = "../../crates/gateway/src/transform/plain.rs"]
mod plain;
#[allow(dead_code, reason = "the rest of the gateway uses what this target does not")]
#[path = "../../crates/gateway/src/transform/text.rs"]
mod text;

fuzz_target!(|input: (&str, &str, &str)| plain::compare(input.0, input.1, input.2));
