//! Whatever is asked of the OAuth 2.0 server: reading it never panics, and a request that is taken has each name once and is
//! read the same when it is sent on.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Only the parser: the rest of the gateway would make this target's build a hundred times longer.
#[allow(dead_code, reason = "the rest of the gateway uses what this target does not")]
#[path = "../../crates/gateway/src/query.rs"]
mod query;

#[allow(dead_code, reason = "the rest of the gateway uses what this target does not")]
#[path = "../../crates/gateway/src/oauth/form.rs"]
mod form;

use form::Form;

fuzz_target!(|input: (&str, bool, &[u8])| {
    let (text, json, body) = input;
    let media = if json { "application/json" } else { "application/x-www-form-urlencoded" };
    if let Ok(read) = Form::read(text, Some(media), body) {
        let again = Form::read(&read.to_query(), None, b"");
        assert!(again.as_ref() == Ok(&read), "{read:?} {again:?}");
    }
});
