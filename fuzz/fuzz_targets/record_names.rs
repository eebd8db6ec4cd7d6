//! Records as the code of users gives them back: whatever it gives is taken or refused, and what was taken is told the same
//! when nothing is changed any more.
#![no_main]

use std::time::SystemTime;

use analytics::Record;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|given: &str| {
    let record = Record::new(SystemTime::UNIX_EPOCH, "a".into(), "An API".into(), "o".into());
    let Ok(edited) = record.renamed(given) else { return };
    assert_eq!(edited.renamed(&edited.named()).as_ref(), Ok(&edited));
});
