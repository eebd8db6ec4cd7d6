//! What is read as a trace of somebody else is one, and is read as the same when it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Only the parser: the rest of the gateway would make this target's build a hundred times longer.
#[allow(dead_code, reason = "the rest of the gateway uses what this target does not")]
#[path = "../../crates/gateway/src/traces/foreign.rs"]
mod foreign;

use foreign::{Foreign, write_id};

fuzz_target!(|texts: (&str, &str, Option<&str>, Option<&str>)| {
    let (first, second, sampled, flags) = texts;
    let found = [Foreign::of_b3(first), Foreign::of_b3_fields(first, second, sampled, flags)];
    for found in found.into_iter().flatten() {
        assert!(found.trace_id != 0 && found.span_id != 0);
        let (trace, span) = (write_id(found.trace_id, 32), write_id(found.span_id.into(), 16));
        let sampled = found.sampled.map(|sampled| if sampled { "1" } else { "0" });
        assert_eq!(Foreign::of_b3_fields(&trace, &span, sampled, None), Some(found));
        let sampled = sampled.map(|sampled| format!("-{sampled}")).unwrap_or_default();
        assert_eq!(Foreign::of_b3(&format!("{trace}-{span}{sampled}")), Some(found));
    }
    if let Some(found) = Foreign::of_id(first) {
        assert_eq!(Foreign::of_id(&write_id(found.trace_id, 32)), Some(found));
    }
});
