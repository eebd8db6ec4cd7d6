//! Certificates and keys as PEM, sealed ones too: reading never panics, and what is read is the same when it is written
//! and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Only the reading: the rest of the gateway would make this target's build a hundred times longer.
#[allow(dead_code, reason = "the rest of the gateway uses what this target does not")]
#[path = "../../crates/gateway/src/certificates"]
mod certificates {
    pub(crate) mod certificate;
    pub(crate) mod read;
    pub(crate) mod sealed;

    /// Reads, writes and reads again.
    pub(crate) fn twice(bytes: &[u8]) {
        let Ok(first) = read::read(bytes, "org", "secret") else { return };
        assert_eq!(first.id.len(), "org".len() + 64);
        let written = first.write("secret").expect("what was read can be written");
        let second = read::read(written.as_bytes(), "org", "secret").expect("what was written can be read");
        assert_eq!((first.id, first.chain, first.key), (second.id, second.chain, second.key));
    }
}
#[path = "../../crates/gateway/src/hex.rs"]
mod hex;

fuzz_target!(|bytes: &[u8]| certificates::twice(bytes));
