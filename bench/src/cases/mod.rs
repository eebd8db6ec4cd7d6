//! What is measured, one file for each subcommand.

pub(crate) mod apis;
pub(crate) mod auth;
pub(crate) mod bodies;
pub(crate) mod cached;
pub(crate) mod change;
pub(crate) mod guards;
pub(crate) mod keyed;
pub(crate) mod keys;
pub(crate) mod mapping;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod sse;
pub(crate) mod streams;
