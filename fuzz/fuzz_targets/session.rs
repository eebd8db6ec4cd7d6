//! A session as a store or an admin gives it is read or refused, never a panic; what was read is written so that it is
//! read as the same again, and so it is with policies.
#![no_main]

use apidef::{Policy, Session, check_access_rights};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn again<T: Serialize + DeserializeOwned>(text: &str) -> Option<T> {
    let read: T = serde_json::from_str(text).ok()?;
    let written = serde_json::to_string(&read).expect("what was read can be written");
    let read_again: T = serde_json::from_str(&written).expect("what was written can be read");
    // The last bit of a fraction may change; all else may not.
    let fraction = |pair: &[u8]| pair[0].is_ascii_digit() && matches!(pair[1], b'.' | b'e');
    if !written.as_bytes().windows(2).any(fraction) {
        assert_eq!(serde_json::to_string(&read_again).ok(), Some(written));
    }
    Some(read)
}

/// A text that is split is the session that its parts are.
fn parts(text: &str) {
    let (mut common, mut rest) = (Vec::new(), Vec::new());
    let Some(own) = Session::split(text.as_bytes(), &mut common, &mut rest) else { return };
    let whole = serde_json::from_str::<Session>(text).ok();
    let together = serde_json::from_slice::<Session>(&common).ok();
    assert_eq!(whole.is_some(), together.is_some());
    if let Some((whole, common)) = whole.zip(together) {
        assert_eq!((own.alias, own.expires), (whole.alias.as_str(), whole.expires));
        let rest = if rest.is_empty() { "{}".into() } else { rest };
        let rest: Session = serde_json::from_slice(&rest).expect("a part of what can be read can be read");
        assert_eq!(common.with_own(rest), whole);
    }
}

fuzz_target!(|text: &str| {
    if let Some(session) = again::<Session>(text) {
        let _ = check_access_rights(&session.access_rights, "/access_rights");
        let _ = (session.is_expired(0), session.limit_of("a"));
    }
    again::<Policy>(text);
    parts(text);
});
