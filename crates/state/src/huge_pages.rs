//! Huge pages of memory, for a million keys.
//!
//! Where each request is about another key, what is known of it lies somewhere in more than a gigabyte. Finding out where
//! that is, page by page of 4 KiB, costs the processor as much as reading it. With few keys huge pages gain nothing, and
//! each part of memory that is touched takes 2 MiB. So a process begins without them, and asks for them once there are
//! many keys; what it has by then stays as it is.

use std::sync::Once;

/// So many keys are many.
const MANY: usize = 1 << 16;

static ASKED: Once = Once::new();

/// Keeps the process to small pages for now.
pub fn without_huge_pages() {
    set(false);
}

/// To be told of every count of keys that may be large.
pub fn keys_to_hold(count: usize) {
    if count >= MANY {
        ASKED.call_once(|| set(true));
    }
}

/// A kernel that does not do as it is asked costs time or memory, nothing else.
#[cfg(target_os = "linux")]
fn set(wanted: bool) {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(!wanted) {
        tracing::debug!(%error, wanted, "the kernel was asked about huge pages");
    }
}

#[cfg(not(target_os = "linux"))]
fn set(_: bool) {}
