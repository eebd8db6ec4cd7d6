//! Whatever a connection begins with: it is a header of the PROXY protocol, the beginning of one, or none; and what is
//! known of it does not change with what comes behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Only the parser: the rest of the gateway would make this target's build a hundred times longer.
#[allow(dead_code, reason = "the rest of the gateway uses what this target does not")]
#[path = "../../crates/gateway/src/pass_through/proxy_protocol.rs"]
mod proxy_protocol;

use proxy_protocol::{more, read};

fuzz_target!(|bytes: &[u8]| {
    match read(bytes) {
        Ok(Some(header)) => {
            assert!(header.length <= bytes.len());
            assert_eq!(read(&bytes[..header.length]), Ok(Some(header)));
            // Of what is shorter nothing is known yet, and no more than the header is asked for.
            for end in 0..header.length {
                assert_eq!(read(&bytes[..end]), Ok(None));
                let more = more(&bytes[..end]);
                assert!(more > 0 && end + more <= header.length);
            }
        }
        Ok(None) => assert!(more(bytes) > 0),
        Err(_) => {}
    }
});
