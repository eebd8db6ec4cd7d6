//! The outputs of this crate.

mod broker;
mod drop;
mod http_server;
mod inproc;
mod resource;
mod stdout;
mod sync_response;

use crate::registry::OutputSpec;

/// All of them.
pub const ALL: &[&OutputSpec] = &[
    &broker::SPEC,
    &drop::SPEC,
    &http_server::SPEC,
    &inproc::SPEC,
    &resource::SPEC,
    &stdout::SPEC,
    &sync_response::SPEC,
];
