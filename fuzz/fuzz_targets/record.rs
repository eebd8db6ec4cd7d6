//! Batches that were kept outside of memory: any bytes are a batch or none, and a batch comes back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use streams::record::{decode, encode};

fuzz_target!(|bytes: &[u8]| {
    let Some(batch) = decode(bytes.to_vec()) else { return };
    let again = encode(&batch).expect("it was small enough before");
    let read = decode(again.clone()).expect("what was encoded can be read");
    assert_eq!(encode(&read).as_deref(), Some(&again[..]));
});
