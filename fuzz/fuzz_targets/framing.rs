//! The guard of HTTP/1 framing never panics, decides the same however the bytes are cut, and lets no head through that
//! hyper's parser reads in another way.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Only the rules: the rest of the gateway would make this target's build a hundred times longer.
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/gateway/src/listen/framing/rules/mod.rs"]
mod rules;

use rules::{Follower, HEAD_LIMIT, Stop};

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let whole = follow(bytes, bytes.len());
    let in_two = follow(bytes, usize::from(cut) % (bytes.len() + 1));
    // Where HTTP/2 begins everything behind its preface is released, in as many pieces as came. And a head of which
    // more is known may be refused for another reason.
    match (whole.1, in_two.1) {
        (Stop::Http2, Stop::Http2) => {}
        (Stop::RefusedHead(_), Stop::RefusedHead(_)) => assert_eq!(whole.0, in_two.0),
        _ => assert_eq!(whole, in_two),
    }
    if whole.0 > 0 && whole.1 != Stop::Http2 {
        let mut headers = [httparse::EMPTY_HEADER; 101];
        let mut request = httparse::Request::new(&mut headers);
        let parsed = request.parse(bytes).expect("a released head is one for hyper's parser, too");
        assert!(parsed.is_complete());
        let lengths = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("content-length"));
        let encodings = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("transfer-encoding"));
        assert!(lengths.count() + encodings.count() <= 1);
    }
});

/// Follows `bytes` in two pieces: what was released in all, and how it ended.
fn follow(bytes: &[u8], cut: usize) -> (usize, Stop) {
    let mut follower = Follower::new(HEAD_LIMIT);
    let first = follower.follow(&bytes[..cut]);
    assert!(first.release <= cut);
    if first.stop != Stop::Hungry {
        return (first.release, first.stop);
    }
    let second = follower.follow(&bytes[first.release..]);
    (first.release + second.release, second.stop)
}
