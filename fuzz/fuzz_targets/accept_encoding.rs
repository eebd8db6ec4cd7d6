//! Whatever a client says of the codings that it takes, it gets one that was offered, or none.
#![no_main]

use apidef::ContentCoding;
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, HeaderValue};
use libfuzzer_sys::fuzz_target;

// Only the parser: the rest of the gateway would make this target's build a hundred times longer.
#[path = "../../crates/gateway/src/codings.rs"]
mod codings;

fuzz_target!(|values: Vec<&[u8]>| {
    let mut request = HeaderMap::new();
    for value in values {
        let Ok(value) = HeaderValue::from_bytes(value) else { return };
        request.append(ACCEPT_ENCODING, value);
    }
    for offered in
        [&[ContentCoding::Gzip][..], &[ContentCoding::Zstd, ContentCoding::Brotli, ContentCoding::Gzip], &[]]
    {
        let best = codings::best(&request, offered);
        assert!(best.is_none_or(|best| offered.contains(&best) && codings::takes(&request, best.name())));
    }
});
