//! Signatures of requests, and their dates: reading never panics, and what is read is within its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Only these files: the rest of the gateway would make this target's build a hundred times longer.
#[allow(dead_code, reason = "the rest of the gateway uses what this target does not")]
#[path = "../../crates/gateway/src/auth/signature/date.rs"]
mod date;
#[allow(dead_code, reason = "the rest of the gateway uses what this target does not")]
#[path = "../../crates/gateway/src/auth/signature/params.rs"]
mod params;

fuzz_target!(|text: &str| {
    if let Ok(read) = params::read(text) {
        assert!(!read.key.is_empty() && !read.signed.is_empty() && read.signed.len() <= 64);
        assert!(!read.signature.is_empty() && read.signature.len() <= 1024);
        let names: std::collections::HashSet<_> = read.signed.iter().collect();
        assert_eq!(names.len(), read.signed.len());
    }
    if let Some(seconds) = date::read(text) {
        assert!((-63_000_000_000..260_000_000_000).contains(&seconds));
    }
});
