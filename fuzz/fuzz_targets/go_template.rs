//! Templates over documents: whatever either is, a run ends within its limits.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| templates::try_out(data));
