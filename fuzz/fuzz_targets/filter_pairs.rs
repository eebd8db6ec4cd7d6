//! Header fields as filters in WebAssembly give them: whatever they give is a list or none, and a list is written as it was read.

#![no_main]

#[path = "../../crates/plugins/src/wasm/pairs.rs"]
mod pairs;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(read) = pairs::read(bytes) else { return };
    assert_eq!(pairs::read(&pairs::write(&read)), Some(read));
});
