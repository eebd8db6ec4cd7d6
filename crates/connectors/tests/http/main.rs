//! `http_client`, `http` and `websocket` against servers that the tests write themselves.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise, and may block"
)]

#[path = "../ends/mod.rs"]
mod ends;
mod server;

mod auth;
#[cfg(feature = "schema_registry")]
mod documents;
mod endless;
mod grpc;
mod input;
mod javascript;
mod output;
mod portal;
mod processor;
mod transport;
mod websocket;
