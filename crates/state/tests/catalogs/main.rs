//! Every place that a catalog can be in: a folder, SQLite, PostgreSQL (`scripts/services up postgresql`), MongoDB.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test may stop at the first surprise, and waits for files and servers"
)]

mod away;
mod bed;
mod behaviour;
mod copies;
mod unseen;
