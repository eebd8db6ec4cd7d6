//! Whatever a request path is, its clean spelling is clean.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Only the parser: the rest of the gateway would make this target's build a hundred times longer.
#[path = "../../crates/gateway/src/route/path.rs"]
mod path;

use path::Oddity;

fuzz_target!(|text: &str| {
    if let Err(Oddity::Unclean(clean)) = path::check(text) {
        assert!(clean.starts_with('/'));
        assert_eq!(path::check(&clean), Ok(()));
    }
});
