//! What is read as trace context is handed on as it came.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "only the parser is of interest")]
#[path = "../../crates/streams/src/way.rs"]
mod way;

use way::Parent;

fuzz_target!(|texts: (&str, Option<&str>)| {
    let (traceparent, tracestate) = texts;
    if let Some(parent) = Parent::read(traceparent, tracestate) {
        assert!(parent.trace_id != 0 && parent.span_id != 0);
        let state = parent.state.as_deref();
        assert_eq!(Parent::read(&parent.to_string(), state).as_ref(), Some(&parent));
    }
});
