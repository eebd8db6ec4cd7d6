//! SQL: the buffer on disk.

#![expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise, and may block"
)]

mod buffer;
#[path = "../ends/mod.rs"]
mod ends;
