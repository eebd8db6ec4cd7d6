//! Exporters and tracers against receivers in the test.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

#[path = "../ends/mod.rs"]
mod ends;

mod jaeger;
mod metrics;
mod receiver;
mod traces;
