//! SQL against real servers (`scripts/services up postgresql mariadb`), and the buffer on disk.

#![expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise, and may block"
)]

mod buffer;
mod cache;
mod databases;
#[path = "../ends/mod.rs"]
mod ends;
mod failures;
#[path = "../brokers/servers.rs"]
mod servers;
