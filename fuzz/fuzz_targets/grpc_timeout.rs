//! Whatever a timeout of gRPC says, what is written of it reads again, and says no more than it did.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Only the parser: the rest of the gateway would make this target's build a hundred times longer.
#[path = "../../crates/gateway/src/backend/upstream"]
mod upstream {
    pub(crate) mod timeout;

    pub(crate) fn again(bytes: &[u8]) {
        if let Some(time) = timeout::read(bytes) {
            let written = timeout::written(time);
            let again = timeout::read(written.as_bytes()).expect("what is written is a timeout");
            assert!(again <= time && (time.is_zero() || again.as_nanos() * 61 >= time.as_nanos() * 60));
        }
    }
}

fuzz_target!(|bytes: &[u8]| upstream::again(bytes));
